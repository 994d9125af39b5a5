//! Everything that can be seen and done on the command line can be seen and done over the API.
//!
//! An HTTP/JSON API on a Unix socket that only its owner may open, with server-sent events for what takes time and
//! metrics as OpenMetrics text. This room knows no other room: what there is to see is plain data (`status`,
//! `progress`), what there is to do is the trait [`Operator`], and the binary joins both to the rooms that do the work.
//!
//! | file | holds |
//! |---|---|
//! | `status.rs`, `worker.rs` | what an instance looks like at one moment |
//! | `definition.rs`, `text.rs` | how apps are asked for and kept |
//! | `progress.rs` | what reloads, restarts and upgrades report, and the events of an instance |
//! | `operator.rs`, `refusal.rs` | the trait the binary implements, and how it refuses |
//! | `server.rs`, `sse.rs`, `metrics.rs` | the API itself |
//! | `connections.rs`, `gate.rs`, `intake.rs`, `quotas.rs` | who may hold how many connections, how long they may say nothing, and how large a request is |
//! | `messenger.rs`, `workers.rs` | what workers may ask for, on a socket of their own too |
//! | `pools.rs`, `pool_details.rs`, `pool_routes.rs`, `task_query.rs`, `pool_client.rs` | pools and their tasks |
//! | `client.rs` | the other end, for the command line and for tests |
//! | `socket.rs`, `runtime.rs` | the socket file, and how running instances are found |
//! | `home.rs` | where what must outlive an instance is kept |

mod client;
mod connections;
mod definition;
mod gate;
mod home;
mod intake;
mod messenger;
mod metrics;
mod operator;
mod pool_client;
mod pool_details;
mod pool_routes;
mod pools;
mod progress;
mod quotas;
mod refusal;
mod runtime;
mod schedule;
mod server;
mod shards;
mod socket;
mod sse;
mod status;
mod task_query;
mod text;
mod time;
mod worker;
mod workers;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientError, Stream};
pub use definition::{Definition, Environment, RenewRequest, SavedApp, StartAnswer, StartRequest};
pub use home::Home;
pub use messenger::{
    Caller, Fault, Heard, Leadership, Messenger, Peer, Post, Posted, Receipt, Reply, Share, SharedValue,
};
pub use operator::{Operator, Steps, StopRequest};
pub use pool_client::TaskStream;
pub use pool_details::{PoolDetails, RunningTask, TaskFailure};
pub use pools::{
    DeadTask, PoolStatus, Pools, TASK_BYTES_MAX, TaskCounts, TaskEvent, TaskRequest, TaskState, TaskStatus,
};
pub use progress::{Death, Event, PoisonedRequest, Progress};
pub use refusal::{Refusal, RefusalKind};
pub use runtime::{Found, RuntimeDirectory, RuntimeDirectoryError};
pub use schedule::{ScheduleOutcome, ScheduleRun, ScheduleStatus};
pub use server::Server;
pub use shards::{ShardSlot, ShardTable};
pub use socket::{SocketError, bind, bind_for_workers};
pub use status::{
    AppState, AppStatus, Bucket, Counters, Instances, Latency, ListenStatus, Mode, ReloadStatus, Status,
};
pub use text::Text;
pub use worker::{ExitRecord, ExitReport, WorkerState, WorkerStatus};
