//! The IPC channel of one Node.js child: messages and descriptors, both ways.
//!
//! One task reads, answers what Node.js expects to be answered at once, and writes what could not be written
//! directly. Sending never waits: a message goes out from the caller's own thread if nothing is queued,
//! because a connection handed over is a client waiting. A child that does not read fills a bounded queue; a
//! parent that does not take what it received stops reading.
//!
//! It does not know what the messages are for. In particular nobody here answers a worker's questions: see
//! `cluster.rs`.

mod handle;
mod handover;
mod outgoing;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::Shutdown;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};

use self::handover::message_of;
pub use self::handover::{Continuation, Released, Unsent};
use self::outgoing::{Frame, Handle, Order, Outgoing};
use super::cluster::{self, ClusterMessage, FromWorker};
use super::frame::{Decoder, FrameError, Serialization, encode};
use crate::descriptors;

/// The `cmd` of a message that carries a descriptor.
const HANDLE: &str = "NODE_HANDLE";
/// Messages read that nobody took yet; then reading stops and the child's own writes back up.
const RECEIVED_MAX: usize = 256;
/// Descriptors that arrived before their message was whole. Node.js sends one at a time.
const DESCRIPTORS_AHEAD_MAX: usize = 16;
/// How long a released channel waits for the child to take what is queued.
const RELEASE_WAIT: Duration = Duration::from_secs(1);
/// What is read in one system call, the same as Node.js does.
const READ_BYTES: usize = 64 * 1024;

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
}

/// What came from the child.
#[derive(Debug)]
pub enum Received {
    /// `process.send(message)`.
    Message(Value),
    /// `process.send(message, handle)`. It has been confirmed already.
    Handle {
        /// The message.
        message: Value,
        /// What came with it.
        descriptor: OwnedFd,
    },
    /// The worker speaks to its primary.
    Cluster(FromWorker),
    /// A message that could not be read; it was skipped.
    Malformed(FrameError),
    /// A message of ours with a descriptor that the child could not take, after several tries. (A connection
    /// is told as not accepted instead.)
    Undelivered(Value),
}

/// The sending half. Clones send to the same child.
#[derive(Debug, Clone)]
pub struct Channel {
    shared: Arc<Shared>,
}

/// The receiving half. Dropping it ends the channel.
#[derive(Debug)]
pub struct Receiver {
    received: mpsc::Receiver<Received>,
}

#[derive(Debug)]
struct Shared {
    socket: UnixStream,
    serialization: Serialization,
    outgoing: Mutex<Outgoing>,
    /// Rung when the task has something to write or to tell.
    wake: Notify,
    seq: AtomicU64,
    /// Rung when somebody wants the channel back.
    release: Notify,
    releasing: Mutex<Releasing>,
}

#[derive(Debug, Default)]
enum Releasing {
    #[default]
    No,
    Asked(oneshot::Sender<Released>),
    /// The task has ended.
    Over,
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
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let wake = Notify::new();
        // For what the other process left.
        wake.notify_one();
        let shared = Arc::new(Shared {
            socket: UnixStream::from_std(socket)?,
            serialization,
            outgoing: Mutex::new(Outgoing::resume(from.unwritten, from.unconfirmed)),
            wake,
            seq: AtomicU64::new(from.seq),
            release: Notify::new(),
            releasing: Mutex::default(),
        });
        let mut incoming = Incoming {
            decoder: Decoder::new(serialization),
            descriptors: from.descriptors.into_iter().map(Some).collect(),
        };
        incoming.decoder.push(&from.unread);
        let (sender, received) = mpsc::channel(RECEIVED_MAX);
        tokio::spawn(run(Arc::clone(&shared), incoming, sender));
        Ok((Self { shared }, Receiver { received }))
    }

    /// The number the next message to a cluster worker will have.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.shared.seq.load(Ordering::Relaxed)
    }

    /// Stops to read and to write without closing the channel, so that another process can go on with it. What is
    /// queued is written first, as far as the child takes it within a second. What was received is still given out by
    /// the receiver, then that ends. A channel that has ended leaves nothing.
    pub async fn release(&self) -> Released {
        let (sender, released) = oneshot::channel();
        {
            let mut releasing = self.shared.releasing();
            if matches!(*releasing, Releasing::No) {
                *releasing = Releasing::Asked(sender);
            }
        }
        self.shared.outgoing().seal();
        self.shared.release.notify_one();
        released.await.unwrap_or_default()
    }

    /// Sends what the program gets in its `message` event, in the order of the calls.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, message: &Value) -> Result<(), SendError> {
        self.shared.push(message, None, Order::Program)
    }

    /// Sends a socket along; the program gets it as a `net.Socket`, `net.Server` or `dgram.Socket`, whichever
    /// it is. Our copy is closed when it has arrived.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_handle(&self, message: Value, handle: OwnedFd) -> Result<(), SendError> {
        let frame = handle::program(message, &handle).map_err(SendError::Descriptor)?;
        self.shared.push(&frame, Some(Handle::new(handle, None)), Order::Program)
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
        let seq = self.shared.seq.fetch_add(1, Ordering::Relaxed);
        let order = if message == ClusterMessage::Disconnect { Order::Last } else { Order::Free };
        let connection = matches!(message, ClusterMessage::NewConnection { .. });
        let message = message.build(seq, handle.is_some());
        let Some(descriptor) = handle else {
            self.shared.push(&message, None, order)?;
            return Ok(seq);
        };
        let frame = handle::native(message, &descriptor, !connection).map_err(SendError::Descriptor)?;
        self.shared.push(&frame, Some(Handle::new(descriptor, connection.then_some(seq))), order)?;
        Ok(seq)
    }

    /// Ends the channel in both directions, whoever else has a duplicate of the descriptor. A cluster worker
    /// exits at once, what it was doing is lost; another program gets its `disconnect` event.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Receiver {
    /// The next thing from the child; `None` when it has closed its end or is gone. May be cancelled without
    /// loss.
    pub async fn next(&mut self) -> Option<Received> {
        self.received.recv().await
    }
}

