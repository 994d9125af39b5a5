//! Clients that go on in another process, and those that stay to the end of what they do.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_balancer::{
    Address, Bound, Config, Endpoint, Front, Hand, Lanes, Moved, Pool, Road, Site, Transport,
};
use tokio::sync::oneshot;

use crate::load::Echo;
use crate::stand::{LISTENER, Peer, Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The process before, and the one after it.
fn pair() -> (Stand, Arc<Stand>) {
    let before = Stand::new(config(), 1);
    let after = Arc::new(before.successor(config(), 1));
    (before, after)
}

/// A client that the process before has and the one after has not: who accepts is chance while both do.
fn client_of(before: &Stand, after: &Stand) -> Peer<TcpStream> {
    let connections = before.pool.snapshot().connections;
    loop {
        let client = before.client();
        let accepted = || before.pool.snapshot().connections + after.pool.snapshot().connections;
        until("it is accepted", || accepted() > connections);
        if before.pool.snapshot().connections > connections {
            return client;
        }
        drop(client);
        until("it is gone", || after.pool.snapshot().connections == 0);
    }
}

/// A worker of this process answers the next request for `target`.
#[track_caller]
fn answer(stand: &Stand, target: &str, body: &str) {
    let (_, mut worker) = stand.given();
    let head = worker.read_until(HEAD_END);
    assert!(head.starts_with(&format!("GET {target} ")), "{head}");
    worker.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
}

#[test]
fn idle_client_is_served_by_the_next_process() {
    let (before, after) = pair();
    let mut fresh = client_of(&before, &after);
    let mut used = client_of(&before, &after);
    used.send(GET);
    answer(&before, "/", "old");
    used.read_until("old");
    before.hand_over(&after);
    before.idle();
    for client in [&mut fresh, &mut used] {
        client.send("GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
        answer(&after, "/new", "new");
        let answer = client.read_until("new");
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("close"), "{answer}");
    }
}

#[test]
fn client_in_the_middle_of_a_head_goes_on_where_it_was() {
    let (before, after) = pair();
    let mut client = client_of(&before, &after);
    client.send("GET /half HTTP/1.1\r\nHo");
    before.hand_over(&after);
    before.idle();
    client.send("st: a\r\n\r\n");
    answer(&after, "/half", "whole");
    client.read_until("whole");
}

#[test]
fn next_requests_move_with_the_client_and_the_current_one_stays() {
    let (before, after) = pair();
    let mut client = client_of(&before, &after);
    client.send(GET.replace("/ ", "/1 ") + &GET.replace("/ ", "/2 ") + "GET /3 HT");
    let (_, mut worker) = before.given();
    worker.read_until(HEAD_END);
    let mut moves = before.retire();
    assert!(before.gives_nothing(Duration::from_millis(50)));
    assert!(moves.try_recv().is_err(), "its request is under way");
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    let answered = client.read_until("one");
    assert!(!answered.contains("close"), "{answered}");
    let moved = moves.blocking_recv().expect("its request is done");
    assert_eq!(&*moved.listener, LISTENER);
    assert_eq!(moved.address, client.stream.local_addr().ok());
    assert!(moved.input.starts_with(b"GET /2 "), "{}", moved.input.escape_ascii());
    after.lanes.adopt(moved).expect("it serves the same listener");
    answer(&after, "/2", "two");
    client.read_until("two");
    client.send("TP/1.1\r\nHost: a\r\n\r\n");
    answer(&after, "/3", "three");
    client.read_until("three");
    before.idle();
}

#[test]
fn new_clients_wait_for_the_next_process() {
    let before = Stand::new(config(), 1);
    let _moves = before.retire();
    before.idle();
    let mut client = before.client();
    client.send(GET);
    let after = before.successor(config(), 1);
    answer(&after, "/", "new");
    client.read_until("new");
    assert_eq!(before.pool.snapshot().counters.requests, 0);
}

#[test]
fn slow_upload_ends_where_it_began() {
    let (before, after) = pair();
    let mut client = client_of(&before, &after);
    const LENGTH: usize = 1024 * 1024;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"));
    client.send(vec![b'x'; LENGTH / 2]);
    let (_, mut worker) = before.given();
    worker.read_until(HEAD_END);
    before.hand_over(&after);
    worker.read_exactly(LENGTH / 2);
    client.send(vec![b'x'; LENGTH / 2]);
    worker.read_exactly(LENGTH / 2);
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    client.read_until("done");
    before.idle();
    client.send(GET);
    answer(&after, "/", "new");
    client.read_until("new");
}

#[test]
fn websocket_stays_until_the_grace_period_is_over() {
    let (before, after) = pair();
    let mut client = client_of(&before, &after);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (_, mut worker) = before.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    client.read_until(HEAD_END);
    before.hand_over(&after);
    until("nothing is accepted any more", || before.lanes.load() == 1);
    worker.send(b"\x81\x02hi");
    assert_eq!(client.read_exactly(4), b"\x81\x02hi");
    before.lanes.cut();
    assert_eq!(client.read_to_end(), b"\x88\x02\x03\xe9");
    drop(client);
    before.idle();
}

#[test]
fn request_that_waits_for_a_worker_is_answered_by_the_old_process() {
    let before = Stand::new(config(), 0);
    let after = Arc::new(before.successor(config(), 1));
    let mut client = client_of(&before, &after);
    client.send(GET);
    until("it waits", || before.pool.snapshot().waiting == 1);
    before.hand_over(&after);
    until("nothing is accepted any more", || before.lanes.load() == 1);
    before.add(1);
    answer(&before, "/", "old");
    client.read_until("old");
    before.idle();
    client.send(GET);
    answer(&after, "/", "new");
    client.read_until("new");
}

#[test]
fn closing_the_listener_does_not_keep_clients_from_moving() {
    let (mut before, after) = pair();
    let mut client = client_of(&before, &after);
    client.send(GET);
    let (_, mut worker) = before.given();
    worker.read_until(HEAD_END);
    before.hand_over(&after);
    drop(before.serving.take());
    worker.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    assert!(!client.read_until("old").contains("close"));
    before.idle();
    client.send(GET);
    answer(&after, "/", "new");
    client.read_until("new");
}

#[test]
fn client_that_nobody_takes_is_served_once_more_where_it_is() {
    let before = Stand::new(config(), 1);
    let mut client = before.client();
    client.send("GET /half ");
    until("it is accepted", || before.pool.snapshot().connections == 1);
    let (sender, moves) = tokio::sync::mpsc::unbounded_channel();
    drop(moves);
    before.lanes.retire(&sender);
    client.send("HTTP/1.1\r\nHost: a\r\n\r\n");
    answer(&before, "/half", "old");
    assert!(client.read_until("old").to_lowercase().contains("connection: close"));
    assert_eq!(client.read_to_end(), b"");
    before.idle();
}

#[test]
fn client_of_an_unknown_listener_is_given_back() {
    let stand = Stand::new(config(), 1);
    let moved = |listener: &str| {
        let client = OwnedFd::from(stand.client().stream);
        Moved { listener: listener.into(), client, input: Vec::new(), address: None }
    };
    assert_eq!(&*stand.lanes.adopt(moved("other")).expect_err("it is not served").listener, "other");
    let _moves = stand.retire();
    stand.lanes.adopt(moved(LISTENER)).expect_err("it is not served any more");
    let bound = stand.bound.as_ref().expect("it listens");
    let served = stand.lanes.serve("new", bound, (&Front::Http(Arc::clone(&stand.site)), Transport::Plain));
    assert!(served.is_err(), "nothing new is served");
}

#[test]
fn moved_client_is_served_although_there_are_too_many_and_no_more_are_accepted() {
    let before = Stand::new(config(), 1);
    let mut moved = before.client();
    until("it is accepted", || before.pool.snapshot().connections == 1);
    let mut moves = before.retire();
    before.idle();
    let after = before.successor(Config { connections_max: 1, ..config() }, 1);
    let connections =
        |count: usize| until("so many are served", || after.pool.snapshot().connections == count);
    let first = after.client();
    connections(1);
    after.lanes.adopt(moves.blocking_recv().expect("it was idle")).expect("it is served");
    moved.send(GET);
    answer(&after, "/", "new");
    moved.read_until("new");
    // The place that becomes free now was waited for before the moved one came; the next is its own.
    drop(first);
    let second = after.client();
    connections(2);
    drop(second);
    connections(1);
    let mut third = after.client();
    third.send(GET);
    assert!(after.gives_nothing(Duration::from_millis(50)), "it has to wait");
    drop(moved);
    answer(&after, "/", "third");
    third.read_until("third");
}

#[test]
fn client_of_a_unix_socket_moves_too_and_what_was_counted_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let bound = Bound::bind(&Address::Unix(path.clone())).expect("a new path");
    let road = Echo::start();
    let start = || {
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let (pool, lanes) = (Pool::new(config(), events), Lanes::start(2).expect("threads can be started"));
        let serving = lanes
            .serve("shop", &bound, (&Front::Http(Site::alone(Arc::clone(&pool))), Transport::Plain))
            .expect("the lanes live");
        (pool, lanes, serving)
    };
    let (old, old_lanes, _old_serving) = start();
    old.add(Endpoint::new(road.clone(), 0));
    let mut client = Peer::new(UnixStream::connect(&path).expect("it listens"));
    client.send(GET).read_until("\r\n\r\n/");
    let (sender, mut moves) = tokio::sync::mpsc::unbounded_channel();
    old_lanes.retire(&sender);
    let moved = moves.blocking_recv().expect("the client is idle");
    let (new, new_lanes, _new_serving) = start();
    new.import(&old.export());
    new.add(Endpoint::new(road, 0).counted(&old.snapshot().endpoints[0]));
    new_lanes.adopt(moved).expect("it serves the same listener");
    client.send(GET).read_until("\r\n\r\n/");
    until("it is counted", || new.snapshot().latency.count() == 2);
    let snapshot = new.snapshot();
    assert_eq!((snapshot.counters.requests, snapshot.endpoints[0].requests), (2, 2));
}

