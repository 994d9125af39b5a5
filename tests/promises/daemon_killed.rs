//! "The process manager itself was killed. My service goes on as if nothing had happened: the same processes, the same
//! connections to them, and nobody had to do anything."

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use stead_load::Class;

use crate::support::load::{gets, without_keep_alive};
use crate::support::processes::{children, kill};
use crate::support::status::Status;
use crate::support::{Client, Load, Stead, alone, beside, fixture, get, node, pause_between, soon};

/// From the death of a daemon until another has taken over everything.
const BACK: Duration = Duration::from_secs(15);

/// Kills the daemon and waits for the next one.
#[track_caller]
fn kill_daemon(stead: &Stead) -> Status {
    let before = stead.status();
    kill(before.daemon_pid());
    stead.wait_status("a new daemon serves", BACK, |status| {
        status.daemon_pid() != before.daemon_pid() && status.is_complete()
    })
}

#[test]
fn a_killed_daemon_is_followed_by_one_that_goes_on_with_the_same_workers() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let keeper = stead.pid();
    // A restart to be remembered.
    kill(stead.status().ready_pids()[0]);
    let first = stead.wait_status("the dead worker is replaced", BACK, |status| {
        status.is_complete() && status.workers().iter().any(|worker| worker.restarts == 1)
    });
    for round in 1..=3 {
        for _ in 0..10 {
            assert_eq!(get(stead.port, "/").text(), "hello\n", "round {round}");
        }
        let after = kill_daemon(&stead);
        assert_eq!(after.keeper_pid(), keeper);
        assert_eq!(after.daemon_starts(), 1 + round);
        assert_eq!(after.workers(), first.workers(), "round {round}: the same workers with the same counts");
        assert_eq!(get(stead.port, "/").text(), "hello\n", "round {round}");
        soon("no zombie is left", || children(keeper).iter().all(|child| child.state != 'Z'));
    }
}

#[test]
fn a_worker_that_had_nothing_to_do_is_as_old_under_the_next_daemon() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).start();
    let before = stead.wait_status("it is some seconds old", BACK, |status| status.uptime() > 3.0);
    let after = kill_daemon(&stead);
    assert!(after.uptime() >= before.uptime(), "{} {}", before.uptime(), after.uptime());
}

#[test]
fn killing_the_daemon_all_the_time_restarts_no_worker_and_refuses_nobody() {
    const CONNECTIONS: usize = 10;
    let _turn = alone();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let before = stead.status();
    let load = Load::start([
        ("kept", gets(stead.port, "/", CONNECTIONS)),
        ("new", without_keep_alive(gets(stead.port, "/", CONNECTIONS))),
    ]);
    load.each_answers(100);
    let keeper = stead.pid();
    let end = Instant::now() + Duration::from_secs(12);
    let mut kills = 0;
    while Instant::now() < end {
        // The one that serves now, whoever that is; while there is none there is nobody to kill.
        for daemon in children(keeper).iter().filter(|child| child.command.contains(" daemon ")) {
            kill(daemon.pid);
            kills += 1;
        }
        pause_between(Duration::from_millis(300));
    }
    load.each_answers(100);
    let after = stead.wait_complete();
    assert_eq!(after.workers(), before.workers(), "after {kills} kills");
    assert!(kills >= 5, "only {kills} daemons were there to be killed");
    for (name, report) in load.stop() {
        assert_eq!(report.of(Class::ConnectRefused), 0, "{name}: {}", report.to_json(5));
        let in_hands = kills * CONNECTIONS as u64;
        assert!(report.failed <= in_hands, "{name}, {kills} kills: {}", report.to_json(5));
        // The wait before the next daemon grows to 5 s.
        assert!(report.max_gap <= Duration::from_secs(8), "{name}: {:?}", report.max_gap);
    }
}

#[test]
fn connections_that_come_while_there_is_no_daemon_wait() {
    let _turn = alone();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let load = Load::start([("new", without_keep_alive(gets(stead.port, "/", 20)))]);
    load.each_answers(100);
    kill_daemon(&stead);
    load.each_answers(100);
    let report = load.stop().remove("new").expect("the load has a report");
    // What the dead daemon had in its hands is lost, and only that; nobody is refused.
    assert_eq!(report.of(Class::ConnectRefused), 0, "{}", report.to_json(5));
    assert!(report.failed <= 20, "each connection had one request on its way: {}", report.to_json(5));
    assert!(report.max_gap <= Duration::from_secs(2), "{:?}", report.max_gap);
}