impl Shared {
    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn releasing(&self) -> MutexGuard<'_, Releasing> {
        self.releasing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, message: &Value, handle: Option<Handle>, order: Order) -> Result<(), SendError> {
        let mut bytes = Vec::with_capacity(256);
        encode(message, self.serialization, &mut bytes);
        let mut outgoing = self.outgoing();
        let behind_others = outgoing.has_work();
        outgoing.push(Frame::new(bytes, handle), order)?;
        if behind_others {
            return Ok(());
        }
        match self.flush(&mut outgoing) {
            Ok(()) if outgoing.has_work() => self.wake.notify_one(),
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wake.notify_one(),
            Err(_) => return Err(SendError::Closed),
        }
        Ok(())
    }

    fn flush(&self, outgoing: &mut Outgoing) -> io::Result<()> {
        outgoing.flush(|bytes, handles| descriptors::send(&self.socket, bytes, handles))
    }

    /// Answers at once. A child that asks and asks and never reads the answers has lost its channel.
    fn answer(&self, message: &Value) {
        if matches!(self.push(message, None, Order::Free), Err(SendError::Full)) {
            self.close();
        }
    }

    fn close(&self) {
        if !matches!(*self.releasing(), Releasing::No) {
            // It is another process's now, or has ended.
            return;
        }
        self.outgoing().close();
        // Fails only if the child has closed its end already.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    fn confirm(&self, arrived: bool) {
        let mut outgoing = self.outgoing();
        outgoing.confirm(arrived);
        if outgoing.has_work() {
            self.wake.notify_one();
        }
    }
}

/// Reads and writes until the child closes its end, nobody wants to hear it any more, or another process goes on.
async fn run(shared: Arc<Shared>, mut incoming: Incoming, sender: mpsc::Sender<Received>) {
    // None of the ways to end needs to be told: the receiver sees the end itself.
    tokio::select! {
        _ = read(&shared, &mut incoming, &sender) => (),
        _ = write(&shared, &sender) => (),
        () = sender.closed() => (),
        () = shared.release.notified() => flush_last(&shared).await,
    }
    let releasing = std::mem::replace(&mut *shared.releasing(), Releasing::Over);
    match releasing {
        Releasing::Asked(released) => {
            let seq = shared.seq.load(Ordering::Relaxed);
            let remains = Released::new(seq, incoming, &mut shared.outgoing(), shared.serialization);
            // Whoever asked may have given up.
            let _ = released.send(remains);
        }
        Releasing::No | Releasing::Over => shared.outgoing().close(),
    }
}

/// Writes what is queued, as far as the child takes it.
async fn flush_last(shared: &Shared) {
    let flushing = async {
        while shared.outgoing().is_waiting() && shared.socket.writable().await.is_ok() {
            // A failed write has emptied the queue.
            let _ = shared.socket.try_io(Interest::WRITABLE, || shared.flush(&mut shared.outgoing()));
        }
    };
    // What is left then is given back.
    let _ = tokio::time::timeout(RELEASE_WAIT, flushing).await;
}

type Ended = Option<()>;

