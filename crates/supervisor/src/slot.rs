//! Keeps one place of an application filled: a worker, the one that replaces it, and those that are on their way out. Here is what a
//! slot can be told to do; `slot/hear.rs` is what becomes of it when something happened to one of its workers.
//!
//! | state | what is there | leaves for |
//! |---|---|---|
//! | down | nothing; perhaps a time of the next try | up, reloading, restarting |
//! | up | the worker | down, failing, failed, reloading, restarting |
//! | failing | a worker that was never ready, being stopped | down, failed, reloading, restarting |
//! | reloading | the old worker, unless it died, and the new one | up (new ready, or given up), down, failed |
//! | restarting | nothing, until all that were there are gone | reloading (without an old worker) |
//! | failed | nothing, until the cool-down is over | up, reloading, restarting |
//!
//! *Wanted* stands beside it: a slot that is not wanted goes down, and all its workers leave. Workers on their way out do not belong to
//! the state: they have no requests to lose that another could take, and end by their own deadlines. A wedged one is among them, so
//! that its place is filled at once. A worker that was never ready is replaced only when it is gone: two that do not start are
//! worse than one.

use std::mem;

use serde::{Deserialize, Serialize};

use crate::announce;
use crate::event::WorkerId;
use crate::moment::Moment;
use crate::reason::Reason;
use crate::restart::Record;
use crate::turn::Turn;
use crate::worker::{self, Worker};

mod hear;

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
    Restarting {
        since: Moment,
    },
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

/// What the application has to know.
#[derive(Debug)]
pub(crate) enum News {
    /// The reload of this slot is done.
    Replaced,
    /// The new worker of the reload failed; the slot has already gone back.
    NotReplaced(Reason),
    /// This worker has been unhealthy for too long.
    Incurable(WorkerId),
}

impl Slot {
    /// A slot whose first worker is still to be started.
    pub(crate) fn new(index: u32, now: Moment) -> Self {
        let state = State::Down { since: now, try_at: Some(now) };
        let (leaving, record) = (Vec::new(), Record::default());
        Self { index, wanted: Wanted::Up, state, leaving, record, restarts: 0, exit_last: None }
    }

