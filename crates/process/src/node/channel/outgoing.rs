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
        let more = if order == Order::Answer { ANSWERS_BYTES_MAX } else { 0 };
        if self.waiting_bytes >= self.bytes_max + more || (handle.is_some() && self.handles >= HANDLES_MAX) {
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
mod tests {
    use super::*;

    const QUEUE_BYTES_MAX: usize = 1024 * 1024;

    /// Sends `b"h"`-like frames: an upper-case letter is a frame with a descriptor.
    fn frame(name: u8) -> Frame {
        let handle = name.is_ascii_uppercase().then(|| {
            let (descriptor, _) = crate::socket::pair().unwrap();
            Handle::new(descriptor, Some(u64::from(name)))
        });
        Frame::new(vec![name], handle)
    }

    fn push(outgoing: &mut Outgoing, frame: Frame, order: Order) -> Result<(), SendError> {
        let bytes = frame.bytes;
        outgoing.push(order, &mut frame.handle.into_iter().next(), |out| {
            out.extend(bytes);
            Ok(())
        })
    }

    fn empty() -> Outgoing {
        Outgoing::new(QUEUE_BYTES_MAX)
    }

    fn flush(outgoing: &mut Outgoing) -> String {
        let mut written = String::new();
        outgoing
            .flush(|bytes, descriptors| {
                assert_eq!(bytes[0].is_ascii_uppercase(), !descriptors.is_empty());
                written.push_str(std::str::from_utf8(bytes).unwrap());
                Ok(bytes.len())
            })
            .unwrap();
        written
    }

    /// Each step: what is pushed (`.` free, `>` program, `|` last in front of the name) or answered (`+`,
    /// `-`), and what is written.
    fn check(steps: &[(&str, &str)]) {
        let mut outgoing = empty();
        for (step, written) in steps {
            match step.as_bytes() {
                b"+" => outgoing.confirm(true),
                b"-" => outgoing.confirm(false),
                [order, name] => {
                    let order = match order {
                        b'.' => Order::Free,
                        b'>' => Order::Program,
                        _ => Order::Last,
                    };
                    push(&mut outgoing, frame(*name), order).unwrap();
                }
                _ => panic!("{step}"),
            }
            assert_eq!(flush(&mut outgoing), *written, "after {step} of {steps:?}");
        }
        assert_eq!(
            outgoing.waiting_bytes,
            outgoing.held.iter().map(|held| held.frame.bytes.len()).sum::<usize>()
        );
    }

    #[test]
    fn the_last_message_waits_for_every_descriptor() {
        check(&[
            (".A", "A"),
            (".B", "B"),
            ("|x", ""),
            (".c", "c"),
            ("+", ""),
            (".D", "D"),
            ("+", "x"),
            ("+", ""),
        ]);
        check(&[("|x", "x")]);
    }

    #[test]
    fn a_program_s_messages_keep_their_order() {
        check(&[
            (">a", "a"),
            (">B", "B"),
            (">c", ""),
            (">D", ""),
            (">e", ""),
            ("+", "cD"),
            (".F", "F"),
            ("+", "e"),
        ]);
    }

    #[test]
    fn a_program_s_messages_do_not_wait_for_connections() {
        check(&[(".A", "A"), (">b", "b"), (">C", "C"), (">d", ""), ("+", ""), ("+", "d")]);
    }

    #[test]
    fn a_descriptor_that_did_not_arrive_is_sent_again() {
        check(&[(".A", "A"), ("|x", ""), ("-", "A"), ("-", "A"), ("-", "A"), ("-", "x")]);
        check(&[(".A", "A"), (".B", "B"), ("|x", ""), ("-", "A"), ("+", ""), ("+", "x")]);
        check(&[("+", ""), ("-", ""), (".a", "a")]);
    }

    #[test]
    fn a_descriptor_that_never_arrives_is_told() {
        let mut outgoing = empty();
        push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
        for _ in 0..4 {
            assert_eq!(flush(&mut outgoing), "A");
            assert!(outgoing.take_lost().is_empty());
            outgoing.confirm(false);
        }
        assert!(outgoing.has_lost());
        let lost = outgoing.take_lost();
        assert_eq!(lost[0].handle.as_ref().unwrap().connection, Some(u64::from(b'A')));
        assert_eq!(outgoing.handles, 0);
    }

    #[test]
    fn a_frame_written_in_parts_carries_its_descriptor_once() {
        let mut outgoing = empty();
        let mut long = frame(b'A');
        long.bytes = vec![b'A'; 10];
        push(&mut outgoing, long, Order::Free).unwrap();
        let mut calls = Vec::new();
        let mut room = [3, 0, 7].into_iter();
        let mut send = |bytes: &[u8], descriptors: &[BorrowedFd<'_>]| {
            calls.push((bytes.len(), descriptors.len()));
            match room.next() {
                Some(0) | None => Err(io::ErrorKind::WouldBlock.into()),
                Some(count) => Ok(count),
            }
        };
        outgoing.flush(&mut send).unwrap_err();
        outgoing.flush(&mut send).unwrap();
        assert_eq!(calls, [(10, 1), (7, 0), (7, 0)]);
        assert_eq!((outgoing.waiting_bytes, outgoing.unconfirmed.len()), (0, 1));
    }

    #[test]
    fn what_another_process_began_comes_first() {
        let mut outgoing = Outgoing::resume(QUEUE_BYTES_MAX, b"rest", 2);
        push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
        push(&mut outgoing, frame(b'x'), Order::Last).unwrap();
        let mut written = Vec::new();
        outgoing
            .flush(|bytes, _| {
                written.extend_from_slice(bytes);
                Ok(bytes.len())
            })
            .unwrap();
        assert_eq!(written, b"restA");
        outgoing.confirm(true);
        outgoing.confirm(false);
        assert_eq!(flush(&mut outgoing), "", "those answers were for others");
        outgoing.confirm(true);
        assert_eq!(flush(&mut outgoing), "x");
    }

    #[test]
    fn what_was_not_written_is_given_back() {
        let mut outgoing = empty();
        for name in [b'A', b'B', b'c'] {
            push(&mut outgoing, Frame { bytes: vec![name; 4], ..frame(name) }, Order::Free).unwrap();
        }
        push(&mut outgoing, frame(b'x'), Order::Last).unwrap();
        let mut room = [4, 1].into_iter();
        let flushed = outgoing.flush(|_, _| room.next().ok_or(io::ErrorKind::WouldBlock.into()));
        assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let remains = outgoing.take_remains();
        assert_eq!((remains.unwritten.as_slice(), remains.unconfirmed), (b"BBB".as_slice(), 2));
        let unsent: Vec<u8> = remains.unsent.iter().map(|frame| frame.bytes[0]).collect();
        assert_eq!(unsent, b"cx");
        assert!(matches!(push(&mut outgoing, frame(b'd'), Order::Free), Err(SendError::Closed)));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut outgoing = empty();
        push(&mut outgoing, Frame::new(vec![b'a'; QUEUE_BYTES_MAX + 1], None), Order::Free).unwrap();
        assert!(matches!(push(&mut outgoing, frame(b'b'), Order::Free), Err(SendError::Full)));
        while push(&mut outgoing, frame(b'c'), Order::Answer).is_ok() {
            assert!(outgoing.waiting_bytes <= QUEUE_BYTES_MAX + ANSWERS_BYTES_MAX);
        }
        assert!(outgoing.waiting_bytes >= QUEUE_BYTES_MAX + ANSWERS_BYTES_MAX, "there is room for answers");
        let mut outgoing = empty();
        for _ in 0..HANDLES_MAX {
            push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
        }
        assert!(matches!(push(&mut outgoing, frame(b'A'), Order::Free), Err(SendError::Full)));
        push(&mut outgoing, frame(b'a'), Order::Free).unwrap();
    }

    #[test]
    fn a_broken_way_out_drops_everything() {
        let mut outgoing = empty();
        push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
        flush(&mut outgoing);
        push(&mut outgoing, frame(b'b'), Order::Free).unwrap();
        outgoing.flush(|_, _| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        assert!(outgoing.is_done());
        assert!(matches!(push(&mut outgoing, frame(b'c'), Order::Free), Err(SendError::Closed)));
    }

    #[test]
    fn messages_that_wait_are_written_together_and_refused_ones_leave_nothing() {
        let mut outgoing = empty();
        push(&mut outgoing, frame(b'a'), Order::Program).unwrap();
        let refused = outgoing.push(Order::Program, &mut None, |out| {
            out.extend(b"half");
            Err(SendError::Line)
        });
        assert!(matches!(refused, Err(SendError::Line)));
        push(&mut outgoing, frame(b'b'), Order::Program).unwrap();
        assert_eq!(outgoing.backlog(), (2, 2));
        let mut writes = Vec::new();
        let flushed = outgoing.flush(|bytes, _| {
            writes.push(bytes.to_vec());
            Ok(bytes.len())
        });
        flushed.unwrap();
        assert_eq!((writes, outgoing.backlog()), (vec![b"ab".to_vec()], (0, 0)));
    }

    #[test]
    fn too_many_descriptors_in_flight_loses_only_that_one() {
        let mut outgoing = empty();
        push(&mut outgoing, frame(b'A'), Order::Free).unwrap();
        push(&mut outgoing, frame(b'b'), Order::Free).unwrap();
        let mut full = true;
        let result = outgoing
            .flush(|_, _| if std::mem::take(&mut full) { Err(Errno::TOOMANYREFS.into()) } else { Ok(1) });
        result.unwrap();
        assert_eq!((outgoing.take_lost().len(), outgoing.handles, outgoing.waiting_bytes), (1, 0, 0));
    }
}
