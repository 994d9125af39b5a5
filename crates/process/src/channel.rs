//! Messages between two processes: what `child.send` and `process.send` are in Node.js, typed and with back-pressure.
//!
//! A parent gets a [`Channel`] from `fork`, and a Node.js child has it as `process.send` and `process.on('message')`. Any
//! other program reads and writes lines of JSON (`docs/message-channel.md`).
//!
//! - **Nothing is lost while nobody listens.** What nobody takes stays where it is, in the socket, and at last the sender
//!   waits.
//! - **Two sides that send do not wait for each other** for ever: while a [`Sender::send`] waits, up to [`AHEAD_MAX`]
//!   messages are read ahead. Where more may be on their way, receive in one task and send in another, as below.
//! - **Nothing grows.** [`Sender::send`] waits when the other side does not read, [`Sender::try_send`] says
//!   [`SendError::Full`].
//! - **Nothing stands between.** A message is written by the task that sends it and read by the task that waits for it.
//!
//! [`blocking`] is the same without a runtime.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use stead_process::channel::{Channel, Serialization};
//!
//! // Two ends in one process; `fork` gives the other one to a child.
//! let (here, there) = stead_process::socket::pair()?;
//! let mut here = Channel::open(here, Serialization::Json)?;
//! let mut there = Channel::open(there, Serialization::Json)?;
//!
//! here.send(&("add", [1, 2, 3])).await?;
//! let message = there.recv().await.expect("it was sent")?;
//! let (word, numbers): (String, Vec<u32>) = message.parse()?;
//! assert_eq!((word.as_str(), numbers.iter().sum::<u32>()), ("add", 6));
//!
//! there.disconnect().await;
//! assert!(here.recv().await.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! A side that sends any number of messages before it wants the answers, and receives meanwhile:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use stead_process::channel::{Channel, Serialization};
//! # let (here, there) = stead_process::socket::pair()?;
//! # let here = Channel::open(here, Serialization::Json)?;
//! # let mut there = Channel::open(there, Serialization::Json)?;
//! # let answering = tokio::spawn(async move {
//! #     while let Some(Ok(question)) = there.recv().await {
//! #         there.sender.send_raw(question.bytes()).await.unwrap();
//! #     }
//! # });
//! let Channel { sender, mut receiver } = here;
//! let sending = tokio::spawn(async move {
//!     for number in 0..10_000u32 {
//!         sender.feed(&number).await?;
//!     }
//!     sender.flush()
//! });
//! for number in 0..10_000u32 {
//!     let answer = receiver.recv().await.expect("all are answered")?;
//!     assert_eq!(answer.parse::<u32>()?, number);
//! }
//! sending.await??;
//! # drop(receiver);
//! # answering.await?;
//! # Ok(())
//! # }
//! ```

pub mod blocking;
mod handle;
mod parent;
mod stream;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde_json::Value;

pub use self::handle::Handle;
pub use self::parent::{Parent, ParentError};
use crate::node::channel::handle::program;
pub use crate::node::channel::link::AHEAD_MAX;
use crate::node::channel::link::{Habits, Link, When};
use crate::node::channel::outgoing::{self, Order};
use crate::node::channel::{Continuation, Received};
use crate::node::frame::{FrameError, encode_raw, encode_typed};
use crate::node::v8::encode_structured;
pub use crate::node::v8::{Structured, ViewKind};
pub use crate::node::{Message, SendError, Serialization};

/// Bytes that may wait for a program that does not read, beyond what the socket holds. One message of any size is always
/// taken.
pub const WAITING_BYTES_MAX: usize = 256 * 1024;

