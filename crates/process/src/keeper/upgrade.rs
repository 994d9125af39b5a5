//! Decides how one daemon replaces another.
//!
//! Pure: no clock, no process. `succession.rs` feeds it and performs. Until the old daemon has handed over, a successor
//! that fails costs nothing; from then on the successor *is* the daemon, and if it fails the old program is started again
//! as after any death.
//!
//! | state | means | leaves on |
//! |---|---|---|
//! | idle | no upgrade | asked -> preparing |
//! | preparing | the successor starts | prepared -> handing over; its end, or too long a wait -> idle |
//! | handing over | the old daemon finishes its state | handed over -> beginning; an end, or too long a wait -> idle |
//! | beginning | the successor is the daemon and takes over | serving -> idle, and the keeper renews itself; its end -> idle |

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a successor may take to be prepared.
const PREPARED_WAIT: Duration = Duration::from_secs(10);

/// How long the old daemon may take to hand over.
const HANDED_OVER_WAIT: Duration = Duration::from_secs(10);

/// How long the successor may take to serve.
const SERVING_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// The daemon wants to be replaced.
    Asked,
    Started,
    /// It could not even be started, and why.
    NotStarted(String),
    /// The successor is prepared.
    Prepared,
    /// The successor ended or declined, and how.
    SuccessorGone(String),
    /// The daemon has handed over.
    HandedOver,
    /// The successor, being the daemon now, serves.
    Serving,
    /// The daemon is dead.
    DaemonGone,
    /// The user wants everything to end.
    Stop,
    Timeout,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    /// Have the old daemon hand over.
    Offer,
    /// The successor is the daemon now; the old one lingers.
    Promote,
    /// The daemon lingers and there is no other; start one.
    Abdicate,
    KillSuccessor,
    KillDaemon,
    /// Tell the daemon, in words.
    Fail(String),
    /// Tell the daemon that there is an upgrade already.
    Refuse,
    /// Execute the new binary in place.
    Renew,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    Preparing { until: Instant },
    HandingOver { until: Instant },
    Beginning { until: Instant },
}

#[derive(Debug)]
pub(super) struct Upgrade {
    state: State,
    actions: VecDeque<Action>,
}

