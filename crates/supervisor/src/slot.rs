//! Keeps one place of an application filled: a worker, the one that replaces it, and those that are on their way out.
//!
//! | state | what is there | leaves for |
//! |---|---|---|
//! | down | nothing; perhaps a time of the next try | up, reloading |
//! | up | the worker | down, failing, failed, reloading |
//! | failing | a worker that was never ready, being stopped | down, failed, reloading |
//! | reloading | the old worker, unless it died, and the new one | up (new ready, or given up), down, failed |
//! | failed | nothing, until the cool-down is over | up, reloading |
//!
//! *Wanted* stands beside it: a slot that is not wanted goes down, and all its workers leave. Workers on their way out do not belong to
//! the state: they have no requests to lose that another could take, and end by their own deadlines. A wedged one is among them, so
//! that its place is filled at once. A worker that was never ready is replaced only when it is gone: two that do not start are
//! worse than one.

use std::mem;

use serde::{Deserialize, Serialize};

use crate::announce::{self, Ending};
use crate::event::{Event, Next, Readiness, WorkerId};
use crate::moment::Moment;
use crate::reason::Reason;
use crate::restart::{Death, Record};
use crate::turn::{Standing, Turn};
use crate::worker::{self, Worker};

/// With so many workers still on their way out a slot starts no other: memory is finite.
const LEAVING_MAX: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    index: u32,
    wanted: Wanted,
    state: State,
    leaving: Vec<Worker>,
    record: Record,
    restarts: u32,
    exit_last: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Wanted {
    Up,
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Without `try_at` it stays so: not wanted, or finished.
    Down {
        since: Moment,
        try_at: Option<Moment>,
    },
    Up(Worker),
    Failing(Worker, Reason),
    Reloading(Change),
    Failed {
        since: Moment,
        try_at: Moment,
        reason: Reason,
    },
}

/// The two workers of a slot that is being reloaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// None if it died meanwhile, or there was none.
    pub(crate) old: Option<Worker>,
    pub(crate) new: Worker,
}

/// A worker that failed, and why.
#[derive(Debug)]
struct Loss<'a> {
    worker: &'a Worker,
    reason: Reason,
}

/// What the application has to know.
#[derive(Debug)]
pub(crate) enum News {
    /// The reload of this slot is done.
    Replaced,
    /// The new worker of the reload failed; the slot has already gone back.
    NotReplaced(Reason),
}

impl Slot {
    /// A slot whose first worker is still to be started.
    pub(crate) fn new(index: u32, now: Moment) -> Self {
        let state = State::Down { since: now, try_at: Some(now) };
        let (leaving, record) = (Vec::new(), Record::default());
        Self { index, wanted: Wanted::Up, state, leaving, record, restarts: 0, exit_last: None }
    }

    /// Something happened to one of its workers.
    pub(crate) fn handle(
        &mut self,
        id: WorkerId,
        input: &worker::Input,
        turn: &mut Turn<'_>,
    ) -> Option<News> {
        if let Some(place) = self.leaving.iter().position(|worker| worker.id() == id) {
            if let Some(worker::News::Ended(reason)) = self.leaving[place].handle(input, turn) {
                self.leaving.remove(place);
                let ending = Ending { worker: id, slot: self.index, expected: true, next: Next::No };
                announce::ended(&reason, &ending, turn);
            }
            return None;
        }
        let (state, news) = match self.take_state(turn) {
            State::Up(worker) if worker.id() == id => self.up(worker, input, turn),
            State::Failing(mut worker, reason) if worker.id() == id => match worker.handle(input, turn) {
                Some(worker::News::Ended(end)) => {
                    let (state, next) = self.fail(&worker, reason, turn);
                    let ending = Ending { worker: id, slot: self.index, expected: true, next };
                    announce::ended(&end, &ending, turn);
                    (state, None)
                }
                _ => (State::Failing(worker, reason), None),
            },
            State::Reloading(change) if change.new.id() == id => self.reloading_new(change, input, turn),
            State::Reloading(change) => (self.reloading_old(change, input, turn), None),
            other => (other, None),
        };
        self.state = state;
        news
    }

