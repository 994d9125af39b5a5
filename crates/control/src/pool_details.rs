//! What a pool tells of itself beyond its counts: how it was set up, what its workers do now, and what failed lately.

use crate::{TaskState, time};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// A pool, as its app shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolDetails {
    /// Workers, at least and at most.
    pub size: (u32, u32),
    /// Tasks that a worker has at once; absent when that is what it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Tasks that may wait.
    pub queue_max: u32,
    /// Longest time of one try, in seconds; absent without a limit.
    #[serde(default, with = "time::seconds_option", skip_serializing_if = "Option::is_none")]
    pub task_timeout: Option<Duration>,
    /// Further tries of a task that failed.
    pub retries: u32,
    /// Every task is on disk before it is accepted.
    pub durable: bool,
    /// Tries that failed and were followed by another, since this daemon started.
    pub retried: u64,
    /// For how long the oldest of the tasks that wait has done so, in seconds; absent while none waits.
    #[serde(default, with = "time::seconds_option", skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<Duration>,
    /// What workers do: of each that has tasks, the one that it has had longest.
    pub running: Vec<RunningTask>,
    /// The last tasks that failed for good, oldest first.
    pub errors: Vec<TaskFailure>,
}

/// A task that a worker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTask {
    /// The worker, by its `id`.
    pub worker: u64,
    /// What the task is asked for by.
    pub task: String,
    /// How long it has had it, in seconds; absent when another daemon gave it.
    #[serde(default, with = "time::seconds_option", skip_serializing_if = "Option::is_none")]
    pub age: Option<Duration>,
}

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// When, in seconds since 1970.
    #[serde(with = "time::moment")]
    pub at: SystemTime,
    /// What it was asked for by.
    pub task: String,
    /// `failed` or `poison`.
    pub state: TaskState,
    /// Why, in its worker's words.
    pub message: String,
}