#[test]
fn a_worker_that_died_while_there_was_no_daemon_is_reported_and_replaced() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let before = stead.status();
    let dead = &before.workers()[1];
    // Before the next daemon is started, which takes the keeper 50 ms.
    kill(before.daemon_pid());
    kill(dead.pid);
    let after = stead.wait_status("the dead worker is replaced", BACK, |status| {
        status.daemon_pid() != before.daemon_pid() && status.is_complete()
    });
    assert_eq!(after.workers()[0], before.workers()[0], "the other one goes on");
    let new = &after.workers()[1];
    assert!(new.pid != dead.pid && new.restarts == dead.restarts + 1, "{new:?}");
    let told = format!("\"pid\":{}", dead.pid);
    stead.output.wait_for("its end is told, with the signal that caused it", BACK, |line| {
        let ended = line.contains("worker-exited") && line.contains(&told);
        (ended && line.contains("\"signal\":9")).then_some(())
    });
}

#[test]
fn programs_that_are_not_nodejs_go_on_too() {
    let _turn = beside();
    let stead = Stead::script(fixture("python/port.py")).instances(2).listen().start();
    let before = stead.status();
    let after = kill_daemon(&stead);
    assert_eq!(after.workers(), before.workers());
    assert_eq!(get(stead.port, "/").status, 200);
}

#[test]
fn connections_that_were_handed_to_a_worker_are_not_touched() {
    let _turn = beside();
    let stead = Stead::script(node("net-echo.js")).instances(2).start();
    let mut connection = TcpStream::connect(("127.0.0.1", stead.port)).expect("it listens");
    let mut greeting = BufReader::new(connection.try_clone().expect("there are descriptors left"));
    greeting.read_line(&mut String::new()).expect("it says its process id");
    let mut ask = |text: &str| {
        connection.write_all(text.as_bytes()).expect("the connection is open");
        let mut answer = vec![0; text.len()];
        connection.read_exact(&mut answer).expect("the connection is open");
        assert_eq!(answer, text.as_bytes());
    };
    ask("before");
    kill_daemon(&stead);
    ask("after");
}

#[test]
fn everything_can_be_done_after_the_daemon_was_killed() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let before = kill_daemon(&stead);
    stead.reload();
    let after = stead.wait_complete();
    assert!(after.ready_pids().iter().all(|pid| !before.ready_pids().contains(pid)), "all were replaced");
    kill_daemon(&stead);
    assert_eq!(stead.verb(&["scale", "hello", "3"]).code, Some(0));
    stead.wait_status("a third worker is ready", BACK, |status| status.instances() == (3, 3));
    kill_daemon(&stead);
    // What dies of itself is replaced, whoever started it.
    kill(stead.status().ready_pids()[2]);
    stead.wait_status("it is replaced", BACK, |status| {
        status.is_complete() && status.workers().iter().any(|worker| worker.restarts == 1)
    });
    assert_eq!(get(stead.port, "/").text(), "hello\n");
}

#[test]
fn a_daemon_that_is_killed_while_it_starts_comes_back_too() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).launch();
    let keeper = stead.pid();
    let daemon_of = || children(keeper).into_iter().find(|child| child.command.contains(" daemon "));
    for _ in 0..3 {
        soon("there is a daemon to kill", || daemon_of().map(|daemon| kill(daemon.pid)).is_some());
    }
    stead.wait_status("a new daemon serves", Duration::from_secs(30), Status::is_complete);
    assert_eq!(get(stead.port, "/").text(), "hello\n");
}

#[test]
fn a_killed_keeper_takes_everything_with_it() {
    let _turn = beside();
    let mut stead = Stead::script(node("family.js")).instances(2).start();
    // Each worker has a child of its own that ignores polite signals.
    assert!(stead.processes().len() >= 6, "{:#?}", stead.processes());
    // As well by a daemon that has not started them.
    kill_daemon(&stead);
    let mut client = Client::connect(stead.port);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    kill(stead.pid());
    stead.wait_exit(Duration::from_secs(5));
    soon("everything ends", || stead.processes().is_empty());
    client.expect_close();
    stead.assert_nothing_left();
}

#[test]
fn stop_reaches_a_daemon_that_was_just_started_again() {
    let _turn = beside();
    let mut stead = Stead::script(node("hello.js")).instances(2).start();
    kill(stead.status().daemon_pid());
    // The signal may come while there is no daemon, while one starts, or when one serves already.
    stead.signal(rustix::process::Signal::TERM);
    stead.wait_exit(Duration::from_secs(20));
    stead.assert_nothing_left();
}
