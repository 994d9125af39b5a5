//! What a pool tells of itself beyond its counts, for people: noted as it acts, and gathered when somebody asks. It decides nothing.

use std::collections::{HashMap, VecDeque};
use std::time::{Instant, SystemTime};

use serde_json::Value;
use stead_control::{PoolDetails, RunningTask, TaskFailure, TaskState, TaskStatus};
use stead_jobs::{Action, Finish, Outcome, Phase, TaskId, WorkerId};

use super::driver::{Pool, State};
use super::hand::Hand;

/// Of the tasks that failed, so many are told.
const ERRORS_MAX: usize = 5;
/// Longer messages are cut.
const MESSAGE_CHARACTERS_MAX: usize = 500;

/// What was noted.
#[derive(Default)]
pub(super) struct Tally {
    /// Which worker was given a task, and when. What no worker has any more is forgotten when the task ends.
    given: HashMap<TaskId, (WorkerId, Instant)>,
    retried: u64,
    errors: VecDeque<TaskFailure>,
}

impl Tally {
    pub(super) fn note(&mut self, action: &Action, hands: &mut HashMap<WorkerId, Hand>) {
        match action {
            Action::Give { worker, task, .. } => drop(self.given.insert(*task, (*worker, Instant::now()))),
            Action::Retry(retry) => {
                self.given.remove(&retry.task);
                self.retried += 1;
            }
            Action::Finish(Finish { task, outcome, .. }) => {
                let given = self.given.remove(task).and_then(|(worker, _)| hands.get_mut(&worker));
                if let (Some(hand), Outcome::Done(_)) = (given, outcome) {
                    hand.done += 1;
                }
            }
            Action::Abort { .. }
            | Action::Kill { .. }
            | Action::Drained { .. }
            | Action::Want { .. }
            | Action::Forget { .. } => (),
        }
    }

    /// A task has ended; one that failed is remembered.
    pub(super) fn ended(&mut self, status: &TaskStatus) {
        if !matches!(status.state, TaskState::Failed | TaskState::Poison) {
            return;
        }
        let error: Option<Value> =
            status.error.as_ref().and_then(|error| serde_json::from_str(error.get()).ok());
        let message = error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default();
        self.errors.push_back(TaskFailure {
            at: SystemTime::now(),
            task: status.id.clone(),
            state: status.state,
            message: message.chars().take(MESSAGE_CHARACTERS_MAX).collect(),
        });
        if self.errors.len() > ERRORS_MAX {
            self.errors.pop_front();
        }
    }
}

impl Pool {
    pub(in crate::daemon) fn details(&self) -> PoolDetails {
        self.with(|state| state.details())
    }

    /// How many tasks each worker has done, and how many it has.
    pub(in crate::daemon) fn loads(&self) -> HashMap<WorkerId, (u64, u64)> {
        self.with(|state| {
            let mut loads: HashMap<WorkerId, (u64, u64)> =
                state.hands.iter().map(|(worker, hand)| (*worker, (hand.done, 0))).collect();
            for worker in state.engine.workers() {
                loads.entry(worker.worker).or_default().1 = worker.given as u64;
            }
            loads
        })
    }
}

impl State {
    fn details(&self) -> PoolDetails {
        let now = Instant::now();
        let mut oldest: Option<Instant> = None;
        // What another daemon gave has been there longest.
        let mut first: HashMap<WorkerId, (Option<Instant>, TaskId)> = HashMap::new();
        for task in self.engine.tasks() {
            match task.phase {
                Phase::Queued => oldest = Some(oldest.map_or(task.accepted, |old| old.min(task.accepted))),
                Phase::Given(worker) => {
                    let since = self.tally.given.get(&task.id).map(|(_, since)| *since);
                    let found = first.entry(worker).or_insert((since, task.id));
                    *found = (*found).min((since, task.id));
                }
                Phase::Ended(_) | Phase::SetAside(_) => (),
            }
        }
        let name = |task: TaskId| {
            let name = self.engine.view(task).and_then(|view| view.name.cloned());
            name.map_or_else(|| task.to_string(), |name| name.to_string())
        };
        let age = |since: Instant| now.saturating_duration_since(since);
        let running = first.into_iter().map(|(worker, (since, task))| {
            let (task, age) = (name(task), since.map(age));
            RunningTask { worker, task, age }
        });
        let settings = &self.settings;
        PoolDetails {
            size: settings.size,
            concurrency: settings.concurrency,
            queue_max: settings.queue_max,
            task_timeout: settings.task_timeout,
            retries: settings.retries,
            durable: settings.durable,
            retried: self.tally.retried,
            oldest_waiting: oldest.map(age),
            running: running.collect(),
            errors: self.tally.errors.iter().cloned().collect(),
        }
    }
}