impl Upgrade {
    pub(super) fn new() -> Self {
        Self { state: State::Idle, actions: VecDeque::new() }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Preparing { until } | State::HandingOver { until } | State::Beginning { until } => {
                Some(until)
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input) {
        match self.state {
            State::Idle => self.while_idle(now, input),
            State::Preparing { until } => self.while_preparing(now, until, input),
            State::HandingOver { until } => self.while_handing_over(now, until, input),
            State::Beginning { until } => self.while_beginning(now, until, &input),
        }
    }

    /// Idle => (Idle | Preparing)
    fn while_idle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Asked => self.act(Action::Start),
            Input::Started => self.state = State::Preparing { until: now + PREPARED_WAIT },
            Input::NotStarted(why) => self.act(Action::Fail(why)),
            // The successor died while these words were on their way, and was not missed by the one who said them.
            Input::HandedOver => self.act(Action::Abdicate),
            Input::Prepared | Input::SuccessorGone(_) | Input::Serving => (),
            Input::DaemonGone | Input::Stop | Input::Timeout => (),
        }
    }

    /// Preparing => (Preparing | HandingOver | Idle)
    fn while_preparing(&mut self, now: Instant, until: Instant, input: Input) {
        match input {
            Input::Prepared => {
                self.act(Action::Offer);
                self.state = State::HandingOver { until: now + HANDED_OVER_WAIT };
            }
            Input::SuccessorGone(how) => {
                self.fail(format!("the new daemon ended before it was ready ({how})"));
            }
            Input::Timeout if until <= now => {
                self.abort(format!("the new daemon was not ready within {PREPARED_WAIT:?}"));
            }
            Input::Stop => self.abort("the service is being stopped".to_owned()),
            Input::DaemonGone => self.give_up(),
            // Nobody offered it anything yet: it has not waited for the successor.
            Input::HandedOver => {
                self.give_up();
                self.act(Action::Abdicate);
            }
            Input::Asked => self.act(Action::Refuse),
            Input::Serving | Input::Started | Input::NotStarted(_) | Input::Timeout => (),
        }
    }

    /// HandingOver => (HandingOver | Beginning | Idle)
    fn while_handing_over(&mut self, now: Instant, until: Instant, input: Input) {
        match input {
            Input::HandedOver => {
                self.act(Action::Promote);
                self.state = State::Beginning { until: now + SERVING_WAIT };
            }
            Input::SuccessorGone(how) => {
                self.fail(format!("the new daemon ended before it took over ({how})"));
            }
            Input::Timeout if until <= now => {
                self.abort(format!("the running daemon did not hand over within {HANDED_OVER_WAIT:?}"));
            }
            Input::Stop => self.abort("the service is being stopped".to_owned()),
            Input::DaemonGone => self.give_up(),
            Input::Asked => self.act(Action::Refuse),
            Input::Prepared | Input::Serving | Input::Started | Input::NotStarted(_) | Input::Timeout => (),
        }
    }

    /// Beginning => (Beginning | Idle)
    fn while_beginning(&mut self, now: Instant, until: Instant, input: &Input) {
        match input {
            Input::Serving => {
                self.act(Action::Renew);
                self.state = State::Idle;
            }
            Input::DaemonGone => self.state = State::Idle,
            Input::Timeout if until <= now => {
                self.act(Action::KillDaemon);
                self.state = State::Idle;
            }
            Input::Asked => self.act(Action::Refuse),
            // It hands over what it has not taken over yet; a new one will.
            Input::HandedOver => {
                self.act(Action::Abdicate);
                self.state = State::Idle;
            }
            Input::Prepared | Input::SuccessorGone(_) | Input::Stop | Input::Timeout => (),
            Input::Started | Input::NotStarted(_) => (),
        }
    }

    fn fail(&mut self, why: String) {
        self.act(Action::Fail(why));
        self.state = State::Idle;
    }

    fn give_up(&mut self) {
        self.act(Action::KillSuccessor);
        self.state = State::Idle;
    }

    fn abort(&mut self, why: String) {
        self.act(Action::KillSuccessor);
        self.fail(why);
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

#[cfg(test)]
mod tests {
    use super::Input::*;
    use super::*;

    /// Each input with the seconds since the one before; the actions of all of them, in short.
    #[track_caller]
    fn check(inputs: &[(u64, Input)], expected: &[&str]) {
        let mut now = Instant::now();
        let mut upgrade = Upgrade::new();
        let mut actions = Vec::new();
        for (wait, input) in inputs {
            now += Duration::from_secs(*wait);
            upgrade.handle(now, input.clone());
            actions.extend(std::iter::from_fn(|| upgrade.poll_action()));
        }
        let words: Vec<String> = actions
            .into_iter()
            .map(|action| match action {
                Action::Fail(why) => why,
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(words, expected);
    }

    fn gone() -> Input {
        SuccessorGone("exit code 1".to_owned())
    }

    #[test]
    fn a_successor_takes_over() {
        let inputs = [(0, Asked), (0, Started), (9, Prepared), (9, HandedOver), (29, Serving), (99, Timeout)];
        check(&inputs, &["Start", "Offer", "Promote", "Renew"]);
    }

    #[test]
    fn a_successor_that_fails_early_is_told_to_the_old_daemon() {
        check(
            &[(0, Asked), (0, NotStarted("program `x` not found".into()))],
            &["Start", "program `x` not found"],
        );
        let ended = "the new daemon ended before it was ready (exit code 1)";
        check(&[(0, Asked), (0, Started), (1, gone())], &["Start", ended]);
        let late = "the new daemon was not ready within 10s";
        check(&[(0, Asked), (0, Started), (10, Timeout), (0, gone())], &["Start", "KillSuccessor", late]);
        let ended = "the new daemon ended before it took over (exit code 1)";
        check(&[(0, Asked), (0, Started), (1, Prepared), (1, gone())], &["Start", "Offer", ended]);
        let late = "the running daemon did not hand over within 10s";
        check(
            &[(0, Asked), (0, Started), (0, Prepared), (10, Timeout)],
            &["Start", "Offer", "KillSuccessor", late],
        );
    }

    #[test]
    fn words_that_cross_leave_a_daemon() {
        let ended = "the new daemon ended before it took over (exit code 1)";
        check(
            &[(0, Asked), (0, Started), (0, Prepared), (0, gone()), (0, HandedOver)],
            &["Start", "Offer", ended, "Abdicate"],
        );
        check(&[(0, HandedOver)], &["Abdicate"]);
        check(
            &[(0, Asked), (0, Started), (0, HandedOver), (0, Prepared)],
            &["Start", "KillSuccessor", "Abdicate"],
        );
    }

    #[test]
    fn a_successor_that_fails_late_is_followed_by_the_old_program() {
        let begun = [(0, Asked), (0, Started), (0, Prepared), (0, HandedOver)];
        let expected = ["Start", "Offer", "Promote"];
        check(&[begun.as_slice(), &[(0, DaemonGone), (99, Timeout)]].concat(), &expected);
        check(
            &[begun.as_slice(), &[(29, Timeout), (1, Timeout)]].concat(),
            &["Start", "Offer", "Promote", "KillDaemon"],
        );
    }

    #[test]
    fn the_end_of_the_old_daemon_ends_the_upgrade() {
        check(&[(0, Asked), (0, Started), (0, DaemonGone)], &["Start", "KillSuccessor"]);
        check(
            &[(0, Asked), (0, Started), (0, Prepared), (0, DaemonGone)],
            &["Start", "Offer", "KillSuccessor"],
        );
        let stopped = "the service is being stopped";
        check(&[(0, Asked), (0, Started), (0, Stop)], &["Start", "KillSuccessor", stopped]);
    }

    #[test]
    fn there_is_one_upgrade_at_a_time() {
        let refused = "Refuse";
        check(
            &[(0, Asked), (0, Started), (0, Asked), (0, Prepared), (0, Asked), (0, HandedOver), (0, Asked)],
            &["Start", refused, "Offer", refused, "Promote", refused],
        );
    }
}
