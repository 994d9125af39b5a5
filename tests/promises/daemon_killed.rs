//! "The process manager itself was killed. I want my service back without doing anything, and no process left over."

use std::time::{Duration, Instant};

use stead_load::Class;

use crate::support::load::gets;
use crate::support::load::without_keep_alive;
use crate::support::processes::{children, kill, living};
use crate::support::{Client, Load, Stead, alone, get, node, soon};

#[test]
fn a_killed_daemon_comes_back_by_itself_and_leaves_no_old_worker() {
    let _turn = alone();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let keeper = stead.pid();
    for round in 1..=3 {
        let before = stead.status();
        assert_eq!(before.keeper_pid(), keeper);
        let begun = Instant::now();
        kill(before.daemon_pid());
        let after = stead.wait_status("a new daemon serves", Duration::from_secs(15), |status| {
            status.daemon_pid() != before.daemon_pid() && status.is_complete()
        });
        assert_eq!(after.daemon_starts(), before.daemon_starts() + 1, "round {round}");
        assert_eq!(get(stead.port, "/").text(), "hello\n", "round {round}, {:?}", begun.elapsed());
        for worker in before.workers() {
            soon("the old workers are gone", || living(worker.pid).is_none());
        }
        soon("no zombie is left", || children(keeper).iter().all(|child| child.state != 'Z'));
    }
}

#[test]
fn connections_that_come_while_there_is_no_daemon_wait() {
    let _turn = alone();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let load = Load::start([("new", without_keep_alive(gets(stead.port, "/", 20)))]);
    load.each_answers(100);
    let daemon = stead.status().daemon_pid();
    kill(daemon);
    stead.wait_status("a new daemon serves", Duration::from_secs(15), |status| {
        status.daemon_pid() != daemon && status.is_complete()
    });
    load.each_answers(100);
    let report = load.stop().remove("new").expect("the load has a report");
    // What the dead daemon had in its hands is lost, and only that; nobody is refused.
    assert_eq!(report.of(Class::ConnectRefused), 0, "{}", report.to_json(5));
    assert!(report.failed <= 20, "each connection had one request on its way: {}", report.to_json(5));
    assert!(report.max_gap <= Duration::from_secs(5), "{:?}", report.max_gap);
}

#[test]
fn a_daemon_that_is_killed_while_it_starts_comes_back_too() {
    let _turn = alone();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let keeper = stead.pid();
    let daemon_of = || children(keeper).into_iter().find(|child| child.command.contains(" daemon "));
    for _ in 0..3 {
        soon("there is a daemon to kill", || daemon_of().map(|daemon| kill(daemon.pid)).is_some());
    }
    stead.wait_status("a new daemon serves", Duration::from_secs(30), |status| status.is_complete());
    assert_eq!(get(stead.port, "/").text(), "hello\n");
}

#[test]
fn a_killed_keeper_takes_everything_with_it() {
    let _turn = alone();
    let mut stead = Stead::script(node("family.js")).instances(2).start();
    // Each worker has a child of its own that ignores polite signals.
    assert!(stead.processes().len() >= 6, "{:#?}", stead.processes());
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
    let _turn = alone();
    let mut stead = Stead::script(node("hello.js")).instances(2).start();
    kill(stead.status().daemon_pid());
    // The signal may come while there is no daemon, while one starts, or when one serves already.
    stead.signal(rustix::process::Signal::TERM);
    stead.wait_exit(Duration::from_secs(20));
    stead.assert_nothing_left();
}
