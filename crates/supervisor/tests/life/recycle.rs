//! Transcripts of workers that have served their time.

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

fn check_two(transcript: &str) {
    check(&AppConfig { instances: 2, ..config() }, &format!("{UP}{transcript}"));
}

#[test]
fn workers_are_recycled_one_at_a_time_and_leave_only_when_another_serves() {
    check_two(
        "> too-large 1
         * 1 to be recycled: Memory
         spawn 3 in 0
         > too-old 2
         > too-large 1
         > started 3
         > ready 3
         route 3
         drain 1
         * 1 recycled
         > resume
         route 3
         drain 1
         route 2
         > drained 1
         ask 1 to stop
         > exited 1 0
         * 1 left
         * 2 to be recycled: Age
         spawn 4 in 1
         > started 4
         > ready 4
         route 4
         drain 2
         * 2 recycled",
    );
}

#[test]
fn what_cannot_be_replaced_serves_on_and_is_tried_again_after_a_pause() {
    check_two(
        "> too-large 1
         * 1 to be recycled: Memory
         spawn 3 in 0
         > started 3
         > exited 3 1
         * 3 exit code 1, no next
         * 1 not recycled: the worker ended with exit code 1
         > too-large 1
         > +49ms
         > +51ms
         * 1 to be recycled: Memory
         spawn 4 in 0
         > missing 4
         * 4 program not found, no next
         * 1 not recycled: program not found
         > +200ms
         * 1 to be recycled: Memory
         spawn 5 in 0
         > refused 5
         * 5 too many processes, no next
         * 1 not recycled: too many processes
         > +59s
         > exited 1 0
         * 1 exit code 0, next now
         spawn 6 in 0
         > +10s",
    );
}

#[test]
fn reload_goes_before_recycling() {
    check_two(
        "> too-large 2
         * 2 to be recycled: Memory
         spawn 3 in 1
         > started 3
         > reload 7
         ask 3 to stop
         * 2 not recycled: a reload goes first
         * reload 7: 0/2
         spawn 4 in 0
         > too-old 1
         > started 4
         > exited 4 1
         * 4 exit code 1, no next
         * reload 7 failed: the worker ended with exit code 1
         * 1 to be recycled: Age
         spawn 5 in 0
         > reload 8
         * 1 not recycled: a reload goes first
         * reload 8: 0/2
         > exited 3 0
         * 3 left
         spawn 6 in 1
         > refused 5
         * 5 too many processes, no next
         > started 6
         > ready 6
         route 6
         drain 2
         * reload 8: 1/2
         spawn 7 in 0
         > ready 7
         route 7
         drain 1
         * reload 8: 2/2
         * reload 8 done",
    );
}

#[test]
fn worker_that_died_or_was_never_ready_is_not_recycled() {
    check_two(
        "> exited 1 1
         * 1 exit code 1, next now
         spawn 3 in 0
         > too-large 1
         > too-large 3
         > too-large 2
         * 2 to be recycled: Memory
         spawn 4 in 1
         > exited 2 1
         * 2 exit code 1, the reload goes on
         > started 4
         > ready 4
         route 4
         * 2 recycled",
    );
}

#[test]
fn stop_and_scaling_end_recycling() {
    check_two(
        "> too-large 2
         * 2 to be recycled: Memory
         spawn 3 in 1
         > started 3
         > too-large 1
         > scale 1
         drain 2
         ask 3 to stop
         * 1 to be recycled: Memory
         spawn 4 in 0
         > stop-now
         drain 1
         SIGKILL 1
         SIGKILL 2
         SIGKILL 3",
    );
}
