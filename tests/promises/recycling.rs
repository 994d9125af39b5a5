//! "My program leaks. Replace its workers before the machine is full: one after the other, and without my users noticing."

use std::collections::HashSet;
use std::time::Duration;

use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::{Load, Stead, alone, beside, node};

const LIMIT: Duration = Duration::from_secs(90);

/// Waits until all these workers have been replaced; meanwhile never fewer than `instances` serve, and never more than one has an
/// other beside it.
#[track_caller]
fn replaced_one_at_a_time(stead: &Stead, instances: usize) {
    let before: HashSet<u32> = stead.status().ready_pids().into_iter().collect();
    stead.wait_status("all workers are replaced", LIMIT, |status| {
        let ready = status.ready_pids();
        assert!(ready.len() >= instances.min(before.len()), "too few serve: {status:?}");
        let starting = status.workers().iter().filter(|worker| worker.state == "starting").count();
        assert!(starting <= 1, "more than one at a time: {status:?}");
        ready.iter().all(|pid| !before.contains(pid)) && ready.len() == instances
    });
}

#[test]
fn workers_that_grow_too_large_are_replaced_one_at_a_time_and_no_request_is_lost() {
    let _turn = beside();
    let stead = Stead::script(node("leaky.js")).instances(2).set("recycle_memory", "150MiB").start();
    let load = Load::start([
        ("leak", without_keep_alive(gets(stead.port, "/leak", 2))),
        ("kept", gets(stead.port, "/", 10)),
    ]);
    load.each_answers(100);
    replaced_one_at_a_time(&stead, 2);
    load.each_answers(100);
    assert_nothing_failed(&load.stop());
    stead.output.wait_for("it is told why", LIMIT, |line| {
        line.contains("uses more memory than `recycle_memory`").then_some(())
    });
}

#[test]
fn workers_that_have_answered_enough_are_replaced_one_at_a_time() {
    let _turn = beside();
    let stead = Stead::script(node("leaky.js")).instances(2).set("recycle_requests", "2000").start();
    let load = Load::start([("kept", gets(stead.port, "/", 10))]);
    replaced_one_at_a_time(&stead, 2);
    load.each_answers(100);
    assert_nothing_failed(&load.stop());
}

#[test]
fn what_a_worker_uses_is_shown_with_all_its_processes() {
    let _turn = alone();
    // A shell that waits for a busy child and a large one.
    let large = "let a = Buffer.alloc(100 * 1024 * 1024, 1); setInterval(() => a, 1000)";
    let plan = Stead::plan(["sh family.sh"]);
    std::fs::write(
        plan.directory().join("family.sh"),
        format!("sh -c 'while :; do :; done' &\nnode -e '{large}' &\nwait\n"),
    )
    .expect("there is room for a file");
    let stead = plan.set("ready_timeout", "1s").set("grace", "100ms").set("terminate_after", "100ms").start();
    stead.wait_status("its use is measured", LIMIT, |status| {
        let (cpu, memory_bytes) = status.used();
        cpu > 0.3 && memory_bytes > 100 << 20
    });
}
