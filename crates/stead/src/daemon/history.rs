//! What is remembered of an app for whoever asks later: how its last processes ended, and how busy it was lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stead_control::ExitRecord;

/// Ends that are kept.
const EXITS_MAX: usize = 10;
/// The rate is that of so many last measurements, a second apart.
const BEATS_MAX: usize = 5;

/// How the last processes ended, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Exits(VecDeque<ExitRecord>);

impl Exits {
    pub(super) fn note(&mut self, record: ExitRecord) {
        if self.0.len() == EXITS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    /// What this worker had printed last.
    pub(super) fn add_lines(&mut self, worker: u64, lines: Vec<String>) {
        if let Some(record) = self.0.iter_mut().rev().find(|record| record.worker == worker) {
            record.last_lines = lines;
        }
    }

    pub(super) fn all(&self) -> Vec<ExitRecord> {
        self.0.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// How fast a counter grows.
#[derive(Debug, Default)]
pub(super) struct Rate {
    beats: VecDeque<(Instant, u64)>,
}

impl Rate {
    pub(super) fn note(&mut self, now: Instant, count: u64) {
        if self.beats.back().is_some_and(|(_, last)| count < *last) {
            // It was reset.
            self.beats.clear();
        }
        if self.beats.len() > BEATS_MAX {
            self.beats.pop_front();
        }
        self.beats.push_back((now, count));
    }

    /// Per second.
    pub(super) fn per_second(&self) -> f64 {
        match (self.beats.front(), self.beats.back()) {
            (Some((first, from)), Some((last, to))) if last > first => {
                let passed: Duration = last.saturating_duration_since(*first);
                (to - from) as f64 / passed.as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_that_of_the_last_seconds_and_survives_a_reset() {
        let start = Instant::now();
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), 0.0);
        for second in 0..20_u32 {
            let count = if second < 10 { 0 } else { u64::from(second) * 100 };
            rate.note(start + Duration::from_secs(second.into()), count);
        }
        assert_eq!(rate.per_second(), 100.0);
        rate.note(start + Duration::from_secs(20), 7);
        assert_eq!(rate.per_second(), 0.0);
        rate.note(start + Duration::from_secs(21), 17);
        assert_eq!(rate.per_second(), 10.0);
    }
}
