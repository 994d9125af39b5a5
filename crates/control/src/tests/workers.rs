//! The paths for workers: what reaches the messenger, and how it is answered.

use crate::{
    Caller, Fault, Heard, Leadership, Messenger, Peer, Post, Posted, Reply, Server, Share, SharedValue, bind,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Admits everybody, and writes down what is asked.
#[derive(Default)]
pub(super) struct FakeMessenger {
    asked: Mutex<Vec<String>>,
}

impl FakeMessenger {
    fn ask(&self, caller: &Caller, what: &str) -> Result<(), Fault> {
        assert!(caller.peer.pid == Some(std::process::id()), "the kernel says who asks: {caller:?}");
        let who = caller.worker.as_deref().unwrap_or("somebody");
        self.asked.lock().unwrap().push(format!("{who}: {what}"));
        Ok(())
    }
}

impl Messenger for FakeMessenger {
    fn admits(&self, peer: Peer) -> bool {
        peer.user == rustix::process::geteuid().as_raw()
    }

    async fn post(&self, caller: Caller, post: Post) -> Result<Posted, Fault> {
        self.ask(&caller, &format!("{} to {}", post.data, post.to))?;
        match post.to.as_str() {
            Some("nobody") => Err(Fault::new("no_receiver", "nobody is there")),
            Some("busy") => Err(Fault::new("full", "it does not read").with_hint("wait")),
            _ if post.request => Ok(Posted::Answered { from: "shop.0".to_owned(), data: json!(7) }),
            _ => Ok(Posted::Sent { receivers: 2, dropped: 1 }),
        }
    }

    async fn listen(&self, caller: Caller) -> Result<mpsc::Receiver<Heard>, Fault> {
        self.ask(&caller, "listens")?;
        let (sender, receiver) = mpsc::channel(1);
        let heard = Heard { name: "message", text: "{\"stead\":{}}".to_owned(), receipt: Arc::new(()) };
        sender.send(heard).await.unwrap();
        Ok(receiver)
    }

    fn reply(&self, caller: Caller, token: &str, reply: Reply) -> Result<(), Fault> {
        self.ask(&caller, &format!("{token} is answered with {}", reply.data))
    }

    fn shared_values(&self, _app: &str) -> Result<BTreeMap<String, SharedValue>, Fault> {
        Ok(BTreeMap::from([("users".to_owned(), SharedValue { version: 3, data: json!(42) })]))
    }

    fn share(&self, _app: &str, _name: &str, share: Share) -> Result<u64, Fault> {
        match share.if_version {
            Some(3) | None => Ok(4),
            Some(_) => Err(Fault::new("conflict", "it has version 3")),
        }
    }

    fn leader(&self, app: &str) -> Result<Leadership, Fault> {
        match app {
            "shop" => Ok(Leadership { who: Some("shop.2".to_owned()), term: 9 }),
            _ => Err(Fault::new("no_such_app", "there is no such app")),
        }
    }

    fn candidate(&self, caller: Caller, candidate: bool) -> Result<(), Fault> {
        self.ask(&caller, &format!("candidate {candidate}"))
    }

    fn released(&self, caller: Caller, term: u64) -> Result<(), Fault> {
        self.ask(&caller, &format!("released {term}"))
    }
}

/// Asks as `shop.1`; the status, the headers and the body of the answer.
async fn ask(socket: &std::path::Path, line: &str, headers: &str, body: &str) -> (u16, String, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: a\r\nStead-Worker: shop.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn what_workers_ask_reaches_the_messenger_and_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("workers");
    let messenger = Arc::new(FakeMessenger::default());
    let server = Server::new(bind(&socket).unwrap(), socket.clone()).unwrap();
    let serving = tokio::spawn(server.serve_workers(Arc::clone(&messenger), std::future::pending()));
    for (line, headers, body, status, part) in [
        ("POST /v1/messages", "", "{\"to\":\"app\",\"data\":1}", 200, "{\"receivers\":2,\"dropped\":1}"),
        ("POST /v1/messages", "", "{\"to\":\"any\",\"request\":true}", 200, "\"from\":\"shop.0\",\"data\":7"),
        ("POST /v1/messages", "", "{\"to\":\"nobody\"}", 404, "\"code\":\"no_receiver\""),
        ("POST /v1/messages", "", "{\"to\":\"busy\"}", 429, "\"hint\":\"wait\""),
        ("POST /v1/messages", "", "{\"too\":\"app\"}", 400, "unknown field `too`"),
        ("GET /v1/messages", "", "", 200, "event: message\ndata: {\"stead\":{}}\n\n"),
        ("POST /v1/replies/1-2", "", "{\"data\":5}", 200, "{}"),
        ("GET /v1/apps/shop/shared", "", "", 200, "{\"users\":{\"version\":3,\"data\":42}}"),
        ("GET /v1/apps/shop/shared/users", "", "", 200, "42"),
        ("GET /v1/apps/shop/shared/none", "", "", 404, "no shared value `none`"),
        ("PUT /v1/apps/shop/shared/users", "If-Match: \"3\"\r\n", "43", 200, "{\"version\":4}"),
        ("PUT /v1/apps/shop/shared/users", "If-Match: \"2\"\r\n", "43", 409, "\"code\":\"conflict\""),
        ("PUT /v1/apps/shop/shared/users", "If-Match: *\r\n", "43", 400, "`If-Match` is not a version"),
        ("PUT /v1/apps/shop/shared/users", "", "forty", 400, "invalid body"),
        ("DELETE /v1/apps/shop/shared/users", "", "", 200, "{\"version\":4}"),
        ("GET /v1/apps/shop/leader", "", "", 200, "{\"who\":\"shop.2\",\"term\":9}"),
        ("GET /v1/apps/api/leader", "", "", 404, "\"code\":\"no_such_app\""),
        ("POST /v1/candidates", "", "{\"candidate\":true}", 200, "{}"),
        ("POST /v1/released", "", "{\"term\":9}", 200, "{}"),
        ("POST /v1/pools/resize/tasks", "", "[2]", 200, "\"result\":[1, 2]"),
        ("POST /v1/pools/resize/tasks?wait=false", "", "[2]", 202, "\"state\":\"queued\""),
        ("POST /v1/pools/resize/tasks?id=bad", "", "[2]", 422, "\"state\":\"failed\""),
        ("POST /v1/pools/resize/tasks?wait=false&id=done", "", "[2]", 200, "\"result\":[1, 2]"),
        ("POST /v1/pools/resize/tasks?wait=maybe", "", "[2]", 400, "as in `?wait=false`"),
        ("PUT /v1/pools/resize/tasks", "", "[2]", 405, "this path does not take this method"),
        ("POST /v1/pools/resize/tasks?id=full", "", "[2]", 503, "\"code\":\"full\""),
        ("POST /v1/pools/play/tasks", "", "[2]", 404, "\"code\":\"unknown_pool\""),
        ("GET /v1/pools/resize/tasks/7", "", "", 200, "\"state\":\"running\""),
        ("GET /v1/pools/resize/tasks/8", "", "", 404, "\"code\":\"unknown_task\""),
        ("GET /v1/pools/resize/tasks/7/events", "", "", 200, "event: progress\ndata: 0.5\n\n"),
        ("DELETE /v1/pools/resize/tasks/7", "", "", 200, "\"state\":\"cancelled\""),
        ("POST /v1/pools/resize/dead/7/retry", "", "", 202, "\"state\":\"queued\""),
        ("GET /v1/status", "", "", 404, "this socket is for workers"),
    ] {
        let (found, head, answer) = ask(&socket, line, headers, body).await;
        assert!(found == status && answer.contains(part), "{line} {body}: {found} {answer}");
        assert_eq!(head.contains("retry-after"), matches!(status, 429 | 503), "{line}");
    }
    let (_, head, _) = ask(&socket, "POST /v1/pools/resize/tasks?wait=false&id=a%2Fb", "", "1").await;
    assert!(head.contains("location: /v1/pools/resize/tasks/a%2fb"), "{head}");
    let (_, head, _) = ask(&socket, "PATCH /v1/pools/resize/tasks/7", "", "").await;
    assert!(head.contains("allow: get,head,delete"), "{head}");
    let (_, head, _) = ask(&socket, "GET /v1/apps/shop/shared/users", "", "").await;
    assert!(head.contains("etag: \"3\""), "{head}");
    let asked = messenger.asked.lock().unwrap().clone();
    let expected = [
        "shop.1: 1 to \"app\"",
        "shop.1: null to \"any\"",
        "shop.1: null to \"nobody\"",
        "shop.1: null to \"busy\"",
        "shop.1: listens",
        "shop.1: 1-2 is answered with 5",
        "shop.1: candidate true",
        "shop.1: released 9",
    ];
    assert_eq!(asked, expected);
    serving.abort();
}
