//! What must be true of any bytes that a client of HTTP/2 sends: the front neither panics nor hangs, what it says are whole frames,
//! and what reaches the worker are whole requests of HTTP/1.1, one for each that was asked and none besides.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stead_balancer::http::{Body, ChunkedReader, HeaderSpace, Limits, PieceKind, parse_request};
use stead_balancer::{
    Address, Affinity, Bound, Config, Ejection, Endpoint, Front, Hand, Lanes, Policy, Pool, Road, Site,
    Terms, Transport,
};
use tokio::sync::{mpsc, oneshot};

/// Whatever is sent, the connection has ended after this time.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this time without a word the client has no more to say either.
const QUIET: Duration = Duration::from_millis(3);
const LIMITS: Limits = Limits { head_bytes_max: 16 * 1024, header_count_max: 64, target_bytes_max: 8 * 1024 };
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

static FRONT: OnceLock<SocketAddr> = OnceLock::new();
/// Requests that have reached the worker, in all inputs.
static REACHED: AtomicUsize = AtomicUsize::new(0);

/// The bytes are what follows the preface and empty settings.
pub(crate) fn http2_front(bytes: &[u8]) {
    let front = FRONT.get_or_init(start);
    let before = REACHED.load(Ordering::SeqCst);
    let mut client = TcpStream::connect(front).expect("it listens");
    let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // The front may have closed already.
    let _closed = client.write_all(&[&opening[..], bytes].concat());
    let mut said = Vec::new();
    let first = listen(&mut client, QUIET, &mut said);
    // With the end of the client its requests end too, so they get a moment before.
    let _closed = client.shutdown(Shutdown::Write);
    match first.and_then(|()| listen(&mut client, PATIENCE, &mut said)) {
        Ok(()) => assert!(are_whole_frames(&said), "frames are whole: {}", said.escape_ascii()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it ends in time"),
    }
    let reached = REACHED.load(Ordering::SeqCst) - before;
    assert!(reached <= heads(bytes), "{reached} requests of {}", heads(bytes));
}

/// Reads to the end, or until nothing has come for so long.
fn listen(client: &mut TcpStream, patience: Duration, said: &mut Vec<u8>) -> std::io::Result<()> {
    client.set_read_timeout(Some(patience)).expect("a timeout can be set");
    match client.read_to_end(said) {
        Err(error) if patience == QUIET && error.kind() == ErrorKind::WouldBlock => Ok(()),
        result => result.map(drop),
    }
}

fn are_whole_frames(mut bytes: &[u8]) -> bool {
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((_, rest)) = rest.split_at_checked(length) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

/// How many requests these bytes can be at most: frames of HEADERS are one byte with this type each.
fn heads(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == 1).count()
}

fn start() -> SocketAddr {
    // A panic in a task would only end that task.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        if std::thread::current().name().is_some_and(|name| name.starts_with("lane") || name == "worker") {
            std::process::abort();
        }
    }));
    let bound = Bound::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).expect("some port is free");
    let address = bound.address().expect("TCP has an address");
    let (events, _) = mpsc::unbounded_channel();
    let pool = Pool::new(config(), events);
    pool.add(Endpoint::new(Road::Handed(Arc::new(Worker)), 0));
    let lanes = Lanes::start(1).expect("a thread can be started");
    let serving = lanes.serve("front", &bound, (&Front::Http(Site::alone(pool)), Transport::Plain));
    // They are wanted to the end of the process.
    std::mem::forget((lanes, serving.expect("it can be served")));
    address
}

/// A worker that looks closely at what it gets, and answers one request on each connection.
struct Worker;

impl Hand for Worker {
    fn give(&self, connection: OwnedFd, _: Option<SocketAddr>) -> std::io::Result<oneshot::Receiver<bool>> {
        let (accepted, answer) = oneshot::channel();
        let _heard = accepted.send(true);
        let stream = UnixStream::from(connection);
        stream.set_nonblocking(false)?;
        std::thread::Builder::new().name("worker".to_owned()).spawn(move || serve(stream))?;
        Ok(answer)
    }
}

fn serve(mut stream: UnixStream) {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            // The client has gone in the middle of it.
            Ok(0) | Err(_) => return,
            Ok(count) => got.extend_from_slice(&piece[..count]),
        }
        if let Some(end) = end_of_request(&got) {
            assert_eq!(end, got.len(), "nothing follows the request: {}", got.escape_ascii());
            REACHED.fetch_add(1, Ordering::SeqCst);
            let _gone = stream.write_all(ANSWER);
            return;
        }
    }
}

/// Where the request ends; nothing while it is not whole.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let limits = Limits { head_bytes_max: 64 * 1024, header_count_max: 128, ..LIMITS };
    let mut space = HeaderSpace::new();
    let head = parse_request(bytes, &limits, &mut space).expect("what reaches a worker is well-formed")?;
    let body = &bytes[head.head_bytes..];
    match head.body {
        Body::None => Some(head.head_bytes),
        Body::Length(length) => (body.len() as u64 >= length).then(|| head.head_bytes + length as usize),
        Body::Chunked => {
            let (mut reader, mut at) = (ChunkedReader::new(), 0);
            loop {
                let piece = reader.next(&body[at..], &mut Vec::new()).expect("chunks are well-formed");
                at += piece.consumed;
                match piece.kind {
                    PieceKind::Data(_) => (),
                    PieceKind::NeedMore => return None,
                    PieceKind::End => return Some(head.head_bytes + at),
                }
            }
        }
    }
}

fn config() -> Config {
    let soon = Duration::from_secs(5);
    Config {
        head: LIMITS,
        body_bytes_max: 1 << 20,
        replay_body_bytes_max: 64 * 1024,
        small_answer_bytes_max: 64 * 1024,
        http2_streams_max: 100,
        upstream_http2: false,
        header_timeout: soon,
        body_timeout: soon,
        idle_timeout: soon,
        answer_timeout: soon,
        connections_max: 1000,
        held_requests_max: 1000,
        hold_timeout: soon,
        queue_wait_max: soon,
        in_flight_max: 1000,
        upstream_idle: soon,
        untaken_max: 8,
        taken_within: Duration::from_millis(4),
        move_after: soon,
        wedged_after: soon,
        poison_deaths_max: 3,
        replays_max: 8,
        trust_forwarded: false,
        proxy_from: stead_balancer::ProxyFrom::Nobody,
        send_proxy: None,
        request_id: false,
        starts_traces: false,
        access: None,
        slow_start: None,
        policy: Policy::LeastLoaded,
        terms: Terms::default(),
        affinity: Affinity::default(),
        ejection: Ejection::default(),
    }
}
