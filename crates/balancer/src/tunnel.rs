//! Carries a connection whose bytes are nobody's business here, upgraded or whole: both ways until both sides have ended, or
//! the worker's grace period is over.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::endpoint::Endpoint;
use crate::frames::{Frames, GOING_AWAY};
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
}

/// Carries until the end.
pub(crate) async fn carry(tunnel: Tunnel<'_>, alarm: &mut Alarm) {
    let Tunnel { client, worker, upward, downward, endpoint, websocket, idle_timeout } = tunnel;
    let mut up = Way::new(client, worker, upward, None);
    let mut down = Way::new(worker, client, downward, websocket.then(Frames::default));
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

impl<'t> Way<'t> {
    fn new(from: &'t Stream, to: &'t Stream, waiting: Buffer, frames: Option<Frames>) -> Self {
        Self { from, to, waiting, ended: false, finished: false, moved_at: Instant::now(), frames }
    }

    fn may_add(&self) -> bool {
        self.waiting.is_empty() && self.frames.as_ref().is_some_and(Frames::may_add)
    }

    /// Moves what can be moved. Ready when this direction has ended and its end was passed on.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let wrote = self.write(context)?;
            let read = self.read(context)?;
            if self.ended && self.waiting.is_empty() && self.is_flushed(context)? {
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
                    if let Some(frames) = &mut self.frames {
                        frames.pass(&self.waiting.unused()[..count]);
                    }
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
