//! What reaches the task of an app.

use std::os::fd::OwnedFd;

use serde_json::Value;
use stead_balancer::PoolEvent;
use stead_control::{AppStatus, PoisonedRequest, Progress};
use stead_process::keeper::Exit;
use stead_process::node::Received;
use stead_supervisor::WorkerId;
use tokio::sync::{mpsc, oneshot};

use super::ports::{ListenError, PortId};
use crate::config::AppSettings;

/// Something happened, or is asked for.
pub(super) enum Message {
    /// The process has ended.
    Exited { worker: WorkerId, exit: Exit },
    /// A Node.js worker said something.
    Node { worker: WorkerId, received: Received },
    /// A Node.js worker closed its channel.
    ChannelEnded { worker: WorkerId },
    /// A Node.js process below a worker came for its channel.
    Joined { worker: WorkerId, channel: OwnedFd },
    /// A pool reports.
    Pool { port: PortId, event: PoolEvent },
    /// A check, `READY=1` or patience found the worker ready.
    Ready { worker: WorkerId },
    /// Replace all workers.
    Reload { progress: Option<mpsc::Sender<Progress>> },
    /// Other settings, from the configuration file read again.
    Reconfigure(Box<AppSettings>),
    /// Another number of workers.
    Scale(u32),
    /// Begin again, if it rests.
    Start { answer: oneshot::Sender<Result<(), ListenError>> },
    /// End; without draining if `now`.
    Stop { now: bool },
    /// End and be forgotten.
    Delete { now: bool },
    /// A message for every Node.js worker; answered with how many got it.
    Send { message: Value, answer: oneshot::Sender<u32> },
    /// How it looks.
    Status { answer: oneshot::Sender<AppStatus> },
    /// The poison requests kept.
    Poisoned { answer: oneshot::Sender<Vec<PoisonedRequest>> },
}
