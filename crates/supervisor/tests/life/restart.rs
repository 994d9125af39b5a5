//! Transcripts of restarts, in which a worker is gone before the next is started.

use stead_supervisor::{AppConfig, Restart};

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

fn check_two(transcript: &str) {
    check(&AppConfig { instances: 2, ..config() }, &format!("{UP}{transcript}"));
}

#[test]
fn each_worker_is_gone_before_the_next_is_started() {
    check_two(
        "> restart 7
         * reload 7: 0/2
         drain 1
         > drained 1
         ask 1 to stop
         > resume
         ask 1 to stop
         route 2
         > exited 1 0
         * 1 left
         spawn 3 in 0
         > started 3
         > ready 3
         route 3
         * reload 7: 1/2
         drain 2
         > +20s
         ask 2 to stop
         > exited 2 0
         * 2 left
         spawn 4 in 1
         > started 4
         > ready 4
         route 4
         * reload 7: 2/2
         * reload 7 done",
    );
}

#[test]
fn first_worker_that_fails_ends_the_restart() {
    check(
        &AppConfig { instances: 3, reload_parallel: 2, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         spawn 3 in 2
         > started 1
         > started 2
         > started 3
         > ready 1
         route 1
         > ready 2
         route 2
         > ready 3
         route 3
         > restart 7
         * reload 7: 0/3
         drain 1
         drain 2
         > drained 1
         ask 1 to stop
         > exited 1 0
         * 1 left
         spawn 4 in 0
         > started 4
         > exited 4 1
         * 4 exit code 1, next later
         * reload 7 failed: the worker ended with exit code 1
         > +1s
         spawn 5 in 0
         > drained 2
         ask 2 to stop
         > exited 2 0
         * 2 left
         spawn 6 in 1
         > reload 8
         * reload 8: 0/3
         spawn 7 in 0
         spawn 8 in 2
         > refused 6
         * 6 too many processes, next later",
    );
}

#[test]
fn restart_starts_what_is_not_running() {
    check(
        &AppConfig { instances: 2, reload_parallel: 2, restart: Restart::Temporary, ..config() },
        "> restart 7
         * reload 7: 0/2
         spawn 1 in 0
         spawn 2 in 1
         > ready 1
         route 1
         * reload 7: 1/2
         > exited 2 1
         * 2 exit code 1, no next
         * reload 7 failed: the worker ended with exit code 1
         > exited 1 1
         * 1 exit code 1, no next
         * finished
         > restart 8
         * reload 8: 0/2
         spawn 3 in 0
         spawn 4 in 1
         > stop
         * reload 8 failed: the application was stopped
         > restart 9
         * start follows
         > refused 3
         * 3 too many processes, no next
         > refused 4
         * 4 too many processes, no next
         * reload 9: 0/2
         spawn 5 in 0
         spawn 6 in 1",
    );
}

#[test]
fn restart_and_reload_keep_their_order_and_are_not_merged() {
    check_two(
        "> scale 1
         drain 2
         > exited 2 0
         * 2 left
         > reload 7
         * reload 7: 0/1
         spawn 3 in 0
         > restart 8
         > restart 9
         > reload 10
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
         drain 3
         > exited 3 0
         * 3 left
         spawn 4 in 0
         > ready 4
         route 4
         * reload 8: 1/1
         * reload 9: 1/1
         * reload 8 done
         * reload 9 done
         * reload 10: 0/1
         spawn 5 in 0",
    );
}

#[test]
fn failed_slot_is_restarted_without_waiting() {
    check(
        &AppConfig { restarts_max: 0, ..config() },
        "> start
         spawn 1 in 0
         > started 1
         > exited 1 1
         * 1 exit code 1, slot failed for 60s
         * failed: 1 starts in a row failed, the last because the worker ended with exit code 1
         > restart 7
         * reload 7: 0/1
         spawn 2 in 0
         > started 2
         > ready 2
         route 2
         * slot 0 recovered
         * reload 7: 1/1
         * reload 7 done",
    );
}
