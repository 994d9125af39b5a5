//! Decides what the keeper does about its daemon.
//!
//! Pure: no clock, no process. `server.rs` feeds it and performs.
//!
//! | state | means | leaves on |
//! |---|---|---|
//! | waiting | no daemon; one is due at a moment | started -> running, stop signal -> ending |
//! | running | the daemon is alive | its death -> waiting (or ending if it had been asked to stop), `finish` -> finishing |
//! | | | it hands over -> running with its successor, or waiting if there is none |
//! | finishing | it said `finish` and is about to exit | its death or too long a wait -> ending |
//! | ending | everything that is left is being ended | nothing is left, or too long a wait -> over |
//! | over | the keeper exits | |

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::signal::Signal;

/// Delay before the first restart of the daemon; doubles with each that did not come so far as to serve.
const BACKOFF_FIRST: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A daemon that lived this long is no longer crash-looping.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// A daemon that has not read a request to stop for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// How long a daemon may take to exit after `finish`.
const FINISH_WAIT: Duration = Duration::from_secs(5);

/// How long the keeper waits for the last children. Longer than `children::TERMINATE_WAIT`; what survives SIGKILL until
/// then hangs in the kernel, and dies when that lets go of it.
const END_WAIT: Duration = Duration::from_secs(5);

/// The code when the daemon cannot be started at all.
const EXIT_NO_DAEMON: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Started,
    NotStarted,
    /// The daemon has taken over everything and works.
    Serving,
    /// The daemon is dead and reaped.
    Gone,
    /// It has handed over: to a successor that runs already, or to nobody.
    HandedOver {
        successor: bool,
    },
    /// It is alive, but its connection is closed, garbled or stuck.
    Mute,
    Finish(u8),
    /// `reads`: the daemon has read everything it was sent so far.
    Signal {
        signal: Signal,
        reads: bool,
    },
    /// Neither daemon nor workers are left.
    NothingLeft,
    Timeout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Forward(Signal),
    KillDaemon,
    /// SIGTERM now, SIGKILL after a while.
    EndWorkers,
    KillWorkers,
    /// Tell the user.
    Restarting(Duration),
    Exit(u8),
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting { start_at: Instant },
    Running { since: Instant, stop: Option<Stop> },
    Finishing { code: u8, kill_at: Instant },
    Ending { code: u8, give_up_at: Instant },
    Over,
}