/// Writes whenever the socket has room again. Returns only when nobody listens any more: that the child is
/// gone is for the reader to find, behind what the child had said before.
async fn write(shared: &Shared, sender: &mpsc::Sender<Received>) -> Ended {
    loop {
        shared.wake.notified().await;
        loop {
            let lost = shared.outgoing().take_lost();
            for frame in lost {
                sender.send(undelivered(&frame, shared.serialization)).await.ok()?;
            }
            if !shared.outgoing().has_work() {
                break;
            }
            shared.socket.writable().await.ok()?;
            // A failed write has closed the way out. The reader finds the end of the stream, behind what was
            // said before.
            let _ = shared.socket.try_io(Interest::WRITABLE, || shared.flush(&mut shared.outgoing()));
        }
    }
}

fn undelivered(frame: &Frame, serialization: Serialization) -> Received {
    match frame.handle.as_ref().and_then(|handle| handle.connection) {
        Some(ack) => Received::Cluster(FromWorker::Accepted { ack, accepted: false }),
        None => Received::Undelivered(message_of(frame, serialization)),
    }
}

/// Loses nothing when it is dropped: what was read is in `incoming` until there is room for it.
async fn read(shared: &Shared, incoming: &mut Incoming, sender: &mpsc::Sender<Received>) -> Ended {
    let mut buffer = vec![0; READ_BYTES];
    let mut arrived = Vec::new();
    loop {
        loop {
            let room = sender.reserve().await.ok()?;
            let Some(message) = incoming.decoder.next_message() else { break };
            if let Some(received) = incoming.handle(shared, message) {
                room.send(received);
            }
        }
        shared.socket.readable().await.ok()?;
        let received = shared.socket.try_io(Interest::READABLE, || {
            descriptors::receive_noting_loss(&shared.socket, &mut buffer, &mut arrived)
        });
        let received = match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            // A child that died with unread messages leaves a reset instead of an end.
            Err(_) => return None,
            Ok(received) if received.bytes == 0 => return None,
            Ok(received) => received,
        };
        incoming.take_descriptors(&mut arrived, received.descriptors_lost);
        incoming.decoder.push(&buffer[..received.bytes]);
    }
}

struct Incoming {
    decoder: Decoder,
    /// In the order of their messages; `None` is one that got lost on the way.
    descriptors: VecDeque<Option<OwnedFd>>,
}

impl Incoming {
    fn take_descriptors(&mut self, arrived: &mut Vec<OwnedFd>, lost: bool) {
        self.descriptors.extend(arrived.drain(..).map(Some));
        if lost {
            self.descriptors.push_back(None);
        }
        self.descriptors.truncate(DESCRIPTORS_AHEAD_MAX);
    }

    /// Answers what Node.js expects to be answered; gives out the rest.
    fn handle(&mut self, shared: &Shared, message: Result<Value, FrameError>) -> Option<Received> {
        let mut message = match message {
            Ok(message) => message,
            Err(error) => {
                // It may have been one with a descriptor, and Node.js sends nothing else before that is
                // answered.
                if !self.descriptors.is_empty() {
                    self.descriptors.clear();
                    shared.answer(&json!({ "cmd": "NODE_HANDLE_NACK" }));
                }
                return Some(Received::Malformed(error));
            }
        };
        let Some(command) = internal_command(&message) else { return Some(Received::Message(message)) };
        match command {
            HANDLE => {
                let descriptor = self.descriptors.pop_front().flatten();
                let answer = if descriptor.is_some() { "NODE_HANDLE_ACK" } else { "NODE_HANDLE_NACK" };
                shared.answer(&json!({ "cmd": answer }));
                let message = message["msg"].take();
                return descriptor.map(|descriptor| Received::Handle { message, descriptor });
            }
            "NODE_HANDLE_ACK" => shared.confirm(true),
            "NODE_HANDLE_NACK" => shared.confirm(false),
            cluster::COMMAND => return Some(Received::Cluster(FromWorker::parse(message))),
            // A worker that passed a connection to us does not leave before it hears what became of it. Here
            // it became ours.
            "NODE_SOCKET_NOTIFY_CLOSE" => {
                shared.answer(&json!({ "cmd": "NODE_SOCKET_ALL_CLOSED", "key": message["key"] }));
            }
            "NODE_SOCKET_GET_COUNT" => {
                shared.answer(&json!({ "cmd": "NODE_SOCKET_COUNT", "key": message["key"], "count": 0 }));
            }
            // Words between other parts of Node.js, such as NODE_DEBUG_ENABLED, want nothing of us.
            _ => (),
        }
        None
    }
}

/// The command of a message that is Node.js's own and not the program's.
fn internal_command(message: &Value) -> Option<&str> {
    message
        .as_object()?
        .get("cmd")?
        .as_str()
        .filter(|command| command.len() > 5 && command.starts_with("NODE_"))
}

#[cfg(test)]
mod tests;
