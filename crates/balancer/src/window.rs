//! How many requests a worker may hold without having read them.
//!
//! The kernel tells when a worker takes what it was given. A worker in a long computation takes nothing, so one waiting
//! request is enough for it and the rest wait in the balancer, in order. A worker that takes each request within a
//! moment is starved by a window of one: while it works the next request must lie ready, and several taken in one turn
//! of its event loop cost it less. So the window grows while requests are taken in time and is halved when they are
//! not (additive increase, multiplicative decrease, as in TCP). It grows only when it was the limit, so that a quiet
//! worker does not earn a window it never used.

use std::time::Duration;

/// A concurrency limit that sets itself from the time requests wait unread.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    size: u32,
    size_max: u32,
    taken_within: Duration,
}

impl Window {
    pub(crate) fn new(size_max: u32, taken_within: Duration) -> Self {
        Self { size: 1, size_max: size_max.max(1), taken_within }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// A request was taken `delay` after it was sent; `was_limit` tells whether the window was full at that time.
    pub(crate) fn taken(&mut self, delay: Duration, was_limit: bool) {
        if delay > self.taken_within {
            self.size = (self.size / 2).max(1);
        } else if was_limit {
            self.size = (self.size + 1).min(self.size_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_millis(2);

    fn check(takes: &[(u64, bool)], expected: u32) {
        let mut window = Window::new(8, WITHIN);
        for (delay, was_limit) in takes {
            window.taken(Duration::from_millis(*delay), *was_limit);
        }
        assert_eq!(window.size(), expected, "{takes:?}");
    }

    #[test]
    fn grows_when_it_was_the_limit_and_requests_are_taken_in_time() {
        check(&[], 1);
        check(&[(0, true)], 2);
        check(&[(1, true), (1, true), (2, true)], 4);
        check(&[(0, true); 20], 8);
    }

    #[test]
    fn stays_when_it_was_not_the_limit() {
        check(&[(0, false); 20], 1);
    }

    #[test]
    fn halves_when_requests_wait_and_never_reaches_zero() {
        check(&[(0, true), (0, true), (0, true), (10, true)], 2);
        check(&[(10, true); 5], 1);
    }
}
