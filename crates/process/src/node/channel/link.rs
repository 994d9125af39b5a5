//! One end of a channel, whoever uses it: reads when asked to, and writes at once.
//!
//! There is no task that stands between the socket and its user. A message is written by whoever sends it; only if the
//! socket has no room, a task (the *pump*) is started that writes the rest and ends. A message is read by whoever waits
//! for one, so a user who does not, stops the reading, and the other side's writes back up. Two things cannot wait for the
//! user: that descriptors are confirmed, and that there is room again for a message that somebody waits to send, because
//! the other side may read only after it has written. Meanwhile the pump reads ahead, up to a limit. (A user who has
//! promised to read all the time spares that.)

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::Shutdown;
use rustix::time::Timespec;
use serde_json::Value;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::runtime::Handle as Runtime;
use tokio::sync::Notify;

use super::handover::{Continuation, Released, messages_of};
use super::incoming::{Incoming, Step};
use super::outgoing::{Frame, Handle, Order, Outgoing};
use super::{Received, SendError};
use crate::descriptors;
use crate::node::cluster::FromWorker;
use crate::node::frame::{Serialization, encode};
use crate::node::message::Message;

/// What is read in one system call, the same as Node.js does.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// Messages that are read before anybody wants to receive them, while a message or a socket of this side waits. When there
/// are more, only receiving goes on.
pub const AHEAD_MAX: usize = 256;
/// Bytes that are kept back to be written together.
pub(crate) const KEPT_BACK_BYTES: usize = 64 * 1024;
/// How long a released channel waits for the child to take what is queued.
const RELEASE_WAIT: Duration = Duration::from_secs(1);

/// How an end is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// So many bytes may wait for the other side to read.
    pub(crate) waiting_bytes_max: usize,
    /// Somebody always waits for the next message, so that nothing has to be read ahead.
    pub(crate) always_reads: bool,
}

/// When a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    /// With the next that is written now, or when it is enough to be worth it.
    Later,
}

#[derive(Debug)]
pub(crate) struct Link {
    socket: AsyncFd<OwnedFd>,
    pub(crate) serialization: Serialization,
    habits: Habits,
    /// The pump runs where the socket is watched.
    runtime: Runtime,
    /// Never locked before `reader`.
    writer: Mutex<Writer>,
    reader: Mutex<Reader>,
    /// There is something to tell about messages that were given up.
    lost: AtomicBool,
    /// The other side ended without having read everything.
    unread: AtomicBool,
    /// Rung when there is room for messages again, when all is done, and at the end.
    room: Notify,
    /// Rung when the pump has something else to wait for.
    changed: Notify,
}

#[derive(Debug)]
struct Writer {
    outgoing: Outgoing,
    /// The socket had no room; the pump goes on when it has.
    blocked: bool,
    pumping: bool,
    /// So many wait for room, or until all is written.
    senders: usize,
}

/// One of them.
struct Waiting<'a>(&'a Link);

#[derive(Debug)]
struct Reader {
    incoming: Incoming,
    /// Read ahead of the user.
    ahead: VecDeque<Received<Message>>,
    arrived: Vec<OwnedFd>,
    waker: Option<Waker>,
    ended: bool,
}

