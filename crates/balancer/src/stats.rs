//! What a pool counts, and how it is told.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::by_number::ByNumber;
use crate::{EndpointId, Histogram};

/// Poisoned requests kept for debugging; older ones are forgotten.
const POISON_RECORDS_MAX: usize = 32;

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Requests that reached this listener.
    pub requests: u64,
    /// Tries beyond the first.
    pub replayed: u64,
    /// Requests that waited because no worker was ready.
    pub held: u64,
    /// Requests that waited because no worker had taken what it was given.
    pub queued: u64,
    /// Requests moved from a worker that did not take them to a free one.
    pub moved: u64,
    /// Requests that killed too many workers.
    pub poisoned: u64,
    /// Requests refused by a limit or a rule (4xx of Stead itself, 503).
    pub refused: u64,
    /// Requests a worker failed and that could not be sent again (502, 504, answers cut off).
    pub failed: u64,
}

impl Counters {
    fn add(&mut self, more: &Self) {
        let Self { requests, replayed, held, queued, moved, poisoned, refused, failed } = more;
        self.requests += requests;
        self.replayed += replayed;
        self.held += held;
        self.queued += queued;
        self.moved += moved;
        self.poisoned += poisoned;
        self.refused += refused;
        self.failed += failed;
    }
}

/// A request that was given up because workers died of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoisonRecord {
    /// When it was given up.
    pub at: SystemTime,
    /// Its head as it was sent to the workers.
    pub head: String,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// Workers that died while they held it.
    pub deaths: Vec<EndpointId>,
}

/// One worker's share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSnapshot {
    /// The worker.
    pub id: EndpointId,
    /// Tries given to it.
    pub requests: u64,
    /// In flight now.
    pub in_flight: u32,
    /// Tries it failed.
    pub failed: u64,
    /// Moving average of the time it takes to answer, that follows a slow answer at once; zero before the first.
    pub latency: Duration,
}

/// What a pool has counted so far: what the next process, that serves the same listener, goes on from. Worker ids in it mean
/// nothing there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Counts since the start.
    pub counters: Counters,
    /// Time from the whole head to the end of the answer.
    pub latency: Histogram,
    /// The last poisoned requests.
    pub poisoned: Vec<PoisonRecord>,
}

/// The state of a pool at one moment.
#[derive(Debug, Clone)]
pub struct PoolSnapshot {
    /// Counts since the start.
    pub counters: Counters,
    /// Requests that wait for a worker now.
    pub waiting: usize,
    /// Workers that get requests.
    pub accepting: usize,
    /// Client connections open now.
    pub connections: usize,
    /// Time from the whole head to the end of the answer.
    pub latency: Histogram,
    /// Each worker there is.
    pub endpoints: Vec<EndpointSnapshot>,
    /// The last poisoned requests.
    pub poisoned: Vec<PoisonRecord>,
}

#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) counters: Counters,
    pub(crate) latency: Histogram,
    pub(crate) endpoints: ByNumber<EndpointSnapshot>,
    pub(crate) poisoned: VecDeque<PoisonRecord>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            counters: Counters::default(),
            latency: Histogram::new(),
            endpoints: ByNumber::default(),
            poisoned: VecDeque::new(),
        }
    }

    pub(crate) fn tried(&mut self, endpoint: EndpointId) {
        if let Some(endpoint) = self.endpoints.get_mut(&endpoint) {
            endpoint.requests += 1;
        }
    }

    pub(crate) fn try_failed(&mut self, endpoint: EndpointId) {
        if let Some(endpoint) = self.endpoints.get_mut(&endpoint) {
            endpoint.failed += 1;
        }
    }

    pub(crate) fn answered(&mut self, latency: Duration) {
        self.latency.record(latency);
    }

    pub(crate) fn poisoned(&mut self, record: PoisonRecord) {
        self.counters.poisoned += 1;
        self.keep(record);
    }

    /// Counts from zero; workers stay known.
    pub(crate) fn reset(&mut self) {
        let known = std::mem::take(&mut self.endpoints);
        let fresh = |id| (id, EndpointSnapshot { id, ..EndpointSnapshot::default() });
        *self = Self { endpoints: known.into_keys().map(fresh).collect(), ..Self::new() };
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            counters: self.counters,
            latency: self.latency.clone(),
            poisoned: self.poisoned.iter().cloned().collect(),
        }
    }

    /// Goes on from what was counted before.
    pub(crate) fn add(&mut self, totals: &Totals) {
        self.counters.add(&totals.counters);
        self.latency.merge(&totals.latency);
        let since = std::mem::take(&mut self.poisoned);
        totals.poisoned.iter().cloned().chain(since).for_each(|record| self.keep(record));
    }

    fn keep(&mut self, record: PoisonRecord) {
        if self.poisoned.len() == POISON_RECORDS_MAX {
            self.poisoned.pop_front();
        }
        self.poisoned.push_back(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: usize) -> PoisonRecord {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64);
        PoisonRecord { at, head: format!("GET /{number}"), body_bytes: 0, deaths: vec![1, 2] }
    }

    #[test]
    fn counting_goes_on_from_what_was_written() {
        let mut before = Stats::new();
        before.counters = Counters {
            requests: 1,
            replayed: 2,
            held: 3,
            queued: 4,
            moved: 5,
            poisoned: 6,
            refused: 7,
            failed: 8,
        };
        before.answered(Duration::from_millis(5));
        before.poisoned(record(1));
        let text = serde_json::to_string(&before.totals()).expect("numbers and text can be written");
        let totals: Totals = serde_json::from_str(&text).expect("as it was written");
        let mut after = Stats::new();
        after.counters.requests = 100;
        after.poisoned(record(2));
        after.add(&totals);
        assert_eq!(after.counters.requests, 101);
        assert_eq!(after.counters.failed, 8);
        assert_eq!(after.latency.count(), 1);
        assert_eq!(after.poisoned, [record(1), record(2)]);
        let mut fresh = Stats::new();
        fresh.add(&totals);
        assert_eq!(fresh.totals(), before.totals());
    }

    #[test]
    fn counts_that_an_older_version_did_not_have_begin_at_zero() {
        let counters: Counters =
            serde_json::from_str(r#"{"requests":5,"later":1}"#).expect("some are enough");
        assert_eq!(counters, Counters { requests: 5, ..Counters::default() });
    }

    #[test]
    fn only_the_last_poisoned_requests_are_kept() {
        let mut stats = Stats::new();
        (0..POISON_RECORDS_MAX + 5).for_each(|number| stats.poisoned(record(number)));
        stats.add(&stats.totals());
        assert_eq!(stats.poisoned.len(), POISON_RECORDS_MAX);
        assert_eq!(stats.poisoned.back(), Some(&record(POISON_RECORDS_MAX + 4)));
    }
}
