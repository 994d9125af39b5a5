//! Whose turn it is. Closed loop: every connection starts its next request at once. Open loop: requests fall due by the
//! clock, and the connection that became free last takes the next one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::net::unix::pipe::Receiver;

/// Requests that may be overdue; more are dropped and counted as never sent.
const DUE_MAX: usize = 1 << 20;

/// One request to start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) number: u64,
    /// When it was to be started: latency counts from here.
    pub(crate) due: Instant,
}

#[derive(Debug)]
struct State {
    next: u64,
    requests_max: u64,
    /// Started, not yet ended.
    stopped: bool,
    due: VecDeque<Instant>,
    dropped: u64,
    /// Slots without work, the one that became free last on top, and how to wake them. A slot on the stack always has a
    /// waker.
    free: Vec<usize>,
    wakers: Vec<Option<Waker>>,
}

/// Shared by all connections of a run; lives on one thread.
#[derive(Debug)]
pub(crate) struct Turns {
    open_loop: bool,
    ends: Instant,
    state: RefCell<State>,
}

impl Turns {
    pub(crate) fn new(
        open_loop: bool,
        connections: usize,
        requests_max: Option<u64>,
        ends: Instant,
    ) -> Turns {
        let state = State {
            next: 0,
            requests_max: requests_max.unwrap_or(u64::MAX),
            stopped: false,
            due: VecDeque::new(),
            dropped: 0,
            free: Vec::with_capacity(connections),
            wakers: vec![None; connections],
        };
        Turns { open_loop, ends, state: RefCell::new(state) }
    }

    /// The next turn for a free connection; `None` when the run is over.
    pub(crate) fn poll_next(
        &self,
        slot: usize,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Poll<Option<Turn>> {
        let mut state = self.state.borrow_mut();
        if state.stopped || now >= self.ends || state.next >= state.requests_max {
            return Poll::Ready(None);
        }
        let due = if self.open_loop { state.due.pop_front() } else { Some(now) };
        let Some(due) = due else {
            if state.wakers[slot].replace(context.waker().clone()).is_none() {
                state.free.push(slot);
            }
            return Poll::Pending;
        };
        if state.wakers[slot].take().is_some() {
            state.free.retain(|other| *other != slot);
        }
        let number = state.next;
        state.next += 1;
        Poll::Ready(Some(Turn { number, due }))
    }

    /// No further turns; everyone who waits for one is told.
    pub(crate) fn stop(&self) {
        let mut state = self.state.borrow_mut();
        state.stopped = true;
        state.free.clear();
        for waker in state.wakers.iter_mut().filter_map(Option::take) {
            waker.wake();
        }
    }

    /// All requests of the run have been started.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let state = self.state.borrow();
        state.stopped || now >= self.ends || state.next >= state.requests_max
    }

    /// Requests that fell due and were never started.
    pub(crate) fn never_sent(&self) -> u64 {
        let state = self.state.borrow();
        state.due.len() as u64 + state.dropped
    }

    fn add_due(&self, at: Instant) {
        let mut state = self.state.borrow_mut();
        if state.due.len() >= DUE_MAX {
            state.dropped += 1;
            return;
        }
        state.due.push_back(at);
        if let Some(slot) = state.free.pop()
            && let Some(waker) = state.wakers[slot].take()
        {
            waker.wake();
        }
    }
}

/// Lets requests fall due, `rate` each second from `from` on, until the run is over. The kernel's timer, because tokio's
/// counts whole milliseconds.
pub(crate) async fn pace(turns: &Turns, rate: f64, from: Instant) -> io::Result<()> {
    let timer: OwnedFd = rustix::time::timerfd_create(
        TimerfdClockId::Monotonic,
        TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
    )?;
    // A descriptor that is read when it is readable: all that tokio's pipe end does, and the safe way to register one.
    let timer = Receiver::from_owned_fd_unchecked(timer)?;
    let mut count: u64 = 0;
    loop {
        let now = Instant::now();
        let mut next = from + Duration::from_secs_f64(count as f64 / rate);
        while next <= now && next < turns.ends {
            turns.add_due(next);
            count += 1;
            next = from + Duration::from_secs_f64(count as f64 / rate);
        }
        if turns.is_over(now) {
            return Ok(());
        }
        arm(&timer, next.saturating_duration_since(now))?;
        timer.readable().await?;
        let _ = timer.try_read(&mut [0; 8]);
    }
}

fn arm(timer: &Receiver, after: Duration) -> io::Result<()> {
    let after = after.max(Duration::from_nanos(1)); // zero would switch it off
    let value = Timespec::try_from(after).map_err(io::Error::other)?;
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    rustix::time::timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}
