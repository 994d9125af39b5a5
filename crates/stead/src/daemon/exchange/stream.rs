//! What waits for a worker that listens over HTTP: bounded in number and bytes, like the queue of a channel.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use stead_control::Heard;
use tokio::sync::mpsc;

/// The sending end of a stream.
pub(super) struct Stream {
    events: mpsc::Sender<Heard>,
    bytes: Arc<AtomicUsize>,
}

/// Counts the bytes of an event until it is on its way.
struct Waiting {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

impl Stream {
    /// For at most so many events.
    pub(super) fn open(events_max: usize) -> (Self, mpsc::Receiver<Heard>) {
        let (events, receiver) = mpsc::channel(events_max.clamp(1, mpsc_max()));
        (Self { events, bytes: Arc::default() }, receiver)
    }

    /// Events and bytes that wait.
    pub(super) fn backlog(&self) -> (usize, usize) {
        let events = self.events.max_capacity() - self.events.capacity();
        (events, self.bytes.load(Ordering::Relaxed))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.events.is_closed()
    }

    /// Returns false if there is no room.
    pub(super) fn send(&self, envelope: &Value) -> bool {
        let text = envelope.to_string();
        let own = text.len();
        self.bytes.fetch_add(own, Ordering::Relaxed);
        let receipt: Arc<dyn Any + Send + Sync> = Arc::new(Waiting { all: Arc::clone(&self.bytes), own });
        self.events.try_send(Heard { name: name_of(envelope), text, receipt }).is_ok()
    }
}

/// The largest number of places that a channel of tokio can have.
const fn mpsc_max() -> usize {
    tokio::sync::Semaphore::MAX_PERMITS
}

fn name_of(envelope: &Value) -> &'static str {
    let stead = &envelope["stead"];
    if stead.get("shared").is_some() {
        "shared"
    } else if stead.get("leader").is_some() {
        "leader"
    } else {
        "message"
    }
}
