//! What goes into a pool and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::keys::Key;

/// Names a task for ever: rises with each that is accepted, also across restarts from the journal.
pub type TaskId = u64;

/// Names one process, chosen by the driver; never used again.
pub type WorkerId = u64;

/// A task that somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// What the worker is given.
    pub input: Bytes,
    /// The giver's own name for it: the same name again is the same task.
    pub name: Option<Arc<str>>,
    /// Tasks of one key run one at a time, in the order in which they were accepted, on the same slot's worker while it is there.
    pub key: Option<Key>,
    /// Higher goes first.
    pub priority: i32,
    /// How long one attempt may take; the pool's own time if not said.
    pub timeout: Option<Duration>,
    /// How often it is tried again after failures; the pool's own number if not said.
    pub retries: Option<u32>,
    /// The driver keeps it in a journal; means nothing to the machine.
    pub durable: bool,
}

impl NewTask {
    /// A task with nothing said about it.
    #[must_use]
    pub fn new(input: Bytes) -> Self {
        Self { input, name: None, key: None, priority: 0, timeout: None, retries: None, durable: false }
    }
}

/// A task is in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It was accepted now.
    New(TaskId),
    /// One of this name was already there.
    Known(TaskId),
}

impl Submitted {
    /// Which task it is.
    #[must_use]
    pub fn id(self) -> TaskId {
        let (Self::New(id) | Self::Known(id)) = self;
        id
    }
}

/// Why a task was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many tasks wait as may.
    #[error("{waiting} tasks wait already, which is the most that may")]
    Full {
        /// How many.
        waiting: usize,
    },
    /// Their inputs take as much memory as they may.
    #[error("inputs of {bytes} bytes wait already, and this one would be more than may")]
    FullOfBytes {
        /// How much.
        bytes: usize,
    },
}

/// A worker that can take tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub worker: WorkerId,
    /// The place that it fills; keys belong to slots.
    pub slot: u32,
    /// How many tasks it works on at a time; zero counts as one.
    pub concurrency: u32,
    /// How many more it may be given ahead; it begins them in the order in which they were given.
    pub prefetch_max: u32,
    /// It can be told to stop a task without being killed.
    pub abortable: bool,
    /// It may keep an answer back until there are more: whatever it has may be what it died of, and not only what it seems to work on.
    pub gathers: bool,
}

/// Whose doing the end of a worker was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// It crashed or left by itself: the tasks that it had begun are suspected. What the driver says of it is kept with those that are
    /// set aside.
    Own(Bytes),
    /// Somebody killed it, and did not say why. The kernel does so when memory runs out: tasks that this happens to again and again
    /// are suspected at last. What the driver says of it, as above.
    Killed(Bytes),
    /// It was stopped, or had not taken any task yet: no task's fault.
    Outside,
}

/// What happened.
///
/// Everything a worker has said is told before its `Gone`, which is the last thing said about it. What is said of a task that the worker
/// does not have (any more) is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A worker can take tasks; once more for the same worker: it can take more or fewer.
    Ready(Ready),
    /// A worker is to get no more; [`Action::Drained`] follows once its hands are empty.
    Drain {
        /// Which.
        worker: WorkerId,
    },
    /// A worker is dead and all that it had said has been told. Workers that were never ready may be named.
    Gone {
        /// Which.
        worker: WorkerId,
        /// Whose doing; of a worker that was to be killed by [`Action::Kill`] it does not matter.
        death: Death,
    },
    /// After a restart from the journal: a living worker, told ready before, was given this task in the pool's former life.
    Holds {
        /// Who.
        worker: WorkerId,
        /// Which.
        task: TaskId,
    },
    /// A task is done.
    Done {
        /// By whom.
        worker: WorkerId,
        /// Which.
        task: TaskId,
        /// What came of it.
        result: Bytes,
    },
    /// A task has failed, as its worker says; or it could not be given, or was stopped as it was told.
    Failed {
        /// By whom.
        worker: WorkerId,
        /// Which.
        task: TaskId,
        /// What the worker says about it.
        error: Bytes,
        /// To try again is of use.
        retry: bool,
    },
    /// Nobody wants it any more. Those that have ended stay as they are.
    Cancel {
        /// Which.
        task: TaskId,
    },
    /// The time of [`Pool::poll_timeout`](crate::Pool::poll_timeout) has come.
    Timeout,
}

/// How a task ended, once and for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With this result.
    Done(Bytes),
    /// It failed, and there is no further try.
    Failed(Fault),
    /// Too many workers died of it. Set aside with its input, and with what was said of the last deaths, as far as it is known.
    Poison(Vec<Bytes>),
    /// Nobody wanted it any more.
    Cancelled,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The worker said so, in its own words.
    Told(Bytes),
    /// It took too long.
    Timeout,
}

/// What the driver is to do. Each is to be performed, in this order; what is about a worker that is gone by then means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a task to a worker; its input is [`Pool::input`](crate::Pool::input). `attempt` counts from 1; each try has its own.
    Give {
        /// To whom.
        worker: WorkerId,
        /// Which.
        task: TaskId,
        /// Which try.
        attempt: u32,
    },
    /// Tell a worker to stop a task. It answers as ever, or is killed after the grace.
    Abort {
        /// Whom.
        worker: WorkerId,
        /// Which.
        task: TaskId,
    },
    /// Kill a worker that does not stop what it was told to. `Gone` is to follow.
    Kill {
        /// Whom.
        worker: WorkerId,
    },
    /// A worker that drains has nothing left in its hands.
    Drained {
        /// Which.
        worker: WorkerId,
    },
    /// A task has ended.
    Finish(Finish),
    /// An attempt failed or killed its worker, and there will be another; for the journal, so that nothing is tried for ever.
    Retry(Retry),
    /// Nothing is known any more of a task whose outcome was kept or that was set aside.
    Forget {
        /// Which.
        task: TaskId,
    },
    /// So many workers are wanted now.
    Want {
        /// How many in all.
        workers: u32,
    },
}

/// The end of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// Which.
    pub task: TaskId,
    /// What its giver calls it.
    pub name: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// How often it was given to a worker.
    pub attempts: u32,
    /// It is set aside: `Pool::dead` has it with its input.
    pub set_aside: bool,
    /// As it was said when it was accepted.
    pub durable: bool,
    /// What it was given, for whoever reports failures.
    pub input: Bytes,
}

/// A task that will be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Which.
    pub task: TaskId,
    /// How often it was given to a worker.
    pub attempts: u32,
    /// How many attempts failed.
    pub failures: u32,
    /// How many workers died of it.
    pub deaths: u32,
    /// As it was said when it was accepted.
    pub durable: bool,
}
