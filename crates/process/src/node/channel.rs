//! The IPC channel of one Node.js child: messages and descriptors, both ways.
//!
//! Sending never waits: a message goes out from the caller's own thread if nothing is queued, because a
//! connection handed over is a client waiting. A child that does not read fills a bounded queue; a parent that
//! does not take what it received stops reading.
//!
//! It does not know what the messages are for. In particular nobody here answers a worker's questions: see
//! `cluster.rs`. What reads and writes is `link.rs`, which the channels of [`crate::channel`] are made of too.

pub(crate) mod handle;
mod handover;
pub(crate) mod incoming;
pub(crate) mod link;
pub(crate) mod outgoing;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

pub use self::handover::{Continuation, Released, Unsent};
use self::link::{Habits, Link, When};
use self::outgoing::{Handle, Order};
use super::cluster::{ClusterMessage, FromWorker};
use super::frame::{FrameError, Serialization, encode, encode_raw};
use super::message::Message;

/// The `cmd` of a message that carries a descriptor.
const HANDLE: &str = incoming::HANDLE;
/// Bytes that may wait for a child that does not read.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The child has closed its end, or is gone.
    #[error("channel is closed")]
    Closed,
    /// The child does not read, and too much is queued.
    #[error("channel is full because the program does not read its messages")]
    Full,
    /// The descriptor is none that can be passed.
    #[error("descriptor cannot be passed")]
    Descriptor(#[source] io::Error),
    /// The value cannot be written: a map whose keys are no text, or a `Serialize` that failed.
    #[error("message cannot be written as JSON")]
    Message(#[source] serde_json::Error),
    /// What was given as an encoded message has a line end in it, or is empty.
    #[error("encoded message is not one line")]
    Line,
}

/// What came from the child, with its messages as JSON or, as `Received<Message>`, as they came.
#[derive(Debug)]
pub enum Received<M = Value> {
    /// `process.send(message)`.
    Message(M),
    /// `process.send(message, handle)`. It has been confirmed already.
    Handle {
        /// The message.
        message: M,
        /// What came with it.
        descriptor: OwnedFd,
    },
    /// The worker speaks to its primary.
    Cluster(FromWorker),
    /// A message that could not be read; it was skipped.
    Malformed(FrameError),
    /// A message of ours with a descriptor that the child could not take, after several tries. (A connection
    /// is told as not accepted instead.)
    Undelivered(M),
}

/// The sending half. Clones send to the same child.
#[derive(Debug, Clone)]
pub struct Channel {
    link: Arc<Link>,
    seq: Arc<AtomicU64>,
}

/// The receiving half. Dropping it ends the channel. Somebody must wait for what comes all the time: what the child
/// confirms is heard there.
#[derive(Debug)]
pub struct Receiver {
    link: Arc<Link>,
}

impl Channel {
    /// Starts to speak over `socket`, our end of the pair whose other end the child has. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the descriptor.
    pub fn open(socket: OwnedFd, serialization: Serialization) -> io::Result<(Self, Receiver)> {
        Self::resume(socket, serialization, Continuation::default())
    }

    /// Goes on with a channel that another process of ours has [released](Self::release), or died with: then only
    /// `seq` is known, and half a message of the child is [`Received::Malformed`].
    ///
    /// # Errors
    /// The runtime cannot watch the descriptor.
    pub fn resume(
        socket: OwnedFd,
        serialization: Serialization,
        from: Continuation,
    ) -> io::Result<(Self, Receiver)> {
        let seq = Arc::new(AtomicU64::new(from.seq));
        let habits = Habits { waiting_bytes_max: QUEUE_BYTES_MAX, always_reads: true };
        let link = Link::open(socket, serialization, habits, from)?;
        Ok((Self { link: Arc::clone(&link), seq }, Receiver { link }))
    }

    /// How messages are written on it.
    #[must_use]
    pub fn serialization(&self) -> Serialization {
        self.link.serialization
    }

    /// The number the next message to a cluster worker will have.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    /// Stops to read and to write without closing the channel, so that another process can go on with it. What is
    /// queued is written first, as far as the child takes it within a second. What was received and not given out yet
    /// goes along, and the receiver ends. A channel that has ended leaves nothing.
    pub async fn release(&self) -> Released {
        self.link.release(|| self.seq()).await
    }

    /// Sends what the program gets in its `message` event, in the order of the calls.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, message: &Value) -> Result<(), SendError> {
        self.push(message, None, Order::Program)
    }

    /// Sends a message that is encoded already: JSON without a line end in it, or V8's format, as the channel's
    /// serialization says.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_raw(&self, message: &[u8]) -> Result<(), SendError> {
        self.push_raw(message, When::Now)
    }

    /// Like [`Self::send_raw`], but keeps the message back, to be written together with others: at the next
    /// [`Self::flush`] or message that is sent at once, or when it is 64 KiB.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn feed_raw(&self, message: &[u8]) -> Result<(), SendError> {
        self.push_raw(message, When::Later)
    }

    /// Writes what was kept back.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub fn flush(&self) -> Result<(), SendError> {
        self.link.flush()
    }

    /// Sends a socket along; the program gets it as a `net.Socket`, `net.Server` or `dgram.Socket`, whichever
    /// it is. Our copy is closed when it has arrived.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_handle(&self, message: Value, handle: OwnedFd) -> Result<(), SendError> {
        let frame = handle::program(message, &handle).map_err(SendError::Descriptor)?;
        self.push(&frame, Some(Handle::new(handle, None)), Order::Program)
    }

    /// Sends a primary's message and returns its number, which a connection's answer refers to.
    ///
    /// Our copy of a connection's descriptor is closed when it has arrived, which is before it is accepted:
    /// to be able to give it to another worker keep a duplicate. When the channel ends, those not accepted
    /// yet are not told one by one.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn cluster(&self, message: ClusterMessage, handle: Option<OwnedFd>) -> Result<u64, SendError> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        let order = if message == ClusterMessage::Disconnect { Order::Last } else { Order::Free };
        let connection = matches!(message, ClusterMessage::NewConnection { .. });
        let message = message.build(seq, handle.is_some());
        let Some(descriptor) = handle else {
            self.push(&message, None, order)?;
            return Ok(seq);
        };
        let frame = handle::native(message, &descriptor, !connection).map_err(SendError::Descriptor)?;
        self.push(&frame, Some(Handle::new(descriptor, connection.then_some(seq))), order)?;
        Ok(seq)
    }

    /// What waits because the child does not read: messages, and their bytes.
    #[must_use]
    pub fn backlog(&self) -> (usize, usize) {
        self.link.backlog()
    }

    /// Whether the child has read all that it was sent. (Node.js does so between two turns of its event loop.)
    ///
    /// # Errors
    /// The child is gone, so that it is not known.
    pub fn has_read(&self) -> io::Result<bool> {
        self.link.has_read()
    }

    /// Ends the channel in both directions, whoever else has a duplicate of the descriptor. A cluster worker
    /// exits at once, what it was doing is lost; another program gets its `disconnect` event.
    pub fn close(&self) {
        self.link.close();
    }

    fn push(&self, message: &Value, mut handle: Option<Handle>, order: Order) -> Result<(), SendError> {
        self.link.push((order, When::Now), &mut handle, |out| {
            encode(message, self.link.serialization, out);
            Ok(())
        })
    }

    fn push_raw(&self, message: &[u8], when: When) -> Result<(), SendError> {
        let encode = |out: &mut Vec<u8>| {
            encode_raw(message, self.link.serialization, out).then_some(()).ok_or(SendError::Line)
        };
        self.link.push((Order::Program, when), &mut None, encode)
    }
}

