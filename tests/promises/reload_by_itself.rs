//! "While I work, each saved file is live at once, and at night everything is started afresh. Nobody who uses the service at
//! that moment notices."

use std::time::Duration;

use crate::support::load::{assert_nothing_failed, gets};
use crate::support::stead::Plan;
use crate::support::{Load, Stead, beside, get, soon};

/// From the change to the new workers.
const LIMIT: Duration = Duration::from_secs(60);

/// A server in a directory of its own that answers with this text.
fn write(plan: &Plan, text: &str) {
    let script =
        format!("require('http').createServer((q, r) => r.end('{text}\\n')).listen(process.env.PORT);\n");
    std::fs::write(plan.directory().join("server.js"), script).expect("there is room for a script");
}

#[test]
fn a_changed_file_is_served_without_a_lost_request_and_an_ignored_one_changes_nothing() {
    let _turn = beside();
    let plan = Stead::script("server.js").instances(2).set("watch", "true").set("watch_delay", "50ms");
    write(&plan, "one");
    std::fs::write(plan.directory().join(".gitignore"), "*.tmp\n").expect("there is room for a file");
    let stead = plan.start();
    let before = stead.status().ready_pids();
    let load = Load::start([("get", gets(stead.port, "/", 10))]);
    load.each_answers(50);
    let write =
        |name: &str, text: &str| std::fs::write(stead.path().join(name), text).expect("there is room");
    write("notes.tmp", "of no interest");
    // As editors save: another file, and then its name.
    write(
        "server.js.swap.tmp",
        "require('http').createServer((q, r) => r.end('two\\n')).listen(process.env.PORT);\n",
    );
    std::fs::rename(stead.path().join("server.js.swap.tmp"), stead.path().join("server.js"))
        .expect("it is there");
    soon("the new code answers", || get(stead.port, "/").text() == "two\n");
    let after = stead.wait_status("both workers are new", LIMIT, |status| {
        status.is_complete() && status.ready_pids().iter().all(|pid| !before.contains(pid))
    });
    load.each_answers(50);
    assert_nothing_failed(&load.stop());
    let reasons =
        stead.output.lines().into_iter().filter(|line| line.contains(" changed")).collect::<Vec<_>>();
    assert!(reasons.iter().all(|line| line.contains("server.js changed")), "{reasons:?}");
    // A new directory is watched as well.
    std::fs::create_dir(stead.path().join("lib")).expect("there is room");
    soon("the directory is seen", || stead.output.lines().iter().any(|line| line.contains("lib changed")));
    stead.wait_status("and reloaded for", LIMIT, |status| {
        status.is_complete() && status.ready_pids().iter().all(|pid| !after.ready_pids().contains(pid))
    });
    write("lib/part.js", "module.exports = 3;\n");
    soon("a file in it is seen", || stead.output.lines().iter().any(|line| line.contains("part.js changed")));
}

#[test]
fn the_clock_reloads_the_app_once_and_not_each_copy() {
    let _turn = beside();
    let plan = Stead::script("server.js").instances(3).set("cron_restart", "*/4 * * * * *");
    write(&plan, "one");
    let stead = plan.start();
    let load = Load::start([("get", gets(stead.port, "/", 10))]);
    let before = stead.status().ready_pids();
    stead.wait_status("all workers are new", LIMIT, |status| {
        status.is_complete() && status.ready_pids().iter().all(|pid| !before.contains(pid))
    });
    load.each_answers(50);
    assert_nothing_failed(&load.stop());
    let count = |what: &str| stead.output.lines().iter().filter(|line| line.contains(what)).count();
    let (times, reloads) = (count("it is time"), count("\"message\":\"reload done\""));
    assert!(times >= 1 && (reloads == times || reloads + 1 == times), "{times} times, {reloads} reloads");
}
