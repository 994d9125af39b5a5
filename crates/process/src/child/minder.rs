//! Looks after children that nobody waits for, and after deadlines.
//!
//! One thread for the whole process, begun with the first child: it waits for all of them at once, so that a dropped
//! child is reaped when it ends and a time-out comes true even if no runtime runs. Children that somebody holds are
//! none of its business, which keeps the usual life of a child on one thread.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use super::state::{Cause, State};
use crate::spawn::with_signals_blocked;

/// Events taken from the kernel at once.
const EVENTS: usize = 64;
/// The mark of the timer among those of children, which count from 1.
const TIMER: u64 = 0;

static MINDER: OnceLock<Minder> = OnceLock::new();
/// Only one thread begins the minder.
static BEGINNING: Mutex<()> = Mutex::new(());

struct Minder {
    epoll: OwnedFd,
    timer: OwnedFd,
    null: OwnedFd,
    charges: Mutex<Charges>,
}

#[derive(Default)]
struct Charges {
    children: HashMap<u64, Arc<State>>,
    /// Those that epoll had no room for.
    unwatched: Vec<Arc<State>>,
    deadlines: BTreeMap<Deadline, (Weak<State>, Due)>,
    last: u64,
}

/// Names one deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline(Instant, u64);

/// What is due at a deadline.
#[derive(Debug, Clone, Copy)]
pub(super) enum Due {
    /// The child has run for too long.
    Timeout,
    /// It was asked to end, and has not.
    Kill,
}

/// Makes sure that there is a minder. Before each start, because afterwards it is too late for failures.
pub(super) fn begin() -> io::Result<()> {
    let _one_at_a_time = match MINDER.get() {
        Some(_) => return Ok(()),
        None => lock(&BEGINNING),
    };
    if MINDER.get().is_none() {
        let minder = Minder::new()?;
        with_signals_blocked(|| std::thread::Builder::new().name("stead-minder".into()).spawn(mind))?;
        assert!(MINDER.set(minder).is_ok(), "only one thread begins the minder");
    }
    Ok(())
}

/// `/dev/null`, open for reading and writing.
pub(super) fn null() -> BorrowedFd<'static> {
    minder().null.as_fd()
}

/// Reaps a child when it ends.
pub(super) fn adopt(child: Arc<State>) {
    let minder = minder();
    let mut charges = minder.lock();
    charges.last += 1;
    let id = charges.last;
    let data = epoll::EventData::new_u64(id);
    match epoll::add(&minder.epoll, &child.pidfd, data, epoll::EventFlags::IN) {
        Ok(()) => drop(charges.children.insert(id, child)),
        // ENOMEM, ENOSPC: then it is looked at when the next thing happens.
        Err(_) => charges.unwatched.push(child),
    }
}

/// Notes what is due, and when.
pub(super) fn at(when: Instant, child: &Arc<State>, due: Due) -> Deadline {
    let minder = minder();
    let mut charges = minder.lock();
    charges.last += 1;
    let deadline = Deadline(when, charges.last);
    charges.deadlines.insert(deadline, (Arc::downgrade(child), due));
    minder.set_timer(&charges);
    deadline
}

pub(super) fn forget(deadline: Deadline) {
    minder().lock().deadlines.remove(&deadline);
}

/// The thread.
fn mind() {
    // It may be here before `begin` has put the minder in its place.
    let minder = MINDER.wait();
    let mut space = [MaybeUninit::uninit(); EVENTS];
    loop {
        // EINTR only, and no signal comes to this thread.
        let Ok((events, _)) = epoll::wait(&minder.epoll, &mut space, None) else { continue };
        for event in events {
            match event.data.u64() {
                TIMER => minder.handle_timer(),
                id => minder.handle_end(id),
            }
        }
        minder.handle_unwatched();
    }
}

impl Minder {
    fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        let null = File::options().read(true).write(true).open("/dev/null")?.into();
        Ok(Self { epoll, timer, null, charges: Mutex::default() })
    }

    fn handle_end(&self, id: u64) {
        let child = self.lock().children.get(&id).cloned();
        if let Some(child) = child.filter(|child| child.try_exit().is_some()) {
            // Before its descriptor is closed; a copy of that elsewhere would keep it watched. It is watched, so this does not fail.
            let _ = epoll::delete(&self.epoll, &child.pidfd);
            let removed = self.lock().children.remove(&id);
            drop(removed);
        }
    }

    fn handle_unwatched(&self) {
        let mut unwatched = std::mem::take(&mut self.lock().unwatched);
        unwatched.retain(|child| child.try_exit().is_none());
        self.lock().unwatched.append(&mut unwatched);
    }

    fn handle_timer(&self) {
        // Empty if the timer was set anew in between.
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
        for (child, due) in self.take_due(Instant::now()) {
            match (child.upgrade(), due) {
                (Some(child), Due::Timeout) => child.end(Cause::Timeout),
                (Some(child), Due::Kill) if child.try_exit().is_none() => child.kill(),
                (Some(_) | None, _) => (),
            }
        }
    }

    fn take_due(&self, now: Instant) -> Vec<(Weak<State>, Due)> {
        let mut charges = self.lock();
        let later = charges.deadlines.split_off(&Deadline(now, u64::MAX));
        let due = std::mem::replace(&mut charges.deadlines, later);
        self.set_timer(&charges);
        due.into_values().collect()
    }

    /// For the first deadline; not at all if there is none.
    fn set_timer(&self, charges: &Charges) {
        let Some((Deadline(first, _), _)) = charges.deadlines.first_key_value() else { return };
        // Zero would mean never.
        let wait = first.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)
            .expect("a timer takes any time to come");
    }

    fn lock(&self) -> MutexGuard<'_, Charges> {
        lock(&self.charges)
    }
}

fn minder() -> &'static Minder {
    MINDER.get().expect("the minder begins before the first child")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
