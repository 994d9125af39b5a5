//! "Nobody brings my server down with HTTP/2: whatever a client sends, and however fast, memory stays bounded and all others are
//! served."

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::http::try_get;
use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, HEADERS, Http2, PING, POST, PRIORITY, RST_STREAM,
    SETTINGS, WHOLE, WINDOW_UPDATE, field, frame, get,
};
use crate::support::processes::memory_peak_of;
use crate::support::{Stead, alone, node};

const ENHANCE_YOUR_CALM: u32 = 11;
/// How long a flood goes on that nobody has to end.
const FLOOD: Duration = Duration::from_secs(2);
/// Within what time one is ended that has to be, on a loaded machine.
const END_LIMIT: Duration = Duration::from_secs(10);
/// What one client may cost, kernel's buffers not counted.
const MEMORY_MAX: usize = 48 << 20;
/// The longest anybody else waits meanwhile, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets an attack run, and somebody else ask meanwhile.
#[track_caller]
fn endure<T>(attack: impl FnOnce(u16) -> T) -> T {
    endure_at("slow.js", attack)
}

#[track_caller]
fn endure_at<T>(program: &str, attack: impl FnOnce(u16) -> T) -> T {
    let _turn = alone();
    let stead = Stead::script(node(program)).instances(2).start();
    let daemon = stead.status().daemon_pid();
    try_get(stead.port, "/").expect("it serves");
    let before = memory_peak_of(daemon);
    let over = AtomicBool::new(false);
    let (came_of_it, served) = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut served = 0;
            while !over.load(Ordering::Relaxed) || served == 0 {
                let asked = Instant::now();
                let answer = try_get(stead.port, "/").expect("others are served");
                assert_eq!(answer.status, 200);
                assert!(asked.elapsed() < PATIENCE, "others wait {:?}", asked.elapsed());
                served += 1;
            }
            served
        });
        let came_of_it = attack(stead.port);
        over.store(true, Ordering::Relaxed);
        (came_of_it, other.join().expect("others are served"))
    });
    let grown = memory_peak_of(daemon) - before;
    assert!(grown < MEMORY_MAX, "memory has grown by {} MiB", grown >> 20);
    assert!(served > 0);
    assert_eq!(stead.status().daemon_pid(), daemon, "it is the same process");
    came_of_it
}

/// Sends these bytes again and again, and is ended for it: gives the code with which the server did.
fn flood_to_its_end(port: u16, before: &[u8], next: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    flood_for(END_LIMIT, port, before, next)
}

/// Sends these bytes again and again.
fn flood(port: u16, before: &[u8], next: impl FnMut(u32) -> Vec<u8>) {
    flood_for(FLOOD, port, before, next);
}

/// Gives the code with which the server ended it, if it did; `None` too if it stopped reading.
fn flood_for(limit: Duration, port: u16, before: &[u8], mut next: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    let mut client = Http2::connect(port);
    let mut sender = client.0.clone_sender();
    let began = Instant::now();
    let heard = std::thread::spawn(move || client.goaway());
    let mut sent = sender.try_send(before);
    let mut round = 0;
    while sent.is_ok() && began.elapsed() < limit && !heard.is_finished() {
        // Many at a time: a call for each would make this a slow flood.
        let piece: Vec<u8> = (0..64)
            .flat_map(|_| {
                round += 1;
                next(round)
            })
            .collect();
        sent = sender.try_send(&piece);
    }
    sender.finish_sending();
    heard.join().expect("it does not panic")
}

/// The same without reading anything. Gives how many bytes were taken.
fn flood_unread(port: u16, mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
    let mut client = Http2::connect(port);
    client.0.set_write_patience(Duration::from_secs(1));
    let began = Instant::now();
    let (mut sent, mut round) = (0, 0);
    loop {
        let piece: Vec<u8> = (0..64)
            .flat_map(|_| {
                round += 1;
                next(round)
            })
            .collect();
        if began.elapsed() > FLOOD || client.0.try_send(&piece).is_err() {
            return sent;
        }
        sent += piece.len();
    }
}

