//! Clients that say how long they wait.

use std::time::{Duration, Instant};

use stead_balancer::Config;

use crate::stand::{Stand, config};

const HEAD_END: &str = "\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(timeout: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Timeout: {timeout}\r\n\r\n")
}

/// What a worker is told to have left, in seconds.
fn told(head: &str) -> f64 {
    let line = head.lines().find_map(|line| line.strip_prefix("X-Request-Timeout:")).expect("it is told");
    line.trim().parse().expect("seconds")
}

#[test]
fn request_whose_time_passes_in_the_queue_reaches_no_worker() {
    let stand = Stand::new(config(), 0);
    let mut client = stand.client();
    let start = Instant::now();
    client.send(get("150ms"));
    let answer = client.read_until(HEAD_END);
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(start.elapsed() >= Duration::from_millis(150));
    stand.add(1);
    assert!(stand.gives_nothing(Duration::from_millis(200)));
    // The connection goes on.
    client.read_until("\n");
    client.send(get("5"));
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send(OK);
    client.read_until("ok");
}

#[test]
fn worker_is_told_what_is_left_after_the_wait() {
    let stand = Stand::new(config(), 0);
    let mut client = stand.client();
    client.send(get("8"));
    assert!(stand.gives_nothing(Duration::from_millis(300)));
    stand.add(1);
    let (_, mut worker) = stand.given();
    let left = told(&worker.read_until(HEAD_END));
    assert!((1.0..7.9).contains(&left), "{left}");
    drop(worker);
    stand.die(1);
    stand.add(2);
    let (_, mut worker) = stand.given();
    assert!(told(&worker.read_until(HEAD_END)) <= left, "the second one has no more than the first");
    worker.send(OK);
    client.read_until("ok");
}

#[test]
fn time_of_the_client_only_shortens() {
    let stand = Stand::new(Config { answer_timeout: Duration::from_millis(300), ..config() }, 1);
    for (timeout, longest) in [("100ms", 0.1), ("60", 0.3)] {
        let mut client = stand.client();
        client.send(get(timeout));
        let (_, mut worker) = stand.given();
        assert!(told(&worker.read_until(HEAD_END)) <= longest);
        let answer = client.read_until(HEAD_END);
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    }
}

#[test]
fn answer_that_has_begun_to_stream_is_not_cut() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send(get("300ms"));
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    client.read_until("one");
    assert!(stand.gives_nothing(Duration::from_millis(500)));
    worker.send("3\r\ntwo\r\n0\r\n\r\n");
    client.read_until("two\r\n0\r\n\r\n");
}

#[test]
fn time_that_is_over_is_over_at_once() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send(get("0"));
    let answer = client.read_until(HEAD_END);
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(stand.gives_nothing(Duration::from_millis(100)));
}
