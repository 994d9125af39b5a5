//! "For two seconds not a single copy of my server was alive. My users waited two seconds; nobody saw an error."

use std::time::Duration;

use crate::support::load::{
    assert_nothing_failed, assert_only_posts_failed_cleanly, gets, posts, without_keep_alive,
};
use crate::support::processes::kill;
use crate::support::{Client, Load, Stead, alone, beside, fixture, node};

const DEAD_FOR: Duration = Duration::from_secs(2);

/// A program whose next start takes two seconds as soon as the test says so.
fn plan() -> (crate::support::stead::Plan, std::path::PathBuf) {
    let plan = Stead::script(node("start.js")).instances(2);
    let file = plan.directory().join("how");
    std::fs::write(&file, "ok").expect("a file can be written");
    let plan = plan.env("START_FILE", file.display()).env("START_MS", DEAD_FOR.as_millis());
    (plan, file)
}

#[test]
fn requests_wait_while_no_worker_is_alive() {
    let _turn = alone();
    let (plan, how) = plan();
    let stead = plan.start();
    let load = Load::start([
        ("kept", gets(stead.port, "/", 50)),
        ("new", without_keep_alive(gets(stead.port, "/", 50))),
    ]);
    load.each_answers(50);
    std::fs::write(&how, "slow").expect("a file can be written");
    let pids = stead.status().ready_pids();
    assert_eq!(pids.len(), 2);
    pids.into_iter().for_each(kill);
    stead.wait_status("no worker is ready", Duration::from_secs(2), |status| status.instances().1 == 0);
    let mut late: Vec<Client> = (0..20).map(|_| Client::connect(stead.port)).collect();
    for client in &mut late {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut late {
        assert_eq!(client.answer().status, 200);
    }
    load.each_answers(200);
    let held = stead.status().counter("held");
    let reports = load.stop();
    assert_nothing_failed(&reports);
    for (name, report) in &reports {
        assert!(
            report.max_gap >= DEAD_FOR * 3 / 4,
            "{name}: nobody was dead, the longest gap is {:?}",
            report.max_gap
        );
        assert!(report.max_gap <= DEAD_FOR + Duration::from_secs(3), "{name}: {:?}", report.max_gap);
    }
    assert!(held >= 20, "the requests that came meanwhile are counted as held: {held}");
}

#[test]
fn posts_that_come_while_no_worker_is_alive_wait_too() {
    let _turn = alone();
    let stead = Stead::script(fixture("node/executions.js")).instances(2).start();
    let load = Load::start([("post", posts(stead.port, "/", 20))]);
    load.each_answers(50);
    stead.status().ready_pids().into_iter().for_each(kill);
    load.each_answers(200);
    assert_only_posts_failed_cleanly(&load.stop());
}

#[test]
fn a_request_is_not_held_for_ever() {
    let _turn = beside();
    let (plan, how) = plan();
    let stead = plan.set("hold_timeout", "500ms").start();
    std::fs::write(&how, "never").expect("a file can be written");
    stead.status().ready_pids().into_iter().for_each(kill);
    stead.wait_status("no worker is ready", Duration::from_secs(10), |status| status.instances().1 == 0);
    let answer = crate::support::get(stead.port, "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{answer:?}");
}
