//! The worker whose answer is expected first: what it took lately times what it has to do. Pure.

use std::time::Duration;

use super::{Candidate, turn};

/// The lowest expected wait, divided by the weight.
pub(super) fn pick(
    candidates: impl Iterator<Item = Candidate>,
    next: usize,
    weight: impl Fn(&Candidate) -> u64,
) -> Option<usize> {
    let key = |c: &Candidate| (expected_wait(c) / weight(c) as u32, turn(c.index, next));
    candidates.min_by_key(key).map(|c| c.index)
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
    use super::super::Policy;
    use super::super::tests::check;
    use super::super::tests::simulator::{Stage, simulate};
    use super::*;

    #[test]
    fn fastest_weighs_latency_by_requests_in_flight() {
        check(Policy::Fastest, &[(0, 0, 900), (0, 0, 400)], &[1]);
        check(Policy::Fastest, &[(0, 0, 900), (0, 3, 400)], &[0]);
        check(Policy::Fastest, &[(0, 0, 900), (0, 0, 0)], &[1]);
    }

    #[test]
    fn average_rises_at_once_and_falls_slowly() {
        let mut average = PeakEwma::default();
        average.observe(Duration::from_millis(10));
        assert_eq!(average.value(), Duration::from_millis(10));
        average.observe(Duration::ZERO);
        assert_eq!(average.value(), Duration::from_millis(9));
    }

    #[test]
    fn simulated_slow_worker_is_spared() {
        let stage = Stage { speeds: vec![1.0, 1.0, 1.0, 0.2], load: 0.5, ..Stage::equal(4) };
        let fastest = simulate("fastest, one slow", Policy::Fastest, &stage);
        let turns = simulate("round-robin, one slow", Policy::RoundRobin, &stage);
        let least = simulate("least-loaded, one slow", Policy::LeastLoaded, &stage);
        assert!(fastest.p99 < least.p99 && fastest.p99 < turns.p99, "{fastest:?} {least:?} {turns:?}");
        assert!(fastest.shares[3] < least.shares[3], "{fastest:?} {least:?}");
    }
}
