//! How far a batch is: the line for a terminal, and the sentence at its end.

use std::time::{Duration, Instant};

use crate::cli::format::{age, grouped};

/// The rate is that of about the last so much time.
const RATE_WINDOW: Duration = Duration::from_secs(3);

/// Columns of the bar.
const BAR_COLUMNS: usize = 20;

/// How many have ended, and when.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// When the rate was looked at last, and how many had ended then.
    looked: (Instant, u64),
    rate: Option<f64>,
}

/// What is counted elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) failed: u64,
    /// Ended in an earlier run.
    pub(super) earlier: u64,
    /// The part of the input that has ended, if its length is known.
    pub(super) part: Option<f64>,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Progress {
        Progress { began: now, looked: (now, 0), rate: None }
    }

    /// The line for a terminal.
    pub(super) fn line(&mut self, now: Instant, tally: Tally) -> String {
        let ended = tally.done + tally.failed;
        let passed = now.saturating_duration_since(self.looked.0).as_secs_f64();
        if passed > 0.0 {
            let latest = ended.saturating_sub(self.looked.1) as f64 / passed;
            let weight = (passed / RATE_WINDOW.as_secs_f64()).min(1.0);
            self.rate = Some(self.rate.map_or(latest, |rate| rate + (latest - rate) * weight));
            self.looked = (now, ended);
        }
        let mut line = String::new();
        if let Some(part) = tally.part {
            line.push_str(&bar(part));
        }
        line.push_str(&format!("{} done", grouped(tally.done + tally.earlier)));
        if tally.failed > 0 {
            line.push_str(&format!(", {} failed", grouped(tally.failed)));
        }
        line.push_str(&format!(", {}/s", rate(self.rate.unwrap_or(0.0))));
        if let Some(left) = tally.part.and_then(|part| self.left(now, part)) {
            line.push_str(&format!(", {} left", age(left)));
        }
        line
    }

    pub(super) fn passed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// How long it will take if it goes on as it did.
    fn left(&self, now: Instant, part: f64) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.began);
        let known = part > 0.001 && passed > Duration::from_secs(1);
        known.then(|| passed.mul_f64(((1.0 - part) / part).clamp(0.0, 1e6)))
    }

    /// The sentence at the end.
    pub(super) fn summary(&self, now: Instant, tally: Tally) -> String {
        let passed = now.saturating_duration_since(self.began);
        let ended = tally.done + tally.failed;
        let mut text = format!("{} done", grouped(tally.done));
        if tally.failed > 0 {
            text.push_str(&format!(", {} failed", grouped(tally.failed)));
        }
        if tally.earlier > 0 {
            text.push_str(&format!(", {} before", grouped(tally.earlier)));
        }
        let per_second = ended as f64 / passed.as_secs_f64().max(0.001);
        text.push_str(&format!(" in {} ({}/s)", crate::cli::format::short(passed), rate(per_second)));
        text
    }
}

fn bar(part: f64) -> String {
    let part = part.clamp(0.0, 1.0);
    let full = (part * BAR_COLUMNS as f64) as usize;
    format!("[{}{}] {:3.0} %  ", "=".repeat(full), " ".repeat(BAR_COLUMNS - full), part * 100.0)
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { grouped(per_second as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_bar_rate_and_time_left() {
        let start = Instant::now();
        let mut progress = Progress::new(start);
        let tally = Tally { done: 2500, failed: 1, earlier: 0, part: Some(0.25) };
        let line = progress.line(start + Duration::from_secs(5), tally);
        assert_eq!(line, "[=====               ]  25 %  2,500 done, 1 failed, 500/s, 15s left");
        let unknown = Tally { done: 5001, part: None, ..tally };
        let line = progress.line(start + Duration::from_secs(10), unknown);
        assert_eq!(line, "5,001 done, 1 failed, 500/s");
        let summary = progress.summary(start + Duration::from_secs(10), unknown);
        assert_eq!(summary, "5,001 done, 1 failed in 10.0 s (500/s)");
    }
}
