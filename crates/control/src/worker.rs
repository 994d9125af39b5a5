//! One worker at one moment, and how processes ended: plain data.

use crate::time;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

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
    /// Processor time it uses, in cores (1.0 is one core busy); 0 while it was not measured.
    #[serde(default)]
    pub cpu: f32,
    /// What its health check says; absent without one, and before its first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// Requests given to this worker; of a pool's worker the tasks that it has done.
    pub requests: u64,
    /// Requests, or tasks, that it has now.
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

/// One process that ended, and what followed from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// When, in seconds since 1970.
    #[serde(with = "time::moment")]
    pub at: SystemTime,
    /// Which worker.
    pub worker: u64,
    /// Its place.
    pub slot: u32,
    /// The process that ended.
    pub pid: u32,
    /// How long it had been running, in seconds.
    #[serde(default, with = "time::seconds_option")]
    pub uptime: Option<Duration>,
    /// How it ended.
    pub exit: ExitReport,
    /// Why it ended or was replaced, as far as Stead knows, and what followed: "it crashed; replaced at once".
    pub why: String,
    /// The last lines it printed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
}
