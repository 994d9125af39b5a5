//! What an app does by the clock, beside its workers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// One `[app.NAME.schedule.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSettings {
    /// Unique within the app; written as a name.
    pub name: String,
    /// A valid cron expression of 5 or 6 fields.
    pub cron: String,
    /// A zone that this machine knows; nothing: its own.
    pub time_zone: Option<String>,
    /// A run begins up to so much after its time, at random.
    #[serde(default)]
    pub jitter: Duration,
    /// What is done.
    pub work: ScheduledWork,
    /// When it is due and still runs.
    pub overlap: Overlap,
    /// When it was due and nobody was there.
    pub catch_up: CatchUp,
    /// A run that takes longer is ended; what no worker could take until then is given up.
    pub timeout: Duration,
}

/// What is done when it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScheduledWork {
    /// A line for a shell.
    Command(String),
    /// A message for one ready worker.
    Message(Value),
    /// A task for a pool.
    Task {
        /// Its name; nothing: the pool whose schedule it is.
        pool: Option<String>,
        /// What the worker gets.
        input: Value,
    },
}

/// What becomes of a time that comes while the run before has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// One run follows.
    Queue,
}

/// What becomes of times that fell into a pause: no daemon, or the app was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchUp {
    /// They are left out.
    None,
    /// One run follows for all of them.
    One,
}
