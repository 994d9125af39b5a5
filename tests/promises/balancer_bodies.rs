//! "Uploads and downloads of any size pass, whole and in both directions, and no slow client holds my server up."

use std::time::{Duration, Instant};

use crate::support::load::{assert_nothing_failed, gets, posts};
use crate::support::processes::memory_of;
use crate::support::{Client, Load, Stead, alone, beside, fixture, get, node, soon};

const MEGABYTE: usize = 1024 * 1024;

fn bodies() -> Stead {
    Stead::script(node("bodies.js")).instances(2).start()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[test]
fn answers_of_known_and_unknown_length_arrive_whole() {
    let _turn = beside();
    let stead = bodies();
    let mut client = Client::connect(stead.port);
    for length in [0, 1, 1000, 65_535, 65_536, 65_537, 300_000, 5 * MEGABYTE] {
        let answer = client.send(format!("GET /bytes?n={length} HTTP/1.1\r\nHost: test\r\n\r\n")).answer();
        assert_eq!(answer.header("content-length"), Some(length.to_string().as_str()));
        assert!(answer.body == pattern(length), "{length} bytes with a length");
        let answer = client
            .send(format!("GET /bytes?n={length}&chunked HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n"))
            .answer();
        assert!(answer.body == pattern(length), "{length} bytes in chunks");
        let sum: u64 = answer.body.iter().map(|byte| u64::from(*byte)).sum();
        let trailers = vec![("x-checksum".to_owned(), (sum % (1 << 32)).to_string())];
        assert_eq!(answer.trailers, trailers, "{length} bytes in chunks");
    }
}

#[test]
fn bodies_of_known_and_unknown_length_reach_the_program_whole() {
    let _turn = beside();
    let stead = bodies();
    let mut client = Client::connect(stead.port);
    for length in [0, 1, 1000, 65_536, 300_000, 2 * MEGABYTE] {
        let body = pattern(length);
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
        assert!(echo(&mut client, &body, stead.port) == body, "{length} bytes with a length");
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut chunked = Vec::new();
        for piece in body.chunks(10_007) {
            chunked.extend(format!("{:X};name=value\r\n", piece.len()).into_bytes());
            chunked.extend(piece);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\nX-Trailer: yes\r\n\r\n");
        assert!(echo(&mut client, &chunked, stead.port) == body, "{length} bytes in chunks");
    }
}

/// Sends and reads at the same time, as an echo needs it. Takes a new connection if the answer says so: one that begins
/// before the end of the upload may.
fn echo(client: &mut Client, bytes: &[u8], port: u16) -> Vec<u8> {
    let mut sender = client.clone_sender();
    let answer = std::thread::scope(|scope| {
        let sending = scope.spawn(move || sender.try_send(bytes));
        let answer = client.answer();
        sending.join().expect("the sender does not panic").expect("the body is taken");
        answer
    });
    assert_eq!(answer.status, 200, "{:?}", answer.headers);
    if answer.header("connection") == Some("close") {
        *client = Client::connect(port);
    }
    answer.body
}

#[test]
fn many_uploads_at_the_same_time_do_not_mix() {
    let _turn = alone();
    let stead = Stead::script(node("executions.js")).instances(2).start();
    let mut large = posts(stead.port, "/", 8);
    large.body_bytes = 700_000;
    let load = Load::start([("large", large), ("small", posts(stead.port, "/", 8))]);
    load.each_answers(60);
    assert_nothing_failed(&load.stop());
}

#[test]
fn an_upload_that_the_program_does_not_read_is_held_back_and_costs_no_memory() {
    let _turn = alone();
    let stead = Stead::script(node("slow.js")).set("grace", "3s").start();
    let daemon = stead.status().daemon_pid();
    let before = memory_of(daemon);
    let mut client = Client::connect(stead.port);
    client.send(format!("POST /hang HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", 400 * MEGABYTE));
    let sent = client.send_until_stuck(400 * MEGABYTE, Duration::from_secs(2));
    assert!(sent < 40 * MEGABYTE, "{sent} bytes were taken that nobody reads");
    let grown = memory_of(daemon).saturating_sub(before);
    assert!(grown < 16 * MEGABYTE, "the daemon grew by {grown} bytes");
}

#[test]
fn a_download_that_the_client_does_not_read_is_held_back_and_costs_no_memory() {
    let _turn = alone();
    let stead = bodies();
    let daemon = stead.status().daemon_pid();
    let before = memory_of(daemon);
    let length = 200 * MEGABYTE;
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(stead.port)).collect();
    for client in &mut clients {
        client.send(format!("GET /bytes?n={length} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    // Others are served meanwhile.
    for _ in 0..50 {
        assert_eq!(get(stead.port, "/bytes?n=10").body.len(), 10);
    }
    let grown = memory_of(daemon).saturating_sub(before);
    assert!(grown < 24 * MEGABYTE, "the daemon grew by {grown} bytes");
    let answer = clients.remove(0).answer();
    assert!(answer.body == pattern(length), "what waited arrives whole");
}

#[test]
fn clients_that_send_slowly_do_not_hold_a_worker() {
    let _turn = alone();
    // A worker that does one thing at a time: whoever it waits for holds it.
    let folder = fixture("python");
    let stead =
        Stead::plan(["gunicorn wsgi:application --workers 1 --worker-class sync --bind unix:{socket}"])
            .listen()
            .option("--cwd", folder)
            .start();
    let mut slow: Vec<Client> = (0..20).map(|_| Client::connect(stead.port)).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        match number % 2 {
            0 => client.send("GET / HTTP/1.1\r\nHost: te"),
            _ => client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000\r\n\r\nbegun"),
        };
    }
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(get(stead.port, "/").status, 200);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "slow clients held the worker for {:?}",
        begun.elapsed()
    );
}

#[test]
fn an_answer_that_the_worker_cuts_is_cut_for_the_client_and_never_made_whole() {
    let _turn = beside();
    let stead = bodies();
    let mut client = Client::connect(stead.port);
    client.send(format!("GET /cut?n={MEGABYTE} HTTP/1.1\r\nHost: test\r\n\r\n"));
    let head = client.head();
    assert_eq!(head.header("content-length"), Some((2 * MEGABYTE).to_string().as_str()));
    // End of stream or reset, but not an answer of full length.
    let body = client.read_to_end().unwrap_or_default();
    assert!(body.len() <= MEGABYTE, "{} bytes", body.len());
    stead.wait_complete();
}

#[test]
fn a_small_answer_that_the_worker_cuts_becomes_a_502_or_a_replay() {
    let _turn = beside();
    let stead = bodies();
    let answer = get(stead.port, "/cut?n=100");
    assert_eq!(answer.status, 502, "every worker cuts it: {answer:?}");
    stead.wait_complete();
}

#[test]
fn an_answer_before_the_end_of_the_upload_arrives() {
    let _turn = beside();
    let stead = bodies();
    let mut client = Client::connect(stead.port);
    client.send(format!("POST /refuse HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", 50 * MEGABYTE));
    let _ = client.try_send(&pattern(100_000));
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (413, "too large\n"));
}

#[test]
fn a_client_that_leaves_in_the_middle_frees_its_worker() {
    let _turn = beside();
    let stead = Stead::script(node("slow.js")).instances(1).start();
    for _ in 0..30 {
        let mut client = Client::connect(stead.port);
        client.send("GET /hang HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    let load = Load::start([("get", gets(stead.port, "/", 4))]);
    load.each_answers(200);
    assert_nothing_failed(&load.stop());
    soon("nothing of those who left is in flight", || {
        stead.try_status().is_some_and(|status| status.counter("in_flight") == 0)
    });
}
