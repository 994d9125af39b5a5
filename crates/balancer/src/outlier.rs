//! Takes a worker that fails, or is much slower than the others, out for a while, longer each time it has to be.
//!
//! Pure. Health checks ask a worker how it is; this is what its requests have shown. Because all of them may fail for a
//! reason that is none of theirs (a database), a worker goes only while another one does well, and never more than half.

use std::time::{Duration, Instant};

/// The first time; doubles with each one that follows.
const OUT_FIRST: Duration = Duration::from_secs(5);
const OUT_MAX: Duration = Duration::from_secs(300);
/// Who has served for this long without being taken out begins anew.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// Slow answers in a row: one can be an accident.
const SLOW_ANSWERS: u32 = 10;
/// No answer is slow that takes less than this.
const SLOW_MIN: Duration = Duration::from_millis(20);

/// When a worker is taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ejection {
    /// After so many failures in a row.
    pub failures: Option<u32>,
    /// When its answers take so many times as long as the median of the others.
    pub slower: Option<f64>,
}

/// What the requests of one worker have shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    failures: u32,
    slow: u32,
    times_out: u32,
    out_until: Option<Instant>,
    /// When it was last let in again.
    back: Option<Instant>,
}

impl Standing {
    pub(crate) fn is_out(&self) -> bool {
        self.out_until.is_some()
    }

    pub(crate) fn does_well(&self) -> bool {
        self.failures == 0 && self.slow == 0 && !self.is_out()
    }

    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(crate) fn answered(&mut self) {
        self.failures = 0;
    }

    /// How long its answer took, beside the median of the others.
    pub(crate) fn compare(&mut self, slower: f64, took: Duration, usual: Duration) {
        let is_slow = took > SLOW_MIN && took.as_secs_f64() > usual.as_secs_f64() * slower;
        self.slow = if is_slow { self.slow.saturating_add(1) } else { 0 };
    }

    /// Whether it should go, if enough others stay.
    pub(crate) fn is_outlier(&self, ejection: &Ejection) -> bool {
        !self.is_out()
            && (ejection.failures.is_some_and(|max| self.failures >= max) || self.slow >= SLOW_ANSWERS)
    }

    pub(crate) fn take_out(&mut self, now: Instant) {
        if self.back.is_none_or(|back| now.saturating_duration_since(back) > FORGIVEN_AFTER) {
            self.times_out = 0;
        }
        let time = OUT_FIRST * 2_u32.pow(self.times_out.min(10));
        self.times_out += 1;
        self.out_until = Some(now + time.min(OUT_MAX));
    }

    /// Lets it in if its time is over. Tells whether it was.
    pub(crate) fn come_back(&mut self, now: Instant) -> bool {
        let is_over = self.out_until.is_some_and(|until| until <= now);
        if is_over {
            *self = Self { times_out: self.times_out, back: Some(now), ..Self::default() };
        }
        is_over
    }
}

/// Whether one more may go, of `serving` workers of which `out` are out: never more than half.
pub(crate) fn may_one_more_go(serving: usize, out: usize) -> bool {
    (out + 1) * 2 <= serving
}

/// The median of what is known of others; nothing if that is nothing.
pub(crate) fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.retain(|time| !time.is_zero());
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EJECTION: Ejection = Ejection { failures: Some(3), slower: Some(4.0) };
    const USUAL: Option<Duration> = Some(Duration::from_millis(10));

    /// `answers`: milliseconds, 0 being a failure.
    fn check(ejection: &Ejection, answers: &[u64], usual: Option<Duration>, expected: bool) {
        let mut standing = Standing::default();
        for answer in answers {
            match answer {
                0 => standing.failed(),
                millis => {
                    standing.answered();
                    if let (Some(slower), Some(usual)) = (ejection.slower, usual) {
                        standing.compare(slower, Duration::from_millis(*millis), usual);
                    }
                }
            }
        }
        assert_eq!(standing.is_outlier(ejection), expected, "{answers:?}");
    }

    #[test]
    fn failures_count_in_a_row() {
        check(&EJECTION, &[0, 0], USUAL, false);
        check(&EJECTION, &[0, 0, 0], USUAL, true);
        check(&EJECTION, &[0, 0, 1, 0, 0], USUAL, false);
        check(&Ejection::default(), &[0; 100], USUAL, false);
    }

    #[test]
    fn slow_answers_count_in_a_row_and_against_others() {
        check(&EJECTION, &[50; 10], USUAL, true);
        check(&EJECTION, &[50; 9], USUAL, false);
        check(&EJECTION, &[50, 50, 50, 50, 50, 1, 50, 50, 50, 50, 50], USUAL, false);
        check(&EJECTION, &[39; 20], USUAL, false);
        check(&EJECTION, &[50; 20], None, false);
        check(&EJECTION, &[15; 20], Some(Duration::from_millis(1)), false);
        check(&Ejection { slower: None, ..EJECTION }, &[5000; 20], USUAL, false);
    }

    #[test]
    fn time_out_doubles_up_to_a_limit_and_is_forgiven() {
        let start = Instant::now();
        let (mut standing, mut now, mut times) = (Standing::default(), start, Vec::new());
        for _ in 0..9 {
            standing.take_out(now);
            let until = standing.out_until.expect("it is out");
            times.push((until - now).as_secs());
            assert!(!standing.come_back(now) && standing.is_out());
            now = until;
            assert!(standing.come_back(now) && !standing.is_out() && standing.does_well());
        }
        assert_eq!(times, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        now += FORGIVEN_AFTER + Duration::from_secs(1);
        standing.take_out(now);
        assert_eq!(standing.out_until, Some(now + OUT_FIRST));
    }

    #[test]
    fn never_more_than_half_are_out() {
        let out_max = |serving| (0..serving).take_while(|out| may_one_more_go(serving, *out)).count();
        assert_eq!([0, 1, 2, 3, 4, 5, 8].map(out_max), [0, 0, 1, 1, 2, 2, 4]);
    }

    #[test]
    fn median_is_of_those_that_are_known() {
        let millis = |times: &[u64]| times.iter().map(|time| Duration::from_millis(*time)).collect();
        assert_eq!(median(millis(&[0, 0])), None);
        assert_eq!(median(millis(&[9, 0, 1, 5])), Some(Duration::from_millis(5)));
    }
}
