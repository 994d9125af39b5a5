//! What a pool has to know. Defaults and their reasons stand in the binary's defaults file.

use std::time::Duration;

/// The settings of one pool. Any value is accepted; zero durations mean "at once".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Fewest workers that are wanted, however little there is to do.
    pub workers_min: u32,
    /// Most workers that are wanted.
    pub workers_max: u32,
    /// Most tasks that wait; more are refused. Tasks that workers have are not counted.
    pub queue_max: usize,
    /// Most bytes of input of all tasks that have not ended. A single task is accepted whatever its size.
    pub queue_bytes_max: usize,
    /// How long one attempt may take, if the task does not say; counted from when the worker begins.
    pub timeout: Option<Duration>,
    /// How long a worker may take to stop a task that it was told to abort, before it is killed.
    pub abort_grace: Duration,
    /// How often a failed task is tried again, if the task does not say.
    pub retries: u32,
    /// Delay before the first retry; doubles with each that follows.
    pub backoff_first: Duration,
    /// No delay is longer.
    pub backoff_max: Duration,
    /// A task that this many workers died of is poison. Zero counts as one.
    pub deaths_max: u32,
    /// A task that this many workers had begun when somebody killed them is suspected with the next, as if that had died of it.
    pub kills_max: u32,
    /// A suspected task is given only to a worker that has answered, speaks the protocol or has lived for so long. After the death of
    /// one that had done nothing of this, so is every other task, until one is answered: a program that crashes as it starts blames
    /// few tasks, and each once at most.
    pub settled_after: Duration,
    /// A worker is given, beyond what it works on, about as many tasks as it does in this time, within what it can take.
    pub ahead: Duration,
    /// Most ended tasks whose outcome is kept, those that were set aside not counted.
    pub kept_max: usize,
    /// Most bytes of their results.
    pub kept_bytes_max: usize,
    /// How long the outcome is kept.
    pub kept_for: Duration,
    /// Most tasks that are kept set aside, with their input; the oldest makes room.
    pub dead_max: usize,
    /// Tasks that failed for good are set aside as poison is.
    pub set_aside_failed: bool,
    /// More workers are wanted once there has been work for more for so long.
    pub scale_up_after: Duration,
    /// Fewer workers are wanted once there has been work for fewer for so long.
    pub scale_down_after: Duration,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Small and quick.
    pub(crate) fn config() -> PoolConfig {
        PoolConfig {
            workers_min: 1,
            workers_max: 4,
            queue_max: 1000,
            queue_bytes_max: 1 << 20,
            timeout: None,
            abort_grace: Duration::from_secs(1),
            retries: 0,
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            deaths_max: 2,
            kills_max: 3,
            settled_after: Duration::ZERO,
            ahead: Duration::from_millis(5),
            kept_max: 100,
            kept_bytes_max: 1 << 20,
            kept_for: Duration::from_secs(60),
            dead_max: 10,
            set_aside_failed: false,
            scale_up_after: Duration::from_secs(1),
            scale_down_after: Duration::from_secs(10),
        }
    }
}
