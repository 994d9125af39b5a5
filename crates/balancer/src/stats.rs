//! What a pool counts, and how it is told.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use crate::{EndpointId, Histogram};

/// Poisoned requests kept for debugging; older ones are forgotten.
const POISON_RECORDS_MAX: usize = 32;

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

/// A request that was given up because workers died of it.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Copy, Default)]
pub struct EndpointSnapshot {
    /// The worker.
    pub id: EndpointId,
    /// Tries given to it.
    pub requests: u64,
    /// In flight now.
    pub in_flight: u32,
    /// Tries it failed.
    pub failed: u64,
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
    pub(crate) endpoints: HashMap<EndpointId, EndpointSnapshot>,
    pub(crate) poisoned: VecDeque<PoisonRecord>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            counters: Counters::default(),
            latency: Histogram::new(),
            endpoints: HashMap::new(),
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
        if self.poisoned.len() == POISON_RECORDS_MAX {
            self.poisoned.pop_front();
        }
        self.poisoned.push_back(record);
    }
}
