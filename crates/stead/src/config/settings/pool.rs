//! What makes an app a pool: how many workers take how many tasks, and what becomes of those.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Of a pool, beyond what it has like every app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// Workers, at least and at most, 1 or more; as many as the queue needs where they differ.
    pub size: (u32, u32),
    /// Tasks that a worker has at once; nothing: as many as it says itself.
    pub concurrency: Option<u32>,
    /// Longest time of one try, unless the task says its own.
    pub task_timeout: Option<Duration>,
    /// From the abort to the kill.
    pub abort_grace: Duration,
    /// Further tries of a task that failed.
    pub retries: u32,
    /// Before the first of them; doubles.
    pub retry_after: Duration,
    /// It does not grow beyond this.
    pub retry_after_max: Duration,
    /// Workers a task may kill.
    pub poison_deaths_max: u32,
    /// Tasks that are set aside.
    pub dead_max: u32,
    /// Tasks that may wait.
    pub queue_max: u32,
    /// Their inputs together.
    pub queue_bytes_max: u64,
    /// The input of one, or its result.
    pub task_bytes_max: u64,
    /// How long results are kept.
    pub results_kept: Duration,
    /// Kept results, and
    pub results_max: u32,
    /// those together, in bytes.
    pub results_bytes_max: u64,
    /// Every accepted task is on disk.
    pub durable: bool,
    /// Tasks wait for this long before a worker is added.
    pub grow_after: Duration,
    /// A worker has nothing to do for this long before one is taken away.
    pub shrink_after: Duration,
}

impl PoolSettings {
    /// A program that crashes as it starts does it within this time, nearly always.
    pub const SETTLED_AFTER: Duration = Duration::from_secs(1);
    /// Tasks that a worker has at once by its own word: more would only wait in it, where no other worker can take them.
    pub const CONCURRENCY_MAX: u32 = 1024;
    /// By chance, no task loses so many workers to somebody who kills them. One that takes all memory does.
    pub const KILLS_MAX: u32 = 10;

    /// It has as many workers as the queue needs.
    pub fn adapts(&self) -> bool {
        self.size.0 < self.size.1
    }
}
