//! How many workers are wanted, by how much there is to do.
//!
//! More are wanted once there has been work for more during `up_after` without a pause, at once if there is none at all; fewer once there
//! has been work for fewer during `down_after`, and then as many as the busiest moment of that time needed. So a burst starts nothing
//! and a pause stops nothing.

use std::time::Instant;

use crate::config::PoolConfig;

/// The wanted number of workers.
#[derive(Debug)]
pub(crate) struct Scale {
    wanted: u32,
    trend: Trend,
}

#[derive(Debug, Clone, Copy)]
enum Trend {
    Level,
    /// There is work for more, since.
    Up {
        since: Instant,
    },
    /// There is work for fewer, since; at most for so many.
    Down {
        since: Instant,
        peak: u32,
    },
}

impl Scale {
    pub(crate) fn new(config: &PoolConfig) -> Self {
        Self { wanted: config.workers_min, trend: Trend::Level }
    }

    pub(crate) fn wanted(&self) -> u32 {
        self.wanted
    }

    /// There is work for `need` workers now. Tells the new number if it is another one.
    pub(crate) fn observe(&mut self, now: Instant, need: usize, config: &PoolConfig) -> Option<u32> {
        let need = u32::try_from(need).unwrap_or(u32::MAX).min(config.workers_max).max(config.workers_min);
        self.trend = match self.trend {
            _ if need == self.wanted => Trend::Level,
            Trend::Up { since } if need > self.wanted => Trend::Up { since },
            Trend::Down { since, peak } if need < self.wanted => Trend::Down { since, peak: peak.max(need) },
            Trend::Level | Trend::Up { .. } | Trend::Down { .. } if need > self.wanted => {
                Trend::Up { since: now }
            }
            Trend::Level | Trend::Up { .. } | Trend::Down { .. } => Trend::Down { since: now, peak: need },
        };
        let wanted = match self.trend {
            Trend::Up { .. } if self.wanted == 0 || self.is_due(now, config) => need,
            Trend::Down { peak, .. } if self.is_due(now, config) => peak,
            Trend::Level | Trend::Up { .. } | Trend::Down { .. } => return None,
        };
        self.wanted = wanted;
        self.trend = Trend::Level;
        Some(wanted)
    }

    fn is_due(&self, now: Instant, config: &PoolConfig) -> bool {
        self.deadline(config).is_some_and(|deadline| deadline <= now)
    }

    /// When to observe again, if nothing happens before.
    pub(crate) fn deadline(&self, config: &PoolConfig) -> Option<Instant> {
        match self.trend {
            Trend::Level => None,
            Trend::Up { since } => since.checked_add(config.scale_up_after),
            Trend::Down { since, .. } => since.checked_add(config.scale_down_after),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::tests::config;

    /// Second by second: what is needed, what is wanted then. One to four workers, up after 1 s, down after 10 s.
    #[track_caller]
    fn check(steps: &[(u64, usize, u32)]) {
        let (config, start) = (config(), Instant::now());
        let mut scale = Scale::new(&config);
        for (second, need, wanted) in steps {
            scale.observe(start + Duration::from_secs(*second), *need, &config);
            assert_eq!(scale.wanted(), *wanted, "at second {second}");
        }
    }

    #[test]
    fn burst_starts_nothing_and_pause_stops_nothing() {
        check(&[(0, 3, 1), (0, 1, 1), (1, 3, 1), (2, 3, 3), (3, 0, 3), (9, 3, 3), (10, 0, 3), (19, 0, 3)]);
    }

    #[test]
    fn wanted_number_keeps_its_bounds() {
        check(&[(0, 900, 1), (1, 900, 4), (2, 0, 4), (12, 0, 1)]);
    }

    #[test]
    fn as_many_stay_as_the_busiest_moment_needed() {
        check(&[(0, 4, 1), (1, 4, 4), (2, 0, 4), (5, 2, 4), (6, 0, 4), (12, 0, 2), (22, 0, 2), (32, 0, 1)]);
    }

    #[test]
    fn first_task_of_a_pool_without_workers_waits_for_nothing_else() {
        let config = PoolConfig { workers_min: 0, ..config() };
        assert_eq!(Scale::new(&config).observe(Instant::now(), 1, &config), Some(1));
    }
}
