//! What can be seen of a pool.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::event::{Outcome, TaskId, WorkerId};
use crate::pool::Pool;
use crate::task::{State, Task};
use crate::worker::Worker;

/// How many tasks are where, and how many have ended how since the pool began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Wait for a worker, or behind others of their key.
    pub waiting: usize,
    /// Wait for their next try.
    pub delayed: usize,
    /// In the hands of workers.
    pub given: usize,
    /// Set aside now.
    pub set_aside: usize,
    /// Bytes of input of all that have not ended.
    pub input_bytes: usize,
    /// Ended well.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Killed too many workers.
    pub poison: u64,
    /// Were cancelled.
    pub cancelled: u64,
}

impl Counts {
    pub(crate) fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Done(_) => self.done += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Poison(_) => self.poison += 1,
            Outcome::Cancelled => self.cancelled += 1,
        }
    }
}

/// One task, as long as it is known.
#[derive(Debug, Clone)]
pub struct TaskView<'a> {
    /// Which.
    pub id: TaskId,
    /// What its giver calls it.
    pub name: Option<&'a Arc<str>>,
    /// Where it is.
    pub phase: Phase<'a>,
    /// When it was accepted, or restored.
    pub accepted: Instant,
    /// How often it was given to a worker.
    pub attempts: u32,
    /// How many workers died of it.
    pub deaths: u32,
    /// What it was given; empty if only its outcome is kept.
    pub input: &'a Bytes,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase<'a> {
    /// Waits for a worker, or its next try.
    Queued,
    /// In the hands of this worker.
    Given(WorkerId),
    /// Ended.
    Ended(&'a Outcome),
    /// Ended, and kept with its input.
    SetAside(&'a Outcome),
}

/// One worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerView {
    /// Which.
    pub worker: WorkerId,
    /// The place that it fills.
    pub slot: u32,
    /// How many tasks it has.
    pub given: usize,
    /// How many of them it works on.
    pub begun: usize,
    /// It gets no more.
    pub draining: bool,
}

impl Pool {
    /// How much there is of everything.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A task by its number.
    #[must_use]
    pub fn view(&self, task: TaskId) -> Option<TaskView<'_>> {
        self.tasks.get(&task).map(Task::view)
    }

    /// A task by its giver's name for it.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<TaskId> {
        self.names.get(name).copied()
    }

    /// All tasks that are known, in no order.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView<'_>> {
        self.tasks.values().map(Task::view)
    }

    /// All workers that were told ready and not gone.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.iter().map(Worker::view)
    }

    /// How many workers are wanted now.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        self.scale.wanted()
    }

    /// Whether this worker has the task in its hands, so that what it says about it is to be passed on.
    #[must_use]
    pub fn holds(&self, worker: WorkerId, task: TaskId) -> bool {
        matches!(self.tasks.get(&task), Some(Task { state: State::Given(given), .. }) if given.worker == worker)
    }
}

impl Task {
    fn view(&self) -> TaskView<'_> {
        let phase = match &self.state {
            State::Waiting | State::Delayed => Phase::Queued,
            State::Given(given) => Phase::Given(given.worker),
            State::Kept(outcome) => Phase::Ended(outcome),
            State::SetAside(outcome) => Phase::SetAside(outcome),
        };
        TaskView {
            id: self.id,
            name: self.given.name.as_ref(),
            phase,
            accepted: self.accepted,
            attempts: self.attempts,
            deaths: self.deaths,
            input: &self.given.input,
        }
    }
}

impl Worker {
    fn view(&self) -> WorkerView {
        WorkerView {
            worker: self.ready.worker,
            slot: self.ready.slot,
            given: self.hand.len(),
            begun: self.begun,
            draining: self.draining,
        }
    }
}
