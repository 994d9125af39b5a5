//! What reaches the task of an app.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde_json::Value;
use stead_balancer::PoolEvent;
use stead_control::{AppStatus, Definition, Environment, PoisonedRequest, Progress, Refusal, ShardTable};
use stead_process::keeper::{ChildId, Exit, Signal};
use stead_process::node::Received;
use stead_supervisor::WorkerId;
use tokio::sync::{mpsc, oneshot};

use super::hooks::Hook;
use super::pool::Wish;
use super::ports::PortId;
use super::renew::{Renewal, Renewed};

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
    /// The pool that it is wants something done about its workers.
    PoolWish(Wish),
    /// A check, `READY=1` or patience found the worker ready.
    Ready { worker: WorkerId },
    /// It gave a sign of life.
    Alive { worker: WorkerId },
    /// A health check of it was made: passed, or why not.
    Checked { worker: WorkerId, outcome: Result<(), String> },
    /// A hook has ended: as it should, or why not.
    Hooked { hook: Hook, outcome: Result<(), String> },
    /// Evaluate the definition again and replace all workers.
    Renew(Renewal),
    /// It was evaluated.
    Renewed(Renewed),
    /// It is time for `cron_restart`.
    Due,
    /// The time of a schedule may have come.
    ScheduleDue { schedule: String },
    /// A task of a schedule is not taken by its pool yet, and why.
    ScheduleWaits { schedule: String, reason: String },
    /// Its pool has taken it.
    ScheduleGiven { schedule: String },
    /// Somebody wants it to run now; answered with why it does not.
    RunSchedule { schedule: String, answer: oneshot::Sender<Result<(), String>> },
    /// The command of a schedule runs.
    ScheduleBegan { schedule: String, child: ChildId },
    /// It has ended: as it should, or why not.
    ScheduleEnded { schedule: String, outcome: Result<(), String> },
    /// Another number of workers; answered when that can no longer be forgotten.
    Scale { instances: u32, answer: oneshot::Sender<()> },
    /// Everything that it needs is there: begin.
    Begin,
    /// What it needs is not there yet, in words.
    Wait(String),
    /// Stop if nothing of it runs; what runs is told in its turn.
    Retire,
    /// Something to be said about it.
    Say(String),
    /// Begin again, if it rests; else try at once what has failed.
    Start { progress: mpsc::Sender<Progress> },
    /// It was asked for anew; for the next restart.
    Redefine(Arc<Definition>),
    /// End; without draining if `now`.
    Stop { now: bool },
    /// End and be forgotten.
    Delete { now: bool },
    /// A message for every Node.js worker, or for that of one slot; answered with how many got it.
    Send { slot: Option<u32>, message: Value, answer: oneshot::Sender<u32> },
    /// A signal for every worker, or for that of one slot; answered with how many got it.
    Signal { slot: Option<u32>, signal: Signal, answer: oneshot::Sender<u32> },
    /// The environment workers are started with.
    Environment { answer: oneshot::Sender<Environment> },
    /// How keys are divided among slots, and who owns this one.
    Shards { key: Option<String>, answer: oneshot::Sender<Result<ShardTable, Refusal>> },
    /// How it looks.
    Status { answer: oneshot::Sender<AppStatus> },
    /// The poison requests kept.
    Poisoned { answer: oneshot::Sender<Vec<PoisonedRequest>> },
    /// A connection for a worker, from the daemon that this one relieves.
    Connect { worker: WorkerId, key: String, connection: OwnedFd },
    /// Counters begin anew.
    Reset,
    /// What a worker that crashed had printed last.
    LastLines { worker: WorkerId, lines: Vec<String> },
    /// Remove what was logged; answered with why that failed.
    Flush { answer: oneshot::Sender<Result<(), String>> },
    /// Another daemon takes over; answered when nothing is read or written here any more.
    HandOver { done: oneshot::Sender<()> },
}

impl Message {
    /// It may change what the next daemon has to know.
    pub(super) fn changes(&self) -> bool {
        !matches!(
            self,
            Message::Status { .. }
                | Message::Shards { .. }
                | Message::Poisoned { .. }
                | Message::Send { .. }
                | Message::Node { received: Received::Message(_), .. }
                | Message::PoolWish(_)
                | Message::Alive { .. }
                | Message::Checked { .. }
                | Message::ScheduleDue { .. }
        )
    }
}
