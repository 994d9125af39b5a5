//! Slow start: a fresh worker's share of the requests grows linearly until it is warm.
//!
//! Pure. A program is slow when it is new: its caches are empty, its code is not compiled yet. So a worker that joins warm ones
//! is a candidate only as often as its age allows, whatever the policy; when it is, the policy decides as ever. Those that
//! start with the pool have nobody who could serve in their place and start at once; if all are fresh because the warm ones
//! left, the oldest of them takes a full share. A fresh worker that alone could serve a request serves it: waiting would be slower.

use std::time::{Duration, Instant};

/// Shares saved up while other candidates had their turn; more are forfeited.
const CREDIT_MAX: f64 = 2.0;

/// A fresh worker's way to a full share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Warming {
    since: Instant,
    /// Requests that it may be given by now.
    credit: f64,
    held_back: bool,
}

impl Warming {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, credit: 0.0, held_back: true }
    }

    /// How far it has come, from 0 to 1.
    pub(crate) fn warmth(&self, now: Instant, slow_start: Duration) -> f64 {
        let age = now.saturating_duration_since(self.since);
        if age >= slow_start { 1.0 } else { age.as_secs_f64() / slow_start.as_secs_f64() }
    }

    /// A request is to be given to one of `candidates`. `share` (0 to 1) of an equal part of it belongs to this one.
    pub(crate) fn earn(&mut self, share: f64, candidates: usize) {
        self.credit = (self.credit + share / candidates.max(1) as f64).min(CREDIT_MAX);
        self.held_back = share < 1.0 && self.credit < 1.0;
    }

    /// It is too early for it to be given another request.
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// It was given a request.
    pub(crate) fn spend(&mut self) {
        self.credit = (self.credit - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(share: f64, candidates: usize, expected: u32) {
        let mut warming = Warming::new(Instant::now());
        let mut given = 0_u32;
        for _ in 0..1000 {
            warming.earn(share, candidates);
            if !warming.is_held_back() && share < 1.0 {
                warming.spend();
                given += 1;
            }
        }
        assert!(given.abs_diff(expected) <= 1, "{given} and not {expected} with {share} of 1/{candidates}");
    }

    #[test]
    fn share_of_an_equal_part_is_given() {
        check(0.0, 4, 0);
        check(0.1, 4, 25);
        check(0.5, 4, 125);
        check(0.9, 2, 450);
    }

    #[test]
    fn warmth_grows_linearly() {
        let start = Instant::now();
        let warming = Warming::new(start);
        for (secs, expected) in [(0, 0.0), (1, 0.1), (5, 0.5), (10, 1.0), (60, 1.0)] {
            let warmth = warming.warmth(start + Duration::from_secs(secs), Duration::from_secs(10));
            assert!((warmth - expected).abs() < 1e-9, "{warmth} after {secs} s");
        }
        assert!((warming.warmth(start, Duration::ZERO) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn time_without_requests_is_not_saved_up() {
        let mut warming = Warming::new(Instant::now());
        (0..1000).for_each(|_| warming.earn(0.5, 2));
        warming.spend();
        warming.spend();
        warming.earn(0.5, 2);
        assert!(warming.is_held_back());
    }
}
