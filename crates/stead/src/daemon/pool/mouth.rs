//! Says things to workers: what comes of one turn is written together, once per worker, and not message by message.
//!
//! A *turn* is what somebody hears before they wait again. Whoever says something has to end the turn with [`Turn::end`]; the ends
//! of turns that run beside each other may write for each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use stead_process::node::{Channel, SendError, Serialization};

/// By which one worker is told things; clones are the same.
#[derive(Clone)]
pub(super) struct Mouth(Arc<Inner>);

struct Inner {
    channel: Channel,
    turn: Turn,
    /// The turn knows that something is kept back.
    noted: AtomicBool,
}

/// Who has something kept back; clones are the same.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<Mutex<Vec<Mouth>>>);

impl Mouth {
    pub(super) fn new(channel: Channel, turn: Turn) -> Self {
        Self(Arc::new(Inner { channel, turn, noted: AtomicBool::new(false) }))
    }

    /// Says JSON until the end of the turn. A program that is gone, or does not read, takes nothing.
    pub(super) fn say(&self, json: &[u8]) -> Result<(), SendError> {
        let Inner { channel, turn, noted } = &*self.0;
        match channel.serialization() {
            Serialization::Json => channel.feed_raw(json)?,
            Serialization::Advanced => {
                return serde_json::from_slice(json).map_or(Ok(()), |message| channel.send(&message));
            }
        }
        // Noted after it was fed, and forgotten before it is written: so nothing is left behind.
        if !noted.swap(true, Ordering::AcqRel) {
            turn.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.clone());
        }
        Ok(())
    }
}

impl Turn {
    /// Writes what was said.
    pub(super) fn end(&self) {
        let mouths = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for Mouth(mouth) in mouths {
            mouth.noted.swap(false, Ordering::AcqRel);
            // The end of a worker that is gone is heard elsewhere.
            let _gone = mouth.channel.flush();
        }
    }
}
