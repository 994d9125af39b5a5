//! What an instance of Stead looks like at one moment: plain data, the answer of `GET /v1/status`.

use crate::time;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// One running instance (a keeper with its daemon) and its apps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the running daemon.
    pub version: String,
    /// Names the instance: the keeper stays the same for its whole life.
    pub keeper_pid: u32,
    /// The daemon of this moment.
    pub daemon_pid: u32,
    /// How often a daemon was started; more than 1 means that one died.
    pub daemon_starts: u32,
    /// When this daemon started, in seconds since 1970.
    #[serde(with = "time::moment")]
    pub started: SystemTime,
    /// How long this daemon has been running, in seconds.
    #[serde(with = "time::seconds")]
    pub uptime: Duration,
    /// In the order of the configuration.
    pub apps: Vec<AppStatus>,
}

impl Status {
    /// The app with this name.
    pub fn app(&self, name: &str) -> Option<&AppStatus> {
        self.apps.iter().find(|app| app.name == name)
    }
}

/// One app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppStatus {
    /// As configured; unique within the instance.
    pub name: String,
    /// As configured; what each port really does stands with the port.
    pub mode: Mode,
    /// How many workers there should be and are.
    pub instances: Instances,
    /// Public addresses.
    pub listens: Vec<ListenStatus>,
    /// By slot; during a reload a slot has two.
    pub workers: Vec<WorkerStatus>,
    /// Present while a reload is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadStatus>,
    /// Of all workers, those that are gone included.
    pub counters: Counters,
    /// Of answered requests, from the complete head to the last byte of the answer.
    pub latency: Latency,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Found out per port.
    Auto,
    /// The balancer reads requests and chooses a worker for each.
    Http,
    /// A worker gets the whole connection.
    Direct,
}

impl Mode {
    /// As it is written in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Http => "http",
            Mode::Direct => "direct",
        }
    }
}

/// How many workers there should be and are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instances {
    /// What configuration or `stead scale` asked for.
    pub wanted: u32,
    /// How many get requests now.
    pub ready: u32,
}

/// One public address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenStatus {
    /// `127.0.0.1:8080`, `[::]:8080` or `unix:/path`.
    pub address: String,
    /// What is done with its connections.
    pub mode: Mode,
}

/// A reload that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// Slots that run the new code.
    pub done: u32,
    /// Slots to replace.
    pub of: u32,
}

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Not running, will be started.
    Down,
    /// Running, has not said that it is ready.
    Starting,
    /// Gets requests.
    Ready,
    /// Gets no more requests, finishes those it has.
    Draining,
    /// Was asked to end.
    Stopping,
    /// Died too often; tried again after a cool-down.
    Failed,
}

impl WorkerState {
    /// All of them, in the order of a worker's life.
    pub const ALL: [WorkerState; 6] = [
        WorkerState::Down,
        WorkerState::Starting,
        WorkerState::Ready,
        WorkerState::Draining,
        WorkerState::Stopping,
        WorkerState::Failed,
    ];

    /// As it is written in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkerState::Down => "down",
            WorkerState::Starting => "starting",
            WorkerState::Ready => "ready",
            WorkerState::Draining => "draining",
            WorkerState::Stopping => "stopping",
            WorkerState::Failed => "failed",
        }
    }
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Never reused within the life of a daemon.
    pub id: u64,
    /// Its place, 0 to instances - 1; kept when the worker is replaced.
    pub slot: u32,
    /// Absent while nothing runs.
    pub pid: Option<u32>,
    /// Where it is in its life.
    pub state: WorkerState,
    /// Since this process was started, in seconds.
    #[serde(with = "time::seconds_option")]
    pub uptime: Option<Duration>,
    /// How often the slot's worker was replaced because it died.
    pub restarts: u64,
    /// How the slot's previous worker ended.
    pub last_exit: Option<ExitReport>,
    /// Until the next attempt, in seconds, when it is down or failed.
    #[serde(with = "time::seconds_option")]
    pub retry_in: Option<Duration>,
    /// Resident memory of the process.
    pub memory_bytes: Option<u64>,
    /// Requests given to this worker.
    pub requests: u64,
    /// Requests it has now.
    pub in_flight: u64,
    /// Requests that were given to others because this one died or did not take them.
    pub replayed: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// Exit code, when it ended by itself.
    pub code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// Killed by the kernel for its memory.
    #[serde(default)]
    pub out_of_memory: bool,
    /// Did what it was asked to do (stop, reload, scale).
    #[serde(default)]
    pub expected: bool,
}

/// What happened to the requests of an app since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Complete request heads.
    pub requests: u64,
    /// Being worked on now.
    pub in_flight: u64,
    /// Sent to another worker than the first.
    pub replayed: u64,
    /// Had to wait because no worker was ready.
    pub held: u64,
    /// Waiting now, held or queued because every worker is busy.
    pub waiting: u64,
    /// Answered 502 because they kill workers.
    pub poisoned: u64,
    /// Answered 4xx or 503 by the balancer: malformed, too large, over a limit.
    pub refused: u64,
    /// Answered 502 or 504, or cut, because a worker died or was silent and replay was not allowed.
    pub failed: u64,
    /// Downstream connections open now.
    pub connections: u64,
}

/// A latency histogram with the two quantiles people ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// In rising order of `up_to`; what is above the last is in `count` only.
    pub buckets: Vec<Bucket>,
    /// All observations.
    pub count: u64,
    /// Of all observations, in seconds.
    #[serde(with = "time::seconds")]
    pub sum: Duration,
    /// Median, in seconds; absent before the first request.
    #[serde(with = "time::seconds_option")]
    pub p50: Option<Duration>,
    /// In seconds; absent before the first request.
    #[serde(with = "time::seconds_option")]
    pub p99: Option<Duration>,
}

/// One bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Upper bound, inclusive, in seconds.
    #[serde(with = "time::seconds")]
    pub up_to: Duration,
    /// Observations in this bucket alone, not cumulative.
    pub count: u64,
}
