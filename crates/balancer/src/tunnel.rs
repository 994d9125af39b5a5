//! Carries a connection whose bytes are nobody's business here, upgraded or whole: both ways until both sides have ended, or
//! the worker's grace period is over. Where the worker dies before it has said a word, all that the client said is given back,
//! so that another can be asked.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::endpoint::Endpoint;
use crate::frames::{Frames, GOING_AWAY};
use crate::replay::Death;
use crate::stream::Stream;

/// Bytes that may wait for a slow reader before no more is read for it.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// How long both sides have to end by themselves after the goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// One direction.
struct Way<'t> {
    from: &'t Stream,
    to: &'t Stream,
    waiting: Buffer,
    ended: bool,
    finished: bool,
    /// When bytes were last passed on.
    moved_at: Instant,
    frames: Option<Frames>,
    /// All that has passed, while it may be needed again.
    kept: Option<Kept>,
}

/// What a client has said to a worker that has not said a word yet.
struct Kept {
    said: Vec<u8>,
    bytes_max: usize,
}

/// How a tunnel has ended.
pub(crate) enum End {
    /// There is nothing left to do for either side.
    Over,
    /// The worker died before it said a word; the client is still there, and this is all that it has said.
    Unanswered { said: Vec<u8>, death: Death },
}

/// Which end of a direction is broken.
enum Broken {
    From,
    To,
}

/// Two ends, and what was read already on either side, which goes first.
pub(crate) struct Tunnel<'t> {
    pub(crate) client: &'t Stream,
    pub(crate) worker: &'t Stream,
    pub(crate) upward: Buffer,
    pub(crate) downward: Buffer,
    pub(crate) endpoint: &'t Endpoint,
    /// The client speaks WebSocket.
    pub(crate) websocket: bool,
    /// How long a client that will get nothing more may be silent.
    pub(crate) idle_timeout: Duration,
    /// How much of what the client says is kept until the worker answers, in bytes; nothing if the worker has answered already.
    pub(crate) kept_bytes_max: Option<usize>,
}

/// Carries until the end.
pub(crate) async fn carry(tunnel: Tunnel<'_>, alarm: &mut Alarm) -> End {
    let Tunnel { client, worker, upward, downward, endpoint, websocket, idle_timeout, kept_bytes_max } =
        tunnel;
    let mut up = Way::new(client, worker, upward, None);
    up.kept = kept_bytes_max.map(|bytes_max| Kept { said: Vec::new(), bytes_max });
    let mut down = Way::new(worker, client, downward, websocket.then(Frames::default));
    if up.kept.is_some()
        && let Some(unanswered) = carry_unanswered(&mut up, &mut down, endpoint).await
    {
        return unanswered;
    }
    let (cut, death) = (endpoint.cut_off(), endpoint.death());
    tokio::pin!(cut, death);
    let was_cut = poll_fn(|context| {
        if poll_both(&mut up, &mut down, context).is_ready() {
            return Poll::Ready(false);
        }
        // A client that will get nothing more may never end by itself: a dead worker hears nobody, a living one may.
        if down.finished {
            if death.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            let deadline = up.moved_at.max(down.moved_at) + idle_timeout;
            if alarm.poll(context, deadline).is_ready() {
                return Poll::Ready(false);
            }
        }
        cut.as_mut().poll(context).map(|()| true)
    })
    .await;
    if was_cut {
        say_goodbye(&mut up, &mut down).await;
    }
    End::Over
}

/// What ends the time in which the worker has not said a word.
enum First {
    Word,
    WorkersEnd,
    ClientsEnd,
}

/// Carries what the client says until the worker says something, or more has been said than is kept. Tells if it ends so.
async fn carry_unanswered(up: &mut Way<'_>, down: &mut Way<'_>, endpoint: &Endpoint) -> Option<End> {
    let cut = endpoint.cut_off();
    tokio::pin!(cut);
    let first = poll_fn(|context| match poll_first(up, down, context) {
        Poll::Pending => cut.as_mut().poll(context).map(|()| First::ClientsEnd),
        ready => ready,
    });
    match first.await {
        First::Word => up.kept = None,
        First::ClientsEnd => return Some(End::Over),
        First::WorkersEnd => {
            let said = up.kept.take()?.said;
            let death = endpoint.autopsy().await;
            return (death != Death::None).then_some(End::Unanswered { said, death });
        }
    }
    None
}

