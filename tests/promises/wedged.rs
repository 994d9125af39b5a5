//! "One of my workers hangs: it is alive, but it does nothing. Others must do its work."

use std::time::Duration;

use rustix::process::Signal;

use crate::support::load::{assert_nothing_failed, gets, posts, without_keep_alive};
use crate::support::processes::{living, signal};
use crate::support::{Load, Stead, alone, get, node, soon};

const WEDGED_AFTER: Duration = Duration::from_secs(1);

fn plan(script: &str) -> crate::support::stead::Plan {
    Stead::script(node(script)).instances(2).set("wedged_after", "1s").set("move_after", "100ms")
}

#[test]
fn a_stopped_worker_is_replaced_and_its_safe_requests_are_answered_by_others() {
    let _turn = alone();
    let stead = plan("executions.js").start();
    let load = Load::start([
        ("kept", gets(stead.port, "/", 30)),
        ("new", without_keep_alive(gets(stead.port, "/", 30))),
    ]);
    load.each_answers(100);
    let stopped = stead.status().ready_pids()[0];
    signal(stopped, Signal::STOP);
    stead.wait_status("the stopped worker is replaced", WEDGED_AFTER + Duration::from_secs(15), |status| {
        status.is_complete() && !status.ready_pids().contains(&stopped)
    });
    soon("the stopped worker is gone", || living(stopped).is_none());
    load.each_answers(100);
    let reports = load.stop();
    assert_nothing_failed(&reports);
    for (name, report) in &reports {
        assert!(report.max <= WEDGED_AFTER + Duration::from_secs(4), "{name}: one waited {:?}", report.max);
    }
}

#[test]
fn a_stopped_worker_delays_only_what_it_had_already_read() {
    let _turn = alone();
    // Never found to be wedged during the test: what others answer is answered because requests are moved.
    let stead = Stead::script(node("executions.js"))
        .instances(2)
        .set("wedged_after", "60s")
        .set("move_after", "100ms")
        .start();
    let stopped = stead.status().ready_pids()[0];
    signal(stopped, Signal::STOP);
    let load = Load::start([("kept", gets(stead.port, "/", 30))]);
    load.each_answers(100);
    let reports = load.stop();
    signal(stopped, Signal::CONT);
    assert_nothing_failed(&reports);
    assert!(reports["kept"].max <= Duration::from_secs(3), "one waited {:?}", reports["kept"].max);
}

#[test]
fn posts_that_a_stopped_worker_has_not_read_are_executed_once() {
    let _turn = alone();
    let plan = plan("executions.js");
    let executions = crate::support::Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    let stead = plan.env(name, file).start();
    let load = Load::start([("post", posts(stead.port, "/", 20))]);
    load.each_answers(100);
    let stopped = stead.status().ready_pids()[0];
    signal(stopped, Signal::STOP);
    stead.wait_status("the stopped worker is replaced", Duration::from_secs(20), |status| {
        status.is_complete() && !status.ready_pids().contains(&stopped)
    });
    load.each_answers(100);
    let reports = load.stop();
    crate::support::load::assert_only_posts_failed_cleanly(&reports);
    crate::support::ledger(&reports, &executions, |pid| living(pid).is_some());
}

#[test]
fn a_request_that_wedges_its_worker_costs_at_most_three() {
    let _turn = alone();
    // The last try is alone on its worker, where nobody waits behind it: only the limit for an answer ends that one.
    let stead = plan("slow.js").set("answer_timeout", "4s").start();
    let load = Load::start([("kept", gets(stead.port, "/", 10))]);
    load.each_answers(50);
    let before = stead.status().workers().iter().map(|worker| worker.restarts).sum::<u64>();
    let answer = get(stead.port, "/wedge");
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    let status = stead.wait_complete();
    let restarts = status.workers().iter().map(|worker| worker.restarts).sum::<u64>() - before;
    assert!((1..=3).contains(&restarts), "{restarts} workers were lost");
    load.each_answers(50);
    assert_nothing_failed(&load.stop());
}

#[test]
fn a_long_computation_is_not_taken_for_a_wedge() {
    let _turn = alone();
    let stead = Stead::script(node("slow.js")).instances(2).set("wedged_after", "5s").start();
    let before = stead.status().ready_pids();
    let answer = get(stead.port, "/busy?ms=2000");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(stead.wait_complete().ready_pids(), before);
}