/// A message did not come, or did not arrive. The channel goes on.
#[derive(Debug, thiserror::Error)]
pub enum RecvError {
    /// What came was no message; it was skipped.
    #[error("what the other side sent is no message")]
    Malformed(#[source] FrameError),
    /// A message of ours with a socket, which the other side could not take after several tries: it has too many
    /// descriptors open.
    #[error("the other side could not take a socket")]
    Undelivered(Message),
}

/// Both halves of a channel. They can be used apart, even by several tasks: see the fields.
///
/// One task that receives and sends in turn is enough while at most [`AHEAD_MAX`] messages are on their way to it. Otherwise
/// let one receive and another one send, or both sides may wait for the other one to read.
#[derive(Debug)]
pub struct Channel {
    /// Sends; can be cloned.
    pub sender: Sender,
    /// Receives. When it is dropped, the channel ends.
    pub receiver: Receiver,
}

/// The sending half. Clones send over the same channel.
#[derive(Debug, Clone)]
pub struct Sender {
    link: Arc<Link>,
}

/// The receiving half. When it is dropped, the channel ends.
#[derive(Debug)]
pub struct Receiver {
    link: Arc<Link>,
}

impl Channel {
    /// Speaks over `socket`, one end of a pair of Unix stream sockets. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the descriptor.
    pub fn open(socket: OwnedFd, serialization: Serialization) -> io::Result<Self> {
        let habits = Habits { waiting_bytes_max: WAITING_BYTES_MAX, always_reads: false };
        let link = Link::open(socket, serialization, habits, Continuation::default())?;
        Ok(Self { sender: Sender { link: Arc::clone(&link) }, receiver: Receiver { link } })
    }

    /// See [`Sender::send`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send<T: Serialize + ?Sized>(&self, message: &T) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// See [`Sender::send_handle`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_handle<T>(&self, message: &T, handle: impl Into<Handle>) -> Result<(), SendError>
    where
        T: Serialize + ?Sized,
    {
        self.sender.send_handle(message, handle).await
    }

    /// See [`Receiver::recv`].
    pub async fn recv(&mut self) -> Option<Result<Message, RecvError>> {
        self.receiver.recv().await
    }

    /// See [`Sender::disconnect`].
    pub async fn disconnect(&self) {
        self.sender.disconnect().await;
    }
}

impl Sender {
    /// Sends a message; waits while [`WAITING_BYTES_MAX`] wait already because the other side does not read. When it
    /// returns, the message is on its way, not necessarily read. Cancelled, it has sent nothing.
    ///
    /// If the other side does not read because it waits too, to send something to this one, that is read ahead: up to
    /// [`AHEAD_MAX`] messages. Beyond that both wait, until this side receives; do that in another task (see the
    /// [module](self)) if so many may be on their way.
    ///
    /// # Errors
    /// See [`SendError`]; never [`SendError::Full`].
    pub async fn send<T: Serialize + ?Sized>(&self, message: &T) -> Result<(), SendError> {
        self.link.with_room(|| self.try_send(message)).await
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_send<T: Serialize + ?Sized>(&self, message: &T) -> Result<(), SendError> {
        self.push(When::Now, |out| encode_typed(message, self.link.serialization, out))
    }

    /// Like [`Self::send`], but keeps the message back, to be written together with others: at the next [`Self::flush`] or
    /// message that is sent at once, or when it is 64 KiB. Many small messages cost a tenth this way. It waits as
    /// [`Self::send`] does.
    ///
    /// # Errors
    /// See [`SendError`]; never [`SendError::Full`].
    pub async fn feed<T: Serialize + ?Sized>(&self, message: &T) -> Result<(), SendError> {
        let push = || self.push(When::Later, |out| encode_typed(message, self.link.serialization, out));
        self.link.with_room(push).await
    }

    /// Sends a value with all that JavaScript can say. In a JSON channel it becomes what `JSON.stringify` makes of it.
    ///
    /// # Errors
    /// See [`SendError`]; never [`SendError::Full`].
    pub async fn send_structured(&self, message: &Structured) -> Result<(), SendError> {
        let mut bytes = Vec::new();
        encode_any(message, self.link.serialization, &mut bytes);
        self.send_raw(&bytes).await
    }

    /// Sends a message that is encoded already, as [`Message::bytes`] gives it: in JSON without a line end in it.
    ///
    /// # Errors
    /// See [`SendError`]; never [`SendError::Full`].
    pub async fn send_raw(&self, message: &[u8]) -> Result<(), SendError> {
        self.link.with_room(|| self.try_send_raw(message)).await
    }

    /// Sends a message that is encoded already, if there is room.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_send_raw(&self, message: &[u8]) -> Result<(), SendError> {
        self.push_raw(message, When::Now)
    }

    /// [`Self::feed`] for a message that is encoded already.
    ///
    /// # Errors
    /// See [`SendError`]; never [`SendError::Full`].
    pub async fn feed_raw(&self, message: &[u8]) -> Result<(), SendError> {
        self.link.with_room(|| self.try_feed_raw(message)).await
    }

    /// [`Self::feed_raw`] if there is room.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_feed_raw(&self, message: &[u8]) -> Result<(), SendError> {
        self.push_raw(message, When::Later)
    }

