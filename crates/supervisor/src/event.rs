//! What goes into the machine of an application and what comes out of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::AppConfig;
use crate::exit::ExitKind;
use crate::reason::Reason;

/// Names one process that was ever asked for; never used again, not even across restarts of a slot.
pub type WorkerId = u64;

/// What happened.
///
/// The driver answers each [`Action::Spawn`] with exactly one of `Started` and `SpawnFailed`; `Started` comes before anything else about
/// that worker, `Exited` is the last thing said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin, as if for the first time; while running: try failed and finished slots again at once; while stopping: begin afterwards.
    Start,
    /// The process was started.
    Started {
        /// Which.
        worker: WorkerId,
        /// Its process id.
        pid: u32,
    },
    /// The process could not be started.
    SpawnFailed {
        /// Which.
        worker: WorkerId,
        /// Why, as a fragment for people.
        reason: String,
        /// Trying again without a change is pointless: the program does not exist.
        fatal: bool,
    },
    /// The worker said that it is ready; one that was unhealthy: its health check passes again.
    Ready {
        /// Which.
        worker: WorkerId,
    },
    /// The worker closed its last listener, or says that it is not ready any more.
    Unready {
        /// Which.
        worker: WorkerId,
    },
    /// The health check of the worker has failed too often. May be said again and again; [`Ready`](Self::Ready) ends it.
    ///
    /// As long as any worker is ready and healthy, the unhealthy get no requests; else they get them all the same. One that is unhealthy
    /// for `health_replace_after` is recycled.
    Unhealthy {
        /// Which.
        worker: WorkerId,
    },
    /// The worker has served its time: start another beside it, which takes over when it is ready. One at a time, never during a
    /// reload; others wait. A new worker that fails is tried again after a pause.
    Recycle {
        /// Which. Only one that was ready can be recycled.
        worker: WorkerId,
        /// Named again in the events.
        why: Recycle,
    },
    /// Answers [`Action::Drain`]: nothing is in flight at this worker.
    Drained {
        /// Which.
        worker: WorkerId,
    },
    /// The process has ended.
    Exited {
        /// Which.
        worker: WorkerId,
        /// How.
        exit: ExitKind,
    },
    /// The worker does not take or answer what it is given.
    Wedged {
        /// Which.
        worker: WorkerId,
    },
    /// Run this many workers from now on.
    Scale(u32),
    /// Replace every worker, one after the other, without a gap.
    Reload {
        /// Named again in the events of this reload.
        id: u64,
    },
    /// End every worker, `reload_parallel` at a time, and start another when it is gone; finished and failed slots too. What is not
    /// running is started. Told of by the events of a reload.
    Restart {
        /// Named again in the events; not that of a reload.
        id: u64,
    },
    /// Count restarts from zero.
    ResetCounts,
    /// Other settings, its number of instances included. Running workers stay; a [`Reload`](Self::Reload) replaces them.
    Reconfigure(AppConfig),
    /// Drain and stop everything.
    Stop,
    /// Kill everything.
    StopNow,
    /// The time of [`App::poll_timeout`](crate::App::poll_timeout) has come.
    Timeout,
}

/// What the driver has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a process for the slot.
    Spawn {
        /// Its name from now on.
        worker: WorkerId,
        /// The place it fills: its instance number, from 0.
        slot: u32,
    },
    /// Give it requests.
    Route {
        /// Which.
        worker: WorkerId,
    },
    /// Give it no more requests; answer with [`Input::Drained`] as soon as nothing is in flight. `Route` takes it back.
    Drain {
        /// Which.
        worker: WorkerId,
    },
    /// Give it no more requests for now, but keep it: what is in flight goes on, and nothing is answered. `Route` takes it back.
    Suspend {
        /// Which.
        worker: WorkerId,
    },
    /// Ask it to end in the way its kind understands. Where that is SIGTERM, send that.
    StopPolitely {
        /// Which.
        worker: WorkerId,
    },
    /// SIGTERM to its process group.
    Terminate {
        /// Which.
        worker: WorkerId,
    },
    /// SIGKILL to its process group. May come again: a process that hangs in the kernel does not die of the first.
    Kill {
        /// Which.
        worker: WorkerId,
    },
    /// Tell whoever listens.
    Tell(Event),
}

