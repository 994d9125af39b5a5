//! How long a failed task waits for its next try: exponential, bounded, with jitter.
//!
//! Jitter takes up to half of the delay away, so that tasks that failed together are not tried together for ever. It is drawn from a
//! seed, so that a simulation can be repeated.

use std::time::Duration;

use crate::config::PoolConfig;

/// The source of chance (SplitMix64); good enough to spread retries, of no use for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in `0.0..1.0`.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        f64::from((mix(self.0) >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Spreads every bit of `number` over all bits of the result; no two numbers become the same.
pub(crate) fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The delay after failure `failures`, counted from 1: between half and all of `first * 2^(failures - 1)`, at most `backoff_max`.
pub(crate) fn delay(failures: u32, config: &PoolConfig, jitter: &mut Jitter) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let full = config.backoff_first.saturating_mul(1 << doublings).min(config.backoff_max);
    full - (full / 2).mul_f64(jitter.next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    #[test]
    fn delay_doubles_within_its_bounds() {
        let config = PoolConfig {
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            ..config()
        };
        let mut jitter = Jitter::new(7);
        for (failures, full) in [(1, 100), (2, 200), (6, 3200), (7, 5000), (40, 5000), (u32::MAX, 5000)] {
            let full = Duration::from_millis(full);
            for _ in 0..100 {
                let delay = delay(failures, &config, &mut jitter);
                assert!(delay >= full / 2 && delay <= full, "failure {failures}: {delay:?}");
            }
        }
    }
}
