//! What an instance of Stead looks like at one moment: plain data, the answer of `GET /v1/status`.

use crate::{
    ExitRecord, Leadership, PoolDetails, Refusal, ScheduleStatus, TaskCounts, Text, WorkerStatus, time,
};
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
    /// It runs in the background, for `stead start`, and goes on when nothing of it runs; otherwise it belongs to a terminal
    /// or a container (`stead run`).
    #[serde(default)]
    pub background: bool,
    /// Where it keeps what must outlive it; absent when it keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Text>,
    /// By number.
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
    /// Its number: stays while the app exists, then may be given to another.
    #[serde(default)]
    pub id: u32,
    /// As configured; unique within the instance.
    pub name: String,
    /// What it belongs to together with others; `default` when nothing was said.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// All in one word.
    #[serde(default)]
    pub state: AppState,
    /// What a worker runs, for people: `node server.js`.
    #[serde(default)]
    pub command: String,
    /// Where it runs.
    #[serde(default)]
    pub directory: Text,
    /// The file that defines it; absent when a command line does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Text>,
    /// It is reloaded when its files change.
    #[serde(default)]
    pub watch: bool,
    /// When it is reloaded by the clock, as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_restart: Option<String>,
    /// What it does by the clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleStatus>,
    /// Why it is `failed`, when it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Refusal>,
    /// When it was started, in seconds since 1970; absent while it is stopped.
    #[serde(default, with = "time::moment_option", skip_serializing_if = "Option::is_none")]
    pub started: Option<SystemTime>,
    /// Which of its workers leads; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<Leadership>,
    /// Where its logs are; absent when they go to the terminal alone, or nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Text>,
    /// As configured; what each port really does stands with the port.
    pub mode: Mode,
    /// How many workers there should be and are.
    pub instances: Instances,
    /// Public addresses.
    pub listens: Vec<ListenStatus>,
    /// Which requests of them are for it, where it shares them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// By slot; during a reload a slot has two.
    pub workers: Vec<WorkerStatus>,
    /// Present while a reload is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadStatus>,
    /// How often a worker was replaced because it died, all slots together.
    #[serde(default)]
    pub restarts: u64,
    /// Processor time of all workers, in cores; 0 while it was not measured.
    #[serde(default)]
    pub cpu: f32,
    /// Resident memory of all workers.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Lately; 0 while it was not measured.
    #[serde(default)]
    pub requests_per_second: f64,
    /// The last processes that ended, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<ExitRecord>,
    /// Of all workers, those that are gone included.
    pub counters: Counters,
    /// Of answered requests, from the complete head to the last byte of the answer.
    pub latency: Latency,
    /// Of a pool: what becomes of its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskCounts>,
    /// Of a pool: how it was set up, and what it does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolDetails>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// An app, all in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppState {
    /// No worker has been ready yet.
    Starting,
    /// At least one worker is ready, or was and is being replaced.
    #[default]
    Running,
    /// Workers are being replaced by new ones.
    Reloading,
    /// Workers are being ended.
    Stopping,
    /// It was asked to stop and nothing of it runs.
    Stopped,
    /// Its workers die too often; tried again after a cool-down, if ever.
    Failed,
    /// Its workers ended by themselves and are not to be started again.
    Finished,
    /// It waits for another app that it depends on.
    Waiting,
}

impl AppState {
    /// As it is written in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            AppState::Starting => "starting",
            AppState::Running => "running",
            AppState::Reloading => "reloading",
            AppState::Stopping => "stopping",
            AppState::Stopped => "stopped",
            AppState::Failed => "failed",
            AppState::Finished => "finished",
            AppState::Waiting => "waiting",
        }
    }

    /// Nothing of it runs, and nothing will until somebody asks for it.
    pub fn is_at_rest(self) -> bool {
        matches!(self, AppState::Stopped | AppState::Finished)
    }
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
    /// All workers accept from one socket by themselves.
    Shared,
}

impl Mode {
    /// As it is written in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Http => "http",
            Mode::Direct => "direct",
            Mode::Shared => "shared",
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
    /// Stead ends TLS there.
    #[serde(default)]
    pub tls: bool,
}

/// A reload that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// Slots that run the new code.
    pub done: u32,
    /// Slots to replace.
    pub of: u32,
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
