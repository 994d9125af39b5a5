//! "My API needs the database's proxy, and both need the migration to have run. They start in that order, stop in the other,
//! and fall together where I said so."

use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::status::Status;
use crate::support::{beside, eventually, node};

const LIMIT: Duration = Duration::from_secs(20);

/// A table of stead.toml for a server that gets ready late.
fn server(name: &str, late_ms: u32, more: &str) -> String {
    let (script, port) = (node("late.js"), free_port());
    format!(
        "[app.{name}]\ncommand = \"node {script}\"\nenv = {{ LISTEN = \"{port}\", LATE_MS = \"{late_ms}\" }}\n{more}\n"
    )
}

/// A table for something that is done once.
fn job(name: &str, command: &str) -> String {
    format!("[app.{name}]\ncommand = \"{command}\"\nshell = true\nrestart = \"temporary\"\n")
}

fn started(user: &Background, config: &str) -> crate::support::stead::Finished {
    user.write("stead.toml", config);
    user.verb(&["start", "--no-wait"])
}

fn state(status: &Status, app: &str) -> String {
    status.of(app).state()
}

#[test]
fn an_app_waits_until_what_it_needs_is_ready() {
    let _turn = beside();
    let user = Background::new();
    let config = server("api", 0, "depends_on = [\"proxy\"]") + &server("proxy", 1500, "");
    let start = started(&user, &config);
    assert_eq!(start.code, Some(0), "{start:?}");
    let status = user.wait_status("the proxy is on its way", |status| state(status, "proxy") == "starting");
    assert_eq!(state(&status, "api"), "waiting");
    let status = user.complete();
    assert_eq!(
        (state(&status, "api"), state(&status, "proxy")),
        ("running".to_owned(), "running".to_owned())
    );
}

#[test]
fn work_that_has_to_be_done_first_is_done_first() {
    let _turn = beside();
    let user = Background::new();
    let mark = user.path().join("migrated");
    let migration = job("migration", &format!("sleep 0.5 && touch {}", mark.display()));
    let start =
        started(&user, &(server("api", 0, "depends_on = { migration = \"completed\" }") + &migration));
    assert_eq!(start.code, Some(0), "{start:?}");
    user.wait_status("the api runs", |status| state(status, "api") == "running");
    assert!(mark.exists(), "the migration has run before");
    assert_eq!(state(&user.try_status().expect("it answers"), "migration"), "finished");
}

#[test]
fn work_that_failed_keeps_back_what_needs_it_and_says_so() {
    let _turn = beside();
    let user = Background::new();
    let migration = job("migration", "exit 3");
    started(&user, &(server("api", 0, "depends_on = { migration = \"completed\" }") + &migration));
    eventually("it is told why the api does not start", LIMIT, || {
        let text = user.logs("api");
        text.contains("`migration` has ended without success").then_some(())
    });
    assert_eq!(state(&user.try_status().expect("it answers"), "api"), "waiting");
}

#[test]
fn a_circle_is_refused_with_its_names() {
    let _turn = beside();
    let user = Background::new();
    let config = server("api", 0, "depends_on = [\"proxy\"]") + &server("proxy", 0, "depends_on = [\"api\"]");
    let start = started(&user, &config);
    assert!(start.code != Some(0), "{start:?}");
    assert!(start.stderr.contains("api") && start.stderr.contains("proxy"), "{start:?}");
}

#[test]
fn apps_of_a_group_fall_together_if_that_was_said() {
    let _turn = beside();
    let user = Background::new();
    let group = "[group.pair]\napps = [\"one\", \"two\"]\nstrategy = \"one-for-all\"\n";
    started(&user, &(server("one", 0, "") + &server("two", 0, "") + &server("three", 0, "") + group));
    let before = user.complete();
    let pid = |status: &Status, app: &str| status.of(app).ready_pids()[0];
    kill(pid(&before, "one"));
    let after = user.wait_status("both have other workers", |status| {
        let other = |app| status.is_complete() && pid(status, app) != pid(&before, app);
        other("one") && other("two")
    });
    assert_eq!(pid(&after, "three"), pid(&before, "three"), "others are not concerned");
}

#[test]
fn what_is_needed_is_stopped_after_what_needs_it() {
    let _turn = beside();
    let user = Background::new();
    let config = server("api", 0, "depends_on = [\"proxy\"]") + &server("proxy", 0, "");
    started(&user, &config);
    user.complete();
    user.done(&["kill"]);
    let ended = |app: &str| {
        let log = std::fs::read_to_string(user.home().join("logs").join(app).join("current.log"));
        let log = log.expect("it has a log");
        let line = log.lines().find(|line| line.ends_with("ending")).unwrap_or_else(|| panic!("{log}"));
        // Times of this form sort as they come.
        line.split(' ').next().expect("a line begins with its time").to_owned()
    };
    assert!(ended("api") < ended("proxy"), "{} {}", ended("api"), ended("proxy"));
}
