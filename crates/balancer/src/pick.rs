//! Chooses a worker among those that may be given a request. Pure: loads in, a choice out.

use std::time::Duration;

/// How a worker is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The worker with the fewest requests it has not taken, then the fewest in flight. The default.
    LeastLoaded,
    /// Each in turn.
    RoundRobin,
    /// The lowest expected wait: peak-sensitive moving average of latency times requests in flight (peak EWMA).
    Fastest,
}

/// What a policy knows of one candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Position in the caller's list, returned as the choice.
    pub(crate) index: usize,
    pub(crate) untaken: u32,
    pub(crate) in_flight: u32,
    pub(crate) latency: Duration,
}

/// Chooses among candidates; remembers whose turn is next.
#[derive(Debug)]
pub(crate) struct Picker {
    policy: Policy,
    next: usize,
}

impl Picker {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, next: 0 }
    }

    /// The index of the chosen candidate; ties go to the one whose turn it is, so that equal workers get equal work.
    pub(crate) fn pick(&mut self, candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
        let next = self.next;
        let turn = |index: usize| if index >= next { index - next } else { usize::MAX / 2 + index };
        let chosen = match self.policy {
            Policy::LeastLoaded => candidates.min_by_key(|c| (c.untaken, c.in_flight, turn(c.index))),
            Policy::RoundRobin => candidates.min_by_key(|c| turn(c.index)),
            Policy::Fastest => candidates.min_by_key(|c| (expected_wait(c), turn(c.index))),
        }?;
        self.next = chosen.index + 1;
        Some(chosen.index)
    }
}

/// A worker nobody knows anything of yet counts as fast as the clock can tell, so that it gets its first request.
fn expected_wait(candidate: &Candidate) -> Duration {
    candidate.latency.max(Duration::from_micros(1)) * (candidate.in_flight + 1)
}

/// Moving average of latency that rises at once with a slow answer and falls slowly with fast ones (Finagle's peak EWMA).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PeakEwma {
    micros: f64,
}

impl PeakEwma {
    /// Weight of a new, faster observation.
    const WEIGHT: f64 = 0.1;

    pub(crate) fn observe(&mut self, latency: Duration) {
        let micros = latency.as_secs_f64() * 1e6;
        if micros > self.micros {
            self.micros = micros;
        } else {
            self.micros += (micros - self.micros) * Self::WEIGHT;
        }
    }

    pub(crate) fn value(&self) -> Duration {
        Duration::from_secs_f64(self.micros / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(loads: &[(u32, u32, u64)]) -> Vec<Candidate> {
        let candidate = |(index, load): (usize, &(u32, u32, u64))| Candidate {
            index,
            untaken: load.0,
            in_flight: load.1,
            latency: Duration::from_micros(load.2),
        };
        loads.iter().enumerate().map(candidate).collect()
    }

    fn check(policy: Policy, loads: &[(u32, u32, u64)], expected: &[usize]) {
        let mut picker = Picker::new(policy);
        let picked: Vec<_> =
            expected.iter().filter_map(|_| picker.pick(candidates(loads).into_iter())).collect();
        assert_eq!(picked, expected, "{policy:?} {loads:?}");
    }

    #[test]
    fn least_loaded_prefers_who_has_taken_everything() {
        check(Policy::LeastLoaded, &[(1, 1, 0), (0, 9, 0)], &[1, 1]);
        check(Policy::LeastLoaded, &[(0, 2, 0), (0, 1, 0)], &[1, 1]);
    }

    #[test]
    fn equal_loads_take_turns() {
        check(Policy::LeastLoaded, &[(0, 0, 0); 3], &[0, 1, 2, 0, 1]);
        check(Policy::RoundRobin, &[(5, 5, 0), (0, 0, 0)], &[0, 1, 0, 1]);
    }

    #[test]
    fn fastest_weighs_latency_by_requests_in_flight() {
        check(Policy::Fastest, &[(0, 0, 900), (0, 0, 400)], &[1]);
        check(Policy::Fastest, &[(0, 0, 900), (0, 3, 400)], &[0]);
        check(Policy::Fastest, &[(0, 0, 900), (0, 0, 0)], &[1]);
    }

    #[test]
    fn nobody_is_picked_from_nobody() {
        assert_eq!(Picker::new(Policy::LeastLoaded).pick(std::iter::empty()), None);
    }

    #[test]
    fn average_rises_at_once_and_falls_slowly() {
        let mut average = PeakEwma::default();
        average.observe(Duration::from_millis(10));
        assert_eq!(average.value(), Duration::from_millis(10));
        average.observe(Duration::ZERO);
        assert_eq!(average.value(), Duration::from_millis(9));
    }
}