/// What is worth telling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The process is up; not yet ready.
    WorkerStarted {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// Its process id.
        pid: u32,
    },
    /// The worker gets requests from now on.
    WorkerReady {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// How it is known.
        readiness: Readiness,
        /// Time since it was asked for.
        after: Duration,
    },
    /// It said that it is not ready any more; it has `ready_timeout` to change its mind.
    WorkerUnready {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
    },
    /// Its health check has failed too often.
    WorkerUnhealthy {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
    },
    /// It is unhealthy, and gets no more requests because healthy workers do.
    WorkerEjected {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
    },
    /// It is unhealthy, and gets requests again because no healthy worker is left.
    WorkerRestored {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
    },
    /// It is healthy again and gets requests.
    WorkerHealthy {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// How long it was unhealthy.
        after: Duration,
    },
    /// Another worker is started to take its place.
    RecycleStarted {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// Why.
        why: Recycle,
    },
    /// Another worker has taken its place; it finishes its last requests.
    Recycled {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// Why.
        why: Recycle,
    },
    /// The worker that was to take its place failed, or a reload goes first. It serves on, if it still lives, and is recycled later.
    RecycleFailed {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// Why it was to be replaced.
        why: Recycle,
        /// Why it was not.
        reason: Reason,
    },
    /// It was not ready in time and is being stopped.
    WorkerNotReady {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// The patience it was given.
        after: Duration,
    },
    /// It was taken out because it no longer answers, and is being ended.
    WorkerWedged {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// What follows.
        next: Next,
    },
    /// The process has ended.
    WorkerExited {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// How.
        exit: ExitKind,
        /// It had been told to end.
        expected: bool,
        /// What follows.
        next: Next,
    },
    /// The process could not be started.
    SpawnFailed {
        /// Which.
        worker: WorkerId,
        /// Its slot.
        slot: u32,
        /// Why.
        reason: String,
        /// What follows.
        next: Next,
    },
    /// A slot that had failed has a ready worker again.
    Recovered {
        /// Which.
        slot: u32,
    },
    /// So many slots of the reload, or restart, serve the new code.
    ReloadProgress {
        /// As given in [`Input::Reload`] or [`Input::Restart`].
        id: u64,
        /// Slots replaced.
        done: u32,
        /// Slots in this reload.
        of: u32,
    },
    /// Every slot serves the new code. After a reload old workers may still be finishing their last requests.
    ReloadDone {
        /// As given in [`Input::Reload`].
        id: u64,
    },
    /// The reload, or restart, ended early. Slots that were replaced stay replaced, in all others the old workers serve on. A slot that
    /// fails in a restart has no old worker; it is tried again as after any other death.
    ReloadFailed {
        /// As given in [`Input::Reload`].
        id: u64,
        /// The slot whose new worker failed, if it was one.
        slot: Option<u32>,
        /// Why.
        reason: Reason,
    },
    /// Every worker ended in a way after which it is not to be started again.
    Finished,
    /// After `Stop` or `StopNow`: nothing runs any more. Not told if a start was asked for meanwhile.
    Stopped,
    /// It is stopping, and will be started when it has stopped, because that was asked for meanwhile.
    StartFollows,
    /// The application was never ready and there is no point in waiting: the program cannot be started, or every slot failed. Told once;
    /// failed slots are still tried again after `cool_down` unless it is stopped.
    Failed {
        /// Why, by one of the slots.
        reason: Reason,
    },
}

/// Why a worker has served its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recycle {
    /// It uses more memory than it may.
    Memory,
    /// It has lived for as long as it may.
    Age,
    /// It has answered as many requests as it may.
    Requests,
    /// Its health check has failed for too long.
    Unhealthy,
}

/// How it is known that a worker is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    /// The worker, or its health check, said so.
    Said,
    /// It lived for `ready_timeout` and [`ReadyTimeout::Assume`](crate::ReadyTimeout::Assume) is set.
    Assumed,
}

/// What follows the end of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// Another is started at once.
    Now,
    /// Another is started after this time.
    After(Duration),
    /// The slot has failed; it is tried again after `retry_in`.
    Failed {
        /// The cool-down.
        retry_in: Duration,
    },
    /// The worker that a running reload has already started takes its place.
    Reload,
    /// Nothing: it was told to leave, or the policy says so, or the old worker of a failed reload serves on.
    No,
}
