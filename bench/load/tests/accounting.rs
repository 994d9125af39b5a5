//! The client is right about servers that lose, cut, mix up and delay: a server that misbehaves by the number of the
//! request keeps its own account, and the two must agree in every class.
#![expect(clippy::unwrap_used, reason = "a failed step is the test's failure")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stead_load::{Class, Config, Counts, Expect, Method, Report, Target};

/// What the server does to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Echo,
    EchoChunked,
    Status(u16),
    OtherBody,
    Twice,
    Reset,
    Close,
    CutBody,
    CutHead,
    Silence,
}

impl Deed {
    /// What the client has to call it, on a connection that is new or not.
    fn class(self, reused: bool) -> Class {
        match self {
            Deed::Echo | Deed::EchoChunked => Class::Ok,
            Deed::Status(status) => Class::of_answer(status, true),
            Deed::OtherBody | Deed::Twice => Class::BadBody,
            Deed::Reset | Deed::Close if reused => Class::ResetOrEofReused,
            Deed::Reset => Class::ResetFresh,
            Deed::Close => Class::EofFresh,
            Deed::CutBody | Deed::CutHead => Class::Truncated,
            Deed::Silence => Class::Timeout,
        }
    }
}

type Plan = fn(u64) -> Deed;

struct Server {
    port: u16,
    account: Arc<Mutex<Counts>>,
    connections: Arc<AtomicU64>,
}

impl Server {
    fn start(plan: Plan) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = Arc::new(Mutex::new(Counts::default()));
        let connections = Arc::new(AtomicU64::new(0));
        let shared = (Arc::clone(&account), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.1.fetch_add(1, Ordering::Relaxed);
                let account = Arc::clone(&shared.0);
                std::thread::spawn(move || serve(&stream, plan, &account));
            }
        });
        Server { port, account, connections }
    }

    fn load(&self, adjust: impl FnOnce(&mut Config)) -> Report {
        let mut config = Config::new(Target::port(self.port));
        config.connections = 8;
        config.duration = Duration::from_secs(20);
        config.requests_max = Some(600);
        config.timeout = Duration::from_millis(400);
        config.pause = Duration::from_millis(1);
        config.method = Method::Post;
        config.body_bytes = 1000;
        config.expect = Expect::Echo;
        config.id_header = Some("x-load-id".to_owned());
        adjust(&mut config);
        stead_load::run(config).unwrap()
    }

    /// Both sides counted the same.
    fn agrees_with(&self, report: &Report) {
        let account = *self.account.lock().unwrap();
        assert_eq!(report.classes, account, "client on the left, server on the right");
        assert_eq!(report.total, report.classes.total());
        assert_eq!(report.ok + report.failed, report.total);
        assert_eq!(report.failures.len() as u64, report.failed);
    }
}

/// Serves requests until one of them ends the connection.
fn serve(stream: &TcpStream, plan: Plan, account: &Mutex<Counts>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut reused = false;
    while let Some((number, close, body)) = read_request(&mut reader) {
        let deed = plan(number);
        account.lock().unwrap().add(deed.class(reused));
        reused = true;
        let length = body.len();
        let mut out = stream;
        let head = |status: u16, length: usize| {
            format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n").into_bytes()
        };
        let written = match deed {
            Deed::Echo => out.write_all(&[head(200, length), body].concat()),
            Deed::EchoChunked => {
                let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                let size = format!("{length:x}\r\n").into_bytes();
                out.write_all(&[chunked, size, body, b"\r\n0\r\n\r\n".to_vec()].concat())
            }
            Deed::Status(status) => out.write_all(&head(status, 0)),
            Deed::OtherBody => out.write_all(&[head(200, length), vec![b'-'; length]].concat()),
            Deed::Twice => out.write_all(&[head(200, length), body, head(200, 0)].concat()),
            Deed::Reset => return reset(stream),
            Deed::Close => return,
            Deed::CutBody => {
                return drop(out.write_all(&[head(200, length), body[..length / 2].to_vec()].concat()));
            }
            Deed::CutHead => return drop(out.write_all(b"HTTP/1.1 200 OK\r\nContent-")),
            Deed::Silence => return drop(reader.read_to_end(&mut Vec::new())),
        };
        if written.is_err() || close {
            return;
        }
    }
}

