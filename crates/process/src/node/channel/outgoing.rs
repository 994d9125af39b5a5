//! What waits to be written to a child, and what was written and not confirmed.
//!
//! Pure but for the writing itself, which is a parameter. The rules, all Node.js's own:
//!
//! - One descriptor goes with the first byte of its frame. It is kept here until the child says that it arrived,
//!   because a child that has no room for it asks for it again.
//! - A descriptor's message reaches the program one turn of its loop *after* a plain message behind it. So a message
//!   that must not overtake descriptors is *held* until they have been confirmed.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::SendError;

/// Bytes of answers that may wait beyond what the program may fill: thousands of confirmations, of which one is asked for at a time.
const ANSWERS_BYTES_MAX: usize = 256 * 1024;
/// Plain messages that wait are put together up to this size, to be written in one call.
const JOINED_BYTES: usize = 64 * 1024;
/// The room of a written message is kept for the next, unless it was a large one.
const SPARE_BYTES_MAX: usize = 256 * 1024;
/// Descriptors that may be on their way to one child; each counts against our own limit of open files.
pub(crate) const HANDLES_MAX: usize = 256;
/// How often a descriptor is sent again, as Node.js does it.
const RETRIES_MAX: u8 = 3;

/// Messages ready to be written: one with a descriptor, or any number without.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) handle: Option<Handle>,
    written: usize,
    /// How many messages it is.
    messages: usize,
}

/// The descriptor that goes along.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) descriptor: OwnedFd,
    /// The `seq` of a `newconn`, so that its loss can be told as a refusal.
    pub(crate) connection: Option<u64>,
    number: u64,
    retries: u8,
}

/// Where a message may stand among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Anywhere.
    Free,
    /// Anywhere, and not refused because the program has filled the queue: who waits for it reads nothing else meanwhile.
    Answer,
    /// Behind the program's own earlier messages and descriptors.
    Program,
    /// Behind every descriptor sent before.
    Last,
}

#[derive(Debug)]
struct Held {
    frame: Frame,
    /// Waits for all descriptors up to this number.
    after: u64,
}

/// The way out to one child.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// When this many bytes wait nothing more is taken, so one message of any size always is.
    bytes_max: usize,
    /// May be written now; the first may be written in part.
    queue: VecDeque<Frame>,
    held: VecDeque<Held>,
    /// Written whole; answers come in this order.
    unconfirmed: VecDeque<Frame>,
    /// Given up; waits to be told.
    lost: Vec<Frame>,
    /// Of `queue` and `held`.
    waiting_bytes: usize,
    /// How many they were when there was found to be no room; for as long as there is none.
    full_at: Option<usize>,
    /// Those of them that are not written whole.
    waiting_messages: usize,
    handles: usize,
    handle_last: u64,
    handle_last_program: u64,
    /// Answers still to come for descriptors that another process sent before us.
    strays: usize,
    closed: bool,
    /// Room for the next message.
    spare: Vec<u8>,
}

/// What is left when nothing more will be written.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) unwritten: Vec<u8>,
    pub(crate) unsent: Vec<Frame>,
    pub(crate) unconfirmed: usize,
}

impl Frame {
    pub(crate) const fn new(bytes: Vec<u8>, handle: Option<Handle>) -> Self {
        Self { bytes, handle, written: 0, messages: 1 }
    }

    fn number(&self) -> Option<u64> {
        self.handle.as_ref().map(|handle| handle.number)
    }
}

impl Handle {
    pub(crate) const fn new(descriptor: OwnedFd, connection: Option<u64>) -> Self {
        Self { descriptor, connection, number: 0, retries: 0 }
    }
}

impl Outgoing {
    /// Lets so many bytes wait for a child that does not read.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Goes on where another process stopped: first comes the rest of its message, and so many answers are for it.
    pub(crate) fn resume(bytes_max: usize, unwritten: &[u8], strays: usize) -> Self {
        let waiting_bytes = unwritten.len();
        // With a byte in front that stands for what was written, it is a message written in part like any other.
        let rest = Frame { bytes: [&[0], unwritten].concat(), handle: None, written: 1, messages: 1 };
        let queue: VecDeque<Frame> = Some(rest).filter(|_| waiting_bytes > 0).into_iter().collect();
        let waiting_messages = queue.len();
        Self { queue, waiting_bytes, waiting_messages, strays, ..Self::new(bytes_max) }
    }

    /// Takes a message, which `encode` appends, and its handle. Call [`Self::flush`] next. If it is refused nothing has
    /// changed, and the handle is still there.
    pub(crate) fn push(
        &mut self,
        order: Order,
        handle: &mut Option<Handle>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        let full = self.waiting_bytes >= self.bytes_max;
        self.full_at = full.then(|| self.full_at.unwrap_or(self.waiting_bytes));
        // One message may be far larger than the limit, and what was answered meanwhile counts by itself.
        let answers_until = self.full_at.unwrap_or(self.bytes_max) + ANSWERS_BYTES_MAX;
        let max = if order == Order::Answer { answers_until } else { self.bytes_max };
        if self.waiting_bytes >= max || (handle.is_some() && self.handles >= HANDLES_MAX) {
            return Err(SendError::Full);
        }
        let after = match order {
            Order::Free | Order::Answer => 0,
            Order::Program => self.handle_last_program,
            Order::Last => self.handle_last,
        };
        let is_free = matches!(order, Order::Free | Order::Answer);
        let held = !self.held.is_empty() && !is_free || self.is_on_the_way(after);
        let joins = |frame: &&mut Frame| frame.handle.is_none() && frame.bytes.len() < JOINED_BYTES;
        if let Some(last) = self.queue.back_mut().filter(|last| !held && handle.is_none() && joins(last)) {
            let before = last.bytes.len();
            encode(&mut last.bytes).inspect_err(|_| last.bytes.truncate(before))?;
            self.waiting_bytes += last.bytes.len() - before;
            self.waiting_messages += 1;
            last.messages += 1;
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.spare);
        encode(&mut bytes)?;
        self.waiting_bytes += bytes.len();
        self.waiting_messages += 1;
        let frame = Frame::new(bytes, handle.take().map(|handle| self.number(handle, order)));
        if held {
            self.held.push_back(Held { frame, after });
        } else {
            self.queue.push_back(frame);
        }
        Ok(())
    }

