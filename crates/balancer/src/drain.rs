//! How fast the queue drains, and so how long whoever joins it would wait: a request that would be late anyway is better
//! refused at once, before it makes those behind it late as well.
//!
//! Pure: `schedule.rs` tells what leaves the queue, and asks. What is not known is not guessed: while hardly anything has
//! drained, as when no worker is there, everybody may wait.

use std::time::{Duration, Instant};

/// What happened this long ago counts for half.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// A longer pause counts as this: a worker that stood still says nothing about how fast it will be.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Less says nothing.
const LEFT_MIN: f64 = 8.0;
/// What the queue did longer ago, while it has been empty, is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// The pace of a queue.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Requests that have left for a worker, the later the more they count.
    left: f64,
    /// Seconds in which they did so.
    seconds: f64,
    /// Of what was told last.
    last: Option<Instant>,
}

impl Drain {
    /// Somebody joins an empty queue: the time before was not spent on draining.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > FORGOTTEN_AFTER) {
            *self = Self::default();
        }
        self.last = Some(now);
    }

    /// Somebody leaves the queue for a worker.
    pub(crate) fn leave(&mut self, now: Instant) {
        let pause =
            self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last)).min(PAUSE_MAX);
        // Falls a little slower than by halves, and needs no exponential.
        let kept = 1.0 / (1.0 + pause.as_secs_f64() / HALF_LIFE.as_secs_f64());
        self.left = self.left * kept + 1.0;
        self.seconds = self.seconds * kept + pause.as_secs_f64();
        self.last = Some(now);
    }

    /// How long it takes until so many have left; nothing if that cannot be known.
    pub(crate) fn expected(&self, waiting: usize) -> Option<Duration> {
        let seconds = waiting as f64 * self.seconds / self.left;
        (self.left >= LEFT_MIN).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    /// Some queue in virtual time, in steps of a millisecond.
    struct Simulation {
        now: Instant,
        drain: Drain,
        waiting: VecDeque<Instant>,
        waits: Vec<Duration>,
        shed: usize,
        owed: (f64, f64),
    }

    impl Simulation {
        fn new() -> Self {
            let (waiting, waits) = (VecDeque::new(), Vec::new());
            Self { now: Instant::now(), drain: Drain::default(), waiting, waits, shed: 0, owed: (0.0, 0.0) }
        }

        /// For so long, so many arrive, and so many can leave, in a second; those who leave do so in bursts.
        fn run(&mut self, seconds: u32, (arrive, leave): (f64, f64), burst: f64) {
            for _ in 0..seconds * 1000 {
                self.now += Duration::from_millis(1);
                self.owed.0 += arrive / 1000.0;
                while self.owed.0 >= 1.0 {
                    self.owed.0 -= 1.0;
                    self.arrive();
                }
                self.owed.1 = (self.owed.1 + leave / 1000.0).min(2.0 * burst);
                if self.owed.1 >= burst {
                    self.leave();
                }
            }
        }

        fn arrive(&mut self) {
            if self.drain.expected(self.waiting.len()).is_some_and(|wait| wait > LIMIT) {
                self.shed += 1;
                return;
            }
            if self.waiting.is_empty() {
                self.drain.begin(self.now);
            }
            self.waiting.push_back(self.now);
        }

        fn leave(&mut self) {
            while self.owed.1 >= 1.0
                && let Some(since) = self.waiting.pop_front()
            {
                self.owed.1 -= 1.0;
                self.drain.leave(self.now);
                self.waits.push(self.now - since);
            }
        }

        fn longest(&mut self) -> Duration {
            std::mem::take(&mut self.waits).into_iter().max().unwrap_or_default()
        }
    }

    #[test]
    fn overload_makes_nobody_late_and_wastes_no_worker() {
        for (leave, burst) in [(10.0, 1.0), (500.0, 1.0), (500.0, 16.0), (2000.0, 64.0)] {
            let mut queue = Simulation::new();
            queue.run(60, (3.0 * leave, leave), burst);
            let served = queue.waits.len() as f64 / (60.0 * leave);
            let longest = queue.longest();
            assert!(served > 0.97, "{leave}/s by {burst}: {served}");
            assert!(longest < LIMIT.mul_f64(1.5), "{leave}/s by {burst}: {longest:?}");
        }
    }

    #[test]
    fn who_can_be_served_is_never_refused() {
        let mut queue = Simulation::new();
        for (arrive, leave) in [(90.0, 100.0), (99.0, 100.0), (5.0, 1000.0)] {
            queue.run(30, (arrive, leave), 4.0);
        }
        assert_eq!(queue.shed, 0);
    }

    #[test]
    fn workers_that_stand_still_or_are_gone_refuse_nobody_before_their_time() {
        let mut queue = Simulation::new();
        // Nobody has ever left: what will be is not known.
        queue.run(30, (100.0, 0.0), 1.0);
        assert_eq!(queue.shed, 0);
        let mut queue = Simulation::new();
        queue.run(10, (100.0, 200.0), 4.0);
        // All workers die, and come back three seconds later.
        queue.run(3, (100.0, 0.0), 1.0);
        queue.run(20, (100.0, 200.0), 4.0);
        assert_eq!(queue.shed, 0, "300 that wait are 1.5 seconds of work");
    }

    #[test]
    fn a_new_pace_is_learned() {
        let mut queue = Simulation::new();
        queue.run(20, (400.0, 100.0), 1.0);
        queue.run(10, (400.0, 800.0), 1.0);
        let before = queue.shed;
        queue.run(20, (700.0, 800.0), 1.0);
        assert_eq!(queue.shed, before, "four times as many workers are noticed within seconds");
    }

    #[test]
    fn an_old_pace_is_forgotten() {
        let mut queue = Simulation::new();
        queue.run(10, (40.0, 10.0), 1.0);
        queue.waiting.clear();
        queue.run(60, (0.0, 10.0), 1.0);
        queue.arrive();
        assert_eq!(queue.drain.expected(1000), None);
    }
}
