//! What the supervisor has to know of an application. Defaults and their reasons stand in the binary's defaults file.

use std::time::Duration;

use crate::restart::Restart;

/// The settings of one application. Any value is accepted; zero durations mean "at once".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConfig {
    /// How many workers run side by side; zero is allowed.
    pub instances: u32,
    /// After which ends a worker is started again.
    pub restart: Restart,
    /// After these exit codes no policy starts it again.
    pub stop_exit_codes: Vec<i32>,
    /// Delay after the first death that counts; doubles with each that follows.
    pub backoff_first: Duration,
    /// No backoff is longer.
    pub backoff_max: Duration,
    /// A worker that was ready for at least this long is stable: its death does not count.
    pub stable_after: Duration,
    /// More deaths that count than this within [`restarts_period`](Self::restarts_period) make the slot *failed*.
    pub restarts_max: u32,
    /// The window of the intensity.
    pub restarts_period: Duration,
    /// A failed slot is tried again after this.
    pub cool_down: Duration,
    /// How long a worker may take from its start until it is ready.
    pub ready_timeout: Duration,
    /// What becomes of a worker that took longer.
    pub on_ready_timeout: ReadyTimeout,
    /// How long requests in flight may take to finish before the worker is told to stop.
    pub grace: Duration,
    /// From the polite request to stop until SIGTERM.
    pub terminate_after: Duration,
    /// From SIGTERM until SIGKILL.
    pub kill_after: Duration,
    /// Slots reloaded or restarted at the same time; zero counts as one.
    pub reload_parallel: u32,
    /// How long a worker may stay unhealthy before it is replaced.
    pub health_replace_after: Duration,
}

/// What becomes of a worker that still lives but was not ready in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyTimeout {
    /// It is stopped and counts as a failed start.
    Fail,
    /// It is treated as ready: for programs that never say so.
    Assume,
}
