//! "Run my workers as the user I name, with the umask and the limits I set, and stop them for good when they say that they are done."

use std::time::Duration;

use crate::support::background::Background;
use crate::support::{beside, eventually};

const LIMIT: Duration = Duration::from_secs(20);

/// What a worker with these settings sees of itself.
#[track_caller]
fn seen(settings: &str) -> String {
    let user = Background::new();
    let command = "umask; ulimit -Sn; ulimit -Hn; ulimit -c; id -u; id -g; grep NoNewPrivs /proc/self/status; echo end; sleep 1000";
    user.write(
        "stead.toml",
        &format!("[app.seen]\ncommand = \"{command}\"\nshell = true\nready_timeout = \"500ms\"\non_ready_timeout = \"assume\"\nterminate_after = \"100ms\"\n{settings}"),
    );
    user.done(&["start"]);
    eventually("it has told", LIMIT, || {
        let log = user.logs("seen");
        log.contains("out| end").then_some(log)
    })
}

#[track_caller]
fn assert_sees(log: &str, lines: &[&str]) {
    for line in lines {
        assert!(log.contains(&format!("out| {line}\n")), "{line:?} is not in:\n{log}");
    }
}

#[test]
fn umask_and_limits_are_those_that_were_set() {
    let _turn = beside();
    let log = seen("umask = \"027\"\nlimits = { nofile = 512, core = 0 }\nno_new_privileges = true\n");
    assert_sees(&log, &["0027", "512", "0", "NoNewPrivs:\t1"]);
}

#[test]
fn worker_runs_as_the_user_that_was_named() {
    let _turn = beside();
    if !rustix::process::geteuid().is_root() {
        // Nobody else may become another user.
        return;
    }
    assert_sees(&seen("uid = 65534\ngid = 65534\n"), &["65534"]);
}

#[test]
fn worker_that_ends_with_a_code_for_the_end_is_not_started_again() {
    let _turn = beside();
    let user = Background::new();
    user.write(
        "stead.toml",
        "[app.done]\ncommand = \"echo ran >> runs; exit 77\"\nshell = true\nstop_exit_codes = [77]\n[app.other]\ncommand = \"echo ran >> others; exit 78\"\nshell = true\nstop_exit_codes = [77]\nbackoff_first = \"100ms\"\n",
    );
    user.verb(&["start", "--no-wait"]);
    let runs =
        |name: &str| std::fs::read_to_string(user.path().join(name)).map_or(0, |text| text.lines().count());
    eventually("the other is started again", LIMIT, || (runs("others") >= 2).then_some(()));
    user.wait_status("it has finished", |status| status.of("done").state() == "finished");
    assert_eq!(runs("runs"), 1);
}
