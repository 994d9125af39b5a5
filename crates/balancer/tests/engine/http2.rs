//! Requests of HTTP/2 get what those of HTTP/1.1 get: at the moments that hurt most.

use std::net::TcpStream;
use std::sync::Arc;

use stead_balancer::Config;

use crate::stand::{Peer, Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";
/// The preface and empty settings.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET /` and `POST /` with "hello" on stream 1, and on stream 3.
const GET: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
const POST: &[u8] = b"\0\0\x06\x01\x04\0\0\0\x01\x83\x86\x84\x41\x01a\0\0\x05\0\x01\0\0\0\x01hello";
const GET_AGAIN: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x03\x82\x86\x84\x41\x01a";
/// Stream 1 is taken back.
const RESET: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Types of frames.
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

fn client(stand: &Stand, asks: &[u8]) -> Peer<TcpStream> {
    let mut client = stand.client();
    client.send([OPENING, asks].concat());
    client
}

/// The payload of the next frame of this type.
#[track_caller]
fn frame(client: &mut Peer<TcpStream>, kind: u8) -> Vec<u8> {
    loop {
        let head = client.read_exactly(9);
        let payload = client.read_exactly(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize);
        if head[3] == kind {
            return payload;
        }
    }
}

#[test]
fn request_that_was_not_read_is_given_to_another_worker() {
    let stand = Stand::new(config(), 2);
    let mut client = client(&stand, POST);
    let (first, unread) = stand.given();
    drop(unread);
    stand.die(first);
    let (second, mut connection) = stand.given();
    assert_ne!(first, second);
    let head = connection.read_until(HEAD_END);
    assert!(head.starts_with("POST / HTTP/1.1\r\nHost: a\r\n"), "{head}");
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(connection.read_until("0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    connection.send(ANSWER);
    client.read_until("ok");
}

#[test]
fn request_that_was_read_is_tried_again_only_if_that_does_no_harm() {
    let stand = Stand::new(config(), 2);
    for (asks, again) in [(GET, true), (POST, false)] {
        let mut client = client(&stand, asks);
        let (first, mut connection) = stand.given();
        connection.read_until(HEAD_END);
        drop(connection);
        stand.die(first);
        if again {
            let (_, mut other) = stand.given();
            other.read_until(HEAD_END);
            other.send(ANSWER);
            client.read_until("ok");
        } else {
            client.read_until("502 Bad Gateway");
        }
        stand.add(first + 10);
    }
}

#[test]
fn half_an_answer_is_not_taken_for_a_whole_one() {
    let stand = Stand::new(config(), 1);
    let mut client = client(&stand, GET);
    let (worker, mut connection) = stand.given();
    connection.read_until(HEAD_END);
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    client.read_until("half");
    drop(connection);
    stand.die(worker);
    // INTERNAL_ERROR
    assert_eq!(frame(&mut client, RST_STREAM), [0, 0, 0, 2]);
    stand.add(2);
    client.send(GET_AGAIN);
    let (_, mut connection) = stand.given();
    connection.read_until(HEAD_END);
    connection.send(ANSWER);
    client.read_until("ok");
}

#[test]
fn request_that_is_taken_back_makes_no_room_before_its_worker_is_done() {
    let stand = Stand::new(Config { http2_streams_max: 1, ..config() }, 1);
    let mut client = client(&stand, GET);
    let (_, mut first) = stand.given();
    first.read_until(HEAD_END);
    client.send(RESET).send(GET_AGAIN);
    // The worker reads the end of its client, and has not let go yet.
    assert!(first.read_to_end().is_empty());
    assert_eq!(stand.pool.snapshot().endpoints[0].in_flight, 1);
    drop(first);
    let (_, mut second) = stand.given();
    second.read_until(HEAD_END);
    second.send(ANSWER);
    client.read_until("ok");
}

#[test]
fn client_is_asked_to_come_again_when_another_process_takes_over() {
    let stand = Stand::new(config(), 1);
    let mut client = client(&stand, GET);
    let (_, mut connection) = stand.given();
    connection.read_until(HEAD_END);
    let successor = Arc::new(stand.successor(config(), 1));
    stand.hand_over(&successor);
    // NO_ERROR, and all streams that were begun.
    assert_eq!(frame(&mut client, GOAWAY), [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    connection.send(ANSWER);
    client.read_until("ok");
    drop(client);
    stand.idle();
    until("nothing is in flight", || stand.pool.snapshot().connections == 0);
}
