//! Transcripts of rolling reloads.

use stead_supervisor::AppConfig;

use crate::{check, config};

/// Two workers that are ready.
const UP: &str = "> start
    spawn 1 in 0
    spawn 2 in 1
    > started 1
    > started 2
    > ready 1
    route 1
    > ready 2
    route 2
    ";

fn check_reload(parallel: u32, transcript: &str) {
    let config = AppConfig { instances: 2, reload_parallel: parallel, ..config() };
    check(&config, &format!("{UP}{transcript}"));
}

#[test]
fn old_worker_leaves_only_when_the_new_one_gets_requests() {
    check_reload(
        1,
        "> reload 7
         * reload 7: 0/2
         spawn 3 in 0
         > started 3
         > ready 3
         route 3
         drain 1
         * reload 7: 1/2
         spawn 4 in 1
         > drained 1
         ask 1 to stop
         > exited 1 0
         * 1 left
         > started 4
         > ready 4
         route 4
         drain 2
         * reload 7: 2/2
         * reload 7 done
         > +20s
         ask 2 to stop",
    );
}

#[test]
fn broken_new_code_leaves_the_old_workers_serving() {
    check_reload(
        1,
        "> reload 7
         * reload 7: 0/2
         spawn 3 in 0
         > started 3
         > exited 3 1
         * 3 exit code 1, no next
         * reload 7 failed: the worker ended with exit code 1
         > reload 8
         * reload 8: 0/2
         spawn 4 in 0
         > started 4
         > +30s
         ask 4 to stop
         * 4 not ready after 30s
         * reload 8 failed: the worker was not ready within 30s
         > reload 9
         * reload 9: 0/2
         spawn 5 in 1
         > missing 5
         * 5 program not found, no next
         * reload 9 failed: program not found",
    );
}

#[test]
fn failure_of_one_slot_takes_back_the_others() {
    check_reload(
        2,
        "> reload 7
         * reload 7: 0/2
         spawn 3 in 0
         spawn 4 in 1
         > started 4
         > started 3
         > exited 3 1
         * 3 exit code 1, no next
         ask 4 to stop
         * reload 7 failed: the worker ended with exit code 1",
    );
}

#[test]
fn new_worker_is_kept_if_the_old_one_died_meanwhile() {
    check_reload(
        2,
        "> reload 7
         * reload 7: 0/2
         spawn 3 in 0
         spawn 4 in 1
         > exited 1 1
         * 1 exit code 1, the reload goes on
         > started 3
         > started 4
         > exited 4 1
         * 4 exit code 1, no next
         * reload 7 failed: the worker ended with exit code 1
         > ready 3
         route 3",
    );
}

#[test]
fn slot_that_lost_both_workers_is_filled_again() {
    check_reload(
        1,
        "> reload 7
         * reload 7: 0/2
         spawn 3 in 0
         > started 3
         > wedged 1
         * 1 wedged, the reload goes on
         drain 1
         SIGTERM 1
         > exited 3 1
         * 3 exit code 1, next later
         * reload 7 failed: the worker ended with exit code 1
         > +1s
         spawn 4 in 0",
    );
}

#[test]
fn worker_that_was_replaced_after_a_crash_is_not_replaced_again() {
    check_reload(
        1,
        "> reload 7
         * reload 7: 0/2
         spawn 3 in 0
         > exited 2 1
         * 2 exit code 1, next now
         spawn 4 in 1
         > started 4
         > ready 4
         route 4
         > started 3
         > ready 3
         route 3
         drain 1
         * reload 7: 1/2
         * reload 7: 2/2
         * reload 7 done",
    );
}

#[test]
fn reloads_asked_for_meanwhile_are_merged() {
    check_reload(
        2,
        "> scale 1
         drain 2
         > exited 2 0
         * 2 left
         > reload 7
         * reload 7: 0/1
         spawn 3 in 0
         > reload 8
         > reload 9
         > started 3
         > ready 3
         route 3
         drain 1
         * reload 7: 1/1
         * reload 7 done
         * reload 8: 0/1
         * reload 9: 0/1
         > exited 1 0
         * 1 left
         spawn 4 in 0
         > started 4
         > ready 4
         route 4
         drain 3
         * reload 8: 1/1
         * reload 9: 1/1
         * reload 8 done
         * reload 9 done",
    );
}

#[test]
fn scaling_during_a_reload_is_honoured() {
    check_reload(
        2,
        "> reload 7
         * reload 7: 0/2
         spawn 3 in 0
         spawn 4 in 1
         > started 3
         > started 4
         > scale 1
         drain 2
         ask 4 to stop
         > ready 3
         route 3
         drain 1
         * reload 7: 1/1
         * reload 7 done
         > scale 3
         spawn 5 in 2",
    );
}

#[test]
fn old_worker_that_becomes_ready_during_its_reload_proves_the_application() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > reload 7
         * reload 7: 0/1
         spawn 2 in 0
         > ready 1
         route 1
         > missing 2
         * 2 program not found, no next
         * reload 7 failed: program not found
         > exited 1 1
         * 1 exit code 1, next now
         spawn 3 in 0
         > missing 3
         * 3 program not found, next later",
    );
}

#[test]
fn reload_of_nothing_is_answered() {
    check(
        &AppConfig { instances: 0, ..config() },
        "> reload 7
         * reload 7 failed: the application is not running
         > start
         > reload 8
         * reload 8: 0/0
         * reload 8 done",
    );
}
