//! What an application looks like from outside at one moment: plain data, for status and tests.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::AppConfig;
use crate::event::{Recycle, WorkerId};
use crate::moment::{Clock, Moment};
use crate::slot::{Change, Slot, State};
use crate::worker::{self, Worker};

/// An application as it looks at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSnapshot {
    /// Where it stands as a whole.
    pub phase: Phase,
    /// How many workers are wanted.
    pub instances: u32,
    /// The reload or restart that runs, if one does.
    pub reload: Option<ReloadSnapshot>,
    /// The worker that is being recycled, if one is.
    pub recycle: Option<RecycleSnapshot>,
    /// By index; slots that were scaled away are among them until their last process is gone.
    pub slots: Vec<SlotSnapshot>,
}

/// Where an application stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not started yet.
    Idle,
    /// Workers are wanted.
    Running,
    /// Workers are leaving, none is started.
    Stopping,
    /// The same, and when the last is gone all is started again.
    StoppingToStart,
    /// Nothing runs.
    Stopped,
}

/// A reload at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadSnapshot {
    /// As given with the order; several if they were merged.
    pub ids: Vec<u64>,
    /// Slots replaced.
    pub done: u32,
    /// Slots in this reload.
    pub of: u32,
    /// Requests that wait for the one that follows.
    pub waiting: usize,
}

/// A worker that is being recycled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecycleSnapshot {
    /// Which.
    pub worker: WorkerId,
    /// Its slot.
    pub slot: u32,
    /// Why.
    pub why: Recycle,
}

/// A slot at one moment. `worker`, `pid`, `state` and `since` are those of the worker that counts: the one that serves, else the one that is
/// to serve, else one that is leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSnapshot {
    /// Its instance number, from 0.
    pub slot: u32,
    /// The process, if there is one.
    pub worker: Option<WorkerId>,
    /// Its process id, once known.
    pub pid: Option<u32>,
    /// What it is doing.
    pub state: SlotState,
    /// Since when.
    pub since: Instant,
    /// Since when its worker is ready but not healthy, if it is.
    pub unhealthy_since: Option<Instant>,
    /// All other processes of the slot: the new one of a reload, and those that are leaving.
    pub others: Vec<WorkerSnapshot>,
    /// How often a worker was started because another had died.
    pub restarts: u32,
    /// Deaths in a row that counted; 0 once a worker is stable.
    pub unstable: u32,
    /// How the last worker ended that nobody had asked to.
    pub exit_last: Option<String>,
    /// When the next worker will be started, if there is none.
    pub try_next: Option<Instant>,
    /// It serves, or will in a while: it is wanted, has not failed, and its worker is not ill.
    pub returns: bool,
}

/// One more process of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSnapshot {
    /// Which.
    pub worker: WorkerId,
    /// Its process id, once known.
    pub pid: Option<u32>,
    /// What it is doing.
    pub state: SlotState,
    /// Since when.
    pub since: Instant,
}

/// What a worker, or its slot, is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// There is no process.
    Down,
    /// There is one, or will be in a moment; it is not ready yet.
    Starting,
    /// It gets requests.
    Ready,
    /// It was ready and is not any more: it said so, or is unhealthy.
    Unready,
    /// It finishes its last requests.
    Draining,
    /// It was told to end.
    Stopping,
    /// There is no process, for it kept failing; it is tried again after the cool-down.
    Failed,
}

impl SlotState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<worker::State> for SlotState {
    fn from(state: worker::State) -> Self {
        match state {
            worker::State::Spawning { .. } | worker::State::Starting { .. } => Self::Starting,
            worker::State::Ready | worker::State::Ailing(_) => Self::Ready,
            worker::State::Ejected(_) | worker::State::Unready { .. } => Self::Unready,
            worker::State::Draining { .. } => Self::Draining,
            worker::State::Unborn { .. }
            | worker::State::Stopping { .. }
            | worker::State::Terminating { .. }
            | worker::State::Killed { .. } => Self::Stopping,
            worker::State::Down => Self::Down,
        }
    }
}

/// What a snapshot is taken with.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) now: Moment,
    pub(crate) clock: Clock,
    pub(crate) config: &'a AppConfig,
}

impl SlotSnapshot {
    pub(crate) fn take(slot: &Slot, view: &View<'_>) -> Self {
        let View { now, clock, config } = *view;
        let (main, new, vacant) = match slot.state() {
            State::Up(worker) | State::Failing(worker, _) => (Some(worker), None, None),
            State::Reloading(Change { old: Some(old), new }) => (Some(old), Some(new), None),
            State::Reloading(Change { old: None, new }) => (Some(new), None, None),
            State::Down { since, .. } | State::Restarting { since } => {
                (None, None, Some((SlotState::Down, *since)))
            }
            State::Failed { since, .. } => (None, None, Some((SlotState::Failed, *since))),
        };
        // An empty slot shows who is leaving it, unless it has failed: that is what one wants to see.
        let is_down = matches!(vacant, Some((SlotState::Down, _)));
        let shown = main.or_else(|| slot.leaving().first().filter(|_| is_down));
        let others = new.into_iter().chain(slot.leaving());
        let (state, since) = match (shown, vacant) {
            (Some(worker), _) => (worker.state().into(), worker.since()),
            (None, Some(vacant)) => vacant,
            (None, None) => (SlotState::Down, now),
        };
        Self {
            slot: slot.index(),
            worker: shown.map(Worker::id),
            pid: shown.and_then(Worker::pid),
            state,
            since: clock.instant(since),
            unhealthy_since: shown.and_then(Worker::illness).map(|illness| clock.instant(illness.since)),
            others: others
                .filter(|other| Some(other.id()) != shown.map(Worker::id))
                .map(|other| WorkerSnapshot::take(other, clock))
                .collect(),
            restarts: slot.restarts(),
            unstable: slot.record().unstable(now, main.and_then(Worker::ready_since), config),
            exit_last: slot.exit_last().map(str::to_owned),
            try_next: slot.try_next().map(|at| clock.instant(at)),
            returns: slot.returns(),
        }
    }
}

impl WorkerSnapshot {
    fn take(worker: &Worker, clock: Clock) -> Self {
        let since = clock.instant(worker.since());
        Self { worker: worker.id(), pid: worker.pid(), state: worker.state().into(), since }
    }
}
