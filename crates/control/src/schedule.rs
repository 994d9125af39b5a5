//! What an app does by the clock.

use crate::time;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// One schedule of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// Unique within the app.
    pub name: String,
    /// When, as configured.
    pub cron: String,
    /// The zone in which that is meant; absent for the machine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// A run begins up to so many seconds after its time; absent where it begins at once.
    #[serde(default, with = "time::seconds_option", skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// The command, or in JSON the message or the task.
    pub work: String,
    /// For which pool the task is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// When it runs next, in seconds since 1970; absent while the app is stopped.
    #[serde(default, with = "time::moment_option", skip_serializing_if = "Option::is_none")]
    pub next: Option<SystemTime>,
    /// The last run; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ScheduleRun>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRun {
    /// For which time, in seconds since 1970; one that somebody asked for has the time at which they did.
    #[serde(with = "time::moment")]
    pub due: SystemTime,
    /// When it began, in seconds since 1970.
    #[serde(with = "time::moment")]
    pub began: SystemTime,
    /// How long it took, in seconds; absent while it runs, and when nobody knows.
    #[serde(default, with = "time::seconds_option", skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// What became of it.
    pub outcome: ScheduleOutcome,
    /// Why it failed, or does not go on yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleOutcome {
    /// It has not ended.
    Running,
    /// The command ended with 0; the message was given to a worker; the task is done.
    Succeeded,
    /// It did not.
    Failed,
    /// Nobody saw its end: everything was killed while it ran.
    Lost,
}

impl ScheduleRun {
    /// It has ended now; returns how long it took.
    pub fn end(&mut self, outcome: &Result<(), String>) -> Duration {
        let took = SystemTime::now().duration_since(self.began).unwrap_or_default();
        self.took = Some(took);
        self.reason = outcome.as_ref().err().cloned();
        self.outcome = if outcome.is_ok() { ScheduleOutcome::Succeeded } else { ScheduleOutcome::Failed };
        took
    }
}

impl ScheduleOutcome {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ScheduleOutcome::Running => "running",
            ScheduleOutcome::Succeeded => "succeeded",
            ScheduleOutcome::Failed => "failed",
            ScheduleOutcome::Lost => "lost",
        }
    }
}