/// Makes closing the socket a reset.
fn reset(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
    let _ = stream.shutdown(Shutdown::Read);
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(u64, bool, Vec<u8>)> {
    let (mut number, mut close, mut length) = (0, false, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(": ") {
            Some(("x-load-id", value)) => number = value.parse().unwrap(),
            Some(("connection", "close")) => close = true,
            Some(("content-length", value)) => length = value.parse().unwrap(),
            _ if line.is_empty() => break,
            _ => (),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((number, close, body))
}

/// A different number for each, the same in each run.
fn scattered(number: u64) -> u64 {
    let mut hash = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn every_deed(number: u64) -> Deed {
    match scattered(number) % 40 {
        0 => Deed::Status(500),
        1 => Deed::Status(502),
        2 => Deed::Status(503),
        3 => Deed::Status(504),
        4 => Deed::Status(404),
        5 => Deed::Status(302),
        6 => Deed::OtherBody,
        7 => Deed::Twice,
        8 => Deed::Reset,
        9 => Deed::Close,
        10 => Deed::CutBody,
        11 => Deed::CutHead,
        12 if number.is_multiple_of(3) => Deed::Silence,
        13..=20 => Deed::EchoChunked,
        _ => Deed::Echo,
    }
}

fn resets_at_random(number: u64) -> Deed {
    if scattered(number).is_multiple_of(10) { Deed::Reset } else { Deed::Echo }
}

fn good(_number: u64) -> Deed {
    Deed::Echo
}

#[test]
fn a_server_that_resets_at_random_is_caught_in_every_single_request() {
    for keep_alive in [true, false] {
        let server = Server::start(resets_at_random);
        let report = server.load(|config| config.keep_alive = keep_alive);
        let resets = (0..600).filter(|number| resets_at_random(*number) == Deed::Reset).count() as u64;
        assert!(resets > 30, "the plan has resets in it");
        assert_eq!((report.total, report.failed), (600, resets));
        server.agrees_with(&report);
        for failure in &report.failures {
            assert_eq!(
                resets_at_random(failure.id.parse().unwrap()),
                Deed::Reset,
                "the right ones are named"
            );
        }
    }
}

#[test]
fn every_misdeed_is_counted_in_its_class() {
    for keep_alive in [true, false] {
        let server = Server::start(every_deed);
        let report = server.load(|config| config.keep_alive = keep_alive);
        server.agrees_with(&report);
        assert_eq!(report.total, 600);
        assert!(
            report.of(Class::Truncated) > 0 && report.of(Class::Timeout) > 0 && report.of(Class::BadBody) > 0
        );
    }
}

#[test]
fn a_good_server_loses_nothing_and_connections_are_kept_or_not_as_asked() {
    for (keep_alive, connections) in [(true, 8), (false, 600)] {
        let server = Server::start(good);
        let report = server.load(|config| config.keep_alive = keep_alive);
        server.agrees_with(&report);
        assert_eq!((report.ok, report.failed), (600, 0));
        assert_eq!(report.connects, connections);
        assert_eq!(server.connections.load(Ordering::Relaxed), connections);
    }
}

#[test]
fn nobody_listening_is_refused_and_does_not_flood_the_count() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = Config::new(Target::port(port));
    config.connections = 4;
    config.duration = Duration::from_millis(300);
    let report = stead_load::run(config).unwrap();
    assert_eq!(report.of(Class::ConnectRefused), report.total);
    assert!((4..=124).contains(&report.total), "{}", report.total);
    assert!(report.max_gap >= Duration::from_millis(295), "{:?}", report.max_gap);
}

#[test]
fn bodies_larger_than_every_buffer_are_written_and_read_at_the_same_time() {
    let server = Server::start(good);
    let report = server.load(|config| {
        config.body_bytes = 3_000_000;
        config.requests_max = Some(12);
        config.connections = 2;
        config.timeout = Duration::from_secs(20);
    });
    server.agrees_with(&report);
    assert_eq!((report.ok, report.failed), (12, 0));
}

#[test]
fn open_loop_counts_latency_from_the_moment_a_request_was_due() {
    /// Every request waits for its turn at a server that does one at a time, 20 ms each.
    fn slow(_number: u64) -> Deed {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap();
        let until = Instant::now() + Duration::from_millis(20);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        Deed::Echo
    }
    let server = Server::start(slow);
    let report = server.load(|config| {
        config.rate = Some(100.0);
        config.connections = 1;
        config.duration = Duration::from_secs(1);
        config.timeout = Duration::from_secs(5);
        config.requests_max = None;
    });
    assert_eq!(report.total + report.never_sent, 100, "{report:?}");
    assert!((40..=51).contains(&report.ok), "one connection to a server of 50 a second: {}", report.ok);
    assert!(
        report.max >= Duration::from_millis(350),
        "the last one sent was due long before: {:?}",
        report.max
    );
}

#[test]
fn open_loop_keeps_its_rate() {
    let server = Server::start(good);
    let report = server.load(|config| {
        config.rate = Some(1000.0);
        config.duration = Duration::from_secs(1);
        config.requests_max = None;
        config.timeout = Duration::from_secs(5);
    });
    server.agrees_with(&report);
    assert_eq!((report.total, report.never_sent), (1000, 0));
}

#[test]
fn a_run_can_be_stopped_and_still_accounts_for_all() {
    let server = Server::start(good);
    let mut config = Config::new(Target::port(server.port));
    config.method = Method::Post;
    config.body_bytes = 100;
    config.expect = Expect::Echo;
    config.duration = Duration::from_secs(60);
    config.connections = 4;
    let begun = Instant::now();
    let running = stead_load::start(config).unwrap();
    while running.live().ok() < 100 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    let report = running.stop().unwrap();
    server.agrees_with(&report);
    assert!(report.ok >= 100 && report.failed == 0 && begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_request_that_hangs_beyond_the_end_does_not_lower_the_rate_of_the_others() {
    fn first_is_never_answered(number: u64) -> Deed {
        if number == 0 { Deed::Silence } else { Deed::Echo }
    }
    let server = Server::start(first_is_never_answered);
    let report = server.load(|config| {
        config.requests_max = None;
        config.duration = Duration::from_millis(200);
        config.timeout = Duration::from_secs(2);
    });
    server.agrees_with(&report);
    assert_eq!(report.of(Class::Timeout), 1);
    let over_everything = report.ok as f64 / report.elapsed.as_secs_f64();
    assert!(report.per_second > 5.0 * over_everything, "{} {over_everything}", report.per_second);
}
