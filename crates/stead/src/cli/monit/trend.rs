//! What an app did in the last seconds, out of totals seen again and again: requests per second and latencies. Pure.
//!
//! Totals say how it has been since the start; whoever watches wants to know how it is now.

use std::collections::VecDeque;
use std::time::Duration;
use stead_control::{AppStatus, Bucket};

/// The past that "now" means.
const WINDOW: Duration = Duration::from_secs(10);

/// Points of a curve: more than any screen shows.
const POINTS_MAX: usize = 240;

/// What was seen of an app.
#[derive(Clone, Debug, Default)]
pub(super) struct Trend {
    samples: VecDeque<Sample>,
    /// Requests per second, oldest first.
    requests: VecDeque<u64>,
    /// Processor time in per cent of a core, oldest first.
    cpu: VecDeque<u64>,
}

#[derive(Clone, Debug)]
struct Sample {
    /// Since the beginning of watching.
    at: Duration,
    requests: u64,
    buckets: Vec<Bucket>,
    count: u64,
}

impl Trend {
    /// Takes a look; `at` is the time since the beginning of watching.
    pub(super) fn see(&mut self, at: Duration, app: &AppStatus) {
        let sample = Sample {
            at,
            requests: app.counters.requests,
            buckets: app.latency.buckets.clone(),
            count: app.latency.count,
        };
        // Another daemon counts from the beginning, and so does one that was told to.
        if self
            .samples
            .back()
            .is_some_and(|last| last.requests > sample.requests || last.count > sample.count)
        {
            self.samples.clear();
        }
        let latest = self.samples.back().map(|last| per_second(last, &sample));
        self.samples.push_back(sample);
        while self.samples.front().is_some_and(|first| at.saturating_sub(first.at) > WINDOW) {
            self.samples.pop_front();
        }
        push(&mut self.requests, latest.unwrap_or(0.0).round() as u64);
        push(&mut self.cpu, (app.cpu * 100.0).round() as u64);
    }

    /// Requests per second, when it was looked at twice.
    pub(super) fn rate(&self) -> Option<f64> {
        let (first, last) = self.ends()?;
        Some(per_second(first, last))
    }

    /// The latency that this share of the requests did not exceed, of those answered lately.
    pub(super) fn latency(&self, share: f64) -> Option<Duration> {
        let (first, last) = self.ends()?;
        let of = |sample: &Sample, up_to: Duration| {
            sample.buckets.iter().find(|bucket| bucket.up_to == up_to).map_or(0, |bucket| bucket.count)
        };
        let answered = last.count.saturating_sub(first.count);
        let wanted = (answered as f64 * share).ceil() as u64;
        if answered == 0 {
            return None;
        }
        let mut sum = 0;
        for bucket in &last.buckets {
            sum += bucket.count.saturating_sub(of(first, bucket.up_to));
            if sum >= wanted {
                return Some(bucket.up_to);
            }
        }
        // Above the last bucket; its bound is all there is to say.
        last.buckets.last().map(|bucket| bucket.up_to)
    }

    /// The last so many rates, oldest first.
    pub(super) fn requests(&self, count: usize) -> Vec<u64> {
        last(&self.requests, count)
    }

    /// The last so many processor times in per cent of a core, oldest first.
    pub(super) fn cpu(&self, count: usize) -> Vec<u64> {
        last(&self.cpu, count)
    }

    fn ends(&self) -> Option<(&Sample, &Sample)> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        (last.at > first.at).then_some((first, last))
    }
}

fn per_second(first: &Sample, last: &Sample) -> f64 {
    let seconds = last.at.saturating_sub(first.at).as_secs_f64();
    let requests = last.requests.saturating_sub(first.requests) as f64;
    if seconds > 0.0 { requests / seconds } else { 0.0 }
}

fn push(points: &mut VecDeque<u64>, point: u64) {
    points.push_back(point);
    if points.len() > POINTS_MAX {
        points.pop_front();
    }
}

fn last(points: &VecDeque<u64>, count: usize) -> Vec<u64> {
    points.iter().skip(points.len().saturating_sub(count)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;

    /// So many requests so far, of which so many took up to 1 ms and 10 ms.
    fn app(requests: u64, fast: u64, slow: u64) -> AppStatus {
        let mut app = status().apps.remove(0);
        app.counters.requests = requests;
        let bucket = |milliseconds, count| Bucket { up_to: Duration::from_millis(milliseconds), count };
        app.latency.buckets = vec![bucket(1, fast), bucket(10, slow)];
        app.latency.count = requests;
        app
    }

    fn seen(looks: &[(u64, AppStatus)]) -> Trend {
        let mut trend = Trend::default();
        looks.iter().for_each(|(second, app)| trend.see(Duration::from_secs(*second), app));
        trend
    }

    #[test]
    fn rates_are_of_the_last_seconds() {
        let check =
            |looks: &[(u64, AppStatus)], expected: Option<f64>| assert_eq!(seen(looks).rate(), expected);
        check(&[], None);
        check(&[(0, app(500, 0, 0))], None);
        check(&[(0, app(500, 0, 0)), (2, app(600, 0, 0))], Some(50.0));
        // What is longer ago than the window does not count.
        check(&[(0, app(0, 0, 0)), (11, app(500, 0, 0)), (13, app(520, 0, 0))], Some(10.0));
        // Another daemon has begun to count.
        check(&[(0, app(500, 0, 0)), (1, app(3, 0, 0))], None);
        check(&[(0, app(500, 0, 0)), (1, app(3, 0, 0)), (2, app(5, 0, 0))], Some(2.0));
    }

    #[test]
    fn latencies_are_of_the_last_seconds() {
        let check = |looks: &[(u64, AppStatus)], median: Option<u64>, most: Option<u64>| {
            let trend = seen(looks);
            let milliseconds = |share| trend.latency(share).map(|latency| latency.as_millis() as u64);
            assert_eq!((milliseconds(0.5), milliseconds(0.99)), (median, most));
        };
        check(&[(0, app(10, 5, 5))], None, None);
        check(&[(0, app(10, 5, 5)), (1, app(10, 5, 5))], None, None);
        check(&[(0, app(1000, 0, 1000)), (1, app(1100, 100, 1000))], Some(1), Some(1));
        check(&[(0, app(0, 0, 0)), (1, app(100, 98, 2))], Some(1), Some(10));
        // Slower than the slowest bucket.
        check(&[(0, app(0, 0, 0)), (1, app(100, 0, 0))], Some(10), Some(10));
    }

    #[test]
    fn curves_are_bounded() {
        let looks: Vec<(u64, AppStatus)> =
            (0..POINTS_MAX as u64 + 9).map(|at| (at, app(at * 7, 0, 0))).collect();
        let trend = seen(&looks);
        assert_eq!(trend.requests(usize::MAX).len(), POINTS_MAX);
        assert_eq!(trend.requests(3), [7, 7, 7]);
        assert_eq!(trend.cpu(2), [75, 75]);
    }
}