#[test]
fn rapid_reset_makes_no_room_for_more() {
    let code = endure(|port| {
        flood_to_its_end(port, &[], |round| {
            let stream = round * 2 - 1;
            let reset = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
            [frame(HEADERS, WHOLE, stream, &get("/wait?ms=300")), reset].concat()
        })
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
}

#[test]
fn continuation_without_end_is_ended() {
    let code = endure(|port| {
        flood_to_its_end(port, &frame(HEADERS, END_STREAM, 1, &get("/")), |_| {
            frame(CONTINUATION, 0, 1, &field("a", "b"))
        })
    });
    assert!(code.is_some());
    let code = endure(|port| {
        flood_to_its_end(port, &frame(HEADERS, END_STREAM, 1, &get("/")), |_| frame(CONTINUATION, 0, 1, &[]))
    });
    assert!(code.is_some());
}

#[test]
fn frames_that_want_answers_are_read_as_fast_as_answers_are() {
    endure(|port| flood(port, &[], |_| frame(PING, 0, 0, &[1; 8])));
    endure(|port| flood(port, &[], |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])));
    let sent = endure(|port| flood_unread(port, |_| frame(PING, 0, 0, &[2; 8])));
    assert!(sent < 64 << 20, "{sent} bytes were taken");
}

#[test]
fn frames_that_say_nothing_cost_nothing() {
    endure(|port| flood(port, &[], |round| frame(PRIORITY, 0, round * 2 + 1, &[0, 0, 0, 0, 1])));
    endure(|port| flood(port, &[], |_| frame(0xfa, 0, 0, &[0; 8])));
    endure(|port| flood(port, &[], |round| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, (round % 2) as u8 + 1])));
    let post = frame(HEADERS, END_HEADERS, 1, &[POST, &field(":authority", "test")].concat());
    let code = endure(|port| flood_to_its_end(port, &post, |_| frame(DATA, 0, 1, &[])));
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    endure(|port| flood(port, &post, |_| frame(DATA, 0, 1, b"x")));
}

#[test]
fn header_bomb_is_not_unpacked() {
    // One large field in the table, and then one byte for each time it is wanted.
    let large = [vec![0x40], vec![1, b'a', 0x7f, 0xa1, 0x1e], vec![b'x'; 4000]].concat();
    let bomb = [get("/"), large, vec![0xbe; 12_000]].concat();
    let code =
        endure(|port| flood_to_its_end(port, &[], |round| frame(HEADERS, WHOLE, round * 2 - 1, &bomb)));
    assert!(code.is_some());
    // Under the limit where the connection ends, over the one for a request.
    let status = endure(|port| {
        let mut client = Http2::connect(port);
        let large = [vec![0x40], vec![1, b'a', 0x7f, 0xa1, 0x1e], vec![b'x'; 4000]].concat();
        client.send(&frame(HEADERS, WHOLE, 1, &[get("/"), large, vec![0xbe; 12]].concat()));
        client.outcome(1).expect("it is answered")
    });
    assert_eq!(status, Ok(431));
}

#[test]
fn streams_that_their_client_breaks_are_counted() {
    let code = endure(|port| {
        flood_to_its_end(port, &[], |round| {
            frame(HEADERS, WHOLE, round * 2 - 1, &[GET, &field("connection", "close")].concat())
        })
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
}

#[test]
fn answers_and_refusals_that_nobody_reads_do_not_pile_up() {
    endure(|port| flood_unread(port, |round| frame(HEADERS, WHOLE, round * 2 - 1, &get("/"))));
    let evil = [get("/"), field("host", "evil")].concat();
    endure(|port| flood_unread(port, |round| frame(HEADERS, WHOLE, round * 2 - 1, &evil)));
}

#[test]
fn clients_that_read_nothing_are_not_read_from() {
    // A hundred answers on each of some connections, none of them wanted.
    endure_at("bodies.js", |port| {
        let mut clients: Vec<Http2> = (0..2).map(|_| Http2::connect(port)).collect();
        for client in &mut clients {
            client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
            client.send(&frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]));
            (0..90).for_each(|number| client.ask(number * 2 + 1, "/bytes?n=50000000"));
        }
        for _ in 0..500 {
            assert_eq!(try_get(port, "/").expect("others are served").status, 200);
        }
    });
}
