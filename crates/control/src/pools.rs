//! What can be seen of pools and asked of them over the API: tasks, their events, those that were set aside. The binary
//! implements the trait, `pool_routes.rs` calls it.
//!
//! Inputs, results and what a worker says meanwhile are JSON that nobody here looks into.

use crate::messenger::Fault;
use crate::{ExitRecord, time};
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::future::Future;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// The longest input that is read, in bytes; each pool has a limit of its own, which is usually smaller.
pub const TASK_BYTES_MAX: usize = 64 << 20;

/// The pools of an instance. A method may be called at any time and from many tasks; those that return no future wait for
/// nothing.
pub trait Pools: Send + Sync + 'static {
    /// Every pool, by name.
    fn pools(&self) -> Vec<PoolStatus>;

    /// One pool.
    fn pool(&self, pool: &str) -> Result<PoolStatus, Fault>;

    /// Gives a task to a pool. Returns when it has ended, or without `wait` as soon as it cannot be lost any more: a new one then is
    /// told as it was when it was accepted, one that was there already as it is.
    fn submit(&self, pool: &str, task: TaskRequest)
    -> impl Future<Output = Result<TaskStatus, Fault>> + Send;

    /// The same, and everything that happens to it; the last event is its end.
    fn submit_and_watch(
        &self,
        pool: &str,
        task: TaskRequest,
    ) -> impl Future<Output = Result<mpsc::Receiver<TaskEvent>, Fault>> + Send;

    /// A task that has not ended, or whose outcome is kept.
    fn task(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault>;

    /// What happens to it from now on; the last event is its end.
    fn watch(&self, pool: &str, id: &str) -> Result<mpsc::Receiver<TaskEvent>, Fault>;

    /// Nobody wants it any more. One that has ended stays as it is. Returns when an end that this brings cannot be lost any more.
    fn cancel(&self, pool: &str, id: &str) -> impl Future<Output = Result<TaskStatus, Fault>> + Send;

    /// The tasks that were set aside, oldest first, without their inputs.
    fn dead(&self, pool: &str) -> Result<Vec<DeadTask>, Fault>;

    /// One of them with its input.
    fn dead_task(&self, pool: &str, id: &str) -> Result<DeadTask, Fault>;

    /// Gives it to the workers again, as if it were new.
    fn retry_dead(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault>;

    /// Forgets it.
    fn drop_dead(&self, pool: &str, id: &str) -> Result<(), Fault>;
}

/// A task that somebody wants done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRequest {
    /// JSON.
    pub input: Bytes,
    /// The sender's own name for it: the same name again is the same task.
    pub id: Option<String>,
    /// Tasks of one key are done one after another.
    pub key: Option<String>,
    /// Higher goes first.
    pub priority: i32,
    /// Of one try; as the pool says if not said.
    pub timeout: Option<Duration>,
    /// After failures; as the pool says if not said.
    pub retries: Option<u32>,
    /// Whether it is on disk before it is accepted; as the pool says if not said.
    pub durable: Option<bool>,
    /// The sender waits for its end.
    pub wait: bool,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It waits for a worker, or for its next try.
    Queued,
    /// A worker has it.
    Running,
    /// Done.
    Done,
    /// It failed, and there is no further try.
    Failed,
    /// Too many workers died of it; it is set aside.
    Poison,
    /// Nobody wanted it any more.
    Cancelled,
}

impl TaskState {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::Done => "done",
            TaskState::Failed => "failed",
            TaskState::Poison => "poison",
            TaskState::Cancelled => "cancelled",
        }
    }

    /// Nothing more happens to it.
    pub fn has_ended(self) -> bool {
        !matches!(self, TaskState::Queued | TaskState::Running)
    }
}

/// A task at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskStatus {
    /// What it is asked for by.
    pub id: String,
    /// How far it is.
    pub state: TaskState,
    /// What came of it, when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// Why it failed: `{"code", "message"}`, and what else its worker said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<RawValue>>,
    /// How often it was given to a worker.
    pub attempts: u32,
    /// The last that its worker said about how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Box<RawValue>>,
    /// When it was accepted, in seconds since 1970; absent when another daemon did.
    #[serde(default, with = "time::moment_option", skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<SystemTime>,
}

/// Something that happened to a task.
#[derive(Clone, Debug)]
pub enum TaskEvent {
    /// How far it is, in its worker's words.
    Progress(Box<RawValue>),
    /// A part of its result.
    Part(Box<RawValue>),
    /// It has ended; or another daemon goes on with it, which tells more.
    End(Box<TaskStatus>),
}

/// A task that was set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadTask {
    /// What it is asked for by.
    pub id: String,
    /// Why: `poison` or `failed`.
    pub state: TaskState,
    /// In its worker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<RawValue>>,
    /// How often it was given to a worker.
    pub attempts: u32,
    /// How the last workers died of it, oldest first, as far as that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deaths: Vec<ExitRecord>,
    /// Length of the input.
    pub input_bytes: u64,
    /// The input, when one task is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
}

/// A pool at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// The name of the pool.
    pub name: String,
    /// Workers that take tasks.
    pub workers: u32,
    /// At least and at most.
    pub size: (u32, u32),
    /// What becomes of its tasks.
    #[serde(flatten)]
    pub tasks: TaskCounts,
}

/// What becomes of the tasks of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Tasks that wait.
    pub queued: u64,
    /// Tasks that workers have.
    pub running: u64,
    /// Done since the pool was started.
    pub done: u64,
    /// Failed for good since then, poison and cancelled ones among them.
    pub failed: u64,
    /// Refused since then, because the queue was full.
    pub refused: u64,
    /// Set aside now.
    pub dead: u64,
}
