//! The machine's own time: how long after its beginning something was, or will be.
//!
//! An [`Instant`] means nothing to another process, so a machine that is to be saved and resumed counts for itself. The [`Clock`]
//! translates at the border: instants outside, moments inside.

use std::ops::Add;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A point in the life of a machine, across the processes that ran it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// Zero if `earlier` is later.
    pub(crate) const fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

/// One instant of this process of which it is known when it was in the life of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    instant: Instant,
    moment: Moment,
}

impl Clock {
    pub(crate) const fn new(instant: Instant, moment: Moment) -> Self {
        Self { instant, moment }
    }

    /// What was before the beginning is taken for the beginning.
    pub(crate) fn moment(&self, instant: Instant) -> Moment {
        match instant.checked_duration_since(self.instant) {
            Some(later) => self.moment + later,
            None => Moment(self.moment.0.saturating_sub(self.instant - instant)),
        }
    }

    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        let earlier = self.moment.saturating_duration_since(moment);
        let later = moment.saturating_duration_since(self.moment);
        // The clock of a process may not reach back to what was before the machine it runs on was started.
        self.instant.checked_sub(earlier).unwrap_or(self.instant) + later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_are_translated_there_and_back() {
        let now = Instant::now();
        let clock = Clock::new(now, Moment(Duration::from_secs(100)));
        for (instant, seconds) in [
            (now, 100),
            (now + Duration::from_secs(5), 105),
            (now.checked_sub(Duration::from_secs(5)).expect("the machine runs for seconds"), 95),
        ] {
            assert_eq!(clock.moment(instant), Moment(Duration::from_secs(seconds)));
            assert_eq!(clock.instant(Moment(Duration::from_secs(seconds))), instant);
        }
        assert_eq!(
            Clock::new(now + Duration::from_secs(5), Moment::default()).moment(now),
            Moment::default()
        );
    }
}
