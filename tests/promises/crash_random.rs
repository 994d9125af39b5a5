//! "My server has a bug: its copies die at random. My users must not notice."
//!
//! Every worker ends itself at a random moment within five seconds of its start, again and again, under 200 concurrent
//! requests. No GET fails; a POST is executed at most once; a POST that fails was in the hands of a worker that died and is
//! answered with a clean 502.

use std::time::Duration;

use crate::support::load::{assert_only_posts_failed_cleanly, ledger};
use crate::support::processes::living;
use crate::support::{Executions, Load, Stead, alone, node, pause_between};

const LENGTH: Duration = Duration::from_secs(8);

fn workers_die(by: &str) {
    let plan = Stead::script(node("executions.js")).instances(4);
    let executions = Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    // WORK_MS: long enough that a dying worker has requests in its hands.
    let stead = plan.env(name, file).env("CRASH_MAX_MS", 5_000).env("CRASH_BY", by).env("WORK_MS", 5).start();

    let load = Load::mixed(stead.port, 200);
    pause_between(LENGTH);
    load.each_answers(50);
    let deaths = stead.status().workers().iter().map(|worker| worker.restarts).sum::<u64>();
    let reports = load.stop();

    assert!(deaths >= 3, "workers died only {deaths} times: nothing was proven");
    assert_only_posts_failed_cleanly(&reports);
    let ledger = ledger(&reports, &executions, |pid| living(pid).is_some());
    // A worker that died between the head and the body of a POST had read it without executing it.
    assert!(ledger.failed_unseen.len() as u64 <= deaths, "failed, but no worker had read them: {ledger:?}");
}

#[test]
fn workers_that_exit_at_random_lose_no_request() {
    let _turn = alone();
    workers_die("exit");
}

#[test]
fn workers_that_abort_at_random_lose_no_request() {
    let _turn = alone();
    workers_die("abort");
}
