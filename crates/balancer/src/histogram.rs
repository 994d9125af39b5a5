//! Latencies in log-linear buckets: 16 per power of two, so a quantile is off by at most 6 %. 4 kB, no allocation later.

use std::time::Duration;

const SUB_BITS: u32 = 4;
const SUB: u64 = 1 << SUB_BITS;
/// Values beyond 2^36 us (19 hours) count as that.
const BUCKETS: usize = (SUB as usize) * 33;

/// Counts of latencies in microseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: Duration,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into(), count: 0, sum: Duration::ZERO }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.counts[index(latency.as_micros() as u64)] += 1;
        self.count += 1;
        self.sum += latency;
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.count += other.count;
        self.sum += other.sum;
    }

    /// Latencies recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The latency that a share of `quantile` (0 to 1) does not exceed; zero when nothing was recorded.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = (quantile * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return Duration::from_micros(upper_bound(index));
            }
        }
        Duration::ZERO
    }

    /// How many latencies were at most `bound`, to the precision of the buckets.
    pub fn at_most(&self, bound: Duration) -> u64 {
        self.counts[..=index(bound.as_micros() as u64)].iter().sum()
    }
}

fn index(micros: u64) -> usize {
    if micros < SUB {
        return micros as usize;
    }
    let exponent = 63 - micros.leading_zeros() - SUB_BITS;
    let index = (u64::from(exponent) + 1) * SUB + ((micros >> exponent) & (SUB - 1));
    (index as usize).min(BUCKETS - 1)
}

fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB {
        return index;
    }
    let exponent = index / SUB - 1;
    ((SUB + index % SUB + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|micros| histogram.record(Duration::from_micros(micros)));
        for (quantile, expected) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let got = histogram.quantile(quantile).as_micros() as f64;
            assert!((got - expected).abs() / expected < 0.07, "{quantile}: {got} for {expected}");
        }
        assert_eq!(histogram.count(), 10_000);
    }

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..40).map(|bits| 1u64 << bits).flat_map(|v| [v - 1, v, v + 1]) {
            let index = index(value);
            assert!(index < BUCKETS);
            assert!(upper_bound(index) >= value || index == BUCKETS - 1, "{value}");
        }
    }

    #[test]
    fn empty_histogram_has_no_latency() {
        assert_eq!(Histogram::new().quantile(0.99), Duration::ZERO);
    }
}
