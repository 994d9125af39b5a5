//! What follows a death: the restart policy, and the intensity at which a slot is given a rest.
//!
//! | death | counts | what follows |
//! |---|---|---|
//! | the policy does not want it back, or its exit code is one to stop after | no | nothing |
//! | from outside, had been ready | no | another at once |
//! | from outside, before ready | no | another after the first backoff, so that a killer cannot make it spin |
//! | ready for `stable_after` or longer | no, and the count begins anew | another at once |
//! | first unstable one, had been ready | yes | another at once |
//! | any other | yes | another after a backoff that grows with the count |
//! | more than `restarts_max` in `restarts_period`, or the try after a cool-down | yes | the slot has failed, cool-down |
//! | the program does not exist and nothing was ever ready | - | the slot has failed, cool-down |
//!
//! After a cool-down there is a single try, because whatever broke the slot is probably still broken.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::{self, Jitter};
use crate::config::AppConfig;
use crate::event::Next;
use crate::moment::Moment;
use crate::reason::Reason;

/// After which ends a worker is started again. Says nothing of processes that could not even be started: they are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// After a failure: anything but exit code 0.
    Transient,
    /// Never.
    Temporary,
}

impl Restart {
    fn wants_back(self, reason: &Reason) -> bool {
        match (self, reason) {
            (Self::Permanent, _) | (_, Reason::SpawnFailed { .. }) => true,
            (Self::Transient, Reason::Exited { exit }) => !exit.is_success(),
            (Self::Transient, _) => true,
            (Self::Temporary, _) => false,
        }
    }
}

/// The end of a worker that nobody had asked for.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    pub(crate) at: Moment,
    pub(crate) ready_since: Option<Moment>,
    pub(crate) reason: &'a Reason,
    /// The program does not exist and nothing was ever ready.
    pub(crate) hopeless: bool,
}

/// The deaths of one slot that count.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Within the period; never more than `restarts_max` plus one.
    deaths: VecDeque<Moment>,
    /// In a row, without a stable worker between them.
    unstable: u32,
    trust: Trust,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Trust {
    #[default]
    Normal,
    /// The slot had failed; one more death before ready and it has failed again.
    OnTrial,
}

impl Record {
    /// Decides what follows a death, and remembers it.
    pub(crate) fn judge(&mut self, death: &Death<'_>, config: &AppConfig, jitter: &mut Jitter) -> Next {
        if !config.restart.wants_back(death.reason) || is_stop_code(death.reason, config) {
            return Next::No;
        }
        if matches!(death.reason, Reason::Exited { exit } if exit.outside) {
            return match death.ready_since {
                Some(_) => Next::Now,
                None => Next::After(backoff::delay(1, config, jitter)),
            };
        }
        if is_stable(death.at, death.ready_since, config) {
            self.unstable = 0;
            return Next::Now;
        }
        self.count(death.at, config);
        if death.hopeless || self.trust == Trust::OnTrial || self.is_too_often(config) {
            self.trust = Trust::OnTrial;
            self.deaths.clear();
            // Even without a cool-down the tries keep the pace of the backoff.
            return Next::Failed {
                retry_in: config.cool_down.max(backoff::delay(self.unstable, config, jitter)),
            };
        }
        match (death.ready_since, self.unstable) {
            (Some(_), 1) => Next::Now,
            (Some(_), unstable) => Next::After(backoff::delay(unstable - 1, config, jitter)),
            (None, unstable) => Next::After(backoff::delay(unstable, config, jitter)),
        }
    }

    /// A worker became ready. True if the slot had failed before.
    pub(crate) fn is_recovered(&mut self) -> bool {
        std::mem::take(&mut self.trust) == Trust::OnTrial
    }

    /// Something changed from outside, so the past says little.
    pub(crate) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// Deaths in a row that counted, as of now.
    pub(crate) fn unstable(&self, now: Moment, ready_since: Option<Moment>, config: &AppConfig) -> u32 {
        if is_stable(now, ready_since, config) { 0 } else { self.unstable }
    }

