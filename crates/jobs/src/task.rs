//! One task from its acceptance to its end, and what is known of it afterwards.

use std::time::Instant;

use bytes::Bytes;

use crate::event::{NewTask, Outcome, TaskId, WorkerId};
use crate::line::Place;

/// A task that was accepted.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    /// Its input is empty once it has ended, unless it was set aside.
    pub(crate) given: NewTask,
    pub(crate) state: State,
    pub(crate) accepted: Instant,
    /// How often it was given to a worker.
    pub(crate) attempts: u32,
    /// How many attempts failed.
    pub(crate) failures: u32,
    /// How many workers died of it.
    pub(crate) deaths: u32,
    /// How many workers that worked on it were killed by somebody, in this life of the pool.
    pub(crate) kills: u32,
    /// What was said of the last of these deaths.
    pub(crate) told: Vec<Bytes>,
    /// When the machine looks at it again; the state says what for.
    pub(crate) deadline: Option<Instant>,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for a worker, or behind others of its key.
    Waiting,
    /// Waits for its next try.
    Delayed,
    /// A worker has it.
    Given(Given),
    /// Its outcome is kept.
    Kept(Outcome),
    /// It is kept with its input, until somebody decides.
    SetAside(Outcome),
}

/// A task in the hands of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) worker: WorkerId,
    /// The worker works on it, and not only has it ahead.
    pub(crate) begun: bool,
    /// It is to stop, and why.
    pub(crate) ending: Option<Ending>,
}

/// Why a worker was told to stop a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Timeout,
    Cancel,
}

impl Task {
    pub(crate) fn place(&self) -> Place {
        (std::cmp::Reverse(self.given.priority), self.id)
    }

    /// A worker died of it: it runs alone from now on, so that no other task is ever blamed with it twice.
    pub(crate) fn is_suspect(&self) -> bool {
        self.deaths > 0
    }
}
