//! Decides when a daemon counts as stuck, and when the service manager is told that all is well. Pure.
//!
//! A daemon that hangs is as bad as one that is dead, and worse where nobody looks; so it is asked now and then, and
//! replaced if it does not answer. Its workers go on meanwhile.

use std::time::{Duration, Instant};

/// How often a daemon is asked, unless a service manager waits less long. A machine that swaps is slow for a while, and a
/// daemon that is replaced loses what is in its hands: so this is not the place for haste.
const INTERVAL: Duration = Duration::from_secs(20);
/// A daemon that is stuck is replaced, and that is well taken care of; so many in a row are the service manager's affair.
const MISSED_MAX: u32 = 3;

#[derive(Debug)]
pub(super) struct Watchdog {
    interval: Duration,
    /// There is a service manager that waits.
    feeds: bool,
    due: Instant,
    /// The daemon was asked and has not answered.
    asked: bool,
    /// How often in a row a daemon did not answer.
    missed: u32,
}

/// What a watchdog wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bark {
    /// Ask the daemon.
    Ping,
    /// Tell the service manager that all is well.
    Feed,
    /// The daemon is stuck.
    Stuck,
}

impl Watchdog {
    /// `patience`: how long a service manager waits for a word, if there is one.
    pub(super) fn new(now: Instant, patience: Option<Duration>) -> Self {
        let interval = patience.map_or(INTERVAL, |patience| INTERVAL.min(patience / 2));
        Self { interval, feeds: patience.is_some(), due: now, asked: false, missed: 0 }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.due
    }

    pub(super) fn answered(&mut self) {
        self.asked = false;
        self.missed = 0;
    }

    /// There is another daemon now, which was not asked yet.
    pub(super) fn renewed(&mut self) {
        self.asked = false;
    }

    /// What is to be done now. `daemon`: there is one to ask.
    pub(super) fn handle_timeout(&mut self, now: Instant, daemon: bool) -> Vec<Bark> {
        if now < self.due {
            return Vec::new();
        }
        // This process has slept itself (Ctrl+Z, a debugger), and with it probably the daemon: its answer may lie here unread.
        let overslept = now - self.due > self.interval;
        self.due = now + self.interval;
        let mut barks = Vec::new();
        if self.asked && !overslept {
            self.missed += 1;
            self.asked = false;
            barks.push(Bark::Stuck);
        } else if daemon {
            self.asked = true;
            barks.push(Bark::Ping);
        }
        if self.feeds && self.missed < MISSED_MAX {
            barks.push(Bark::Feed);
        }
        barks
    }
}

#[cfg(test)]
mod tests {
    use super::Bark::*;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_manager_is_fed_as_long_as_the_daemon_answers() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start, Some(SECOND * 2));
        assert_eq!(watchdog.handle_timeout(start, true), [Ping, Feed]);
        assert_eq!(watchdog.handle_timeout(start, true), [], "not yet");
        watchdog.answered();
        assert_eq!(watchdog.handle_timeout(start + SECOND, true), [Ping, Feed]);
        assert_eq!(watchdog.handle_timeout(start + SECOND * 2, true), [Stuck, Feed]);
        assert_eq!(watchdog.handle_timeout(start + SECOND * 3, false), [Feed], "it is being started");
        for turn in 4..9 {
            let barks = watchdog.handle_timeout(start + SECOND * turn, true);
            assert_eq!(barks.contains(&Feed), turn < 7, "{turn}");
        }
        watchdog.answered();
        assert!(watchdog.handle_timeout(start + SECOND * 9, true).contains(&Feed));
    }

    #[test]
    fn a_keeper_that_slept_itself_asks_again() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(start, None);
        assert_eq!(watchdog.handle_timeout(start, true), [Ping]);
        let awake = start + INTERVAL * 5;
        assert_eq!(watchdog.handle_timeout(awake, true), [Ping]);
        assert_eq!(watchdog.handle_timeout(awake + INTERVAL, true), [Stuck]);
    }
}
