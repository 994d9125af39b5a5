//! "Something on this machine kills my workers faster than I can look. My users must not notice."
//!
//! Every 200 ms one worker is ended with `kill -9`, under 200 concurrent requests. The same promise as for crashes.

use std::time::{Duration, Instant};

use crate::support::load::{assert_nothing_failed, assert_only_posts_failed_cleanly, ledger, posts};
use crate::support::processes::{kill, living};
use crate::support::{Executions, Load, Stead, alone, node, pause_between};

const EVERY: Duration = Duration::from_millis(200);

/// Kills a ready worker every 200 ms, a different one each time; tells how many.
fn storm(stead: &Stead, length: Duration) -> u64 {
    let end = Instant::now() + length;
    let mut killed = 0;
    while Instant::now() < end {
        let next = Instant::now() + EVERY;
        let ready = stead.try_status().map(|status| status.ready_pids()).unwrap_or_default();
        if !ready.is_empty() {
            kill(ready[killed as usize % ready.len()]);
            killed += 1;
        }
        pause_between(next.saturating_duration_since(Instant::now()));
    }
    killed
}

#[test]
fn a_worker_killed_every_200_ms_loses_no_request() {
    let _turn = alone();
    let plan = Stead::script(node("executions.js")).instances(4);
    let executions = Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    let stead = plan.env(name, file).env("WORK_MS", 5).start();

    let load = Load::mixed(stead.port, 200);
    load.each_answers(50);
    let killed = storm(&stead, Duration::from_secs(10));
    load.each_answers(50);
    let reports = load.stop();

    assert!(killed >= 20, "only {killed} workers were there to be killed: it takes too long to replace one");
    assert_only_posts_failed_cleanly(&reports);
    let ledger = ledger(&reports, &executions, |pid| living(pid).is_some());
    // SIGKILL may come between reading a request and writing that down: one request per kill at the very most.
    assert!(ledger.failed_unseen.len() as u64 <= killed, "failed, but no worker had read them: {ledger:?}");
    stead.wait_complete();
}

#[test]
fn a_post_with_an_idempotency_key_is_replayed() {
    let _turn = alone();
    let stead = Stead::script(node("executions.js")).instances(3).env("WORK_MS", 5).start();
    let mut config = posts(stead.port, "/", 50);
    config.headers = vec!["Idempotency-Key: one-per-test-is-enough".to_owned()];
    let load = Load::start([("post", config)]);
    load.each_answers(50);
    let killed = storm(&stead, Duration::from_secs(4));
    load.each_answers(50);
    let reports = load.stop();
    assert!(killed >= 8, "only {killed} workers were there to be killed");
    assert_nothing_failed(&reports);
}
