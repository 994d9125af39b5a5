//! "My program speaks UDP. Its workers share the socket, and whatever is replaced, a datagram waits for whoever is there next."

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::{free_port, is_free};
use crate::support::processes::kill;
use crate::support::{Stead, alone, beside, fixture, get, node, soon};

/// Longest wait for an answer: a worker has to be started meanwhile.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

fn user(lines: &str) -> Background {
    let user = Background::new();
    let server = fixture("python/datagrams.py");
    let table = format!(
        "[app.dns]\ncommand = \"python3 {server}\"\ninstances = 2\nassume_ready_after = \"300ms\"\n{lines}\n"
    );
    user.write("stead.toml", &table);
    user
}

fn client(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("there is a port");
    socket.connect(("127.0.0.1", port)).expect("it is an address");
    socket.set_read_timeout(Some(ANSWER_LIMIT)).expect("a timeout can be set");
    socket
}

/// Sends one datagram; which worker answered.
fn ask(socket: &UdpSocket, text: &str) -> u32 {
    // What the kernel says of an earlier one is not about this one.
    while socket.send(text.as_bytes()).is_err() {}
    let mut answer = [0; 100];
    let count = socket.recv(&mut answer).expect("it is answered");
    let answer = String::from_utf8_lossy(&answer[..count]);
    let (pid, echo) = answer.split_once(' ').expect("a process and what was sent");
    assert_eq!(echo, text, "no answer is lost, and none comes twice");
    pid.parse().expect("a process")
}

/// Asks again and again, each time for something else, until it is told to stop.
fn keep_asking(port: u16, stop: &Arc<AtomicBool>) -> JoinHandle<HashSet<u32>> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let socket = client(port);
        let mut workers = HashSet::new();
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            workers.insert(ask(&socket, &format!("question {number}")));
            number += 1;
        }
        workers
    })
}

#[test]
fn no_datagram_is_lost_while_workers_and_the_daemon_are_replaced() {
    let _turn = alone();
    let port = free_port();
    let user = user(&format!("listen = [\"udp://127.0.0.1:{port}\"]"));
    user.done(&["start"]);
    let before = user.complete();
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4).map(|_| keep_asking(port, &stop)).collect();
    user.done(&["reload", "dns"]);
    kill(before.daemon_pid());
    let after = user.complete();
    assert_ne!(before.workers(), after.workers(), "it was reloaded");
    user.done(&["reload", "dns"]);
    stop.store(true, Ordering::Relaxed);
    let workers: HashSet<u32> = asking.into_iter().flat_map(|one| one.join().expect("all is well")).collect();
    assert!(workers.len() > 2, "old and new workers have answered: {workers:?}");

    // Nobody is there at all.
    let last = user.complete().ready_pids();
    kill(last[0]);
    kill(last[1]);
    assert!(!last.contains(&ask(&client(port), "anybody?")), "it has waited in the socket");
    user.done(&["stop", "dns"]);
    soon("its address is free", || is_free(port));
}

#[test]
fn a_program_has_requests_balanced_and_datagrams_of_its_own() {
    let _turn = beside();
    let (tcp, udp) = (free_port(), free_port());
    let user = user(&format!("listen = [\"127.0.0.1:{tcp}\", \"udp://127.0.0.1:{udp}\"]"));
    user.done(&["start"]);
    user.complete();
    assert_eq!(get(tcp, "/").text(), "ok\n");
    ask(&client(udp), "both");
    let shown = user.done(&["show", "dns"]).stdout;
    assert!(shown.contains(&format!("udp://127.0.0.1:{udp} (shared)")), "{shown}");
}

#[test]
fn workers_of_a_node_program_get_the_same_socket_from_every_daemon() {
    let _turn = beside();
    let stead = Stead::script(node("udp-echo.js")).instances(2).start();
    let asked = client(stead.port);
    let before = ask(&asked, "before");
    kill(stead.status().daemon_pid());
    stead.wait_complete();
    assert_eq!(stead.verb(&["reload"]).code, Some(0));
    let now = stead.wait_complete().ready_pids();
    assert!(!now.contains(&before), "it was reloaded");
    assert!(now.contains(&ask(&asked, "after")));
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let _turn = beside();
    let user = Background::new();
    let refused = |text: &str, expected: &str| {
        user.write("stead.toml", text);
        let finished = user.verb(&["start"]);
        assert!(finished.code == Some(2) && finished.stderr.contains(expected), "{finished:?}");
    };
    let app =
        |name: &str, command: &str, lines: &str| format!("[app.{name}]\ncommand = \"{command}\"\n{lines}\n");
    let udp = "listen = [\"udp://127.0.0.1:5353\"]";
    refused(
        &(app("a", "python3 a.py", udp) + &app("b", "python3 b.py", udp)),
        "app `b`: app `a` listens on `udp://127.0.0.1:5353` already",
    );
    refused(&app("a", &format!("node {}", node("udp-echo.js")), udp), "a Node.js program needs no");
    refused(&app("a", "python3 a.py", &format!("{udp}\nroutes = [\"/a\"]")), "`routes` is about requests");
    refused(&app("a", "python3 a.py", "listen = [\"udp://unix:/a\"]"), "is no UDP address");

    let taken = UdpSocket::bind(("127.0.0.1", 0)).expect("there is a port");
    let address = format!("udp://{}", taken.local_addr().expect("bound"));
    user.write("stead.toml", &app("a", "python3 -m http.server", &format!("listen = [\"{address}\"]")));
    let finished = user.verb(&["start"]);
    assert!(finished.stderr.contains(&format!("failed to listen on {address}")), "{finished:?}");
    assert!(finished.stderr.contains("another program listens there"), "{finished:?}");
}