impl Link {
    pub(crate) fn open(
        socket: OwnedFd,
        serialization: Serialization,
        habits: Habits,
        from: Continuation,
    ) -> io::Result<Arc<Self>> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let blocked = !from.unwritten.is_empty();
        let link = Arc::new(Self {
            // Were it watched for room too, each message that the other side reads would wake this process.
            socket: watch(socket, Interest::READABLE)?,
            serialization,
            habits,
            runtime: Runtime::current(),
            writer: Mutex::new(Writer {
                outgoing: Outgoing::resume(habits.waiting_bytes_max, &from.unwritten, from.unconfirmed),
                blocked,
                pumping: false,
                senders: 0,
            }),
            reader: Mutex::new(Reader {
                incoming: Incoming::new(serialization, &from.unread, from.descriptors),
                ahead: VecDeque::new(),
                arrived: Vec::new(),
                waker: None,
                ended: false,
            }),
            lost: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            room: Notify::new(),
            changed: Notify::new(),
        });
        link.pump_if_needed(&mut link.writer());
        Ok(link)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that wait, and their bytes.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        self.writer().outgoing.backlog()
    }

    /// Sends the message that `encode` appends as a frame. If it is refused, the handle is still there.
    pub(crate) fn push(
        self: &Arc<Self>,
        (order, when): (Order, When),
        handle: &mut Option<Handle>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let mut writer = self.writer();
        writer.outgoing.push(order, handle, encode)?;
        if when == When::Later && writer.outgoing.waiting_bytes() < KEPT_BACK_BYTES {
            return Ok(());
        }
        self.write_out(writer)
    }

    /// Writes what was kept back.
    pub(crate) fn flush(self: &Arc<Self>) -> Result<(), SendError> {
        self.write_out(self.writer())
    }

    fn write_out(self: &Arc<Self>, mut writer: MutexGuard<'_, Writer>) -> Result<(), SendError> {
        if !writer.blocked {
            self.write(&mut writer)?;
        }
        self.pump_if_needed(&mut writer);
        Ok(())
    }

    fn write(&self, writer: &mut Writer) -> Result<(), SendError> {
        let was_full = writer.outgoing.is_full();
        let written =
            writer.outgoing.flush(|bytes, handles| descriptors::send(self.socket.get_ref(), bytes, handles));
        writer.blocked = written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if writer.outgoing.has_lost() {
            self.lost.store(true, Ordering::Release);
            self.changed.notify_one();
        }
        if was_full && !writer.outgoing.is_full() || writer.outgoing.is_done() && writer.pumping {
            self.room.notify_waiters();
        }
        match written {
            Err(_) if !writer.blocked => {
                self.unread.store(true, Ordering::Release);
                Err(SendError::Closed)
            }
            _ => Ok(()),
        }
    }

    fn pump_if_needed(self: &Arc<Self>, writer: &mut Writer) {
        if !self.is_pump_needed(writer) {
            return;
        }
        if writer.pumping {
            self.changed.notify_one();
        } else {
            writer.pumping = true;
            self.runtime.spawn(Arc::clone(self).pump());
        }
    }

    fn is_pump_needed(&self, writer: &Writer) -> bool {
        writer.blocked || self.lost.load(Ordering::Acquire) || self.reads_ahead(writer)
    }

    fn reads_ahead(&self, writer: &Writer) -> bool {
        let has_cause = writer.outgoing.is_unconfirmed() || writer.blocked && writer.senders > 0;
        !self.habits.always_reads && has_cause
    }

    /// Does what cannot be left to the user, and ends when nothing is left of it.
    async fn pump(self: Arc<Self>) {
        let mut room = None;
        loop {
            let (blocked, reads) = {
                let mut writer = self.writer();
                if !self.is_pump_needed(&writer) {
                    writer.pumping = false;
                    self.room.notify_waiters();
                    return;
                }
                (writer.blocked, self.reads_ahead(&writer))
            };
            self.tell_lost();
            let reads = reads && self.reader().has_room();
            tokio::select! {
                guard = self.writable(&mut room), if blocked => self.write_more(guard),
                guard = self.socket.readable(), if reads => self.read_ahead(guard),
                () = self.changed.notified() => (),
            }
        }
    }

    /// Waits until the socket has room; `watched` is kept for the next time.
    async fn writable<'a>(
        &self,
        watched: &'a mut Option<AsyncFd<OwnedFd>>,
    ) -> io::Result<AsyncFdReadyGuard<'a, OwnedFd>> {
        if watched.is_none() {
            // A descriptor can be watched only once.
            *watched = Some(watch(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?);
        }
        let watched = watched.as_ref().expect("it was just put there");
        watched.writable().await
    }

    fn write_more(&self, guard: io::Result<AsyncFdReadyGuard<'_, OwnedFd>>) {
        let mut writer = self.writer();
        let Ok(mut guard) = guard else { return writer.close() };
        // A failed write has closed the way out. The reader finds the end of the stream, behind what was said before.
        let _ = self.write(&mut writer);
        if writer.blocked {
            guard.clear_ready();
        }
    }

    fn read_ahead(self: &Arc<Self>, guard: io::Result<AsyncFdReadyGuard<'_, OwnedFd>>) {
        let mut reader = self.reader();
        match guard {
            Ok(mut guard) => self.read(&mut reader, || guard.clear_ready()),
            Err(_) => self.end(&mut reader),
        }
        while reader.has_room()
            && let Some(received) = self.understand(&mut reader)
        {
            reader.ahead.push_back(received);
        }
        reader.wake();
    }

    /// Moves what was given up to where the user finds it.
    fn tell_lost(&self) {
        if self.lost.load(Ordering::Acquire) {
            let mut reader = self.reader();
            self.find_lost(&mut reader);
            reader.wake();
        }
    }

    fn find_lost(&self, reader: &mut Reader) {
        if self.lost.swap(false, Ordering::AcqRel) {
            let lost = self.writer().outgoing.take_lost();
            reader.ahead.extend(lost.iter().map(|frame| undelivered(frame, self.serialization)));
        }
    }

    /// The next thing from the other side; `None` at the end.
    pub(crate) fn poll_next(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<Option<Received<Message>>> {
        let mut reader = self.reader();
        loop {
            if let Some(received) = self.next_read(&mut reader) {
                return Poll::Ready(Some(received));
            }
            if reader.ended {
                return Poll::Ready(None);
            }
            // Left in any case, because the pump may read what this waits for.
            if !reader.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                reader.waker = Some(context.waker().clone());
            }
            match ready!(self.socket.poll_read_ready(context)) {
                Ok(mut guard) => self.read(&mut reader, || guard.clear_ready()),
                Err(_) => self.end(&mut reader),
            }
        }
    }

    /// What was read already and not given out.
    pub(crate) fn next_ready(self: &Arc<Self>) -> Option<Received<Message>> {
        self.next_read(&mut self.reader())
    }

    fn next_read(self: &Arc<Self>, reader: &mut Reader) -> Option<Received<Message>> {
        if self.lost.load(Ordering::Acquire) {
            self.find_lost(reader);
        }
        if reader.ahead.is_empty() {
            return self.understand(reader);
        }
        if !reader.has_room() {
            self.changed.notify_one();
        }
        reader.ahead.pop_front()
    }

    /// Answers what must be answered until there is something to give out.
    fn understand(self: &Arc<Self>, reader: &mut Reader) -> Option<Received<Message>> {
        loop {
            match reader.incoming.step()? {
                Step::Give(received) => return Some(received),
                Step::Confirm(arrived) => self.confirm(arrived),
                Step::Ignore => (),
                Step::Answer(answer, received) => {
                    self.answer(&answer);
                    if received.is_some() {
                        return received;
                    }
                }
            }
        }
    }

    fn confirm(self: &Arc<Self>, arrived: bool) {
        let mut writer = self.writer();
        writer.outgoing.confirm(arrived);
        self.room.notify_waiters();
        if !writer.blocked {
            // The reader is here already, and will find the end by itself.
            let _ = self.write(&mut writer);
        }
        self.pump_if_needed(&mut writer);
    }

    /// Answers at once. A child that asks and asks and never reads the answers has lost its channel.
    fn answer(self: &Arc<Self>, message: &Value) {
        let mut writer = self.writer();
        let taken = writer.outgoing.push(Order::Answer, &mut None, |out| {
            encode(message, self.serialization, out);
            Ok(())
        });
        if matches!(taken, Err(SendError::Full)) {
            writer.close();
            self.shut();
        } else if !writer.blocked {
            // As in `confirm`.
            let _ = self.write(&mut writer);
        }
        self.pump_if_needed(&mut writer);
    }

    /// Reads once. `clear` says that the socket is empty.
    fn read(&self, reader: &mut Reader, clear: impl FnOnce()) {
        let room = reader.incoming.decoder.room(READ_BYTES);
        let room_bytes = room.len();
        match descriptors::receive_noting_loss(self.socket.get_ref(), room, &mut reader.arrived) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => clear(),
            // A child that died with unread messages leaves a reset instead of an end.
            Err(error) => {
                if error.kind() == io::ErrorKind::ConnectionReset {
                    self.unread.store(true, Ordering::Release);
                }
                self.end(reader);
            }
            Ok(received) if received.bytes == 0 => self.end(reader),
            Ok(received) => {
                // Reading stops behind bytes that came with a descriptor; any other short read has found all.
                let all = received.bytes < room_bytes && reader.arrived.is_empty();
                if all && !received.descriptors_lost {
                    clear();
                }
                reader.incoming.take_descriptors(&mut reader.arrived, received.descriptors_lost);
                reader.incoming.decoder.advance(received.bytes);
            }
        }
    }

    fn end(&self, reader: &mut Reader) {
        reader.ended = true;
        reader.wake();
        let mut writer = self.writer();
        if writer.outgoing.waiting_bytes() > 0 {
            self.unread.store(true, Ordering::Release);
        }
        writer.close();
        drop(writer);
        self.room.notify_waiters();
        self.changed.notify_one();
    }

    /// Waits until `push` is not refused for want of room.
    pub(crate) async fn with_room<T>(
        &self,
        mut push: impl FnMut() -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        // Whoever sends and sends to a side that reads as fast lets other tasks run too.
        tokio::task::coop::consume_budget().await;
        match push() {
            Err(SendError::Full) => (),
            result => return result,
        }
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let _waiting = Waiting::new(self);
            match push() {
                Err(SendError::Full) => room.await,
                result => return result,
            }
        }
    }

    /// Waits until everything was written and all descriptors have arrived, or the channel has ended.
    pub(crate) async fn done(&self) {
        let _waiting = Waiting::new(self);
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.writer().outgoing.is_done() {
                return;
            }
            room.await;
        }
    }

    /// Takes no more messages.
    pub(crate) fn seal(&self) {
        self.writer().outgoing.seal();
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.writer().outgoing.is_closed()
    }

    /// Whether the other side has read all that was sent; an error if it is gone.
    pub(crate) fn has_read(&self) -> io::Result<bool> {
        let (waiting, _) = self.backlog();
        let is_read = waiting == 0 && crate::socket::unread_bytes(self.socket.get_ref())? == 0;
        // What a dead child left unread is thrown away, after its end can be seen.
        let mut end = [PollFd::new(self.socket.get_ref(), PollFlags::empty())];
        poll(&mut end, Some(&Timespec::default()))?;
        if end[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(is_read)
    }

    /// Whether the other side ended without having read all that was written.
    pub(crate) fn ended_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// Ends the channel in both directions, whoever else has a duplicate of the descriptor.
    pub(crate) fn close(&self) {
        if self.reader().ended {
            // It may be another process's now.
            return;
        }
        self.writer().close();
        self.room.notify_waiters();
        self.changed.notify_one();
        self.shut();
    }

    fn shut(&self) {
        // Fails only if the child has closed its end already.
        let _ = rustix::net::shutdown(self.socket.get_ref(), Shutdown::Both);
    }

    /// Stops to read and to write without closing the channel.
    pub(crate) async fn release(self: &Arc<Self>, seq: impl FnOnce() -> u64) -> Released {
        self.seal();
        // What is left then is given back.
        let _ = tokio::time::timeout(RELEASE_WAIT, self.flush_last()).await;
        let mut reader = self.reader();
        if reader.ended {
            return Released::default();
        }
        let empty = Incoming::new(self.serialization, &[], Vec::new());
        let incoming = std::mem::replace(&mut reader.incoming, empty);
        let released = Released::new(seq(), incoming, &mut self.writer().outgoing, self.serialization);
        self.end(&mut reader);
        released
    }

    /// Writes what is queued, as far as the child takes it.
    async fn flush_last(&self) {
        let mut room = None;
        while self.writer().outgoing.is_waiting() {
            self.write_more(self.writable(&mut room).await);
        }
    }
}

#[expect(unsafe_code, reason = "tokio has no safe form for any owner of a descriptor")]
fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd names one open descriptor for as long as it lives, and nobody here replaces it.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

impl Writer {
    fn close(&mut self) {
        self.outgoing.close();
        self.blocked = false;
    }
}

impl<'a> Waiting<'a> {
    fn new(link: &'a Link) -> Self {
        link.writer().senders += 1;
        link.changed.notify_one();
        Self(link)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.writer().senders -= 1;
    }
}

impl Reader {
    fn has_room(&self) -> bool {
        self.ahead.len() < AHEAD_MAX
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

pub(crate) fn undelivered(frame: &Frame, serialization: Serialization) -> Received<Message> {
    match frame.handle.as_ref().and_then(|handle| handle.connection) {
        Some(ack) => Received::Cluster(FromWorker::Accepted { ack, accepted: false }),
        None => {
            let message = messages_of(frame, serialization).pop().unwrap_or_default();
            Received::Undelivered(Message::of_value(message, serialization))
        }
    }
}
