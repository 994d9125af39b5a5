//! A channel that goes from one process of ours to the next, while the child notices nothing.
//!
//! What was read and not given out, and what was written in part, must go along; everything else starts afresh. After a
//! crash there is nothing to go along: half a line of JSON is then skipped. (A stream in V8's format cannot be found again
//! behind half a message.)

use std::os::fd::OwnedFd;

use serde_json::Value;

use super::incoming::Incoming;
use super::outgoing::{Frame, Outgoing};
use crate::node::frame::{Decoder, Serialization};

/// Where a channel goes on.
#[derive(Debug, Default)]
pub struct Continuation {
    /// The number of the next message to a cluster worker; larger than all that were used before.
    pub seq: u64,
    /// Descriptors sent before that the child has not confirmed; as many confirmations are ignored.
    pub unconfirmed: usize,
    /// Bytes that were read and belong to no whole message.
    pub unread: Vec<u8>,
    /// Descriptors that came with `unread`.
    pub descriptors: Vec<OwnedFd>,
    /// The rest of a message that was written in part.
    pub unwritten: Vec<u8>,
}

/// What a channel leaves when it is released.
#[derive(Debug, Default)]
pub struct Released {
    /// For whoever goes on.
    pub continuation: Continuation,
    /// Messages that the child did not take in time, in order, with their descriptors.
    pub unsent: Vec<Unsent>,
}

/// A message that was not written.
#[derive(Debug)]
pub struct Unsent {
    /// As it was to be sent.
    pub message: Value,
    /// What was to go along.
    pub descriptor: Option<OwnedFd>,
    /// The number of the connection it was to offer.
    pub connection: Option<u64>,
}

impl Released {
    pub(super) fn new(
        seq: u64,
        incoming: Incoming,
        outgoing: &mut Outgoing,
        serialization: Serialization,
    ) -> Self {
        let remains = outgoing.take_remains();
        let continuation = Continuation {
            seq,
            unconfirmed: remains.unconfirmed,
            unread: incoming.decoder.into_rest(),
            descriptors: incoming.descriptors.into_iter().flatten().collect(),
            unwritten: remains.unwritten,
        };
        let unsent = remains.unsent.into_iter().flat_map(|frame| Unsent::of(frame, serialization)).collect();
        Self { continuation, unsent }
    }
}

impl Unsent {
    /// A frame without a descriptor may hold several messages.
    fn of(frame: Frame, serialization: Serialization) -> Vec<Self> {
        let messages = messages_of(&frame, serialization);
        let connection = frame.handle.as_ref().and_then(|handle| handle.connection);
        let mut descriptor = frame.handle.map(|handle| handle.descriptor);
        let unsent = |message| Self { message, descriptor: descriptor.take(), connection };
        messages.into_iter().map(unsent).collect()
    }
}

/// What a frame says, without what wraps a descriptor's message.
pub(super) fn messages_of(frame: &Frame, serialization: Serialization) -> Vec<Value> {
    let mut decoder = Decoder::new(serialization);
    decoder.push(&frame.bytes);
    let messages = std::iter::from_fn(|| decoder.next_message()).map(Result::unwrap_or_default);
    let unwrapped = |mut message: Value| match frame.handle {
        Some(_) => message["msg"].take(),
        None => message,
    };
    messages.map(unwrapped).collect()
}