/// A worker that takes its time to accept.
#[derive(Default)]
struct Slow(Mutex<Vec<(OwnedFd, oneshot::Sender<bool>)>>);

impl Hand for Slow {
    fn give(&self, connection: OwnedFd, _: Option<SocketAddr>) -> std::io::Result<oneshot::Receiver<bool>> {
        let (accepted, answer) = oneshot::channel();
        self.0.lock().expect("no test panics while it holds it").push((connection, accepted));
        Ok(answer)
    }
}

#[test]
fn direct_connection_that_is_being_handed_over_gets_to_its_worker() {
    let stand = Stand::new(config(), 0);
    let slow = Arc::new(Slow::default());
    stand.add_road(&Road::Handed(Arc::clone(&slow) as Arc<dyn Hand>));
    let lanes = Lanes::start(1).expect("a thread can be started");
    let bound = Bound::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).expect("some port is free");
    let pool: Arc<Pool> = Arc::clone(&stand.pool);
    let _serving =
        lanes.serve("direct", &bound, (&Front::Direct(pool), Transport::Plain)).expect("the lane lives");
    let _client = TcpStream::connect(bound.address().expect("TCP has one")).expect("it listens");
    until("it is given", || slow.0.lock().is_ok_and(|given| given.len() == 1));
    let (sender, mut moves) = tokio::sync::mpsc::unbounded_channel();
    lanes.retire(&sender);
    until("nothing is accepted any more", || lanes.load() == 1);
    let (_, accepted) = slow.0.lock().expect("it is free").pop().expect("it was given");
    accepted.send(true).expect("the answer is waited for");
    until("it is given away", || lanes.load() == 0);
    assert!(moves.try_recv().is_err(), "it is the worker's and not to be moved");
}
