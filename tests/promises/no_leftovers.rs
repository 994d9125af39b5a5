//! "However it ends, it leaves nothing behind: no process, no zombie, no socket file, no port."

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::processes::{Process, children, kill};
use crate::support::{Client, Load, Stead, beside, node, soon};

const LIMIT: Duration = Duration::from_secs(20);

/// A program with children that ignore polite signals; the worst that is common.
fn family() -> Stead {
    let stead = Stead::script(node("family.js"))
        .instances(2)
        .set("terminate_after", "1s")
        .set("kill_after", "1s")
        .start();
    assert!(
        stead.processes().len() >= 6,
        "keeper, daemon, two workers, two children: {:#?}",
        stead.processes()
    );
    stead
}

#[track_caller]
fn ends_with(mut stead: Stead, code: i32) {
    let status = stead.wait_exit(LIMIT);
    assert_eq!(status.code(), Some(code), "{status:?}");
    stead.assert_nothing_left();
}

#[test]
fn ctrl_c_ends_everything() {
    let _turn = beside();
    let stead = family();
    stead.signal(Signal::INT);
    ends_with(stead, 0);
}

#[test]
fn sigterm_ends_everything() {
    let _turn = beside();
    let stead = family();
    stead.signal(Signal::TERM);
    ends_with(stead, 0);
}

#[test]
fn stop_ends_everything() {
    let _turn = beside();
    let stead = family();
    let stop = stead.verb(&["stop"]);
    assert_eq!(stop.code, Some(0), "{stop:?}");
    ends_with(stead, 0);
}

#[test]
fn a_second_ctrl_c_ends_everything_at_once() {
    let _turn = beside();
    let mut stead = Stead::script(node("slow.js")).instances(2).set("grace", "60s").start();
    let mut client = Client::connect(stead.port);
    client.send("GET /hang HTTP/1.1\r\nHost: test\r\n\r\n");
    stead.wait_status("the request is with a worker", LIMIT, |status| status.counter("in_flight") == 1);
    stead.signal(Signal::INT);
    // It drains: it is still there, and waits for the request.
    client.expect_silence(Duration::from_millis(500));
    assert!(!stead.processes().is_empty());
    let begun = Instant::now();
    stead.signal(Signal::INT);
    stead.wait_exit(Duration::from_secs(5));
    assert!(begun.elapsed() < Duration::from_secs(3), "at once means not after {:?}", begun.elapsed());
    stead.assert_nothing_left();
}

#[test]
fn requests_on_their_way_are_finished_before_the_end() {
    let _turn = beside();
    for signal in [Signal::INT, Signal::TERM] {
        let stead = Stead::script(node("slow.js")).instances(2).start();
        let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(stead.port)).collect();
        for client in &mut clients {
            client.send("GET /wait?ms=1500 HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        stead.wait_status("the requests are with workers", LIMIT, |status| status.counter("in_flight") == 10);
        stead.signal(signal);
        for client in &mut clients {
            assert_eq!(client.answer().status, 200, "{signal:?}");
        }
        ends_with(stead, 0);
    }
}

#[test]
fn stop_under_load_loses_no_accepted_request() {
    let _turn = beside();
    let stead = Stead::script(node("executions.js")).instances(2).env("WORK_MS", 20).start();
    let load = Load::start([("kept", gets(stead.port, "/", 20))]);
    load.each_answers(50);
    let stop = stead.begin(&["stop"]);
    let mut reports = load_until_refused(load);
    assert_eq!(stop.finish(LIMIT).code, Some(0));
    let report = reports.remove("kept").expect("the load has a report");
    for failure in &report.failures {
        let refused =
            ["connect_refused", "connect_reset", "reset_fresh", "eof_fresh"].contains(&failure.class.name());
        // Closing an idle connection races with its next request: clients know that case and may send it again.
        let closed_idle = failure.class.name() == "reset_or_eof_reused";
        assert!(refused || closed_idle, "{failure:?}");
    }
    ends_with(stead, 0);
}

fn load_until_refused(load: Load) -> std::collections::HashMap<String, stead_load::Report> {
    soon("new connections are refused", || load.failed() > 20);
    load.stop()
}

#[test]
fn a_program_that_ignores_sigterm_is_ended() {
    let _turn = beside();
    let plan = Stead::script(node("graceful.js")).instances(2).env("GRACEFUL", "never");
    let stead = plan.set("grace", "1s").set("terminate_after", "1s").set("kill_after", "1s").start();
    stead.signal(Signal::TERM);
    ends_with(stead, 0);
}

#[test]
fn a_program_that_ends_by_itself_on_sigterm_loses_nothing() {
    let _turn = beside();
    let stead = Stead::script(node("graceful.js")).instances(2).start();
    let load = Load::start([
        ("kept", gets(stead.port, "/?ms=5", 15)),
        ("new", without_keep_alive(gets(stead.port, "/?ms=5", 15))),
    ]);
    for _ in 0..3 {
        load.each_answers(20);
        stead.reload();
    }
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
}

#[test]
fn killed_workers_leave_no_zombie() {
    let _turn = beside();
    let stead = Stead::script(node("family.js")).instances(3).start();
    for _ in 0..5 {
        let status = stead.wait_complete();
        status.ready_pids().into_iter().for_each(kill);
        stead.wait_status("all are replaced", LIMIT, |now| {
            now.is_complete() && now.ready_pids().iter().all(|pid| !status.ready_pids().contains(pid))
        });
    }
    let keeper = stead.pid();
    soon("no zombie is left", || children(keeper).iter().all(|child| child.state != 'Z'));
    // Whoever lives hangs below the keeper, and nobody but the daemon and three workers hangs there directly.
    soon("only the living are left", || {
        let living = stead.processes();
        let has_parent = |process: &Process| {
            process.pid == keeper || living.iter().any(|other| other.pid == process.parent)
        };
        living.iter().all(has_parent) && children(keeper).len() == 4
    });
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let _turn = beside();
    for start in ["exit", "throw"] {
        let mut stead = Stead::script(node("start.js"))
            .instances(2)
            .set("cool_down", "1s")
            .set("restarts_max", "2")
            .env("START", start)
            .launch();
        let status = stead.wait_exit(Duration::from_secs(30));
        assert_eq!(status.code(), Some(3), "a program that never became ready");
        stead.assert_nothing_left();
    }
}

#[test]
fn ending_it_while_it_starts_leaves_nothing() {
    let _turn = beside();
    for signal in [Signal::INT, Signal::TERM] {
        let stead = Stead::script(node("start.js"))
            .instances(2)
            .env("START", "slow")
            .env("START_MS", 60_000)
            .launch();
        soon("workers are starting", || stead.processes().len() >= 4);
        stead.signal(signal);
        let mut stead = stead;
        stead.wait_exit(LIMIT);
        stead.assert_nothing_left();
    }
}
