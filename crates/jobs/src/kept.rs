//! What is remembered of tasks that have ended: outcomes for a time, number and size; those set aside until somebody decides.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::config::PoolConfig;
use crate::event::{Action, Fault, Outcome, TaskId};
use crate::pool::Pool;
use crate::task::{State, Task};

/// The ended tasks that are remembered, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    ended: VecDeque<(Instant, TaskId)>,
    bytes: usize,
    set_aside: VecDeque<TaskId>,
}

impl Kept {
    pub(crate) fn expiry(&self, config: &PoolConfig) -> Option<Instant> {
        self.ended.front().and_then(|(ended, _)| ended.checked_add(config.kept_for))
    }
}

fn size(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Done(result) => result.len(),
        Outcome::Failed(Fault::Told(error)) => error.len(),
        Outcome::Poison(told) => told.iter().map(Bytes::len).sum(),
        Outcome::Failed(Fault::Timeout) | Outcome::Cancelled => 0,
    }
}

impl Pool {
    /// The tasks that are set aside, oldest first.
    pub fn set_aside(&self) -> impl Iterator<Item = TaskId> {
        self.kept.set_aside.iter().copied()
    }

    /// Tries a task that was set aside again, as if it were new but in its old place. Tells whether there is such a task.
    pub fn retry_set_aside(&mut self, now: Instant, id: TaskId) -> bool {
        self.pass(now);
        let Some(mut task) = self.take_set_aside(id) else { return false };
        task.state = State::Waiting;
        (task.failures, task.deaths, task.kills) = (0, 0, 0);
        task.told.clear();
        self.admit(task);
        true
    }

    /// Forgets a task that was set aside. Tells whether there is such a task.
    pub fn drop_set_aside(&mut self, id: TaskId) -> bool {
        let found = self.take_set_aside(id).is_some();
        if found {
            self.actions.push_back(Action::Forget { task: id });
        }
        found
    }

    fn take_set_aside(&mut self, id: TaskId) -> Option<Task> {
        let at = self.kept.set_aside.iter().position(|kept| *kept == id)?;
        self.kept.set_aside.remove(at);
        self.counts.set_aside -= 1;
        self.remove(id)
    }

    fn remove(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        if let Some(name) = &task.given.name {
            self.names.remove(name);
        }
        Some(task)
    }

    /// A task that has ended is remembered as far as the limits go.
    pub(crate) fn keep(&mut self, id: TaskId, outcome: Outcome, set_aside: bool) {
        if set_aside && self.config.dead_max > 0 {
            self.task(id).state = State::SetAside(outcome);
            self.kept.set_aside.push_back(id);
            self.counts.set_aside += 1;
            if self.kept.set_aside.len() > self.config.dead_max {
                let oldest = self.kept.set_aside[0];
                self.drop_set_aside(oldest);
            }
            return;
        }
        if self.config.kept_max == 0 {
            self.remove(id);
            return;
        }
        self.kept.bytes += size(&outcome);
        let task = self.task(id);
        task.given.input = Bytes::new();
        task.state = State::Kept(outcome);
        self.kept.ended.push_back((self.now, id));
        self.expire_kept();
    }

    /// Forgets what is too old or too much.
    pub(crate) fn expire_kept(&mut self) {
        while let Some((ended, id)) = self.kept.ended.front().copied() {
            let is_old = self.now.saturating_duration_since(ended) >= self.config.kept_for;
            let too_many = self.kept.ended.len() > self.config.kept_max;
            if !is_old && !too_many && self.kept.bytes <= self.config.kept_bytes_max {
                return;
            }
            self.kept.ended.pop_front();
            if let Some(Task { state: State::Kept(outcome), .. }) = self.remove(id) {
                self.kept.bytes -= size(&outcome);
            }
            self.actions.push_back(Action::Forget { task: id });
        }
    }
}
