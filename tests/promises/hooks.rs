//! "Run my migration before the app starts or is reloaded, and do not touch it if that fails; and tell the others when it is up."

use std::path::Path;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::{children, kill};
use crate::support::{Stead, beside, eventually, node};

const LIMIT: Duration = Duration::from_secs(20);

fn config(before: &str, after: &str) -> String {
    let (script, port) = (node("late.js"), free_port());
    format!(
        "[app.shop]\ncommand = \"node {script}\"\ninstances = 2\nenv = {{ LISTEN = \"{port}\" }}\n\
         before_start = \"{before}\"\nafter_ready = \"{after}\"\n"
    )
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[track_caller]
fn wait_lines(path: &Path, count: usize) {
    eventually(&format!("{} has {count} lines", path.display()), LIMIT, || {
        (lines(path) == count).then_some(())
    });
}

#[test]
fn hooks_run_once_for_a_start_and_once_for_a_reload() {
    let _turn = beside();
    let user = Background::new();
    user.write("stead.toml", &config("echo migrated $STEAD_APP | tee -a before", "echo up >> after"));
    user.done(&["start"]);
    user.complete();
    let (before, after) = (user.path().join("before"), user.path().join("after"));
    wait_lines(&before, 1);
    wait_lines(&after, 1);
    user.done(&["reload", "shop"]);
    wait_lines(&before, 2);
    wait_lines(&after, 2);
    user.done(&["restart", "shop"]);
    wait_lines(&before, 3);
    wait_lines(&after, 3);
    assert!(user.logs("shop").contains("migrated shop"), "what they print is in the log");
}

#[test]
fn start_fails_if_what_comes_before_fails_and_says_why() {
    let _turn = beside();
    let user = Background::new();
    user.write("stead.toml", &config("echo the database is down; exit 3", "true"));
    let start = user.verb(&["start"]);
    assert!(start.code != Some(0), "{start:?}");
    assert!(start.stderr.contains("`before_start` failed: exit code 3: the database is down"), "{start:?}");
    assert!(user.try_status().expect("it answers").workers().iter().all(|worker| worker.pid == 0));
}

#[test]
fn reload_fails_if_what_comes_before_fails_and_nothing_is_touched() {
    let _turn = beside();
    let user = Background::new();
    user.write("stead.toml", &config("test ! -e broken", "true"));
    user.done(&["start"]);
    let pids = user.complete().ready_pids();
    user.write("broken", "");
    for verb in ["reload", "restart"] {
        let failed = user.verb(&[verb, "shop"]);
        assert!(failed.code != Some(0), "{failed:?}");
        assert!(failed.stderr.contains("`before_start` failed: exit code 1"), "{failed:?}");
        assert_eq!(user.complete().ready_pids(), pids);
    }
}

#[test]
fn hook_that_takes_too_long_is_killed_with_all_it_has_started() {
    let _turn = beside();
    let mut stead = Stead::script(node("hello.js"))
        .set("before_start", "\"sleep 1000 & sleep 1000\"")
        .set("hook_timeout", "500ms")
        .launch();
    let status = stead.wait_exit(LIMIT);
    assert!(!status.success(), "{status:?}");
    stead.assert_nothing_left();
}

#[test]
fn start_goes_on_when_the_daemon_dies_while_it_is_prepared() {
    let _turn = beside();
    let plan = Stead::script(node("hello.js")).set("before_start", "\"echo . >> tries; sleep 1\"");
    let tries = plan.directory().join("tries");
    let stead = plan.launch();
    wait_lines(&tries, 1);
    let daemon = children(stead.pid()).into_iter().find(|child| child.command.contains(" daemon "));
    kill(daemon.expect("there is a daemon").pid);
    stead.wait_complete();
    assert_eq!(lines(&tries), 2, "it was prepared anew");
}

#[test]
fn reload_goes_on_when_the_daemon_dies_while_it_is_prepared() {
    let _turn = beside();
    let user = Background::new();
    let before = "echo . >> tries; test ! -e slow || { rm slow; sleep 1000; }";
    user.write("stead.toml", &config(before, "true"));
    user.done(&["start"]);
    let status = user.complete();
    user.write("slow", "");
    let reload = user.begin(&["reload", "shop"]);
    let tries = user.path().join("tries");
    wait_lines(&tries, 2);
    kill(status.daemon_pid());
    let told = reload.finish(LIMIT);
    assert!(told.code != Some(0), "whoever asked does not take it for done: {told:?}");
    wait_lines(&tries, 3);
    user.wait_status("all workers are new", |now| {
        now.is_complete() && status.ready_pids().iter().all(|old| !now.ready_pids().contains(old))
    });
    assert_eq!(lines(&tries), 3, "the hook ran once more");
}
