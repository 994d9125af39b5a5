//! "Nobody can bring my server down by sending too much, too many, or too slowly: there are limits, and they say so."

use std::time::{Duration, Instant};

use crate::support::stead::Plan;
use crate::support::{Client, Stead, beside, get, node};

fn plan() -> Plan {
    Stead::script(node("executions.js"))
}

#[test]
fn a_head_that_is_too_long_is_refused_with_431() {
    let _turn = beside();
    let stead = plan().set("head_bytes_max", "8KiB").start();
    let filler = "x".repeat(9000);
    for (what, bytes) in [
        ("one long header", format!("GET / HTTP/1.1\r\nHost: t\r\nX: {filler}\r\n\r\n")),
        (
            "many short headers",
            format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: yz\r\n".repeat(120).repeat(11)),
        ),
        ("a long target", format!("GET /{filler} HTTP/1.1\r\nHost: t\r\n\r\n")),
    ] {
        let mut client = Client::connect(stead.port);
        client.send(bytes);
        let answer = client.answer();
        assert!(matches!(answer.status, 431 | 414), "{what}: {answer:?}");
        client.expect_close();
    }
    // Without an end it is refused as soon as it is too long, not when the client is done.
    let mut client = Client::connect(stead.port);
    client.send(format!("GET / HTTP/1.1\r\nHost: t\r\nX: {filler}"));
    assert_eq!(client.answer().status, 431);
}

#[test]
fn too_many_headers_are_refused_with_431() {
    let _turn = beside();
    let stead = plan().set("header_count_max", "20").start();
    let with = |count: usize| {
        let headers: String = (0..count).map(|number| format!("X-{number}: y\r\n")).collect();
        Client::connect(stead.port)
            .send(format!("GET / HTTP/1.1\r\nHost: t\r\n{headers}\r\n"))
            .answer()
            .status
    };
    assert_eq!((with(19), with(20), with(60)), (200, 431, 431));
}

#[test]
fn a_body_that_is_too_large_is_refused_with_413() {
    let _turn = beside();
    let stead = plan().set("body_bytes_max", "100KiB").start();
    // By its length, before a byte of it has come.
    let mut client = Client::connect(stead.port);
    client.send(format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", 100 * 1024 + 1));
    assert_eq!(client.answer().status, 413);
    client.expect_close();
    // In chunks, once it has become too large.
    let mut client = Client::connect(stead.port);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..20 {
        if client.try_send(format!("2000\r\n{}\r\n", "x".repeat(0x2000)).as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(client.answer().status, 413);
    // One that fits is served.
    let body = "x".repeat(100 * 1024);
    let mut client = Client::connect(stead.port);
    client.send(format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.answer().text(), body);
}

#[test]
fn a_head_that_comes_too_slowly_is_refused_with_408() {
    let _turn = beside();
    let stead = plan().set("header_timeout", "600ms").start();
    let begun = Instant::now();
    let mut client = Client::connect(stead.port);
    client.send("GET / HTTP/1.1\r\nHost: t\r\nX: ");
    let answer = client.answer();
    assert_eq!(answer.status, 408, "{answer:?}");
    client.expect_close();
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(550) && waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn a_body_that_comes_too_slowly_is_refused_with_408() {
    let _turn = beside();
    let stead = plan().set("body_timeout", "600ms").start();
    let begun = Instant::now();
    let mut client = Client::connect(stead.port);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nsome");
    let answer = client.answer();
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_connection_without_a_request_is_closed_after_a_while() {
    let _turn = beside();
    let stead = plan().set("idle_timeout", "600ms").set("header_timeout", "600ms").start();
    let mut used = Client::connect(stead.port);
    assert_eq!(used.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").answer().status, 200);
    let mut unused = Client::connect(stead.port);
    for client in [&mut used, &mut unused] {
        let begun = Instant::now();
        client.expect_close();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[test]
fn an_answer_that_does_not_come_is_a_504() {
    let _turn = beside();
    let stead = Stead::script(node("slow.js")).set("answer_timeout", "700ms").start();
    let begun = Instant::now();
    let answer = get(stead.port, "/hang");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(get(stead.port, "/").status, 200);
}

#[test]
fn more_requests_than_may_wait_are_told_to_come_again() {
    let _turn = beside();
    let plan = Stead::script(node("start.js")).set("held_requests_max", "5").set("hold_timeout", "30s");
    let file = plan.directory().join("how");
    std::fs::write(&file, "ok").expect("a file can be written");
    let stead = plan.env("START_FILE", file.display()).env("START_MS", 3000).start();
    std::fs::write(&file, "slow").expect("a file can be written");
    stead.status().ready_pids().into_iter().for_each(crate::support::processes::kill);
    stead.wait_status("nobody is ready", Duration::from_secs(10), |status| status.instances().1 == 0);
    let mut clients: Vec<Client> = (0..12).map(|_| Client::connect(stead.port)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    let answers: Vec<_> = clients.iter_mut().map(Client::answer).collect();
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(503)), (5, 7), "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status == 503).expect("there are seven");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let _turn = beside();
    let stead = plan().set("connections_max", "10").start();
    let mut first: Vec<Client> = (0..10).map(|_| Client::connect(stead.port)).collect();
    for client in &mut first {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").answer().status, 200);
    }
    let mut late = Client::connect(stead.port);
    late.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    late.expect_silence(Duration::from_millis(300));
    drop(first);
    assert_eq!(late.answer().status, 200);
}
