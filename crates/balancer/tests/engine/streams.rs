//! Answers that pass as they come, and connections that became something else.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::stand::{Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const STREAM: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";

#[test]
fn client_that_sends_during_a_stream_is_not_kept_in_memory() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send(STREAM);
    client.read_until("a\r\n");
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket takes the option");
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < 64 * 1024 * 1024 {
        match client.stream.write(&piece) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    assert!(sent < 32 * 1024 * 1024, "{sent} bytes were taken that nobody asked for");
}

#[test]
fn bytes_that_nobody_asked_for_are_not_the_next_answer() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.read_until("ok");
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert!(stand.gives_nothing(Duration::from_millis(50)));
    client.send(GET);
    let (_, mut fresh) = stand.given();
    fresh.read_until(HEAD_END);
    fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    client.read_until("good");
}

#[test]
fn tunnel_ends_with_its_worker_although_the_client_says_nothing() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    let (worker, mut tunnel) = stand.given();
    tunnel.read_until(HEAD_END);
    tunnel.send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello");
    client.read_until("hello");
    stand.die(worker);
    drop(tunnel);
    assert_eq!(client.read_to_end(), b"");
    until("the connection is over", || stand.pool.snapshot().connections == 0);
}

#[test]
fn fast_stream_leaves_time_for_others() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\n\r\n");
    let feeding = std::thread::spawn(move || {
        let piece = vec![b'x'; 256 * 1024];
        while worker.stream.write_all(&piece).is_ok() {}
    });
    let reading = std::thread::spawn(move || {
        let mut total = 0;
        while total < 256 << 20 {
            total += client.read_exactly(64 * 1024).len();
        }
    });
    let mut longest = Duration::ZERO;
    let mut count = 0;
    while !reading.is_finished() {
        let start = Instant::now();
        let mut other = stand.client();
        other.send("BAD\r\n\r\n");
        other.read_until(HEAD_END);
        longest = longest.max(start.elapsed());
        count += 1;
        std::thread::park_timeout(Duration::from_millis(10));
    }
    reading.join().expect("the stream is read");
    feeding.join().expect("the stream is fed");
    assert!(count > 0 && longest < Duration::from_secs(1), "{longest:?} was the longest of {count}");
}

#[test]
fn endless_informational_answers_cost_no_memory_and_no_stack() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    let mut reader = client.clone();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let reading = std::thread::spawn(move || {
        let head = reader.read_until("200 OK");
        assert!(head.contains("102"));
        reader.read_until("ok");
    });
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    for _ in 0..20_000 {
        worker.send("HTTP/1.1 102 Processing\r\n\r\n");
        std::thread::yield_now();
    }
    client.send("0\r\n\r\n");
    worker.read_until("0\r\n\r\n");
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    reading.join().expect("all of it came");
}

/// 4 MiB in which each piece is another.
fn long_body() -> Vec<u8> {
    (0..1024 * 1024_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn long_body_passes_whole_to_a_client_that_reads_slowly_and_the_connections_go_on() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    let body = long_body();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    let answer = body.clone();
    let feeding = std::thread::spawn(move || {
        worker.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len()));
        worker.send(answer);
        worker
    });
    client.read_until(HEAD_END);
    let mut read = Vec::new();
    // Odd pieces, so that pages are passed on in parts.
    while read.len() < body.len() {
        let length = 7_777.min(body.len() - read.len());
        read.extend(client.read_exactly(length));
    }
    assert!(read == body, "what came is what was sent");
    let mut worker = feeding.join().expect("the worker was read to the end");
    client.send(GET);
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.read_until("ok");
}

#[test]
fn long_body_whose_worker_dies_is_cut_off() {
    let stand = Stand::new(config(), 1);
    let mut client = stand.client();
    let body = long_body();
    client.send(GET);
    let (id, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    let half = body[..body.len() / 2].to_vec();
    let feeding = std::thread::spawn(move || {
        worker.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * half.len()));
        worker.send(half);
        worker
    });
    client.read_until(HEAD_END);
    let read = client.read_exactly(body.len() / 2);
    assert!(read == body[..body.len() / 2], "what came is what was sent");
    let worker = feeding.join().expect("the worker was read");
    stand.die(id);
    drop(worker);
    assert_eq!(client.read_to_end(), b"", "the client sees that it is not whole");
    assert_eq!(stand.pool.snapshot().counters.failed, 1);
}
