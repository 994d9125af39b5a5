//! What takes time and is told piece by piece: the progress of a reload, a restart or an upgrade, the events of an instance, poison requests.

use crate::{ExitReport, time};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// A step of a rolling reload, a restart or an upgrade. The last one is `Done` or `Failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Progress {
    /// So far.
    Step {
        /// Which app.
        app: String,
        /// Slots that run the new code.
        done: u32,
        /// Slots to replace.
        of: u32,
    },
    /// Something about it worth knowing.
    Note {
        /// A lowercase sentence without a full stop.
        text: String,
    },
    /// Everything asked for runs the new code.
    Done {
        /// Which apps, in the order they were renewed; none after an upgrade.
        apps: Vec<String>,
    },
    /// The new code did not get ready. Slots already replaced stay replaced, the others still run the old code.
    Failed {
        /// Which app; empty for an upgrade.
        app: String,
        /// A fragment that fits after "failed to reload: ".
        reason: String,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// Slots that run the new code.
        done: u32,
        /// Slots that were to be replaced.
        of: u32,
    },
}

impl Progress {
    /// True when nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Progress::Done { .. } | Progress::Failed { .. })
    }

    /// Name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            Progress::Step { .. } => "step",
            Progress::Note { .. } => "note",
            Progress::Done { .. } => "done",
            Progress::Failed { .. } => "failed",
        }
    }
}

/// Something that happened in an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// A process was started.
    #[expect(missing_docs, reason = "the fields are those of `WorkerStatus`")]
    WorkerStarted { app: String, worker: u64, slot: u32, pid: u32 },
    /// It gets requests from now on.
    #[expect(missing_docs, reason = "the fields are those of `WorkerStatus`")]
    WorkerReady { app: String, worker: u64, slot: u32, pid: u32 },
    /// A process ended.
    WorkerExited {
        /// Which app.
        app: String,
        /// Which worker.
        worker: u64,
        /// Its place.
        slot: u32,
        /// The process that ended.
        pid: u32,
        /// How it ended.
        exit: ExitReport,
        /// Until the next worker of the slot is started, in seconds; absent when none will be.
        #[serde(with = "time::seconds_option")]
        restart_in: Option<Duration>,
        /// The slot died too often and waits for its cool-down.
        failed: bool,
    },
    /// The balancer listens on a public address.
    #[expect(missing_docs, reason = "the fields are those of `ListenStatus`")]
    Listening { app: String, address: String },
    /// A reload took a step or ended.
    #[expect(missing_docs, reason = "the field says what it is")]
    Reload { progress: Progress },
    /// The number of wanted workers changed.
    #[expect(missing_docs, reason = "the fields say what they are")]
    Scaled { app: String, instances: u32 },
    /// A request was found to kill workers.
    Poisoned(PoisonedRequest),
    /// All workers of the app have ended because it was asked to stop.
    #[expect(missing_docs, reason = "the field says what it is")]
    AppStopped { app: String },
    /// The app is no longer there.
    AppDeleted {
        /// Which app.
        app: String,
        /// Tasks of a pool that had not ended, and were cancelled.
        #[serde(default)]
        tasks: u64,
    },
}

impl Event {
    /// Name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            Event::WorkerStarted { .. } => "worker-started",
            Event::WorkerReady { .. } => "worker-ready",
            Event::WorkerExited { .. } => "worker-exited",
            Event::Listening { .. } => "listening",
            Event::Reload { .. } => "reload",
            Event::Scaled { .. } => "scaled",
            Event::Poisoned(_) => "poisoned",
            Event::AppStopped { .. } => "app-stopped",
            Event::AppDeleted { .. } => "app-deleted",
        }
    }
}

/// A request that killed every worker that took it, kept so that it can be debugged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoisonedRequest {
    /// Which app.
    pub app: String,
    /// When it was answered 502, in seconds since 1970.
    #[serde(with = "time::moment")]
    pub at: SystemTime,
    /// As in the request line.
    pub method: String,
    /// As in the request line.
    pub target: String,
    /// Name and value, in order. Values of secrets are the sender's business to leave out.
    pub headers: Vec<(String, String)>,
    /// The workers that died with it, in order.
    pub deaths: Vec<Death>,
}

/// One worker that died with a request in its hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Which worker.
    pub worker: u64,
    /// Its process.
    pub pid: u32,
    /// How it ended.
    pub exit: ExitReport,
}
