//! Decides when a schedule runs: due, missed, left out, caught up.
//!
//! Pure: `now` is an argument, and nobody waits here. What it has dealt with is one moment, `until`; a run is begun only after
//! that has moved past its time, so that no time is run for twice, whoever dies in between.
//!
//! | it is due and | the decision |
//! |---|---|
//! | nothing runs | run |
//! | the run before has not ended | skip it, or queue one run |
//! | it was due long ago (nobody was there) | leave it out, or one run for all that was missed |
//!
//! With a `jitter` a run begins after its time, by an amount that follows from that time and a seed, and always before the next
//! one is due. Another daemon has another seed; what is dealt with is told by `until` all the same.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::{CatchUp, Overlap, ScheduleSettings, parse_cron, parse_zone};

/// Later than this is missed: a machine under load or a daemon that is replaced takes seconds.
pub(super) const LATE_MAX: Duration = Duration::from_secs(60);
/// A clock that was set back by more than this was wrong before.
const SET_BACK_MAX: Duration = Duration::from_secs(3 * 3600);

/// One schedule, as far as time goes.
#[derive(Debug)]
pub(super) struct Plan {
    cron: Cron,
    zone: TimeZone,
    overlap: Overlap,
    catch_up: CatchUp,
    jitter: Duration,
    seed: u64,
    /// All times up to here are dealt with.
    until: Timestamp,
    state: State,
}

/// Whether it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Running { since: Timestamp, queued: Option<Timestamp> },
}

/// What becomes of a time. Each says which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It begins.
    Run { due: Timestamp },
    /// It begins instead of all that was missed; this is the last of it.
    CatchUp { missed: Timestamp },
    /// It and whatever was before it is left out.
    Miss { missed: Timestamp },
    /// It is left out, because the run that was due then still goes on.
    Skip { due: Timestamp, running: Timestamp },
    /// It begins when that run has ended.
    Queue { due: Timestamp, running: Timestamp },
}

impl Plan {
    /// `until` is where an earlier one stopped; the seed decides how much of the jitter each run gets.
    ///
    /// # Errors
    /// The settings are not valid any more: this machine has forgotten the time zone.
    pub(super) fn new(settings: &ScheduleSettings, until: Timestamp, seed: u64) -> Result<Self, String> {
        let (cron, zone) = (parse_cron(&settings.cron)?, parse_zone(settings.time_zone.as_deref())?);
        let ScheduleSettings { overlap, catch_up, jitter, .. } = *settings;
        Ok(Self { cron, zone, overlap, catch_up, jitter, seed, until, state: State::Idle })
    }

    /// What was due and is not decided yet. Anything that begins is running from here on.
    pub(super) fn look(&mut self, now: Timestamp) -> Option<Decision> {
        if now < self.until {
            if later(now, SET_BACK_MAX) < self.until {
                self.until = now;
            }
            return None;
        }
        let due = self.last_due(now)?;
        self.until = due;
        let late = later(due, self.jitter.saturating_add(LATE_MAX)) < now;
        match (self.state, self.overlap) {
            (State::Idle, _) if late && self.catch_up == CatchUp::None => {
                Some(Decision::Miss { missed: due })
            }
            (State::Idle, _) => {
                self.state = State::Running { since: due, queued: None };
                Some(if late { Decision::CatchUp { missed: due } } else { Decision::Run { due } })
            }
            (State::Running { since, .. }, Overlap::Skip) => Some(Decision::Skip { due, running: since }),
            (State::Running { since, .. }, Overlap::Queue) => {
                self.state = State::Running { since, queued: Some(due) };
                Some(Decision::Queue { due, running: since })
            }
        }
    }

    /// Somebody wants it now, whatever the clock says.
    pub(super) fn want(&mut self, now: Timestamp) -> Decision {
        match (self.state, self.overlap) {
            (State::Idle, _) => {
                self.state = State::Running { since: now, queued: None };
                Decision::Run { due: now }
            }
            (State::Running { since, .. }, Overlap::Skip) => Decision::Skip { due: now, running: since },
            (State::Running { since, .. }, Overlap::Queue) => {
                self.state = State::Running { since, queued: Some(now) };
                Decision::Queue { due: now, running: since }
            }
        }
    }

    /// The run has ended; the one that was queued begins.
    pub(super) fn ended(&mut self) -> Option<Decision> {
        let State::Running { queued, .. } = std::mem::replace(&mut self.state, State::Idle) else {
            return None;
        };
        let due = queued?;
        self.state = State::Running { since: due, queued: None };
        Some(Decision::Run { due })
    }

    /// The app is stopped: what runs is ended, and nothing follows.
    pub(super) fn forget_queue(&mut self) {
        if let State::Running { queued, .. } = &mut self.state {
            *queued = None;
        }
    }

    /// A run of the daemon before this one goes on.
    pub(super) fn resume(&mut self, since: Timestamp, queued: Option<Timestamp>) {
        self.state = State::Running { since, queued };
    }

    /// What runs, and what is queued behind it, for the next daemon.
    pub(super) fn running(&self) -> Option<(Timestamp, Option<Timestamp>)> {
        match self.state {
            State::Idle => None,
            State::Running { since, queued } => Some((since, queued)),
        }
    }

    /// All times up to here are dealt with.
    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    /// In which the clock is read.
    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// When it begins next; nothing if its time never comes.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due_after(self.until).map(|due| self.begins(due))
    }

    /// When the run of this time begins.
    fn begins(&self, due: Timestamp) -> Timestamp {
        let gap = self
            .due_after(due)
            .map_or(Duration::MAX, |next| Duration::try_from(next.duration_since(due)).unwrap_or_default());
        let most = u64::try_from(self.jitter.min(gap).as_millis()).unwrap_or(u64::MAX);
        let mut hasher = DefaultHasher::new();
        (self.seed, due.as_second()).hash(&mut hasher);
        later(due, Duration::from_millis(hasher.finish().checked_rem(most).unwrap_or(0)))
    }

    fn due_after(&self, time: Timestamp) -> Option<Timestamp> {
        let from = time.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&from, false).ok().map(|next| next.timestamp())
    }

    /// The last time after `until` whose run is to begin by now.
    fn last_due(&self, now: Timestamp) -> Option<Timestamp> {
        let first = self.due_after(self.until).filter(|first| self.begins(*first) <= now)?;
        let before = |time: Timestamp, inclusive| {
            let last = self.cron.find_previous_occurrence(&time.to_zoned(self.zone.clone()), inclusive);
            // Where the clock is set back twice a year the last one before may be read as an earlier one.
            last.map_or(first, |last| last.timestamp().max(first))
        };
        let last = before(now, true);
        Some(if self.begins(last) <= now { last } else { before(last, false) })
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
