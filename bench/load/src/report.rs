//! What came of a run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::ser::Serializer;

use crate::class::{Class, Counts};
use crate::config::Config;
use crate::histogram::Histogram;
use crate::request::identity;

/// Failures described one by one; beyond that they are only counted.
const FAILURES_MAX: usize = 100_000;

/// One request that did not end well.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The request's identity, as its header carried it.
    pub id: String,
    /// How it ended.
    pub class: Class,
    /// When it ended, since the start of the run.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// The beginning of the answer's body, or the system's error.
    pub detail: String,
}

/// The account of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Length of the run, until the last answer.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Requests started; each is in exactly one class.
    pub total: u64,
    /// Requests answered well.
    pub ok: u64,
    /// All others.
    pub failed: u64,
    /// Requests answered well while requests were started, per second of that time: one that hangs beyond the end must
    /// not make the others look slow.
    pub per_second: f64,
    /// How many in each class.
    pub classes: Counts,
    /// Latency of the good ones: 50, 90, 99, 99.9 percent, the longest. In an open loop from the moment a request was due.
    #[serde(rename = "p50_ms", serialize_with = "millis")]
    pub p50: Duration,
    #[expect(missing_docs, reason = "see p50")]
    #[serde(rename = "p90_ms", serialize_with = "millis")]
    pub p90: Duration,
    #[expect(missing_docs, reason = "see p50")]
    #[serde(rename = "p99_ms", serialize_with = "millis")]
    pub p99: Duration,
    #[expect(missing_docs, reason = "see p50")]
    #[serde(rename = "p999_ms", serialize_with = "millis")]
    pub p999: Duration,
    #[expect(missing_docs, reason = "see p50")]
    #[serde(rename = "max_ms", serialize_with = "millis")]
    pub max: Duration,
    /// The longest time without any good answer.
    #[serde(rename = "max_gap_ms", serialize_with = "millis")]
    pub max_gap: Duration,
    /// Connections opened.
    pub connects: u64,
    /// Kept connections that the server closed between requests.
    pub idle_closed: u64,
    /// Open loop: due, but no connection became free before the end.
    pub never_sent: u64,
    /// How often each value of the counted header occurred in good answers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counted: BTreeMap<String, u64>,
    /// The failures, in the order they happened; at most 100000.
    pub failures: Vec<Failure>,
}

impl Report {
    /// How many ended in that class.
    pub fn of(&self, class: Class) -> u64 {
        self.classes.of(class)
    }

    /// The report as one line of JSON, with at most `failures_max` failures described.
    pub fn to_json(&self, failures_max: usize) -> String {
        let mut report = self.clone();
        report.failures.truncate(failures_max);
        serde_json::to_string(&report).expect("a report of numbers and strings is JSON")
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_micros() as f64 / 1000.0)
}

/// Collects while the run lasts.
#[derive(Debug)]
pub(crate) struct Recorder {
    started: Instant,
    /// When the last request is to be started.
    ends: Instant,
    good_in_time: u64,
    good_at: Instant,
    max_gap: Duration,
    counts: Counts,
    latencies: Histogram,
    counted: BTreeMap<String, u64>,
    failures: Vec<Failure>,
    pub(crate) connects: u64,
    pub(crate) idle_closed: u64,
}

impl Recorder {
    pub(crate) fn new(now: Instant, ends: Instant) -> Recorder {
        Recorder {
            started: now,
            ends,
            good_in_time: 0,
            good_at: now,
            max_gap: Duration::ZERO,
            counts: Counts::default(),
            latencies: Histogram::default(),
            counted: BTreeMap::new(),
            failures: Vec::new(),
            connects: 0,
            idle_closed: 0,
        }
    }

    /// A good answer to a request that was due at `due`.
    pub(crate) fn good(&mut self, now: Instant, due: Instant, counted: &str) {
        self.counts.add(Class::Ok);
        self.good_in_time += u64::from(now <= self.ends);
        self.latencies.record(now - due);
        self.max_gap = self.max_gap.max(now - self.good_at);
        self.good_at = now;
        if !counted.is_empty() {
            match self.counted.get_mut(counted) {
                Some(count) => *count += 1,
                None => drop(self.counted.insert(counted.to_owned(), 1)),
            }
        }
    }

    /// Any other end.
    pub(crate) fn bad(&mut self, failure: Failure) {
        self.counts.add(failure.class);
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(failure);
        }
    }

    /// How long the run has lasted.
    pub(crate) fn since_start(&self, now: Instant) -> Duration {
        now - self.started
    }

    /// The account of a run that is over now.
    pub(crate) fn report(self, now: Instant, never_sent: u64) -> Report {
        let elapsed = now - self.started;
        let ended = self.ends.min(now);
        let starting = (ended - self.started).as_secs_f64().max(f64::EPSILON);
        let ok = self.counts.of(Class::Ok);
        Report {
            elapsed,
            total: self.counts.total(),
            ok,
            failed: self.counts.total() - ok,
            per_second: self.good_in_time as f64 / starting,
            classes: self.counts,
            p50: self.latencies.quantile(0.5),
            p90: self.latencies.quantile(0.9),
            p99: self.latencies.quantile(0.99),
            p999: self.latencies.quantile(0.999),
            max: self.latencies.max(),
            max_gap: self.max_gap.max(ended.saturating_duration_since(self.good_at)),
            connects: self.connects,
            idle_closed: self.idle_closed,
            never_sent,
            counted: self.counted,
            failures: self.failures,
        }
    }
}

/// The identity of a request of this run.
pub(crate) fn request_id(config: &Config, number: u64) -> String {
    identity(&config.id_prefix, number)
}
