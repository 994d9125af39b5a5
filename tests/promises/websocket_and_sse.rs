//! "My users have WebSockets and event streams open when I deploy. They keep them until the grace period ends, and who
//! connects meanwhile gets the new code."

use std::time::{Duration, Instant};

use crate::support::load::{assert_nothing_failed, gets};
use crate::support::processes::kill;
use crate::support::stead::Plan;
use crate::support::websocket::WebSocket;
use crate::support::{Client, Load, Stead, beside, eventually, node, pause_between};

const GRACE: Duration = Duration::from_secs(4);

fn plan(script: &str) -> Plan {
    Stead::script(node(script))
        .instances(2)
        .set("grace", "4s")
        .set("terminate_after", "1s")
        .set("kill_after", "1s")
}

/// The process number that the worker behind this WebSocket tells.
fn pid_of(socket: &mut WebSocket) -> u32 {
    socket.ask("pid").expect("an open WebSocket answers").parse().expect("a process number")
}

/// An event stream, and the process number in its events.
struct Events {
    client: Client,
}

impl Events {
    fn open(port: u16) -> Events {
        let mut client = Client::connect(port);
        client.send("GET /events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n");
        let head = client.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{head:?}");
        Events { client }
    }

    /// Process number and number of the next event.
    fn next(&mut self) -> std::io::Result<(u32, u64)> {
        self.client.read_until(b"data: ")?;
        let line = String::from_utf8_lossy(&self.client.read_until(b"\n")?).into_owned();
        let mut words = line.split_whitespace().map(|word| word.parse::<u64>().expect("a number"));
        Ok((words.next().expect("a process number") as u32, words.next().expect("a count")))
    }
}

#[test]
fn a_websocket_carries_messages_both_ways() {
    let _turn = beside();
    let stead = plan("websocket.js").start();
    let mut sockets: Vec<WebSocket> = (0..20).map(|_| WebSocket::open(stead.port, "/")).collect();
    for round in 0..10 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            let text = format!("round {round} of socket {number}");
            assert_eq!(socket.ask(&text).expect("an echo"), text);
        }
    }
    let pids: std::collections::HashSet<u32> = sockets.iter_mut().map(pid_of).collect();
    assert_eq!(pids.len(), 2, "WebSockets are spread over the workers");
}

#[test]
fn open_websockets_survive_a_reload_until_the_grace_period_ends() {
    let _turn = beside();
    let stead = plan("websocket.js").start();
    let old: Vec<u32> = stead.status().ready_pids();
    let mut sockets: Vec<WebSocket> = (0..6).map(|_| WebSocket::open(stead.port, "/")).collect();
    let load = Load::start([("get", gets(stead.port, "/", 10))]);
    let begun = Instant::now();
    let reload = stead.begin(&["reload"]);

    // As soon as both new workers are ready, whoever comes gets the new code; the old connections live.
    stead.wait_status("the new workers are ready", Duration::from_secs(20), |status| {
        let ready = status.ready_pids();
        ready.len() == 2 && ready.iter().all(|pid| !old.contains(pid))
    });
    for _ in 0..6 {
        let pid = pid_of(&mut WebSocket::open(stead.port, "/"));
        assert!(!old.contains(&pid), "a new WebSocket went to the old worker {pid}");
    }
    // Slots are replaced one after the other: only the youngest drain is certain to have most of its grace left.
    let alive = sockets
        .iter_mut()
        .filter_map(|socket| socket.ask("pid").ok())
        .filter(|pid| old.contains(&pid.parse().unwrap_or(0)));
    assert!(
        alive.count() >= 1,
        "no old WebSocket is alive {:?} after the start of the reload",
        begun.elapsed()
    );

    // All of them end by the end of the grace period of the last slot, with a close frame or the end of the stream.
    let limit = (GRACE + Duration::from_secs(4)) * 2;
    eventually("the old WebSockets end", limit, || {
        sockets.retain_mut(|socket| socket.ask("still there?").is_ok());
        sockets.is_empty().then_some(())
    });
    assert!(
        begun.elapsed() >= GRACE * 3 / 4,
        "they were cut after {:?}, before the grace period",
        begun.elapsed()
    );
    let reload = reload.finish(Duration::from_secs(60));
    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert_nothing_failed(&load.stop());
}

#[test]
fn a_websocket_on_a_crashed_worker_ends_and_the_others_live() {
    let _turn = beside();
    let stead = plan("websocket.js").start();
    let mut sockets: Vec<(u32, WebSocket)> = (0..8)
        .map(|_| WebSocket::open(stead.port, "/"))
        .map(|mut socket| (pid_of(&mut socket), socket))
        .collect();
    let victim = sockets[0].0;
    kill(victim);
    for (pid, socket) in &mut sockets {
        let answer = socket.ask("there?");
        assert_eq!(answer.is_ok(), *pid != victim, "worker {pid}, killed {victim}: {answer:?}");
    }
    let mut again = WebSocket::open(stead.port, "/");
    assert_eq!(again.ask("hello").expect("an echo"), "hello");
}

#[test]
fn an_event_stream_arrives_event_by_event_and_survives_a_reload_until_the_grace_period_ends() {
    let _turn = beside();
    let stead = plan("sse.js").env("EVERY_MS", 50).start();
    let old: Vec<u32> = stead.status().ready_pids();
    let mut events = Events::open(stead.port);
    let (pid, first) = events.next().expect("an event");
    assert!(old.contains(&pid) && first == 0);
    let begun = Instant::now();
    let (_, tenth) = (0..10).map(|_| events.next().expect("an event")).last().expect("ten events");
    assert_eq!(tenth, 10, "no event is lost");
    assert!(begun.elapsed() >= Duration::from_millis(300), "events come one by one, not in a heap");

    let begun = Instant::now();
    let reload = stead.begin(&["reload"]);
    let mut last = tenth;
    while let Ok((from, number)) = events.next() {
        assert_eq!((from, number), (pid, last + 1), "the same worker, no event lost");
        last = number;
        assert!(begun.elapsed() < (GRACE + Duration::from_secs(5)) * 2, "the stream does not end");
    }
    assert!(begun.elapsed() >= GRACE * 3 / 4, "the stream was cut after {:?}", begun.elapsed());
    assert_eq!(reload.finish(Duration::from_secs(60)).code, Some(0));
    let (pid, _) = Events::open(stead.port).next().expect("an event");
    assert!(!old.contains(&pid), "a new stream went to the old worker");
}

#[test]
fn a_client_that_leaves_an_event_stream_frees_its_worker_for_the_reload() {
    let _turn = beside();
    let stead = Stead::script(node("sse.js")).instances(2).set("grace", "60s").start();
    drop((0..10).map(|_| Events::open(stead.port)).collect::<Vec<_>>());
    let begun = Instant::now();
    stead.reload();
    assert!(begun.elapsed() < Duration::from_secs(30), "the reload waited for streams without a reader");
}

#[test]
fn a_slow_reader_of_a_stream_does_not_disturb_others() {
    let _turn = beside();
    let stead = plan("sse.js").env("EVERY_MS", 1).start();
    let unread: Vec<Events> = (0..20).map(|_| Events::open(stead.port)).collect();
    pause_between(Duration::from_millis(500));
    let load = Load::start([("get", gets(stead.port, "/", 4))]);
    load.each_answers(200);
    assert_nothing_failed(&load.stop());
    drop(unread);
}
