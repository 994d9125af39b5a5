//! What is told about requests: each one once, however it ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_balancer::{AccessEntry, AccessLog, AccessTo, Config};

use crate::stand::{Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";
const GET: &str = "GET /a?b HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Keeps in words what it is told.
#[derive(Default)]
struct Kept(Mutex<Vec<String>>);

impl AccessLog for Kept {
    fn log(&self, entry: &AccessEntry<'_>) {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"-")).into_owned();
        let line = format!(
            "{} {} {:?} in {} out {} tries {} {:?}",
            text(entry.method),
            text(entry.target),
            entry.status,
            entry.bytes_in,
            entry.bytes_out,
            entry.tries,
            entry.aborted
        );
        assert!(entry.wait <= entry.duration, "it waits no longer than it takes");
        self.0.lock().expect("no test panics while it holds it").push(line);
    }
}

impl Kept {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it holds it").clone()
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        until("all is told", || self.lines().len() >= expected.len());
        assert_eq!(self.lines(), expected);
    }
}

fn logged(config: Config) -> (Arc<Kept>, Config) {
    let kept = Arc::new(Kept::default());
    (Arc::clone(&kept), Config { access: Some(AccessTo(kept)), ..config })
}

#[test]
fn requests_of_one_connection_are_told_one_by_one() {
    let (kept, config) = logged(config());
    let stand = Stand::new(config, 1);
    let mut client = stand.client();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send(OK);
    client.read_until("ok");
    client.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    worker.read_until("abc");
    worker.send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    client.read_until("0\r\n\r\n");
    // Nothing follows, so nothing is told.
    drop(client);
    kept.check(&["GET /a?b Some(200) in 0 out 2 tries 1 None", "POST /b Some(201) in 3 out 12 tries 1 None"]);
}

#[test]
fn bytes_that_the_kernel_moves_are_counted() {
    const BYTES: usize = 3 * 1024 * 1024;
    let (kept, config) = logged(config());
    let stand = Stand::new(config, 1);
    let mut client = stand.client();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    let sender = std::thread::spawn(move || {
        worker.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n"));
        worker.send(vec![b'x'; BYTES]);
    });
    client.read_until(HEAD_END);
    client.read_exactly(BYTES);
    sender.join().expect("all of it is read");
    kept.check(&[&format!("GET /a?b Some(200) in 0 out {BYTES} tries 1 None")]);
}

#[test]
fn replayed_request_is_one_line() {
    let (kept, config) = logged(config());
    let stand = Stand::new(config, 2);
    let mut client = stand.client();
    client.send(GET);
    let (first, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    drop(worker);
    stand.die(first);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send(OK);
    client.read_until("ok");
    kept.check(&["GET /a?b Some(200) in 0 out 2 tries 2 None"]);
}

#[test]
fn answer_that_is_cut_off_says_by_whom() {
    let (kept, config) = logged(config());
    let stand = Stand::new(config, 1);
    let begin = |stand: &Stand| {
        let mut client = stand.client();
        client.send(GET);
        let (_, mut worker) = stand.given();
        worker.read_until(HEAD_END);
        worker.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        client.read_until("one\r\n");
        (client, worker)
    };
    let (client, worker) = begin(&stand);
    drop(client);
    kept.check(&["GET /a?b Some(200) in 0 out 8 tries 1 Some(Client)"]);
    drop(worker);
    let (mut client, worker) = begin(&stand);
    drop(worker);
    client.read_to_end();
    until("it is told", || kept.lines().len() == 2);
    assert_eq!(kept.lines()[1], "GET /a?b Some(200) in 0 out 8 tries 1 Some(Worker)");
}

#[test]
fn client_that_goes_before_its_answer_has_none() {
    let (kept, config) = logged(config());
    let stand = Stand::new(config, 1);
    let mut client = stand.client();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    drop(client);
    // The worker sees the end as if the client were connected to it, and ends too.
    worker.read_to_end();
    drop(worker);
    kept.check(&["GET /a?b None in 0 out 0 tries 1 Some(Client)"]);
}

#[test]
fn refusals_are_told() {
    let (kept, config) = logged(Config {
        hold_timeout: Duration::from_millis(50),
        header_timeout: Duration::from_millis(200),
        body_bytes_max: 10,
        ..config()
    });
    let stand = Stand::new(config, 0);
    let refused = |request: &str, status: &str| {
        let mut client = stand.client();
        client.send(request);
        let answer = client.read_until(HEAD_END);
        assert!(answer.contains(status), "{answer}");
    };
    refused(GET, " 503 ");
    until("it is told", || kept.lines().len() == 1);
    refused("GET / HTTP/1.1\r\n\r\n", " 400 ");
    until("it is told", || kept.lines().len() == 2);
    refused("GET / HTTP/1.1\r\nHost:", " 408 ");
    until("it is told", || kept.lines().len() == 3);
    refused("PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", " 413 ");
    until("it is told", || kept.lines().len() == 4);
    let starts = [
        "GET /a?b Some(503) in 0 out ",
        "- - Some(400) in 0 out ",
        "- - Some(408) in 0 out ",
        "PUT /large Some(413) in 0 out ",
    ];
    for (line, start) in kept.lines().iter().zip(starts) {
        assert!(line.starts_with(start) && line.ends_with(" tries 0 None"), "{line}");
    }
}
