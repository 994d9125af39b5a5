//! What keeps a running app well: replacing worn workers, watching files, checking health, waiting for others.

use super::text;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// When good workers are replaced by fresh ones, one at a time, each limit with up to 10 % jitter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecycleSettings {
    /// Memory of a worker's whole process group, in bytes.
    pub memory_bytes: Option<u64>,
    /// Since it was spawned.
    pub age: Option<Duration>,
    /// Requests it has answered.
    pub requests: Option<u64>,
}

/// Files whose change reloads an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSettings {
    /// Files and directories, absolute; at least one.
    #[serde(with = "text")]
    pub paths: Vec<PathBuf>,
    /// Patterns as in `.gitignore`, from the app's directory.
    pub ignore: Vec<String>,
    /// Quiet time after a change before the reload.
    pub delay: Duration,
}

/// Commands around a start, run by a shell in the app's directory and environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSettings {
    /// Once before each start and reload of the app; if it fails, so does that.
    pub before_start: Option<String>,
    /// Once after the app became ready.
    pub after_ready: Option<String>,
    /// Longest time of either.
    pub timeout: Duration,
}

/// Whether a ready worker still serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSettings {
    /// How it is found out; nothing: not at all.
    pub check: Option<HealthCheck>,
    /// Between two checks; for a watchdog, the longest silence.
    pub interval: Duration,
    /// Longest time of one check.
    pub timeout: Duration,
    /// Failures in a row after which it gets no requests; at least 1.
    pub failures_max: u32,
    /// Without requests for this long and still failing: it is replaced.
    pub replace_after: Duration,
}

/// How a worker's health is found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthCheck {
    /// It answers this path with 2xx or 3xx.
    Http {
        /// Starts with `/`.
        path: String,
    },
    /// It accepts a connection.
    Tcp,
    /// This shell command ends with 0.
    Command(String),
    /// It sends `WATCHDOG=1` to `NOTIFY_SOCKET`, or the message `watchdog`.
    Watchdog,
}

/// An app that must have come some way before another starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Its name.
    pub app: String,
    /// How far.
    pub condition: DependencyCondition,
}

/// How far an app must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DependencyCondition {
    /// Its workers are ready.
    Ready,
    /// Its workers are ready and pass their health check.
    Healthy,
    /// It ended with success, as a migration does.
    Completed,
}

/// Apps that share their luck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Written as an app's name.
    pub name: String,
    /// At least one; in the order in which they start.
    pub apps: Vec<String>,
    /// Who is restarted when one of them crashes.
    pub strategy: GroupStrategy,
}

/// Who is restarted when an app of a group crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupStrategy {
    /// That app.
    OneForOne,
    /// All of them.
    OneForAll,
    /// That app and those after it.
    RestForOne,
}
