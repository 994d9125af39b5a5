//! Transcripts of workers that are unhealthy.

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
fn unhealthy_worker_is_ejected_and_comes_back_when_it_is_healthy() {
    check_two(
        "> unhealthy 1
         * 1 unhealthy
         suspend 1
         * 1 ejected
         > +10s
         > unhealthy 1
         > resume
         suspend 1
         route 2
         > +10s
         > ready 1
         route 1
         * 1 healthy after 20s
         > +60s",
    );
}

#[test]
fn when_nobody_is_healthy_everybody_serves() {
    check_two(
        "> unhealthy 1
         * 1 unhealthy
         suspend 1
         * 1 ejected
         > unhealthy 2
         * 2 unhealthy
         route 1
         * 1 restored
         > resume
         route 1
         route 2
         > ready 2
         * 2 healthy after 0ns
         suspend 1
         * 1 ejected
         > exited 2 1
         * 2 exit code 1, next now
         route 1
         * 1 restored
         spawn 3 in 1
         > started 3
         > ready 3
         route 3
         suspend 1
         * 1 ejected",
    );
}

#[test]
fn worker_that_stays_unhealthy_is_replaced() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > unhealthy 1
         > started 1
         > ready 1
         route 1
         > unhealthy 1
         * 1 unhealthy
         > +29s
         > +1s
         * 1 to be recycled: Unhealthy
         spawn 2 in 0
         > started 2
         > exited 2 1
         * 2 exit code 1, no next
         * 1 not recycled: the worker ended with exit code 1
         > +100ms
         * 1 to be recycled: Unhealthy
         spawn 3 in 0
         > started 3
         > ready 3
         route 3
         drain 1
         * 1 recycled",
    );
}

#[test]
fn worker_that_recovers_is_not_replaced() {
    check_two(
        "> too-large 2
         * 2 to be recycled: Memory
         spawn 3 in 1
         > unhealthy 1
         * 1 unhealthy
         suspend 1
         * 1 ejected
         > started 3
         > +29s
         > ready 3
         route 3
         drain 2
         * 2 recycled
         > +1s
         > ready 1
         route 1
         * 1 healthy after 30s
         > exited 2 0
         * 2 left
         > +90s",
    );
}

#[test]
fn unhealthy_worker_that_stops_listening_or_leaves_is_like_any_other() {
    check_two(
        "> unhealthy 1
         * 1 unhealthy
         suspend 1
         * 1 ejected
         > unready 1
         drain 1
         > unhealthy 1
         > ready 1
         route 1
         > unhealthy 1
         * 1 unhealthy
         suspend 1
         * 1 ejected
         > scale 0
         drain 2
         drain 1
         > drained 1
         ask 1 to stop
         > unhealthy 1
         > exited 1 0
         * 1 left",
    );
}
