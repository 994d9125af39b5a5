//! Latencies in log-linear buckets: 16 per power of two, so a quantile is off by at most 6 %. 4 kB, no allocation later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const SUB_BITS: u32 = 4;
const SUB: u64 = 1 << SUB_BITS;
/// Values beyond 2^36 us (19 hours) count as that.
const BUCKETS: usize = (SUB as usize) * 33;

/// Counts of latencies in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: Duration,
}

/// A histogram as it is kept: few of its buckets hold anything.
#[derive(Serialize, Deserialize)]
struct Written {
    /// The latency at the upper end of a bucket in microseconds, and its count.
    counts: Vec<(u64, u64)>,
    sum: Duration,
}

impl From<Histogram> for Written {
    fn from(histogram: Histogram) -> Self {
        let filled = histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let counts = filled.map(|(index, count)| (upper_bound(index), *count)).collect();
        Self { counts, sum: histogram.sum }
    }
}

impl From<Written> for Histogram {
    fn from(written: Written) -> Self {
        let mut histogram = Self { sum: written.sum, ..Self::new() };
        for (micros, count) in written.counts {
            histogram.counts[index(micros)] += count;
            histogram.count += count;
        }
        histogram
    }
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
    fn written_histogram_is_read_as_it_was() {
        let mut histogram = Histogram::new();
        for exponent in 0..40 {
            histogram.record(Duration::from_micros(3 << exponent));
        }
        let text = serde_json::to_string(&histogram).expect("numbers can be written");
        assert_eq!(serde_json::from_str::<Histogram>(&text).expect("as it was written"), histogram);
    }

    #[test]
    fn empty_histogram_has_no_latency() {
        assert_eq!(Histogram::new().quantile(0.99), Duration::ZERO);
    }
}