    fn number(&mut self, mut handle: Handle, order: Order) -> Handle {
        self.handles += 1;
        self.handle_last += 1;
        handle.number = self.handle_last;
        if order == Order::Program {
            self.handle_last_program = self.handle_last;
        }
        handle
    }

    /// Whether a descriptor up to this number has not arrived yet.
    fn is_on_the_way(&self, number: u64) -> bool {
        let numbers = || self.queue.iter().chain(&self.unconfirmed).filter_map(Frame::number);
        number > 0 && self.handles > 0 && numbers().any(|other| other <= number)
    }

    /// Lets go what waits for nothing any more.
    fn release(&mut self) {
        while let Some(first) = self.held.front() {
            if self.is_on_the_way(first.after) {
                return;
            }
            self.queue.extend(self.held.pop_front().map(|held| held.frame));
        }
    }

    /// Whether there is no room for another message. It takes one of any size otherwise.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes >= self.bytes_max || self.handles >= HANDLES_MAX
    }

    /// How many bytes wait.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether anything was given up, and has to be told.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Whether confirmations of descriptors are to come.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        !self.unconfirmed.is_empty()
    }

    /// Whether all that was taken is written and has arrived.
    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.held.is_empty() && self.unconfirmed.is_empty()
    }

    /// Writes as much as `send` takes: all (`Ok`), or until it would block (`WouldBlock`).
    ///
    /// # Errors
    /// `WouldBlock`. Any other error closes the way out.
    pub(crate) fn flush(
        &mut self,
        mut send: impl FnMut(&[u8], &[BorrowedFd<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while let Some(frame) = self.queue.front_mut() {
            let first = frame.handle.as_ref().filter(|_| frame.written == 0);
            let descriptors: Vec<BorrowedFd<'_>> =
                first.iter().map(|handle| handle.descriptor.as_fd()).collect();
            match send(&frame.bytes[frame.written..], &descriptors) {
                Ok(count) => {
                    frame.written += count;
                    self.waiting_bytes -= count;
                    if frame.written == frame.bytes.len() {
                        self.written_whole();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // The kernel has too many descriptors in flight; nothing of the frame was sent.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::TOOMANYREFS) => {
                    let frame = self.queue.pop_front().expect("it was just there");
                    self.waiting_bytes -= frame.bytes.len();
                    self.waiting_messages -= frame.messages;
                    self.give_up(frame);
                }
                Err(error) => {
                    self.close();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn written_whole(&mut self) {
        let Some(mut frame) = self.queue.pop_front() else { return };
        self.waiting_messages -= frame.messages;
        if frame.handle.is_some() {
            self.unconfirmed.push_back(frame);
        } else if frame.bytes.capacity() <= SPARE_BYTES_MAX {
            frame.bytes.clear();
            self.spare = frame.bytes;
        }
    }

    /// The child says whether the next unconfirmed descriptor arrived.
    pub(crate) fn confirm(&mut self, arrived: bool) {
        // The child answers in order.
        if self.strays > 0 {
            self.strays -= 1;
            return;
        }
        let Some(mut frame) = self.unconfirmed.pop_front() else { return };
        let retries = frame.handle.as_mut().map(|handle| &mut handle.retries);
        match retries.filter(|retries| !arrived && **retries < RETRIES_MAX) {
            Some(retries) => {
                *retries += 1;
                frame.written = 0;
                self.waiting_bytes += frame.bytes.len();
                self.waiting_messages += 1;
                self.queue.push_back(frame);
            }
            None if arrived => {
                self.handles -= 1;
                self.release();
            }
            None => self.give_up(frame),
        }
    }

    fn give_up(&mut self, frame: Frame) {
        self.handles -= 1;
        self.lost.push(frame);
        self.release();
    }

    /// What will never arrive, since the last call.
    pub(crate) fn take_lost(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.lost)
    }

    /// Whether anything can be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether nothing is taken any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Messages that wait, and their bytes.
    pub(super) const fn backlog(&self) -> (usize, usize) {
        (self.waiting_messages, self.waiting_bytes)
    }

    /// Takes nothing more.
    pub(crate) fn seal(&mut self) {
        self.closed = true;
    }

    /// Gives out everything that was not written, and takes nothing more.
    pub(crate) fn take_remains(&mut self) -> Remains {
        let all = std::mem::replace(self, Self { closed: true, ..Self::default() });
        let mut unwritten = Vec::new();
        let mut unconfirmed = all.strays + all.unconfirmed.len();
        let mut unsent = Vec::new();
        for frame in all.queue.into_iter().chain(all.held.into_iter().map(|held| held.frame)) {
            if frame.written > 0 {
                unconfirmed += usize::from(frame.handle.is_some());
                unwritten = frame.bytes[frame.written..].to_vec();
            } else {
                unsent.push(frame);
            }
        }
        Remains { unwritten, unsent, unconfirmed }
    }

    /// Drops everything, descriptors too: whoever is at their other ends must see that the child is gone.
    pub(crate) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests;
