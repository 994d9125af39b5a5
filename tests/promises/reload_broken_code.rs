//! "I deployed code that does not start. The old code must go on serving, and I want to be told why."

use std::time::Duration;

use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::stead::Finished;
use crate::support::{Load, Stead, beside, node};

/// A program that obeys the file `how` at each start, and the load that must not notice.
fn reload_to(how: &str) -> Finished {
    let plan = Stead::script(node("start.js")).instances(2).set("ready_timeout", "4s");
    let file = plan.directory().join("how");
    std::fs::write(&file, "ok").expect("a file can be written");
    let stead = plan.env("START_FILE", file.display()).start();
    let before = stead.status().ready_pids();
    let load = Load::start([
        ("kept", gets(stead.port, "/", 15)),
        ("new", without_keep_alive(gets(stead.port, "/", 15))),
    ]);
    load.each_answers(20);

    std::fs::write(&file, how).expect("a file can be written");
    let failed = stead.verb(&["reload"]);
    load.each_answers(20);
    let after = stead.wait_complete().ready_pids();
    assert_eq!(sorted(after), sorted(before.clone()), "the old workers are still there, and nobody else");

    // The way out: repaired code is taken at the next reload.
    std::fs::write(&file, "ok").expect("a file can be written");
    stead.reload();
    load.each_answers(20);
    let repaired = stead.wait_complete().ready_pids();
    assert!(repaired.iter().all(|pid| !before.contains(pid)), "{before:?} and {repaired:?}");
    assert_nothing_failed(&load.stop());
    failed
}

fn sorted(mut pids: Vec<u32>) -> Vec<u32> {
    pids.sort_unstable();
    pids
}

/// Exit code 5, and words that name the app and the reason.
#[track_caller]
fn check(failed: &Finished, says: &[&str]) {
    assert_eq!(failed.code, Some(5), "{failed:?}");
    for text in says {
        assert!(failed.stderr.contains(text), "`{text}` is not in:\n{}", failed.stderr);
    }
}

#[test]
fn code_that_exits_at_once_leaves_the_old_code_serving() {
    let _turn = beside();
    check(&reload_to("exit"), &["error:", "start", "code 1"]);
}

#[test]
fn code_that_throws_leaves_the_old_code_serving() {
    let _turn = beside();
    check(&reload_to("throw"), &["error:", "start", "code 1"]);
}

#[test]
fn code_that_never_listens_leaves_the_old_code_serving() {
    let _turn = beside();
    check(&reload_to("never"), &["error:", "start", "ready"]);
}

#[test]
fn a_program_that_has_been_removed_leaves_the_old_code_serving() {
    let _turn = beside();
    let plan = Stead::plan(["./server.js"]).instances(2);
    let script = plan.directory().join("server.js");
    let program = "require('http').createServer((q, r) => r.end('old')).listen(process.env.PORT)";
    std::fs::write(&script, program).expect("a file can be written");
    let stead = plan.start();
    let load = Load::start([("kept", gets(stead.port, "/", 10))]);
    load.each_answers(20);
    std::fs::write(&script, "this is not JavaScript").expect("a file can be written");
    check(&stead.verb(&["reload"]), &["error:"]);
    std::fs::remove_file(&script).expect("a file can be removed");
    check(&stead.verb(&["reload"]), &["error:"]);
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
    stead.wait_status("the old workers serve", Duration::from_secs(20), |status| status.is_complete());
}