    fn count(&mut self, at: Moment, config: &AppConfig) {
        self.unstable = self.unstable.saturating_add(1);
        self.deaths.push_back(at);
        while self.deaths.front().is_some_and(|&first| is_outside_window(first, at, config.restarts_period)) {
            self.deaths.pop_front();
        }
    }

    fn is_too_often(&self, config: &AppConfig) -> bool {
        self.deaths.len() > config.restarts_max as usize
    }
}

fn is_stop_code(reason: &Reason, config: &AppConfig) -> bool {
    let Reason::Exited { exit } = reason else { return false };
    exit.code.is_some_and(|code| config.stop_exit_codes.contains(&code))
}

fn is_outside_window(first: Moment, now: Moment, period: Duration) -> bool {
    // The death that is being judged always counts, even in a window of no length.
    first != now && now.saturating_duration_since(first) >= period
}

fn is_stable(now: Moment, ready_since: Option<Moment>, config: &AppConfig) -> bool {
    ready_since.is_some_and(|since| now.saturating_duration_since(since) >= config.stable_after)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::ReadyTimeout;
    use crate::exit::ExitKind;

    pub(crate) fn config() -> AppConfig {
        AppConfig {
            instances: 2,
            restart: Restart::Permanent,
            stop_exit_codes: Vec::new(),
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            stable_after: Duration::from_secs(1),
            restarts_max: 3,
            restarts_period: Duration::from_secs(60),
            cool_down: Duration::from_secs(60),
            ready_timeout: Duration::from_secs(30),
            on_ready_timeout: ReadyTimeout::Fail,
            grace: Duration::from_secs(30),
            terminate_after: Duration::from_secs(5),
            kill_after: Duration::from_secs(5),
            reload_parallel: 1,
            health_replace_after: Duration::from_secs(30),
        }
    }

    /// One death: at which second, ready for how many milliseconds before it, why.
    type Entry = (u64, Option<u64>, Reason);

    fn exited(code: i32) -> Reason {
        Reason::Exited { exit: ExitKind::by_code(code) }
    }

    fn killed() -> Reason {
        Reason::Exited { exit: ExitKind::by_signal(9, false, false) }
    }

    /// Jitter takes at most half of a delay away: one that is no longer than `backoff_first` may be the first, others are longer.
    fn word(next: Next, config: &AppConfig) -> String {
        match next {
            Next::Now => "now".to_owned(),
            Next::After(delay) if delay <= config.backoff_first => "first".to_owned(),
            Next::After(delay) if delay <= config.backoff_max => "longer".to_owned(),
            Next::After(delay) => format!("too long: {delay:?}"),
            Next::Failed { retry_in } => format!("failed {}", retry_in.as_secs()),
            Next::Reload | Next::No => "no".to_owned(),
        }
    }

    fn check(config: &AppConfig, deaths: &[Entry], expected: &[&str]) {
        let start = Moment::default();
        let (mut record, mut jitter) = (Record::default(), Jitter::new(3));
        let mut words = Vec::new();
        for (second, ready_for, reason) in deaths {
            let second = second + 1000;
            let at = start + Duration::from_secs(second);
            let ready_since = ready_for.map(|milliseconds| {
                start + (Duration::from_secs(second) - Duration::from_millis(milliseconds))
            });
            let death = Death { at, ready_since, reason, hopeless: false };
            words.push(word(record.judge(&death, config, &mut jitter), config));
        }
        assert_eq!(words, expected);
    }

    #[test]
    fn policy_decides_who_comes_back() {
        for (restart, code, expected) in [
            (Restart::Permanent, 0, "now"),
            (Restart::Permanent, 1, "now"),
            (Restart::Transient, 0, "no"),
            (Restart::Transient, 1, "now"),
            (Restart::Temporary, 0, "no"),
            (Restart::Temporary, 1, "no"),
        ] {
            check(&AppConfig { restart, ..config() }, &[(0, Some(5000), exited(code))], &[expected]);
        }
    }

    #[test]
    fn code_to_stop_after_is_final_under_every_policy() {
        for (restart, code, expected) in [
            (Restart::Permanent, 3, "no"),
            (Restart::Permanent, 0, "no"),
            (Restart::Permanent, 1, "now"),
            (Restart::Transient, 3, "no"),
            (Restart::Transient, 1, "now"),
        ] {
            let config = AppConfig { restart, stop_exit_codes: vec![3, 0], ..config() };
            check(&config, &[(0, Some(5000), exited(code))], &[expected]);
        }
        let config = AppConfig { stop_exit_codes: vec![9], ..config() };
        check(&config, &[(0, Some(5000), killed())], &["now"]);
    }

    #[test]
    fn spawn_failure_is_tried_again_under_every_policy() {
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let failed = Reason::SpawnFailed { reason: "no more processes".to_owned(), fatal: false };
            check(&AppConfig { restart, ..config() }, &[(0, None, failed)], &["first"]);
        }
    }

    #[test]
    fn stable_worker_is_replaced_at_once_however_often() {
        let deaths: Vec<Entry> = (0..20).map(|second| (second, Some(1000), exited(1))).collect();
        check(&config(), &deaths, &["now"; 20]);
    }

    #[test]
    fn death_from_outside_never_counts() {
        let deaths: Vec<Entry> = (0..20).map(|second| (second, Some(1), killed())).collect();
        check(&config(), &deaths, &["now"; 20]);
        let deaths: Vec<Entry> = (0..20).map(|second| (second, None, killed())).collect();
        check(&config(), &deaths, &["first"; 20]);
    }

    #[test]
    fn too_many_deaths_fail_the_slot_and_the_trial_after_it_is_single() {
        let deaths: Vec<Entry> = [0, 1, 2, 3, 100].map(|second| (second, None, exited(1))).to_vec();
        check(&config(), &deaths, &["first", "longer", "longer", "failed 60", "failed 60"]);
        let deaths: Vec<Entry> = [0, 1, 2, 3].map(|second| (second, Some(10), exited(1))).to_vec();
        check(&config(), &deaths, &["now", "first", "longer", "failed 60"]);
    }

    #[test]
    fn deaths_far_apart_do_not_fail_the_slot() {
        let deaths: Vec<Entry> = [0, 30, 60, 90, 120].map(|second| (second, None, exited(1))).to_vec();
        check(&config(), &deaths, &["first", "longer", "longer", "longer", "longer"]);
    }

    #[test]
    fn no_restart_allowed_means_the_first_death_fails_the_slot() {
        let config = AppConfig { restarts_max: 0, restarts_period: Duration::ZERO, ..config() };
        check(&config, &[(0, None, exited(1))], &["failed 60"]);
    }

    #[test]
    fn a_stable_worker_resets_the_backoff() {
        let deaths =
            [(0, None, exited(1)), (1, None, exited(1)), (2, Some(2000), exited(1)), (3, None, exited(1))];
        check(&AppConfig { restarts_max: 9, ..config() }, &deaths, &["first", "longer", "now", "first"]);
    }

    #[test]
    fn missing_cool_down_still_keeps_the_pace_of_the_backoff() {
        let config = AppConfig { restarts_max: 0, cool_down: Duration::ZERO, ..config() };
        let reason = exited(1);
        let death = Death { at: Moment::default(), ready_since: None, reason: &reason, hopeless: false };
        let next = Record::default().judge(&death, &config, &mut Jitter::new(1));
        assert!(
            matches!(next, Next::Failed { retry_in } if retry_in >= Duration::from_millis(50)),
            "{next:?}"
        );
    }
}
