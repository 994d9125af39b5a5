//! Connections on which nothing is asked, or too slowly, and too many of them. Time is virtual.

use crate::tests::workers::FakeMessenger;
use crate::{Server, bind};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

fn serve(socket: &Path) -> JoinHandle<()> {
    let server = Server::new(bind(socket).unwrap(), socket.to_owned()).unwrap();
    tokio::spawn(server.serve_workers(Arc::new(FakeMessenger::default()), std::future::pending()))
}

/// What is answered to these bytes until the connection is closed, and after how many seconds it is.
async fn say(socket: &Path, bytes: &str) -> (String, u64) {
    let begun = Instant::now();
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer, begun.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_nothing_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("workers");
    let _serving = serve(&socket);
    let leader = "GET /v1/apps/shop/leader HTTP/1.1\r\nHost: a\r\n\r\n";
    let cut = "POST /v1/candidates HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{";
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(70_000));
    for (bytes, status, seconds) in [
        ("", "", 60),
        ("GET /v1/apps/shop/lead", "", 60),
        (leader, "200", 60),
        (cut, "504", 30),
        (&endless, "431", 0),
    ] {
        let (answer, closed) = say(&socket, bytes).await;
        let found = answer.get(9..12).unwrap_or_default();
        assert!(found == status && closed.abs_diff(seconds) <= 1, "{bytes:.30?}: {closed} s, {answer}");
    }
}

#[tokio::test]
async fn a_process_with_too_many_connections_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("workers");
    let _serving = serve(&socket);
    let mut open = Vec::new();
    let answer = loop {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        assert!(open.len() <= 4096, "there is an end");
        stream.write_all(b"GET /v1/apps/shop/leader HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        open.push(stream);
    };
    let told = ["HTTP/1.1 429 ", "retry-after: 1\r\n", "\"code\":\"full\"", "connections open already"];
    assert!(told.iter().all(|part| answer.contains(part)), "{answer}");
    drop(open);
    let (answer, _) = loop {
        // The other side notices in its own time that they are closed.
        let answer = say(&socket, "GET /v1/apps/shop/leader HTTP/1.0\r\nHost: a\r\n\r\n").await;
        if !answer.0.starts_with("HTTP/1.1 429") {
            break answer;
        }
    };
    assert!(answer.contains(" 200 OK"), "{answer}");
}
