//! Accepted work is done, even if whoever did it died.
//!
//! The map: [`Pool`] is the machine of a pool of workers that take tasks. Inside it `line.rs` is the order of those who wait,
//! `keys.rs` lets tasks of one key run one after another and says which worker they belong to, `worker.rs` is what one worker has in
//! its hands, `dispatch.rs` decides who gets what, `ending.rs` what follows an answer, a failure, a death or a time-out, `backoff.rs`
//! how long a retry waits, `kept.rs` what is remembered of tasks that have ended, `scale.rs` how many workers are wanted.
//! [`Input`] and [`Action`] are what goes in and comes out. [`journal`] keeps tasks on disk.
//!
//! The machine is pure: no clock is read, no process known. The driver passes `now`, performs each [`Action`] and tells what happened:
//!
//! ```
//! # use std::time::{Duration, Instant};
//! # use stead_jobs::{Action, Input, NewTask, Outcome, Pool, PoolConfig, Ready};
//! # let config = PoolConfig { workers_min: 1, workers_max: 1, queue_max: 10, queue_bytes_max: 1 << 20, timeout: None,
//! #     abort_grace: Duration::from_secs(5), retries: 0, backoff_first: Duration::from_millis(100), backoff_max: Duration::from_secs(5),
//! #     deaths_max: 2, kills_max: 10, settled_after: Duration::ZERO, ahead: Duration::from_millis(5), kept_max: 0, kept_bytes_max: 0, kept_for: Duration::ZERO, dead_max: 10,
//! #     set_aside_failed: false, scale_up_after: Duration::ZERO, scale_down_after: Duration::from_secs(30) };
//! let now = Instant::now();
//! let mut pool = Pool::new(now, config, 1);
//! pool.handle(now, Input::Ready(Ready { worker: 7, slot: 0, concurrency: 1, prefetch_max: 0, abortable: false, gathers: false }));
//! let task = pool.submit(now, NewTask::new("21".into())).expect("the queue has room").id();
//! assert_eq!(pool.poll_action(), Some(Action::Give { worker: 7, task, attempt: 1 }));
//! pool.handle(now, Input::Done { worker: 7, task, result: "42".into() });
//! let Some(Action::Finish(finish)) = pool.poll_action() else { panic!("the task has ended") };
//! assert_eq!(finish.outcome, Outcome::Done("42".into()));
//! ```
//!
//! This room knows nothing of processes, channels, HTTP or where a task came from.

mod backoff;
mod config;
mod dispatch;
mod ending;
mod event;
pub mod journal;
mod kept;
mod keys;
mod line;
mod pool;
mod saved;
mod scale;
mod table;
mod task;
mod view;
mod worker;

pub use config::PoolConfig;
pub use event::{
    Action, Death, Fault, Finish, Input, NewTask, Outcome, Ready, Refusal, Retry, Submitted, TaskId, WorkerId,
};
pub use keys::Key;
pub use pool::Pool;
pub use saved::Saved;
pub use view::{Counts, Phase, TaskView, WorkerView};
