//! Requests whose bodies are still on their way when something else happens.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use stead_balancer::Road;

use crate::stand::{Peer, Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";

/// The head of a POST with so many bytes to come.
fn post(length: usize) -> String {
    format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn connection_with_an_unsent_rest_of_a_request_is_not_used_again() {
    let stand = Stand::new(stand_config(), 1);
    let mut client = stand.client();
    // Small enough to be kept whole, larger than what the kernel takes at once.
    const LENGTH: usize = 900 * 1024;
    client.send(post(LENGTH)).send(vec![b'x'; LENGTH]);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
    assert!(client.read_until("early").starts_with("HTTP/1.1 200"));
    let mut other = stand.client();
    other.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, mut fresh) = stand.given();
    assert!(fresh.read_until(HEAD_END).starts_with("GET /next "));
    fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    other.read_until("ok");
}

fn stand_config() -> stead_balancer::Config {
    stead_balancer::Config { replay_body_bytes_max: 1024 * 1024, ..config() }
}

#[test]
fn half_closed_client_uploads_all_of_its_body() {
    let stand = Stand::new(stand_config(), 1);
    let mut client = stand.client();
    const LENGTH: usize = 900 * 1024;
    client.send(post(LENGTH)).send(vec![b'x'; LENGTH]).finish();
    let (_, mut worker) = stand.given();
    // The balancer has heard the end of the client before the worker reads.
    assert!(stand.gives_nothing(Duration::from_millis(100)));
    worker.read_until(HEAD_END);
    worker.read_exactly(LENGTH);
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    client.read_until("done");
}

#[test]
fn answer_may_begin_while_the_request_still_comes() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let (_, mut worker) = stand.given();
    worker.read_until("one\r\n");
    worker.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.read_until("one\r\n");
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    worker.read_until("two\r\n0\r\n\r\n");
    worker.send("3\r\ntwo\r\n0\r\n\r\n");
    client.read_until("two\r\n0\r\n\r\n");
}

#[test]
fn small_answer_may_wait_for_the_end_of_the_request() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let (_, mut worker) = stand.given();
    worker.read_until("one\r\n");
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
    assert!(stand.gives_nothing(Duration::from_millis(50)));
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    worker.read_until("two\r\n0\r\n\r\n");
    worker.send("two");
    client.read_until("onetwo");
}

#[test]
fn early_answer_reaches_a_client_that_still_sends() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    let mut sender = client.clone();
    const LENGTH: usize = 8 * 1024 * 1024;
    client.send(post(LENGTH));
    let sending = std::thread::spawn(move || {
        // It may be cut off at any time.
        let _cut = sender.stream.write_all(&vec![b'x'; LENGTH]);
    });
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge");
    let answer = client.read_to_end();
    assert!(answer.ends_with(b"large"), "{}", answer.escape_ascii());
    sending.join().expect("it does not panic");
}

#[test]
fn worker_that_reads_a_long_upload_slowly_is_not_wedged() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    const LENGTH: usize = 4 * 1024 * 1024;
    let mut sender = client.clone();
    client.send(post(LENGTH));
    let sending = std::thread::spawn(move || sender.stream.write_all(&vec![b'x'; LENGTH]));
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    let mut wedged = 0;
    for _ in 0..LENGTH / (64 * 1024) {
        worker.read_exactly(64 * 1024);
        std::thread::park_timeout(Duration::from_millis(15));
        wedged += stand.wedged();
    }
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    client.read_until("done");
    sending.join().expect("it does not panic").expect("all is taken");
    assert_eq!(wedged, 0);
}

#[test]
fn worker_that_reads_the_beginning_of_an_upload_and_waits_is_not_wedged() {
    let stand = Stand::new(stand_config(), 1);
    let mut client = stand.client();
    const LENGTH: usize = 900 * 1024;
    client.send(post(LENGTH)).send(vec![b'x'; LENGTH]);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    assert!(stand.gives_nothing(Duration::from_millis(800)));
    assert_eq!(stand.wedged(), 0);
    // Nor does it keep others from being served.
    let mut other = stand.client();
    other.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, mut fresh) = stand.given();
    fresh.read_until(HEAD_END);
    drop((worker, client));
    until("both are over", || stand.pool.snapshot().endpoints.iter().all(|e| e.in_flight <= 1));
}

#[test]
fn worker_on_a_socket_of_its_own_that_reads_the_beginning_is_not_wedged() {
    for length in [8 * 1024, 60 * 1024, 120 * 1024, 180 * 1024] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("s")).expect("a new path");
        let stand = Stand::new(config(), 0);
        stand.add_road(&Road::Unix(folder.path().join("s")));
        let mut client = stand.client();
        client.send(post(length)).send(vec![b'x'; length]);
        let (stream, _) = listener.accept().expect("the worker is connected to");
        let mut worker = Peer::new(stream);
        worker.read_some(4096);
        let mut wedged = 0;
        for _ in 0..8 {
            std::thread::park_timeout(Duration::from_millis(100));
            wedged += stand.wedged();
        }
        assert_eq!(wedged, 0, "{length} bytes");
        worker.read_until(HEAD_END);
        worker.read_exactly(length);
        worker.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        client.read_until("done");
    }
}