    /// One of its workers no longer answers: it is taken out and replaced at once.
    pub(crate) fn handle_wedged(&mut self, id: WorkerId, turn: &mut Turn<'_>) -> Option<News> {
        let (worker, state, next, news) = match self.take_state(turn) {
            State::Up(worker) if worker.id() == id => {
                let (state, next) = self.fail(&worker, Reason::Wedged, turn);
                (worker, state, next, None)
            }
            State::Reloading(Change { old: Some(old), new }) if old.id() == id => {
                self.exit_last = Some(Reason::Wedged.to_string());
                (old, State::Reloading(Change { old: None, new }), Next::Reload, None)
            }
            State::Reloading(change) if change.new.id() == id => {
                let Change { old, new } = change;
                let (state, next) = self.go_back(old, Loss { worker: &new, reason: Reason::Wedged }, turn);
                (new, state, next, Some(News::NotReplaced(Reason::Wedged)))
            }
            other => {
                self.state = other;
                return self.handle(id, &worker::Input::Eject, turn);
            }
        };
        self.state = state;
        turn.tell(Event::WorkerWedged { worker: id, slot: self.index, next });
        self.set_aside(worker, &worker::Input::Eject, turn);
        news
    }

    /// Another process goes on with it.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) {
        match &mut self.state {
            State::Up(worker) | State::Failing(worker, _) => worker.resume(turn),
            State::Reloading(Change { old, new }) => {
                old.iter_mut().for_each(|old| old.resume(turn));
                new.resume(turn);
            }
            State::Down { .. } | State::Failed { .. } => (),
        }
        self.leaving.iter_mut().for_each(|worker| worker.resume(turn));
    }

    /// A worker whose deadline has come.
    pub(crate) fn due(&self, now: Moment) -> Option<WorkerId> {
        let is_due = |worker: &&Worker| worker.poll_timeout().is_some_and(|deadline| deadline <= now);
        self.workers().find(is_due).map(Worker::id)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.workers().filter_map(Worker::poll_timeout).chain(self.try_at()).min()
    }

    /// Starts a worker if one is due.
    pub(crate) fn fill(&mut self, turn: &mut Turn<'_>) {
        if self.try_at().is_some_and(|try_at| try_at <= turn.now) {
            if matches!(self.state, State::Failed { .. }) {
                self.restarts += 1;
            }
            self.state = State::Up(Worker::spawn(self.index, turn));
        }
    }

    /// A worker is wanted here.
    pub(crate) fn want_up(&mut self, now: Moment) {
        if self.wanted == Wanted::Down {
            self.wanted = Wanted::Up;
            self.state = State::Down { since: now, try_at: Some(now) };
        }
    }

    /// Nothing is wanted here any more: what is there leaves, in the way that `how` says.
    pub(crate) fn want_down(&mut self, how: &worker::Input, turn: &mut Turn<'_>) {
        self.wanted = Wanted::Down;
        for worker in &mut self.leaving {
            worker.handle(how, turn);
        }
        match self.take_state(turn) {
            State::Up(worker) | State::Failing(worker, _) => self.set_aside(worker, how, turn),
            State::Reloading(Change { old, new }) => {
                for worker in old.into_iter().chain([new]) {
                    self.set_aside(worker, how, turn);
                }
            }
            State::Down { .. } | State::Failed { .. } => (),
        }
    }

    /// Starts a new worker beside whatever is there.
    pub(crate) fn reload(&mut self, turn: &mut Turn<'_>) {
        assert!(self.is_free_to_reload(), "a slot is reloaded only when nothing is leaving it");
        let old = match self.take_state(turn) {
            State::Up(worker) => Some(worker),
            State::Failing(worker, _) => {
                self.set_aside(worker, &worker::Input::Retire, turn);
                None
            }
            State::Down { .. } | State::Failed { .. } => None,
            State::Reloading(_) => unreachable!("a slot takes part in one reload at a time"),
        };
        self.state = State::Reloading(Change { old, new: Worker::spawn(self.index, turn) });
    }

    /// The reload ended elsewhere: the old worker serves on; without one the new one is kept.
    pub(crate) fn cancel_reload(&mut self, turn: &mut Turn<'_>) {
        self.state = match self.take_state(turn) {
            State::Reloading(Change { old: Some(old), new }) => {
                self.set_aside(new, &worker::Input::Retire, turn);
                State::Up(old)
            }
            State::Reloading(Change { old: None, new }) => State::Up(new),
            other => other,
        };
    }

    /// A failed slot is tried at once and the past is forgotten.
    pub(crate) fn retry(&mut self, now: Moment) {
        if matches!(self.state, State::Failed { .. }) {
            self.record.forgive();
            self.state = State::Down { since: now, try_at: Some(now) };
        }
    }

    /// A finished slot is started again.
    pub(crate) fn start_again(&mut self, now: Moment) {
        if self.is_finished() {
            self.state = State::Down { since: now, try_at: Some(now) };
        }
    }

    pub(crate) fn holds(&self, id: WorkerId) -> bool {
        self.workers().any(|worker| worker.id() == id)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted == Wanted::Up
    }

    /// No process is left.
    pub(crate) fn is_vacant(&self) -> bool {
        self.workers().next().is_none()
    }

    /// Its worker ended in a way after which the policy wants no other.
    pub(crate) fn is_finished(&self) -> bool {
        self.wanted == Wanted::Up && matches!(self.state, State::Down { try_at: None, .. })
    }

    pub(crate) fn is_free_to_reload(&self) -> bool {
        self.leaving.is_empty()
    }

    /// Its ready worker is no older than the one named.
    pub(crate) fn is_fresh(&self, oldest: WorkerId) -> bool {
        matches!(&self.state, State::Up(worker) if worker.id() >= oldest && worker.state() == worker::State::Ready)
    }

    /// Why it is failed, if it is.
    pub(crate) fn failure(&self) -> Option<&Reason> {
        match &self.state {
            State::Failed { reason, .. } => Some(reason),
            State::Down { .. } | State::Up(_) | State::Failing(..) | State::Reloading(_) => None,
        }
    }

    /// When a worker is to be started.
    pub(crate) const fn try_next(&self) -> Option<Moment> {
        match &self.state {
            State::Down { try_at, .. } => *try_at,
            State::Failed { try_at, .. } => Some(*try_at),
            State::Up(_) | State::Failing(..) | State::Reloading(_) => None,
        }
    }

    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn leaving(&self) -> &[Worker] {
        &self.leaving
    }

    pub(crate) const fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) const fn restarts(&self) -> u32 {
        self.restarts
    }

    pub(crate) fn exit_last(&self) -> Option<&str> {
        self.exit_last.as_deref()
    }

    /// When a worker is to be started and there is room for it.
    fn try_at(&self) -> Option<Moment> {
        self.try_next().filter(|_| self.leaving.len() < LEAVING_MAX)
    }

    fn workers(&self) -> impl Iterator<Item = &Worker> {
        let (first, second) = match &self.state {
            State::Up(worker) | State::Failing(worker, _) => (Some(worker), None),
            State::Reloading(Change { old, new }) => (Some(new), old.as_ref()),
            State::Down { .. } | State::Failed { .. } => (None, None),
        };
        first.into_iter().chain(second).chain(&self.leaving)
    }

    // ## Up => (Up | Failing | Down | Failed)
    fn up(
        &mut self,
        mut worker: Worker,
        input: &worker::Input,
        turn: &mut Turn<'_>,
    ) -> (State, Option<News>) {
        match worker.handle(input, turn) {
            Some(worker::News::Ready(readiness)) => {
                self.note_ready(&worker, readiness, turn);
                (State::Up(worker), None)
            }
            Some(worker::News::NotReady { after }) => {
                announce::not_ready(self.index, &worker, after, turn);
                let reason = Reason::NotReady { after };
                if worker.ready_since().is_none() {
                    return (State::Failing(worker, reason), None);
                }
                let (state, _) = self.fail(&worker, reason, turn);
                self.leaving.push(worker);
                (state, None)
            }
            Some(worker::News::Ended(reason)) => {
                let (state, next) = self.fail(&worker, reason.clone(), turn);
                let ending = Ending { worker: worker.id(), slot: self.index, expected: false, next };
                announce::ended(&reason, &ending, turn);
                (state, None)
            }
            news => {
                announce::rest(self.index, &worker, news.as_ref(), turn);
                (State::Up(worker), None)
            }
        }
    }

    // ## Reloading => (Reloading | Up | Down | Failed)
    fn reloading_new(
        &mut self,
        change: Change,
        input: &worker::Input,
        turn: &mut Turn<'_>,
    ) -> (State, Option<News>) {
        let Change { old, mut new } = change;
        match new.handle(input, turn) {
            Some(worker::News::Ready(readiness)) => {
                self.note_ready(&new, readiness, turn);
                if let Some(old) = old {
                    self.set_aside(old, &worker::Input::Retire, turn);
                }
                (State::Up(new), Some(News::Replaced))
            }
            Some(worker::News::NotReady { after }) => {
                announce::not_ready(self.index, &new, after, turn);
                let reason = Reason::NotReady { after };
                let (state, _) = self.go_back(old, Loss { worker: &new, reason: reason.clone() }, turn);
                self.leaving.push(new);
                (state, Some(News::NotReplaced(reason)))
            }
            Some(worker::News::Ended(reason)) => {
                let (state, next) = self.go_back(old, Loss { worker: &new, reason: reason.clone() }, turn);
                let ending = Ending { worker: new.id(), slot: self.index, expected: false, next };
                announce::ended(&reason, &ending, turn);
                (state, Some(News::NotReplaced(reason)))
            }
            news => {
                announce::rest(self.index, &new, news.as_ref(), turn);
                (State::Reloading(Change { old, new }), None)
            }
        }
    }

    // ## Reloading => Reloading: whatever becomes of the old worker, the new one is on its way.
    fn reloading_old(&mut self, change: Change, input: &worker::Input, turn: &mut Turn<'_>) -> State {
        let Change { old: Some(mut old), new } = change else { return State::Reloading(change) };
        match old.handle(input, turn) {
            Some(worker::News::NotReady { after }) => {
                announce::not_ready(self.index, &old, after, turn);
                self.leaving.push(old);
                return State::Reloading(Change { old: None, new });
            }
            Some(worker::News::Ended(reason)) => {
                self.exit_last = Some(reason.to_string());
                let ending =
                    Ending { worker: old.id(), slot: self.index, expected: false, next: Next::Reload };
                announce::ended(&reason, &ending, turn);
                return State::Reloading(Change { old: None, new });
            }
            Some(worker::News::Ready(readiness)) => self.note_ready(&old, readiness, turn),
            news => announce::rest(self.index, &old, news.as_ref(), turn),
        }
        State::Reloading(Change { old: Some(old), new })
    }

    /// The new worker of a reload failed.
    fn go_back(&mut self, old: Option<Worker>, new: Loss<'_>, turn: &mut Turn<'_>) -> (State, Next) {
        match old {
            Some(old) => {
                self.exit_last = Some(new.reason.to_string());
                (State::Up(old), Next::No)
            }
            None => self.fail(new.worker, new.reason, turn),
        }
    }

    /// The slot lost its worker: decides what follows.
    fn fail(&mut self, worker: &Worker, reason: Reason, turn: &mut Turn<'_>) -> (State, Next) {
        self.exit_last = Some(reason.to_string());
        let since = turn.now;
        let hopeless = reason.is_fatal() && turn.desk.memory.standing != Standing::Proven;
        let death = Death { at: since, ready_since: worker.ready_since(), reason: &reason, hopeless };
        let next = self.record.judge(&death, &turn.desk.config, &mut turn.desk.jitter);
        let try_at = match next {
            Next::Now => Some(since),
            Next::After(delay) => Some(turn.after(delay)),
            Next::Failed { retry_in } => {
                let deaths = self.record.unstable(since, None, turn.config());
                let reason =
                    if hopeless { reason } else { Reason::TooOften { deaths, last: Box::new(reason) } };
                return (State::Failed { since, try_at: turn.after(retry_in), reason }, next);
            }
            Next::Reload | Next::No => None,
        };
        self.restarts += u32::from(try_at.is_some());
        (State::Down { since, try_at }, next)
    }

    fn set_aside(&mut self, mut worker: Worker, how: &worker::Input, turn: &mut Turn<'_>) {
        worker.handle(how, turn);
        self.leaving.push(worker);
    }

    fn take_state(&mut self, turn: &Turn<'_>) -> State {
        mem::replace(&mut self.state, State::Down { since: turn.now, try_at: None })
    }

    fn note_ready(&mut self, worker: &Worker, readiness: Readiness, turn: &mut Turn<'_>) {
        turn.desk.memory.standing = Standing::Proven;
        announce::ready(self.index, worker, readiness, turn);
        if self.record.is_recovered() {
            turn.tell(Event::Recovered { slot: self.index });
        }
    }
}
