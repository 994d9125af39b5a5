//! One worker as its pool's driver sees it: how it is spoken to, and whether all that it said has been heard.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use stead_control::ExitRecord;
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
    /// It is dead, not because it was told to end; what it printed last is still being read.
    pub(super) dying: Option<Dying>,
}

/// What is known of a death, and what kind of death it is with that.
pub(super) type Dying = (ExitRecord, fn(Bytes) -> Death);

/// So many of the last lines of a dead worker are kept with a task.
const LAST_LINES_MAX: usize = 10;
/// Of all of them; the first ones are given up.
const LAST_LINES_BYTES_MAX: usize = 4 << 10;

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
            dying: None,
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
        let death = self.dead.as_ref().filter(|_| self.silent)?;
        let untouched = self.unread && matches!(self.speaks, Speaks::Plain(_));
        Some(if untouched { Death::Outside } else { death.clone() })
    }

    /// What it printed last is known, if there was something: so is all that there is to say of its death.
    pub(super) fn last_lines(&mut self, lines: Vec<String>) {
        let Some((record, death)) = self.dying.take() else { return };
        let record = ExitRecord { last_lines: the_last(lines), ..record };
        let told = serde_json::to_vec(&record).expect("a record is JSON: its keys are texts");
        self.dead = Some(death(Bytes::from(told)));
    }

    /// Sends JSON. One that is gone takes nothing, which its end will tell.
    pub(super) fn say(&mut self, json: &[u8]) {
        if let Err(SendError::Closed) = self.mouth.say(json) {
            self.unread = true;
        }
    }
}

/// As many of the last lines as are kept; a line that is too long by itself has its end.
fn the_last(mut lines: Vec<String>) -> Vec<String> {
    lines.drain(..lines.len().saturating_sub(LAST_LINES_MAX));
    let mut room = LAST_LINES_BYTES_MAX;
    let mut from = lines.len();
    while from > 0 && lines[from - 1].len() <= room {
        from -= 1;
        room -= lines[from].len();
    }
    if from > 0 && from == lines.len() {
        let last = &mut lines[from - 1];
        let cut = (last.len() - room..).find(|at| last.is_char_boundary(*at)).unwrap_or(last.len());
        last.drain(..cut);
        from -= 1;
    }
    lines.drain(..from);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_few_and_short() {
        let check = |lines: &[String], expected: &[&str]| assert_eq!(the_last(lines.to_vec()), expected);
        let numbered: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        check(&numbered, &["20", "21", "22", "23", "24", "25", "26", "27", "28", "29"]);
        check(&[], &[]);
        let long = "x".repeat(LAST_LINES_BYTES_MAX - 3);
        check(&["first".to_owned(), long.clone(), "end".to_owned()], &[long.as_str(), "end"]);
        let over = format!("{}\u{e4}{}", "x".repeat(9), "y".repeat(LAST_LINES_BYTES_MAX - 1));
        check(&["first".to_owned(), over], &["y".repeat(LAST_LINES_BYTES_MAX - 1).as_str()]);
    }
}
