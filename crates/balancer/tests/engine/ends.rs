//! Ends: of the listener, of workers at awkward moments, of connections that lie in between.

use std::net::Shutdown;
use std::time::Duration;

use stead_balancer::{Config, Road};

use crate::load::Echo;
use crate::stand::{Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn listener_with_all_connections_in_use_closes_when_told() {
    let mut stand = Stand::new(Config { connections_max: 1, ..config() }, 1);
    let client = stand.client();
    until("it is accepted", || stand.pool.snapshot().connections == 1);
    drop((stand.serving.take(), stand.bound.take()));
    until("new connections are refused", || stand.refuses());
    drop(client);
}

#[test]
fn moved_request_is_given_up_when_its_first_worker_ends_the_connection() {
    let stand = Stand::new(config(), 2);
    let mut client = stand.client();
    client.send(GET);
    let (_, stuck) = stand.given();
    let (_, mut other) = stand.given();
    other.read_until(HEAD_END);
    other.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.read_until("ok");
    // Both directions are over, and what was sent is still unread and stays so.
    stuck.stream.shutdown(Shutdown::Both).expect("it is connected");
    until("nothing is in flight any more", || {
        stand.pool.snapshot().endpoints.iter().all(|e| e.in_flight == 0)
    });
}

#[test]
fn request_tried_alone_stays_alone_while_its_worker_does_not_read() {
    let stand = Stand::new(config(), 3);
    let mut client = stand.client();
    client.send(GET);
    for _ in 0..2 {
        let (worker, mut connection) = stand.given();
        connection.read_until(HEAD_END);
        stand.die(worker);
        stand.add(worker + 10);
    }
    let (_, mut alone) = stand.given();
    assert!(stand.gives_nothing(Duration::from_millis(400)), "it is not moved to a worker with others");
    alone.read_until(HEAD_END);
    alone.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.read_until("ok");
}

#[test]
fn ejected_worker_that_lives_serves_again_when_it_is_taken_back() {
    let stand = Stand::new(config(), 0);
    let road = Echo::start();
    let worker = stand.add_road(&road);
    let mut client = stand.client();
    let mut get = || {
        client.send(GET);
        client.read_until("\r\n\r\n/");
    };
    get();
    for _ in 0..3 {
        stand.pool.drain(worker);
        stand.lanes.forget(worker);
        until("it has nothing left", || stand.drained());
        let mut held = stand.client();
        held.send(GET);
        until("its request waits", || stand.pool.snapshot().waiting == 1);
        assert!(stand.pool.restore(worker, &road));
        held.read_until("\r\n\r\n/");
        get();
    }
    let endpoints = stand.pool.snapshot().endpoints;
    assert_eq!(endpoints.len(), 1, "it is the same one");
    assert_eq!(endpoints[0].requests, 7);
    assert!(endpoints[0].latency > Duration::ZERO);
    // So it is with a worker that is added anew, as one that is reached in another way.
    stand.pool.drain(worker);
    assert!(!stand.pool.restore(worker, &Road::Unix("/elsewhere".into())));
    stand.add_road(&road);
    get();
}
