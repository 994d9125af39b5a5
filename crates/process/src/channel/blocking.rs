//! A channel without a runtime: whoever sends or receives does it on the calling thread, and waits there.
//!
//! One system call for a message, as with a bare socket. While a message waits for room, up to [`AHEAD_MAX`] of the other
//! side are read ahead, so that two sides that send do not wait for each other. A program to which more may be on their way
//! while it sends, or that must do both at the same moment from two threads, wants the [other form](super::Channel).
//!
//! ```
//! use stead_process::channel::{Serialization, blocking::Channel};
//!
//! let (here, there) = stead_process::socket::pair()?;
//! let mut here = Channel::open(here, Serialization::Json)?;
//! let mut there = Channel::open(there, Serialization::Json)?;
//! here.send("ping")?;
//! assert_eq!(there.recv().expect("it was sent")?.value()?, "ping");
//! drop(there);
//! assert!(here.recv().is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::{
    AHEAD_MAX, Handle, Message, RecvError, SendError, Serialization, Structured, WAITING_BYTES_MAX,
    encode_any, handle_frame, message_of,
};
use crate::descriptors;
use crate::node::channel::Received;
use crate::node::channel::incoming::{Incoming, Step};
use crate::node::channel::link::{KEPT_BACK_BYTES, READ_BYTES};
use crate::node::channel::outgoing::{self, Order, Outgoing};
use crate::node::frame::{encode_raw, encode_typed};

/// The channel to the parent. See [`Channel::from_env`].
pub type Parent = Channel;

/// Both directions of a channel. Dropping it ends it.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    serialization: Serialization,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Read while something was sent.
    ahead: VecDeque<Received<Message>>,
    arrived: Vec<OwnedFd>,
    /// There was no room for an answer, without which the other side may say nothing more.
    owes: bool,
    ended: bool,
}

/// Nothing came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no message came in time")]
pub struct Timeout;

