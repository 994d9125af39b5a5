//! Transcripts of stops, and of starts that follow them.

use stead_supervisor::{AppConfig, Restart};

use crate::{check, config};

#[test]
fn stop_goes_from_drain_to_kill() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > ready 1
         route 1
         > stop
         drain 1
         > +19s
         > +1s
         ask 1 to stop
         > +5s
         SIGTERM 1
         > +3s
         SIGKILL 1
         > +5s
         SIGKILL 1
         > killed 1
         * 1 left
         * stopped
         > start
         spawn 2 in 0",
    );
}

#[test]
fn stop_wins_over_everything_that_is_under_way() {
    check(
        &AppConfig { instances: 3, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         spawn 3 in 2
         > started 1
         > ready 1
         route 1
         > started 2
         > reload 7
         * reload 7: 0/3
         spawn 4 in 0
         > stop
         * reload 7 failed: the application was stopped
         drain 1
         ask 2 to stop
         > ready 2
         > started 3
         SIGKILL 3
         > refused 4
         * 4 too many processes, no next
         > drained 1
         ask 1 to stop
         > exited 1 0
         * 1 left
         > start
         * start follows
         > stop-now
         SIGKILL 2
         > killed 3
         * 3 left
         > killed 2
         * 2 left
         * stopped",
    );
}

#[test]
fn start_asked_for_while_stopping_follows_the_stop() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > ready 1
         route 1
         > stop
         drain 1
         > start
         * start follows
         > start
         > resume
         drain 1
         > scale 2
         > drained 1
         ask 1 to stop
         > exited 1 0
         * 1 left
         spawn 2 in 0
         spawn 3 in 1
         > stop
         > start
         * start follows
         > stop
         > refused 2
         * 2 too many processes, no next
         > refused 3
         * 3 too many processes, no next
         * stopped",
    );
}

#[test]
fn start_after_a_stop_is_a_fresh_one() {
    check(
        &AppConfig { restarts_max: 1, ..config() },
        "> start
         spawn 1 in 0
         > started 1
         > ready 1
         route 1
         > exited 1 1
         * 1 exit code 1, next now
         spawn 2 in 0
         > started 2
         > exited 2 1
         * 2 exit code 1, slot failed for 60s
         > stop
         * stopped
         > start
         spawn 3 in 0
         > missing 3
         * 3 program not found, slot failed for 60s
         * failed: program not found
         > stop
         * stopped
         > start
         spawn 4 in 0
         > started 4
         > exited 4 1
         * 4 exit code 1, next later",
    );
}

#[test]
fn application_with_nothing_left_to_do_is_stopped_and_started_at_once() {
    check(
        &AppConfig { restart: Restart::Temporary, ..config() },
        "> start
         spawn 1 in 0
         > started 1
         > exited 1 1
         * 1 exit code 1, no next
         * finished
         > stop
         * stopped
         > start
         spawn 2 in 0
         > started 2
         > exited 2 77
         * 2 exit code 77, no next
         * finished",
    );
}
