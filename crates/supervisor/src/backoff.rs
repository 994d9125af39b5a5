//! How long to wait before the next try: exponential, bounded, with jitter.
//!
//! Jitter takes up to half of the delay away, so that workers that died together do not start together for ever. It is drawn
//! from a seed, so that a simulation can be repeated.

use std::time::Duration;

use crate::config::AppConfig;

/// The source of chance (SplitMix64); good enough to spread starts, of no use for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number in `0.0..1.0`.
    fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        f64::from((mixed >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }
}

/// The delay before try number `attempt`, counted from 1: between half and all of `first * 2^(attempt - 1)`, at most `backoff_max`.
pub(crate) fn delay(attempt: u32, config: &AppConfig, jitter: &mut Jitter) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let full = config.backoff_first.saturating_mul(1 << doublings).min(config.backoff_max);
    full - (full / 2).mul_f64(jitter.next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::tests::config;

    #[test]
    fn delay_doubles_within_its_bounds() {
        let mut jitter = Jitter::new(7);
        for (attempt, full) in
            [(1, 100), (2, 200), (3, 400), (6, 3200), (7, 5000), (40, 5000), (u32::MAX, 5000)]
        {
            for _ in 0..100 {
                let full = Duration::from_millis(full);
                let delay = delay(attempt, &config(), &mut jitter);
                assert!(
                    delay > full / 2 - Duration::from_nanos(2) && delay <= full,
                    "attempt {attempt}: {delay:?}"
                );
            }
        }
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let mut config = config();
        config.backoff_first = Duration::MAX;
        config.backoff_max = Duration::MAX;
        assert!(delay(u32::MAX, &config, &mut Jitter::new(1)) > Duration::from_secs(u64::MAX / 3));
    }
}
