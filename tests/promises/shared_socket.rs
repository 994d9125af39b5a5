//! "My workers accept by themselves, from one socket. Then even the death of the manager is nothing that a client could
//! notice, and a reload refuses nobody."

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::background::Background;
use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::ports::free_port;
use crate::support::processes::{kill, living};
use crate::support::{Load, Stead, beside, get, node, pause_between, soon};

#[test]
fn nobody_notices_that_the_daemon_is_killed_again_and_again() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).option("--mode", "shared").start();
    let before = stead.status();
    let load = Load::start([
        ("kept", gets(stead.port, "/", 10)),
        ("new", without_keep_alive(gets(stead.port, "/", 10))),
    ]);
    load.each_answers(100);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        kill(stead.wait_complete().daemon_pid());
        pause_between(Duration::from_millis(300));
    }
    load.each_answers(100);
    assert_eq!(stead.wait_complete().workers(), before.workers());
    assert_nothing_failed(&load.stop());
}

#[test]
fn workers_serve_while_the_daemon_stands_still() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).option("--mode", "shared").start();
    let daemon = Pid::from_raw(stead.status().daemon_pid().cast_signed()).expect("it has a number");
    kill_process(daemon, Signal::STOP).expect("it lives");
    let answers: Vec<String> = (0..20).map(|_| get(stead.port, "/").text()).collect();
    kill_process(daemon, Signal::CONT).expect("it lives");
    assert!(answers.iter().all(|answer| answer == "hello\n"), "{answers:?}");
}

#[test]
fn a_reload_refuses_nobody() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).option("--mode", "shared").start();
    let load = Load::start([("new", without_keep_alive(gets(stead.port, "/", 20)))]);
    load.each_answers(100);
    for _ in 0..3 {
        assert_eq!(stead.verb(&["reload"]).code, Some(0));
        load.each_answers(100);
    }
    assert_nothing_failed(&load.stop());
}

/// Accepts from descriptor 3 in the simplest way there is, and so blocks in accept(2).
const PYTHON: &str = "import socket, os\n\
    listener = socket.socket(fileno=3)\n\
    while True:\n    \
        client, _ = listener.accept()\n    \
        client.recv(65536)\n    \
        client.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\nConnection: close\\r\\n\\r\\nok\\n')\n    \
        client.close()\n";

#[test]
fn a_simple_program_takes_the_socket_as_systemd_would_pass_it() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new();
    user.write("server.py", PYTHON);
    let config = format!(
        "[app.ok]\ncommand = \"python3 server.py\"\ninstances = 2\nlisten = [\"127.0.0.1:{port}\"]\nmode = \"shared\"\n\
         upstream = \"listen-fds\"\nassume_ready_after = \"100ms\"\n"
    );
    user.write("stead.toml", &config);
    user.done(&["start"]);
    assert_eq!(get(port, "/").text(), "ok\n");
    let before = user.complete();
    kill(before.daemon_pid());
    for _ in 0..20 {
        assert_eq!(get(port, "/").text(), "ok\n", "while there is no daemon, and after");
    }
    kill(before.ready_pids()[0]);
    // Until it has ended it may still be the one that is woken for a connection, and takes it with it.
    soon("it is dead", || living(before.ready_pids()[0]).is_none());
    assert_eq!(get(port, "/").text(), "ok\n", "the other worker accepts");
    user.wait_status("the dead one is replaced", |now| {
        now.is_complete() && now.ready_pids() != before.ready_pids()
    });
    for _ in 0..20 {
        assert_eq!(get(port, "/").text(), "ok\n");
    }
}

#[test]
fn a_mode_that_the_program_cannot_have_is_refused_with_what_to_do() {
    let user = Background::new();
    user.write("server.py", PYTHON);
    let refused = user.verb(&["start", "server.py", "--listen", "8123", "--mode", "shared"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("listen-fds"), "{refused:?}");
    soon("nothing was started", || user.try_status().is_none_or(|status| status.names().is_empty()));
}