    /// Writes what was kept back. Does not wait: what the socket has no room for is written when it has.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub fn flush(&self) -> Result<(), SendError> {
        self.link.flush()
    }

    /// Sends a socket along with a message. A Node.js program gets it as the second argument of its `message` listener: a
    /// `net.Socket`, `net.Server` or `dgram.Socket`. It is made non-blocking, which a duplicate that stays here shares.
    /// Messages keep their order: those behind it are held back until it has arrived.
    ///
    /// Waits while too many sockets are on their way. The socket is closed here once it has arrived, or on an error.
    ///
    /// # Errors
    /// See [`SendError`]; never [`SendError::Full`].
    pub async fn send_handle<T>(&self, message: &T, handle: impl Into<Handle>) -> Result<(), SendError>
    where
        T: Serialize + ?Sized,
    {
        let (frame, descriptor) = handle_frame(message, handle.into())?;
        let mut handle = Some(outgoing::Handle::new(descriptor, None));
        let push = || {
            self.link.push((Order::Program, When::Now), &mut handle, |out| {
                encode_typed(&frame, self.link.serialization, out)
            })
        };
        self.link.with_room(push).await
    }

    /// Ends the channel once everything was written and all sockets have arrived. A Node.js program gets its `disconnect`
    /// event. What the other side has sent can still be received.
    pub async fn disconnect(&self) {
        // A channel that is closed already has nothing to write.
        let _ = self.link.flush();
        self.link.seal();
        self.link.done().await;
        self.link.close();
    }

    /// Whether the channel is open, as far as this side has noticed: an end is noticed by reading or sending.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.link.is_closed()
    }

    /// Ends the channel now; what was not written yet is dropped.
    pub fn close(&self) {
        self.link.close();
    }

    fn push(
        &self,
        when: When,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        self.link.push((Order::Program, when), &mut None, encode)
    }

    fn push_raw(&self, message: &[u8], when: When) -> Result<(), SendError> {
        let encode = |out: &mut Vec<u8>| {
            encode_raw(message, self.link.serialization, out).then_some(()).ok_or(SendError::Line)
        };
        self.push(when, encode)
    }
}

impl Receiver {
    /// The next message; `None` when the other side has ended the channel or is gone, behind all that it had said. Half a
    /// message at the end is dropped. May be cancelled without loss.
    pub async fn recv(&mut self) -> Option<Result<Message, RecvError>> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// Waits for a message and appends it to `messages`, and up to `limit` in all that are there already. Returns how many;
    /// 0 when the channel has ended. May be cancelled without loss.
    pub async fn recv_many(&mut self, messages: &mut Vec<Result<Message, RecvError>>, limit: usize) -> usize {
        let before = messages.len();
        messages.extend(self.recv().await);
        while messages.len() > before
            && messages.len() - before < limit
            && let Some(received) = self.link.next_ready()
        {
            messages.extend(message_of(received));
        }
        messages.len() - before
    }

    /// [`Self::recv`] for those who write futures and streams by hand.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, RecvError>>> {
        loop {
            match std::task::ready!(self.link.poll_next(context)).map(message_of) {
                // Words of Node.js's cluster module to a parent that is no cluster's.
                Some(None) => (),
                Some(message) => return Poll::Ready(message),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.link.close();
    }
}

/// The message that carries a socket.
fn handle_frame<T: Serialize + ?Sized>(message: &T, handle: Handle) -> Result<(Value, OwnedFd), SendError> {
    let message = serde_json::to_value(message).map_err(SendError::Message)?;
    let descriptor = OwnedFd::from(handle);
    let frame = program(message, &descriptor).map_err(SendError::Descriptor)?;
    Ok((frame, descriptor))
}

fn encode_any(message: &Structured, serialization: Serialization, out: &mut Vec<u8>) {
    match serialization {
        Serialization::Json => out.extend(message.clone().into_json().to_string().into_bytes()),
        Serialization::Advanced => encode_structured(message, out),
    }
}

fn message_of(received: Received<Message>) -> Option<Result<Message, RecvError>> {
    match received {
        Received::Message(message) => Some(Ok(message)),
        Received::Handle { message, descriptor } => Some(Ok(message.with_descriptor(descriptor))),
        Received::Malformed(error) => Some(Err(RecvError::Malformed(error))),
        Received::Undelivered(message) => Some(Err(RecvError::Undelivered(message))),
        Received::Cluster(_) => None,
    }
}