fn poll_first(up: &mut Way<'_>, down: &mut Way<'_>, context: &mut Context<'_>) -> Poll<First> {
    match up.poll(context) {
        Poll::Ready(Err(Broken::From)) => return Poll::Ready(First::ClientsEnd),
        Poll::Ready(Err(Broken::To)) => return Poll::Ready(First::WorkersEnd),
        Poll::Ready(Ok(())) | Poll::Pending => (),
    }
    if up.kept.is_none() {
        return Poll::Ready(First::Word);
    }
    match down.read(context) {
        Ok(true) => Poll::Ready(First::Word),
        Ok(false) if !down.ended => Poll::Pending,
        Ok(false) | Err(_) => Poll::Ready(First::WorkersEnd),
    }
}

/// A WebSocket client is told that the server goes away; anything else can only be closed.
async fn say_goodbye(up: &mut Way<'_>, down: &mut Way<'_>) {
    if down.frames.is_none() {
        return;
    }
    let deadline = tokio::time::Instant::from_std(Instant::now() + GOODBYE);
    let told = tokio::time::timeout_at(deadline, async {
        poll_fn(|context| {
            if poll_both(up, down, context).is_ready() {
                return Poll::Ready(false);
            }
            if down.may_add() { Poll::Ready(true) } else { Poll::Pending }
        })
        .await
    });
    if !matches!(told.await, Ok(true)) {
        return;
    }
    if down.to.write_all(GOING_AWAY).await.is_ok() {
        down.to.finish_writing();
        down.finished = true;
        down.ended = true;
        // The client's own close frame, and then its end.
        let rest = poll_fn(|context| up.poll(context));
        drop(tokio::time::timeout_at(deadline, rest).await);
    }
}

fn poll_both(up: &mut Way<'_>, down: &mut Way<'_>, context: &mut Context<'_>) -> Poll<()> {
    let (up, down) = (up.poll(context), down.poll(context));
    match (up, down) {
        (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
        // A side that is broken ends both.
        (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
        _ => Poll::Pending,
    }
}

impl Kept {
    /// Nothing is kept any more once it is too much.
    fn with(mut self, passed: &[u8]) -> Option<Self> {
        self.said.extend_from_slice(passed);
        (self.said.len() <= self.bytes_max).then_some(self)
    }
}

impl<'t> Way<'t> {
    fn new(from: &'t Stream, to: &'t Stream, waiting: Buffer, frames: Option<Frames>) -> Self {
        let moved_at = Instant::now();
        Self { from, to, waiting, ended: false, finished: false, moved_at, frames, kept: None }
    }

    fn may_add(&self) -> bool {
        self.waiting.is_empty() && self.frames.as_ref().is_some_and(Frames::may_add)
    }

    /// Moves what can be moved. Ready when this direction has ended and its end was passed on.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let wrote = self.write(context).map_err(|_| Broken::To)?;
            let read = self.read(context).map_err(|_| Broken::From)?;
            if self.ended && self.waiting.is_empty() && self.is_flushed(context).map_err(|_| Broken::To)? {
                if !self.finished {
                    self.finished = true;
                    self.moved_at = Instant::now();
                    self.to.finish_writing();
                }
                return Poll::Ready(Ok(()));
            }
            if wrote {
                self.moved_at = Instant::now();
            }
            if !wrote && !read {
                return Poll::Pending;
            }
            // Where both sides are fast nothing here ever waits, but others on this lane do.
            ready!(tokio::task::coop::poll_proceed(context)).made_progress();
        }
    }

    fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut any = false;
        while !self.waiting.is_empty() {
            match self.to.try_write(self.waiting.unused()) {
                Ok(count) => {
                    let passed = &self.waiting.unused()[..count];
                    if let Some(frames) = &mut self.frames {
                        frames.pass(passed);
                    }
                    self.kept = self.kept.take().and_then(|kept| kept.with(passed));
                    self.waiting.consume(count);
                    any = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.to.poll_write_ready(context)?.is_pending() {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(any)
    }

    fn is_flushed(&self, context: &mut Context<'_>) -> io::Result<bool> {
        loop {
            match self.to.try_flush() {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.to.poll_write_ready(context)?.is_pending() {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        while !self.ended && self.waiting.len() < WAITING_BYTES_MAX {
            match self.from.try_read(&mut self.waiting) {
                Ok(0) => self.ended = true,
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.from.poll_read_ready(context)?.is_pending() {
                        self.waiting.release();
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}