    /// Another process goes on with it.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) {
        match &mut self.state {
            State::Up(worker) | State::Failing(worker, _) => worker.resume(turn),
            State::Reloading(Change { old, new }) => {
                old.iter_mut().for_each(|old| old.resume(turn));
                new.resume(turn);
            }
            State::Down { .. } | State::Restarting { .. } | State::Failed { .. } => (),
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
        if matches!(self.state, State::Restarting { .. }) && self.leaving.is_empty() {
            self.state = State::Reloading(Change { old: None, new: Worker::spawn(self.index, turn) });
        }
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
            State::Down { .. } | State::Restarting { .. } | State::Failed { .. } => (),
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
            State::Reloading(_) | State::Restarting { .. } => {
                unreachable!("a slot takes part in one reload at a time")
            }
        };
        self.state = State::Reloading(Change { old, new: Worker::spawn(self.index, turn) });
    }

    /// Ends the worker; another is started when it is gone.
    pub(crate) fn restart(&mut self, turn: &mut Turn<'_>) {
        assert!(self.is_free_to_reload(), "a slot is restarted only when nothing is leaving it");
        if let State::Up(worker) | State::Failing(worker, _) = self.take_state(turn) {
            self.set_aside(worker, &worker::Input::Retire, turn);
        }
        self.state = State::Restarting { since: turn.now };
    }

    /// The reload ended elsewhere: the old worker serves on; without one the new one is kept, or still started.
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

    /// The past is forgotten.
    pub(crate) fn forgive(&mut self) {
        self.record.forgive();
    }

    /// A failed slot is tried at once and the past is forgotten.
    pub(crate) fn retry(&mut self, now: Moment) {
        if matches!(self.state, State::Failed { .. }) {
            self.forgive();
            self.state = State::Down { since: now, try_at: Some(now) };
        }
    }

    /// A finished slot is started again.
    pub(crate) fn start_again(&mut self, now: Moment) {
        if self.is_finished() {
            self.state = State::Down { since: now, try_at: Some(now) };
        }
    }

    /// The unhealthy get no requests if a healthy worker of the application can take them, else they do.
    pub(crate) fn share(&mut self, any_healthy: bool, turn: &mut Turn<'_>) {
        let order = if any_healthy { worker::Input::Suspend } else { worker::Input::Restore };
        let index = self.index;
        if let Some(worker) = self.server_mut().filter(|worker| worker.illness().is_some()) {
            let news = worker.handle(&order, turn);
            announce::rest(index, worker, news.as_ref(), turn);
        }
    }

    /// A worker of it is ready and healthy.
    pub(crate) fn is_healthy(&self) -> bool {
        self.workers().any(|worker| worker.state() == worker::State::Ready)
    }

    /// It is the worker that counts here, and was ready.
    pub(crate) fn is_served_by(&self, id: WorkerId) -> bool {
        self.server().is_some_and(|worker| worker.id() == id && worker.ready_since().is_some())
    }

    /// It is the worker that counts here, and unhealthy.
    pub(crate) fn is_ill(&self, id: WorkerId) -> bool {
        self.server().is_some_and(|worker| worker.id() == id && worker.illness().is_some())
    }

    pub(crate) fn reset_count(&mut self) {
        self.restarts = 0;
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
        self.leaving.is_empty() && !matches!(self.state, State::Reloading(_) | State::Restarting { .. })
    }

    /// A worker no older than the one named is on its way to get ready.
    pub(crate) fn is_coming(&self, oldest: WorkerId) -> bool {
        matches!(&self.state, State::Up(worker) if worker.id() >= oldest && worker.ready_since().is_none())
    }

    /// Its ready worker is no older than the one named.
    pub(crate) fn is_fresh(&self, oldest: WorkerId) -> bool {
        matches!(&self.state, State::Up(worker) if worker.id() >= oldest && worker.state() == worker::State::Ready)
    }

    /// Why it is failed, if it is.
    pub(crate) fn failure(&self) -> Option<&Reason> {
        match &self.state {
            State::Failed { reason, .. } => Some(reason),
            State::Down { .. } | State::Up(_) | State::Failing(..) => None,
            State::Reloading(_) | State::Restarting { .. } => None,
        }
    }

    /// When a worker is to be started.
    /// Whether requests may wait for its worker.
    pub(crate) fn returns(&self) -> bool {
        // One that said that it is not ready is replaced soon, unless it is ready again before.
        let is_ill = |worker: &Worker| matches!(worker.state(), worker::State::Ejected(_));
        let is_coming = match &self.state {
            State::Up(worker) | State::Failing(worker, _) => !is_ill(worker),
            State::Reloading(change) => !change.old.as_ref().is_some_and(is_ill),
            State::Restarting { .. } => true,
            State::Down { try_at, .. } => try_at.is_some(),
            State::Failed { .. } => false,
        };
        self.is_wanted() && is_coming
    }

    pub(crate) const fn try_next(&self) -> Option<Moment> {
        match &self.state {
            State::Down { try_at, .. } => *try_at,
            State::Failed { try_at, .. } => Some(*try_at),
            State::Up(_) | State::Failing(..) | State::Reloading(_) | State::Restarting { .. } => None,
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

    /// The worker that counts, if it is not on its way out.
    fn server(&self) -> Option<&Worker> {
        match &self.state {
            State::Up(worker) | State::Reloading(Change { old: Some(worker), .. }) => Some(worker),
            State::Reloading(Change { old: None, .. }) | State::Failing(..) => None,
            State::Down { .. } | State::Restarting { .. } | State::Failed { .. } => None,
        }
    }

    fn server_mut(&mut self) -> Option<&mut Worker> {
        match &mut self.state {
            State::Up(worker) | State::Reloading(Change { old: Some(worker), .. }) => Some(worker),
            State::Reloading(Change { old: None, .. }) | State::Failing(..) => None,
            State::Down { .. } | State::Restarting { .. } | State::Failed { .. } => None,
        }
    }

    fn workers(&self) -> impl Iterator<Item = &Worker> {
        let (first, second) = match &self.state {
            State::Up(worker) | State::Failing(worker, _) => (Some(worker), None),
            State::Reloading(Change { old, new }) => (Some(new), old.as_ref()),
            State::Down { .. } | State::Restarting { .. } | State::Failed { .. } => (None, None),
        };
        first.into_iter().chain(second).chain(&self.leaving)
    }

    fn set_aside(&mut self, mut worker: Worker, how: &worker::Input, turn: &mut Turn<'_>) {
        worker.handle(how, turn);
        self.leaving.push(worker);
    }

    fn take_state(&mut self, turn: &Turn<'_>) -> State {
        mem::replace(&mut self.state, State::Down { since: turn.now, try_at: None })
    }
}
