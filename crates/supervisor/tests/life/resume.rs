//! Transcripts of applications that another process goes on with.

use stead_supervisor::AppConfig;

use crate::{check, config};

#[test]
fn workers_serve_on_and_keep_their_records() {
    check(
        &AppConfig { instances: 2, restarts_max: 1, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         > started 1
         > started 2
         > ready 1
         route 1
         > resume
         route 1
         > exited 2 1
         * 2 exit code 1, next later
         > resume
         route 1
         > +1s
         spawn 3 in 1
         > resume
         route 1
         > started 3
         > exited 3 1
         * 3 exit code 1, slot failed for 60s
         > +59s
         > resume
         route 1
         > +1s
         spawn 4 in 1",
    );
}

#[test]
fn those_who_were_leaving_are_asked_again_and_keep_their_deadlines() {
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
         > resume
         drain 1
         > +1s
         ask 1 to stop
         > resume
         ask 1 to stop
         > +5s
         SIGTERM 1
         > resume
         SIGTERM 1
         > +3s
         SIGKILL 1
         > resume
         SIGKILL 1
         > killed 1
         * 1 left
         * stopped
         > resume
         > start
         spawn 2 in 0",
    );
}

#[test]
fn reload_goes_on() {
    check(
        &AppConfig { instances: 2, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         > started 1
         > started 2
         > ready 1
         route 1
         > ready 2
         route 2
         > reload 7
         * reload 7: 0/2
         spawn 3 in 0
         > reload 8
         > resume
         route 1
         route 2
         > started 3
         > ready 3
         route 3
         drain 1
         * reload 7: 1/2
         spawn 4 in 1
         > resume
         route 3
         drain 1
         route 2
         > started 4
         > ready 4
         route 4
         drain 2
         * reload 7: 2/2
         * reload 7 done
         * reload 8: 0/2",
    );
}

#[test]
fn worker_whose_time_to_get_ready_is_over_is_heard_first() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > +29s
         > resume
         > +900ms
         > resume
         > +999ms
         > ready 1
         route 1",
    );
}
