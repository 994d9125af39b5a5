//! One worker as the pool sees it: what it has in its hands, what waits for it alone, how quick it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::{Ready, TaskId};
use crate::line::Line;

/// A worker's pace is measured over at least so much of work: answers come in batches, of which the first seems slow and the others free.
const PACE_WINDOW: Duration = Duration::from_millis(1);

/// A worker that is ready or drains.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) ready: Ready,
    /// What it was given and has not answered, in that order.
    pub(crate) hand: VecDeque<TaskId>,
    /// How many of the first in its hand it works on.
    pub(crate) begun: usize,
    /// Firsts of keys that belong to its slot.
    pub(crate) line: Line,
    /// The suspect that it will get as soon as its hand is empty.
    pub(crate) reserved: Option<TaskId>,
    /// A suspect is in its hand, and nothing else.
    pub(crate) alone: bool,
    /// It gets no more.
    pub(crate) draining: bool,
    /// It was to be killed: no task is to blame for its death.
    pub(crate) killed: bool,
    /// When it came.
    since: Instant,
    /// It has answered something.
    answered: bool,
    pace: Pace,
}

/// How long a worker takes per task.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Since when it has worked without a pause, or answered last.
    since: Instant,
    /// What it did in the window that is open, and how long that took.
    answers: u32,
    busy: Duration,
    /// Unknown until the first window closes.
    average: Option<Duration>,
}

impl Worker {
    pub(crate) fn new(now: Instant, ready: Ready) -> Self {
        Self {
            ready,
            hand: VecDeque::new(),
            begun: 0,
            line: Line::default(),
            reserved: None,
            alone: false,
            draining: false,
            killed: false,
            since: now,
            answered: false,
            pace: Pace { since: now, answers: 0, busy: Duration::ZERO, average: None },
        }
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.ready.concurrency.max(1) as usize
    }

    /// How many tasks it may have: what it works on, and about as many ahead as it does in `ahead`.
    pub(crate) fn hand_max(&self, ahead: Duration) -> usize {
        let in_time = |average: Duration| (ahead.as_nanos() / average.as_nanos().max(1)) as usize;
        let prefetch = self.pace.average.map_or(0, in_time).min(self.ready.prefetch_max as usize);
        self.concurrency() + prefetch
    }

    pub(crate) fn takes_tasks(&self) -> bool {
        !self.draining && !self.killed
    }

    /// When it may be given a suspect: it has shown that it works, or has been there for a while.
    pub(crate) fn settles_at(&self, after: Duration) -> Instant {
        let proven = self.answered || self.ready.abortable;
        if proven { self.since } else { self.since.checked_add(after).unwrap_or(self.since) }
    }

    /// It may be given an ordinary task now.
    pub(crate) fn has_room(&self, ahead: Duration) -> bool {
        self.takes_tasks() && !self.alone && self.reserved.is_none() && self.hand.len() < self.hand_max(ahead)
    }

    /// How full its hands are, in millionths of what it works on at a time.
    pub(crate) fn load(&self) -> usize {
        self.hand.len() * 1_000_000 / self.concurrency()
    }

    pub(crate) fn give(&mut self, now: Instant, task: TaskId) {
        if self.hand.is_empty() {
            self.pace.since = now;
        }
        self.hand.push_back(task);
    }

    /// Takes a task out of its hand. Tells whether it was there.
    pub(crate) fn take_back(&mut self, now: Instant, task: TaskId) -> bool {
        let Some(at) = self.hand.iter().position(|held| *held == task) else { return false };
        self.hand.remove(at);
        if at < self.begun {
            self.begun -= 1;
        }
        if self.hand.is_empty() {
            self.alone = false;
        }
        self.answered = true;
        self.pace.answered(now);
        true
    }
}

impl Pace {
    fn answered(&mut self, now: Instant) {
        self.busy += now.saturating_duration_since(self.since);
        self.answers += 1;
        self.since = now;
        if self.busy >= PACE_WINDOW {
            let latest = self.busy / self.answers;
            self.average = Some(self.average.map_or(latest, |before| (before + latest) / 2));
            (self.busy, self.answers) = (Duration::ZERO, 0);
        }
    }
}