impl Receiver {
    /// The next thing from the child; `None` when it has closed its end or is gone. May be cancelled without
    /// loss.
    pub async fn next(&mut self) -> Option<Received> {
        std::future::poll_fn(|context| self.link.poll_next(context)).await.map(Received::into_value)
    }

    /// Waits for the next thing from the child and appends it to `received`, and up to `limit` in all that are there already,
    /// with messages as they came. Returns how many; 0 when the child has closed its end or is gone. May be cancelled without
    /// loss.
    pub async fn next_many(&mut self, received: &mut Vec<Received<Message>>, limit: usize) -> usize {
        let first = std::future::poll_fn(|context| self.link.poll_next(context)).await;
        let before = received.len();
        let rest = || self.link.next_ready();
        received.extend(first.into_iter().chain(std::iter::from_fn(rest)).take(limit.max(1)));
        received.len() - before
    }
}

impl Receiver {
    /// Whether the child is gone, and went without having read all that it was sent. The last of it was then lost, which is
    /// otherwise not known of a message.
    #[must_use]
    pub fn ended_unread(&self) -> bool {
        self.link.ended_unread()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl Received<Message> {
    /// The same with its message read.
    #[must_use]
    pub fn into_value(self) -> Received {
        let read = |message: Message| message.value();
        match self {
            Self::Message(message) => read(message).map_or_else(Received::Malformed, Received::Message),
            Self::Handle { message, descriptor } => read(message)
                .map_or_else(Received::Malformed, |message| Received::Handle { message, descriptor }),
            Self::Cluster(message) => Received::Cluster(message),
            Self::Malformed(error) => Received::Malformed(error),
            Self::Undelivered(message) => {
                read(message).map_or_else(Received::Malformed, Received::Undelivered)
            }
        }
    }
}

#[cfg(test)]
mod tests;