impl Channel {
    /// Speaks over `socket`, one end of a pair of Unix stream sockets, which it makes a blocking one.
    ///
    /// # Errors
    /// It is no open descriptor of that kind.
    pub fn open(socket: OwnedFd, serialization: Serialization) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(Self {
            socket,
            serialization,
            outgoing: Outgoing::new(WAITING_BYTES_MAX),
            incoming: Incoming::new(serialization, &[], Vec::new()),
            ahead: VecDeque::new(),
            arrived: Vec::new(),
            owes: false,
            ended: false,
        })
    }

    /// Sends a message, and waits until the socket has taken it. What the other side says meanwhile is read ahead, up to
    /// [`AHEAD_MAX`] messages, so that two sides that send at the same time do not wait for each other. Beyond that they do:
    /// receive now and then, or use the [other form](super::Channel).
    ///
    /// # Errors
    /// See [`SendError`]. [`SendError::Full`] only behind a socket that the other side does not take.
    pub fn send<T: Serialize + ?Sized>(&mut self, message: &T) -> Result<(), SendError> {
        let serialization = self.serialization;
        self.push(&mut None, |out| encode_typed(message, serialization, out))?;
        self.flush()
    }

    /// Sends a value with all that JavaScript can say. In a JSON channel it becomes what `JSON.stringify` makes of it.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_structured(&mut self, message: &Structured) -> Result<(), SendError> {
        let mut bytes = Vec::new();
        encode_any(message, self.serialization, &mut bytes);
        self.send_raw(&bytes)
    }

    /// Sends a message that is encoded already, as [`Message::bytes`] gives it: in JSON without a line end in it.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_raw(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.push_raw(message)?;
        self.flush()
    }

    /// Like [`Self::send`], but keeps the message back, to be written together with others: at the next [`Self::flush`] or
    /// message that is sent at once, or when it is 64 KiB. It waits as [`Self::send`] does.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn feed<T: Serialize + ?Sized>(&mut self, message: &T) -> Result<(), SendError> {
        let serialization = self.serialization;
        self.push(&mut None, |out| encode_typed(message, serialization, out))?;
        self.flush_if_much()
    }

    /// [`Self::feed`] for a message that is encoded already.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn feed_raw(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.push_raw(message)?;
        self.flush_if_much()
    }

    /// Sends a socket along with a message. It is closed here once it has arrived, or on an error. Messages keep their
    /// order: before the next one is sent, the answer that it has arrived is waited for.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_handle<T>(&mut self, message: &T, handle: impl Into<Handle>) -> Result<(), SendError>
    where
        T: Serialize + ?Sized,
    {
        let (frame, descriptor) = handle_frame(message, handle.into())?;
        let serialization = self.serialization;
        self.push(&mut Some(outgoing::Handle::new(descriptor, None)), |out| {
            encode_typed(&frame, serialization, out)
        })?;
        self.flush()
    }

    /// Writes what was kept back, and waits until the socket has taken it.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub fn flush(&mut self) -> Result<(), SendError> {
        loop {
            let socket = &self.socket;
            match self.outgoing.flush(|bytes, handles| descriptors::try_send(socket, bytes, handles)) {
                Ok(()) => {
                    self.owes = false;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.make_room()?,
                Err(_) => return Err(SendError::Closed),
            }
        }
    }

    /// The next message; `None` when the other side has ended the channel or is gone, behind all that it had said.
    pub fn recv(&mut self) -> Option<Result<Message, RecvError>> {
        loop {
            if let Some(message) = self.next_ready() {
                return Some(message);
            }
            if self.ended {
                return None;
            }
            self.read_on(None);
        }
    }

    /// Like [`Self::recv`], and gives up after a while.
    ///
    /// # Errors
    /// [`Timeout`]: nothing came. Nothing is lost by that.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Result<Message, RecvError>>, Timeout> {
        let until = Instant::now().checked_add(timeout);
        loop {
            if let Some(message) = self.next_ready() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            // An interrupted wait is tried again with what is left of the time.
            if !self.read_on(left) && left.is_some_and(|left| left.is_zero()) {
                return Err(Timeout);
            }
        }
    }

    /// Waits for a message and appends it to `messages`, and up to `limit` in all that are there already. Returns how many;
    /// 0 when the channel has ended.
    pub fn recv_many(&mut self, messages: &mut Vec<Result<Message, RecvError>>, limit: usize) -> usize {
        let before = messages.len();
        messages.extend(self.recv());
        while messages.len() > before
            && messages.len() - before < limit
            && let Some(message) = self.next_ready()
        {
            messages.push(message);
        }
        messages.len() - before
    }

    /// Ends the channel once everything was written and all sockets have arrived. A Node.js program gets its `disconnect`
    /// event.
    pub fn disconnect(mut self) {
        // One that is closed already has nothing to write.
        if self.flush().is_ok() {
            self.settle();
        }
    }

    fn push_raw(&mut self, message: &[u8]) -> Result<(), SendError> {
        let serialization = self.serialization;
        self.push(&mut None, |out| {
            encode_raw(message, serialization, out).then_some(()).ok_or(SendError::Line)
        })
    }

    fn push(
        &mut self,
        handle: &mut Option<outgoing::Handle>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        // Handles may follow each other; anything else must not overtake them.
        if self.outgoing.is_unconfirmed() && (handle.is_none() || self.outgoing.is_full()) {
            self.settle();
        }
        self.outgoing.push(Order::Program, handle, encode)
    }

    fn flush_if_much(&mut self) -> Result<(), SendError> {
        if self.outgoing.waiting_bytes() < KEPT_BACK_BYTES { Ok(()) } else { self.flush() }
    }

    /// Reads until all sockets have arrived, or too much was said meanwhile.
    fn settle(&mut self) {
        loop {
            self.understand_ahead();
            if !self.outgoing.is_unconfirmed() || self.ended || self.ahead.len() >= AHEAD_MAX {
                return;
            }
            self.read_on(None);
        }
    }

    /// Waits for what comes next, and writes what is owed as soon as there is room. Whether anything happened in time.
    fn read_on(&mut self, timeout: Option<Duration>) -> bool {
        if !self.owes && timeout.is_none() {
            self.read(true);
            return true;
        }
        let wanted = if self.owes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let happened = wait(self.socket.as_fd(), wanted, timeout).unwrap_or(true);
        if happened {
            if self.owes {
                self.write_some();
            }
            self.read(false);
        }
        happened
    }

    fn understand_ahead(&mut self) {
        while self.ahead.len() < AHEAD_MAX
            && let Some(received) = self.understand()
        {
            self.ahead.push_back(received);
        }
    }

    /// Waits for room in the socket, and reads meanwhile.
    fn make_room(&mut self) -> Result<(), SendError> {
        let reads = !self.ended && self.ahead.len() < AHEAD_MAX;
        let wanted = if reads { PollFlags::IN | PollFlags::OUT } else { PollFlags::OUT };
        wait(self.socket.as_fd(), wanted, None).map_err(|_| SendError::Closed)?;
        if reads {
            self.read(false);
            self.understand_ahead();
        }
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Result<Message, RecvError>> {
        loop {
            let received = self.ahead.pop_front().or_else(|| self.understand());
            // What was given up is found only by looking.
            let received = received.or_else(|| self.ahead.pop_front())?;
            if let Some(message) = message_of(received) {
                return Some(message);
            }
        }
    }

    /// Answers what must be answered until there is something to give out.
    fn understand(&mut self) -> Option<Received<Message>> {
        loop {
            for lost in self.outgoing.take_lost() {
                self.ahead.push_back(crate::node::channel::link::undelivered(&lost, self.serialization));
            }
            match self.incoming.step()? {
                Step::Give(received) => return Some(received),
                Step::Ignore => (),
                Step::Confirm(arrived) => {
                    self.outgoing.confirm(arrived);
                    self.write_some();
                }
                Step::Answer(answer, received) => {
                    let serialization = self.serialization;
                    let taken = self
                        .outgoing
                        .push(Order::Answer, &mut None, |out| encode_typed(&answer, serialization, out));
                    if matches!(taken, Err(SendError::Full)) {
                        // A side that asks and asks and never reads the answers would wait for them for ever.
                        self.outgoing.close();
                        self.shut();
                    }
                    self.write_some();
                    if received.is_some() {
                        return received;
                    }
                }
            }
        }
    }

    /// What the socket has no room for now goes out while something is waited for, or with the next message. That the other side
    /// is gone is found by reading.
    fn write_some(&mut self) {
        let socket = &self.socket;
        let written = self.outgoing.flush(|bytes, handles| descriptors::try_send(socket, bytes, handles));
        self.owes = written.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    }

    /// Fails only if the other side has closed its end already.
    fn shut(&self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    fn read(&mut self, waits: bool) {
        let room = self.incoming.decoder.room(READ_BYTES);
        let received = if waits {
            descriptors::receive_noting_loss(&self.socket, room, &mut self.arrived)
        } else {
            descriptors::try_receive_noting_loss(&self.socket, room, &mut self.arrived)
        };
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            // One that died with unread messages leaves a reset instead of an end.
            Err(_) => self.ended = true,
            Ok(received) if received.bytes == 0 => self.ended = true,
            Ok(received) => {
                self.incoming.take_descriptors(&mut self.arrived, received.descriptors_lost);
                self.incoming.decoder.advance(received.bytes);
            }
        }
    }
}

/// The other side sees the end even if a process started meanwhile has a copy of the descriptor.
impl Drop for Channel {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Whether something happened in time.
fn wait(socket: BorrowedFd<'_>, wanted: PollFlags, timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let mut polled = [PollFd::from_borrowed_fd(socket, wanted)];
    match poll(&mut polled, timeout.as_ref()) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        count => Ok(count? > 0),
    }
}
