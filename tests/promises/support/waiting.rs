//! Waiting for a fact, bounded in time; and whose turn it is.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// How often a fact is looked at that nobody announces.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Tests that measure time or load the machine run alone; all others may run beside each other.
static TURN: RwLock<()> = RwLock::new(());

/// This test has the machine for itself.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}

/// This test may run beside others of its kind.
pub(crate) fn beside() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `look` finds something; panics with `what` after `limit`.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "within {limit:?} it did not happen that {what}");
        pause_between(LOOK_EVERY);
    }
}

/// Waits at most ten seconds until it is true: for what takes milliseconds on a quiet machine.
#[track_caller]
pub(crate) fn soon(what: &str, mut is_true: impl FnMut() -> bool) {
    eventually(what, Duration::from_secs(10), || is_true().then_some(()));
}

/// The rhythm of a test that does something again and again. Never used to wait for something to have happened.
pub(crate) fn pause_between(duration: Duration) {
    let until = Instant::now() + duration;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
