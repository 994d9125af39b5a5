//! What one turn of the machine works with: the time, the settings, and the outbox.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Jitter;
use crate::config::AppConfig;
use crate::event::{Action, Event, WorkerId};
use crate::moment::Moment;

/// A wait without end is this long: more than a machine lives, and a moment can still be told as an `Instant`.
const WAIT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What all slots of an application share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) config: AppConfig,
    pub(crate) memory: Memory,
    pub(crate) jitter: Jitter,
    pub(crate) actions: VecDeque<Action>,
}

/// What all slots have to remember, even if another process goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) standing: Standing,
    worker_last: WorkerId,
}

/// Whether the application has ever worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Standing {
    /// Nothing was ready yet.
    Untested,
    /// Nothing was ready yet, and that was reported as the failure of the application.
    GivenUp,
    /// A worker was ready at least once.
    Proven,
}

impl Desk {
    pub(crate) fn new(config: AppConfig, seed: u64) -> Self {
        let memory = Memory { standing: Standing::Untested, worker_last: 0 };
        Self { config, memory, jitter: Jitter::new(seed), actions: VecDeque::new() }
    }
}

/// One turn at the desk.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Moment,
    pub(crate) desk: &'a mut Desk,
}

impl Turn<'_> {
    pub(crate) fn act(&mut self, action: Action) {
        self.desk.actions.push_back(action);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.act(Action::Tell(event));
    }

    /// The point in time after `wait`.
    pub(crate) fn after(&self, wait: Duration) -> Moment {
        self.now + wait.min(WAIT_MAX)
    }

    pub(crate) fn config(&self) -> &AppConfig {
        &self.desk.config
    }

    /// The id that the next worker will have: everything older has a smaller one.
    pub(crate) fn worker_next(&self) -> WorkerId {
        self.desk.memory.worker_last + 1
    }

    /// Takes the next id.
    pub(crate) fn name_worker(&mut self) -> WorkerId {
        self.desk.memory.worker_last += 1;
        self.desk.memory.worker_last
    }
}
