//! Latencies in a log-linear histogram: 64 steps per doubling, so that every value is known to 1.6 percent.

use std::time::Duration;

const STEPS_LOG2: u32 = 6;
const STEPS: u64 = 1 << STEPS_LOG2;
/// Microseconds up to 2^42, a month and a half.
const BUCKETS: usize = ((42 - STEPS_LOG2 as usize) + 1) * STEPS as usize;

/// Counts durations; fixed size, no allocation after creation.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros).min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The duration that `share` (0 to 1) of all do not exceed; zero when nothing was counted.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(highest(index)).min(self.max);
            }
        }
        self.max
    }
}

/// Values below `STEPS` have a bucket each; above, each doubling has `STEPS` buckets.
fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let shift = 63 - micros.leading_zeros() - STEPS_LOG2;
    (u64::from(shift) * STEPS + (micros >> shift)) as usize
}

/// The highest value that falls into the bucket.
fn highest(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    let lowest = (STEPS + index % STEPS) << shift;
    lowest + (1 << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_that_contains_it_within_two_percent() {
        let mut previous = 0;
        for micros in (0..200_000).chain((18..40).map(|power| 1_u64 << power)) {
            let top = highest(bucket(micros));
            assert!(top >= micros, "{micros} is above its bucket's end {top}");
            assert!(top - micros <= micros / 60 + 1, "{micros} is told as {top}");
            if micros < 200_000 {
                assert!(
                    bucket(micros) == previous || bucket(micros) == previous + 1,
                    "a hole before {micros}"
                );
                previous = bucket(micros);
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_list() {
        let mut histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        for (share, millis) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let told = histogram.quantile(share).as_secs_f64() * 1000.0;
            assert!((told - millis).abs() / millis < 0.02, "{share}: {told} instead of {millis}");
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
    }

    #[test]
    fn nothing_counted_is_zero() {
        assert_eq!(Histogram::default().quantile(0.99), Duration::ZERO);
    }
}
