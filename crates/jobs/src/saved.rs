//! A pool's tasks as plain data: what is written down of them, and how they come back.

use std::time::Instant;

use crate::event::{NewTask, Outcome, TaskId, WorkerId};
use crate::pool::Pool;
use crate::task::{State, Task};

/// A task as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Which.
    pub id: TaskId,
    /// What was wanted; its input is empty if only the outcome is kept.
    pub task: NewTask,
    /// How often it was given to a worker.
    pub attempts: u32,
    /// How many attempts failed.
    pub failures: u32,
    /// How many workers died of it.
    pub deaths: u32,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// It is kept with its input until somebody decides.
    pub set_aside: bool,
}

impl Pool {
    /// The durable tasks as they are now; each comes back by [`Pool::restore`].
    pub fn saved(&self) -> impl Iterator<Item = Saved> {
        self.saved_all().filter(|saved| saved.task.durable)
    }

    /// The same of all tasks, durable or not.
    pub fn saved_all(&self) -> impl Iterator<Item = Saved> {
        let mut tasks: Vec<&Task> = self.tasks.values().collect();
        tasks.sort_by_key(|task| task.id);
        tasks.into_iter().map(Task::saved)
    }

    /// One task, durable or not.
    #[must_use]
    pub fn saved_one(&self, task: TaskId) -> Option<Saved> {
        self.tasks.get(&task).map(Task::saved)
    }

    /// Number of the last task that was ever accepted.
    #[must_use]
    pub fn last(&self) -> TaskId {
        self.next_id - 1
    }

    /// No task accepted from now on has a number below this; for tasks that are no longer known.
    pub fn begin_after(&mut self, last: TaskId) {
        self.next_id = self.next_id.max(last + 1);
    }

    /// Takes back a task of a former life. All are restored before anything else happens, those that ended in the order of their ends.
    pub fn restore(&mut self, now: Instant, saved: Saved) {
        self.now = self.now.max(now);
        let Saved { id, task, attempts, failures, deaths, outcome, set_aside } = saved;
        let accepted = self.now;
        let task = Task {
            id,
            given: task,
            state: State::Waiting,
            accepted,
            attempts,
            failures,
            deaths,
            kills: 0,
            told: Vec::new(),
            deadline: None,
        };
        let Some(outcome) = outcome else { return self.admit(task) };
        self.begin_after(id);
        if let Some(name) = &task.given.name {
            self.names.insert(name.clone(), id);
        }
        self.tasks.insert(id, task);
        self.keep(id, outcome, set_aside);
    }

    /// A living worker was given a task by the pool's former life: it is not given to another.
    pub(crate) fn holds_already(&mut self, worker: WorkerId, id: TaskId) {
        let waits = matches!(self.tasks.get(&id), Some(Task { state: State::Waiting, .. }));
        if let (Some(at), true) = (self.position(worker), waits) {
            self.dequeue(id);
            self.put_into_hand(at, id);
        }
    }
}

impl Task {
    fn saved(&self) -> Saved {
        let (outcome, set_aside) = match &self.state {
            State::Waiting | State::Delayed | State::Given(_) => (None, false),
            State::Kept(outcome) => (Some(outcome.clone()), false),
            State::SetAside(outcome) => (Some(outcome.clone()), true),
        };
        Saved {
            id: self.id,
            task: self.given.clone(),
            attempts: self.attempts,
            failures: self.failures,
            deaths: self.deaths,
            outcome,
            set_aside,
        }
    }
}
