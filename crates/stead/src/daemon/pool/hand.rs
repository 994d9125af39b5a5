//! One worker as its pool's driver sees it: how it is spoken to, and whether all that it said has been heard.

use serde::{Deserialize, Serialize};
use stead_jobs::{Death, Ready, TaskId, WorkerId};
use stead_process::node::SendError;

use super::mouth::Mouth;

/// Beyond what it works on, a worker that speaks the protocol may be given so many tasks ahead.
const PREFETCH_MAX: u32 = 64;

/// A worker.
pub(super) struct Hand {
    mouth: Mouth,
    pub(super) slot: u32,
    pub(super) speaks: Speaks,
    /// It is to get tasks.
    pub(super) routed: bool,
    /// Its channel has ended: nothing more is heard of it.
    pub(super) silent: bool,
    /// It was sent something that it did not read before its end.
    pub(super) unread: bool,
    /// It is dead, and whose doing that was.
    pub(super) dead: Option<Death>,
    /// Tasks that it has done.
    pub(super) done: u64,
}

/// What a worker speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Speaks {
    /// One message in, one message out. This task is in.
    Plain(Option<TaskId>),
    /// The protocol of pools, and works on so many tasks at once.
    Protocol(u32),
}

impl Hand {
    pub(super) fn new(mouth: Mouth, slot: u32) -> Self {
        Self {
            mouth,
            slot,
            speaks: Speaks::Plain(None),
            routed: false,
            silent: false,
            unread: false,
            dead: None,
            done: 0,
        }
    }

    /// For the engine. `most`: as the configuration has it.
    pub(super) fn ready(&self, worker: WorkerId, most: Option<u32>) -> Ready {
        let (concurrency, prefetch_max, abortable) = match self.speaks {
            Speaks::Plain(_) => (1, 0, false),
            Speaks::Protocol(says) => (most.unwrap_or(says), PREFETCH_MAX, true),
        };
        Ready { worker, slot: self.slot, concurrency, prefetch_max, abortable, gathers: false }
    }

    /// Whose doing its death was, once it is dead and all that it said has been heard.
    ///
    /// One that has not taken its task cannot have died of it. A worker that speaks the protocol has said that it works, and
    /// has several tasks, of which it may have taken some.
    pub(super) fn over(&self) -> Option<Death> {
        let death = self.dead.filter(|_| self.silent)?;
        let untouched = self.unread && matches!(self.speaks, Speaks::Plain(_));
        Some(if untouched { Death::Outside } else { death })
    }

    /// Sends JSON. One that is gone takes nothing, which its end will tell.
    pub(super) fn say(&mut self, json: &[u8]) {
        if let Err(SendError::Closed) = self.mouth.say(json) {
            self.unread = true;
        }
    }
}