/// The user wants the daemon to end.
#[derive(Debug, Clone, Copy)]
struct Stop {
    signal: Signal,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct Policy {
    state: State,
    backoff: Duration,
    ever_started: bool,
    /// Signals for the next daemon, each at most once.
    kept: Vec<Signal>,
    actions: VecDeque<Action>,
}

impl Policy {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Waiting { start_at: now },
            backoff: BACKOFF_FIRST,
            ever_started: false,
            kept: Vec::new(),
            actions: VecDeque::new(),
        }
    }

    /// Of a daemon that has run so long under another keeper.
    pub(super) fn resume(now: Instant, running: Duration, backoff: Duration) -> Self {
        let since = now.checked_sub(running).unwrap_or(now);
        let state = State::Running { since, stop: None };
        Self { state, backoff, ever_started: true, kept: Vec::new(), actions: VecDeque::new() }
    }

    /// How long the daemon has run.
    pub(super) fn running(&self, now: Instant) -> Duration {
        match self.state {
            State::Running { since, .. } => now.duration_since(since),
            State::Waiting { .. } | State::Finishing { .. } | State::Ending { .. } | State::Over => {
                Duration::ZERO
            }
        }
    }

    pub(super) fn backoff(&self) -> Duration {
        self.backoff
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { start_at } => Some(start_at),
            State::Finishing { kill_at, .. } => Some(kill_at),
            State::Ending { give_up_at, .. } => Some(give_up_at),
            State::Running { .. } | State::Over => None,
        }
    }

    /// A daemon is alive and nobody wants it to end.
    pub(super) fn is_steady(&self) -> bool {
        matches!(self.state, State::Running { stop: None, .. })
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input) {
        match self.state {
            State::Waiting { start_at } => self.while_waiting(now, start_at, input),
            State::Running { since, stop } => self.while_running(now, (since, stop), input),
            State::Finishing { code, kill_at } => self.while_finishing(now, (code, kill_at), input),
            State::Ending { code, give_up_at } => self.while_ending(now, (code, give_up_at), input),
            State::Over => (),
        }
    }

    /// Waiting => (Waiting | Running | Ending)
    fn while_waiting(&mut self, now: Instant, start_at: Instant, input: Input) {
        match input {
            Input::Timeout if start_at <= now => self.act(Action::Start),
            Input::Started => self.run(now),
            Input::NotStarted if self.ever_started => self.wait(now),
            Input::NotStarted => self.end(now, EXIT_NO_DAEMON, Action::KillWorkers),
            Input::Signal { signal, .. } if signal.asks_to_stop() => {
                self.end(now, stopped_by(signal), Action::EndWorkers);
            }
            Input::Signal { signal, .. } => self.keep(signal),
            // Last words of the daemon before: it is dead already.
            Input::Finish(_) | Input::Gone | Input::Mute | Input::HandedOver { .. } | Input::Serving => (),
            Input::Timeout | Input::NothingLeft => (),
        }
    }

    /// Running => (Running | Finishing | Waiting | Ending)
    fn while_running(&mut self, now: Instant, (since, stop): (Instant, Option<Stop>), input: Input) {
        match (input, stop) {
            // It crashed while it was stopping; to start the service again would be the opposite of what was asked.
            (Input::Gone, Some(stop)) => self.end(now, stopped_by(stop.signal), Action::EndWorkers),
            (Input::Gone, None) => {
                if now.duration_since(since) >= STABLE_AFTER {
                    self.backoff = BACKOFF_FIRST;
                }
                self.wait(now);
            }
            (Input::HandedOver { successor: true }, stop) => self.state = State::Running { since: now, stop },
            (Input::HandedOver { successor: false }, Some(stop)) => {
                self.end(now, stopped_by(stop.signal), Action::EndWorkers);
            }
            (Input::HandedOver { successor: false }, None) => self.state = State::Waiting { start_at: now },
            (Input::Serving, _) => self.backoff = BACKOFF_FIRST,
            (Input::Mute, _) => self.act(Action::KillDaemon),
            (Input::Finish(code), _) => self.state = State::Finishing { code, kill_at: now + FINISH_WAIT },
            // Asked again, and it has not even read the first request: it is stuck.
            (Input::Signal { signal, reads: false }, Some(stop))
                if signal.asks_to_stop() && now.duration_since(stop.since) >= STUCK_AFTER =>
            {
                self.act(Action::KillDaemon);
            }
            (Input::Signal { signal, .. }, _) => {
                let asked = signal.asks_to_stop().then_some(Stop { signal, since: now });
                self.state = State::Running { since, stop: stop.or(asked) };
                self.act(Action::Forward(signal));
            }
            (Input::Timeout | Input::NothingLeft | Input::Started | Input::NotStarted, _) => (),
        }
    }

    /// Finishing => (Finishing | Ending)
    fn while_finishing(&mut self, now: Instant, (code, kill_at): (u8, Instant), input: Input) {
        match input {
            Input::Gone => self.end(now, code, Action::KillWorkers),
            Input::Timeout if kill_at <= now => {
                self.act(Action::KillDaemon);
                self.end(now, code, Action::KillWorkers);
            }
            Input::Signal { signal, .. } if signal.asks_to_stop() => self.act(Action::KillDaemon),
            // It closes its connection before it exits; a reload has nobody to go to any more.
            Input::Mute
            | Input::Finish(_)
            | Input::Signal { .. }
            | Input::HandedOver { .. }
            | Input::Serving => (),
            Input::Timeout | Input::NothingLeft | Input::Started | Input::NotStarted => (),
        }
    }

    /// Ending => (Ending | Over)
    fn while_ending(&mut self, now: Instant, (code, give_up_at): (u8, Instant), input: Input) {
        match input {
            Input::NothingLeft => self.exit(code),
            Input::Timeout if give_up_at <= now => self.exit(code),
            Input::Signal { signal, .. } if signal.asks_to_stop() => self.act(Action::KillWorkers),
            Input::Signal { .. } | Input::Gone | Input::Mute | Input::Finish(_) => (),
            Input::HandedOver { .. } | Input::Serving => (),
            Input::Timeout | Input::Started | Input::NotStarted => (),
        }
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn run(&mut self, now: Instant) {
        self.ever_started = true;
        self.state = State::Running { since: now, stop: None };
        self.actions.extend(self.kept.drain(..).map(Action::Forward));
    }

    fn wait(&mut self, now: Instant) {
        self.act(Action::Restarting(self.backoff));
        self.state = State::Waiting { start_at: now + self.backoff };
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    fn keep(&mut self, signal: Signal) {
        if !self.kept.contains(&signal) {
            self.kept.push(signal);
        }
    }

    fn end(&mut self, now: Instant, code: u8, how: Action) {
        self.act(how);
        self.state = State::Ending { code, give_up_at: now + END_WAIT };
    }

    fn exit(&mut self, code: u8) {
        self.state = State::Over;
        self.act(Action::Exit(code));
    }
}

/// As a shell reports it.
fn stopped_by(signal: Signal) -> u8 {
    128 + u8::try_from(signal.number()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const INT: Input = Input::Signal { signal: Signal::INT, reads: true };
    const INT_UNREAD: Input = Input::Signal { signal: Signal::INT, reads: false };
    const HUP: Input = Input::Signal { signal: Signal::HUP, reads: true };

    /// Each input with the milliseconds since the one before; the actions of all of them.
    #[track_caller]
    fn check(inputs: &[(u64, Input)], expected: &[Action]) {
        let mut now = Instant::now();
        let mut policy = Policy::new(now);
        let mut actions = Vec::new();
        for &(wait, input) in inputs {
            now += ms(wait);
            policy.handle(now, input);
            actions.extend(std::iter::from_fn(|| policy.poll_action()));
        }
        assert_eq!(actions, expected);
    }

    const BEGIN: [(u64, Input); 2] = [(0, Input::Timeout), (0, Input::Started)];

    #[track_caller]
    fn check_running(inputs: &[(u64, Input)], expected: &[Action]) {
        check(&[&BEGIN, inputs].concat(), &[&[Start], expected].concat());
    }

    #[test]
    fn a_dead_daemon_is_started_again_later_each_time() {
        let death = [(0, Input::Gone), (5000, Input::Timeout), (0, Input::Started)];
        let expected = |wait| [Restarting(ms(wait)), Start];
        let mut inputs = Vec::new();
        let mut actions = Vec::new();
        for wait in [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000] {
            inputs.extend(death);
            actions.extend(expected(wait));
        }
        inputs.extend([
            (9999, Input::Gone),
            (5000, Input::Timeout),
            (0, Input::Started),
            (10_000, Input::Gone),
        ]);
        actions.extend(expected(5000));
        actions.push(Restarting(ms(10)));
        check_running(&inputs, &actions);
    }

    #[test]
    fn a_daemon_that_served_is_started_again_soon() {
        let early = [
            (0, Input::Gone),
            (10, Input::Timeout),
            (0, Input::Started),
            (0, Input::Gone),
            (20, Input::Timeout),
        ];
        let life = [(0, Input::Started), (1, Input::Serving), (9, Input::Gone), (10, Input::Timeout)];
        let mut inputs = early.to_vec();
        let mut actions = vec![Restarting(ms(10)), Start, Restarting(ms(20)), Start];
        for _ in 0..3 {
            inputs.extend(life);
            actions.extend([Restarting(ms(10)), Start]);
        }
        check_running(&inputs, &actions);
    }

    #[test]
    fn it_is_not_started_before_its_time() {
        check_running(
            &[(0, Input::Gone), (9, Input::Timeout), (1, Input::Timeout)],
            &[Restarting(ms(10)), Start],
        );
    }

    #[test]
    fn a_daemon_that_never_started_ends_the_keeper() {
        check(
            &[(0, Input::Timeout), (0, Input::NotStarted), (0, Input::NothingLeft)],
            &[Start, KillWorkers, Exit(EXIT_NO_DAEMON)],
        );
    }

    #[test]
    fn a_daemon_that_started_once_is_tried_for_ever() {
        check_running(
            &[(0, Input::Gone), (10, Input::Timeout), (0, Input::NotStarted), (20, Input::Timeout)],
            &[Restarting(ms(10)), Start, Restarting(ms(20)), Start],
        );
    }

    #[test]
    fn finish_ends_the_keeper_with_its_code() {
        check_running(
            &[(0, Input::Finish(7)), (0, Input::Mute), (1, Input::Gone), (1, Input::NothingLeft)],
            &[KillWorkers, Exit(7)],
        );
    }

    #[test]
    fn a_daemon_that_does_not_exit_after_finish_is_killed() {
        check_running(
            &[(0, Input::Finish(7)), (4999, Input::Timeout), (1, Input::Timeout), (1, Input::NothingLeft)],
            &[KillDaemon, KillWorkers, Exit(7)],
        );
    }

    #[test]
    fn signals_are_forwarded_and_kept_while_there_is_no_daemon() {
        check_running(
            &[(0, HUP), (0, Input::Gone), (1, HUP), (1, HUP), (8, Input::Timeout), (0, Input::Started)],
            &[Forward(Signal::HUP), Restarting(ms(10)), Start, Forward(Signal::HUP)],
        );
    }

    #[test]
    fn a_stop_signal_ends_a_keeper_whose_daemon_crash_loops() {
        check_running(
            &[(0, Input::Gone), (1, INT), (1, INT), (1, Input::NothingLeft)],
            &[Restarting(ms(10)), EndWorkers, KillWorkers, Exit(130)],
        );
    }

    #[test]
    fn a_daemon_that_dies_while_stopping_is_not_started_again() {
        check_running(
            &[(0, INT), (1, Input::Gone), (1, Input::NothingLeft)],
            &[Forward(Signal::INT), EndWorkers, Exit(130)],
        );
    }

    #[test]
    fn a_second_stop_reaches_a_daemon_that_reads_and_kills_one_that_does_not() {
        check_running(&[(0, INT), (1000, INT)], &[Forward(Signal::INT), Forward(Signal::INT)]);
        check_running(&[(0, INT), (1000, INT_UNREAD)], &[Forward(Signal::INT), KillDaemon]);
        let both = [Forward(Signal::INT), Forward(Signal::INT)];
        check_running(&[(0, INT), (999, INT_UNREAD)], &both);
        check_running(&[(0, INT_UNREAD)], &[Forward(Signal::INT)]);
    }

    #[test]
    fn a_mute_daemon_is_killed() {
        check_running(&[(0, Input::Mute)], &[KillDaemon]);
    }

    #[test]
    fn what_hangs_in_the_kernel_does_not_hold_the_keeper() {
        check_running(
            &[(0, Input::Finish(0)), (0, Input::Gone), (4999, Input::Timeout), (1, Input::Timeout)],
            &[KillWorkers, Exit(0)],
        );
    }
}
