//! "I deploy in the middle of the day, twenty times in a row if I like. Nobody must notice."

use std::collections::HashSet;

use crate::support::load::{assert_nothing_failed, gets, ledger, posts, without_keep_alive};
use crate::support::{Executions, Load, Stead, alone, beside, node};

#[test]
fn twenty_reloads_in_a_row_lose_no_request() {
    let _turn = alone();
    let plan = Stead::script(node("executions.js")).instances(2);
    let executions = Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    let stead = plan.env(name, file).env("WORK_MS", 3).start();
    let mut seen: HashSet<u32> = stead.status().ready_pids().into_iter().collect();

    let load = Load::mixed(stead.port, 60);
    for round in 1..=20 {
        load.each_answers(5);
        stead.reload();
        let pids = stead.wait_complete().ready_pids();
        assert_eq!(pids.len(), 2, "round {round}");
        for pid in pids {
            assert!(seen.insert(pid), "round {round}: worker {pid} was not replaced");
        }
    }
    load.each_answers(5);
    let reports = load.stop();
    assert_nothing_failed(&reports);
    ledger(&reports, &executions, |_| false);
}

#[test]
fn all_workers_serve_after_a_reload_and_only_new_ones() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(3).start();
    let before = stead.status().ready_pids();
    stead.reload();
    let after = stead.wait_complete().ready_pids();
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} and {after:?}");

    let mut kept = gets(stead.port, "/", 12);
    kept.count_header = Some("x-pid".to_owned());
    let load = Load::start([("kept", kept.clone()), ("new", without_keep_alive(kept))]);
    load.each_answers(300);
    let reports = load.stop();
    assert_nothing_failed(&reports);
    for (name, report) in &reports {
        let served: HashSet<u32> =
            report.counted.keys().map(|pid| pid.parse().expect("a process number")).collect();
        assert_eq!(served, after.iter().copied().collect(), "{name}: {:?}", report.counted);
    }
}

#[test]
fn a_reload_asked_for_during_a_reload_is_not_forgotten() {
    let _turn = beside();
    let stead = Stead::script(node("executions.js")).instances(2).start();
    let before: HashSet<u32> = stead.status().ready_pids().into_iter().collect();
    let load = Load::start([("post", posts(stead.port, "/", 10))]);
    let verbs: Vec<_> = (0..4).map(|_| stead.begin(&["reload"])).collect();
    for verb in verbs {
        let reload = verb.finish(std::time::Duration::from_secs(60));
        assert_eq!(reload.code, Some(0), "{reload:?}");
    }
    load.each_answers(5);
    assert_nothing_failed(&load.stop());
    let after: HashSet<u32> = stead.wait_complete().ready_pids().into_iter().collect();
    assert!(after.is_disjoint(&before), "{before:?} and {after:?}");
}

#[test]
fn scaling_up_and_down_loses_no_request() {
    let _turn = alone();
    let stead = Stead::script(node("executions.js")).instances(1).env("WORK_MS", 3).start();
    let load = Load::mixed(stead.port, 40);
    for count in ["4", "2", "3", "1"] {
        load.each_answers(5);
        let scaled = stead.verb(&["scale", count]);
        assert_eq!(scaled.code, Some(0), "{scaled:?}");
        let status = stead.wait_status(
            "the new number of workers runs",
            std::time::Duration::from_secs(30),
            |status| status.is_complete() && status.instances().0.to_string() == count,
        );
        assert_eq!(status.workers().len().to_string(), count);
    }
    load.each_answers(5);
    assert_nothing_failed(&load.stop());
}
