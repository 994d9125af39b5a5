//! What is known of one child, shared by everybody who asks for it.
//!
//! A child is reaped by whoever sees first that it is dead, through its pidfd, and how it ended is kept here for the
//! others. SIGCHLD plays no part, so this can live in a program beside other code that has children.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::command::{Command, Ending};
use super::minder::{self, Deadline, Due};
use super::tree;
use super::{Exit, Signal};
use crate::keeper::{Fate, fate, is_dead, kill_group, signal_pidfd};
use crate::spawn::{Group, Started};

/// Why we ended a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It took longer than [`Command::timeout`](super::Command::timeout).
    #[error("it ran out of time")]
    Timeout,
    /// Its [`CancelToken`](super::CancelToken) was cancelled.
    #[error("it was cancelled")]
    Cancelled,
    /// It wrote more than [`Command::max_buffer`](super::Command::max_buffer).
    #[error("it wrote too much")]
    MaxBuffer,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) group: Group,
    pub(super) cgroup: Option<PathBuf>,
    pub(super) ending: Ending,
    /// Once it is reaped.
    exit: Mutex<Option<Exit>>,
    cause: OnceLock<Cause>,
    deadline: OnceLock<Deadline>,
    /// Of standard output and standard error, those that are pipes to us and have not ended.
    streams_open: AtomicUsize,
    /// A cause was found, or a stream has ended.
    changed: Notify,
}

impl State {
    pub(super) fn new(started: Started, command: &Command) -> Self {
        Self {
            pid: started.pid,
            pidfd: started.pidfd,
            group: command.group,
            cgroup: command.spec.cgroup.clone(),
            ending: command.ending,
            exit: Mutex::new(None),
            cause: OnceLock::new(),
            deadline: OnceLock::new(),
            streams_open: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// How it ended, if it has. The first to ask after its death reaps it.
    pub(super) fn try_exit(&self) -> Option<Exit> {
        let mut exit = self.lock_exit();
        if exit.is_none() {
            // What is left of the group is killed while its number still belongs to the dead leader.
            if self.ending.sweep_group && self.group != Group::Inherited && is_dead(&self.pidfd) {
                kill_group(self.pid, Signal::KILL);
            }
            *exit = match fate(&self.pidfd) {
                Fate::Alive => None,
                Fate::Ended(exit) => Some(exit),
                // Somebody waits for any child, or SIGCHLD is ignored. That it ended is all that can be known.
                Fate::ReapedElsewhere => Some(Exit::default()),
            };
        }
        *exit
    }

    pub(super) async fn wait(&self) -> io::Result<Exit> {
        if let Some(exit) = self.try_exit() {
            return Ok(exit);
        }
        let copy;
        let watch = match watch(self.pidfd.as_fd()) {
            // Somebody else waits for it on this runtime, and a descriptor can be watched only once.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                copy = self.pidfd.try_clone()?;
                watch(copy.as_fd())?
            }
            result => result?,
        };
        loop {
            let mut ready = watch.readable().await?;
            if let Some(exit) = self.try_exit() {
                return Ok(exit);
            }
            ready.clear_ready();
        }
    }

    pub(super) fn wait_blocking(&self) -> io::Result<Exit> {
        loop {
            if let Some(exit) = self.try_exit() {
                return Ok(exit);
            }
            let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
        }
    }

    /// Dead, and all streams that we read have ended.
    pub(super) async fn wait_closed(&self) -> io::Result<Exit> {
        let exit = self.wait().await?;
        loop {
            let changed = self.changed.notified();
            if self.streams_open.load(Ordering::Acquire) == 0 {
                return Ok(exit);
            }
            changed.await;
        }
    }

    /// Until we have ended it ourselves; for ever if we do not.
    pub(super) async fn wait_cause(&self) -> Cause {
        loop {
            let changed = self.changed.notified();
            if let Some(cause) = self.cause() {
                return cause;
            }
            changed.await;
        }
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }

    pub(super) fn stream_opened(&self) {
        self.streams_open.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn stream_ended(&self) {
        self.streams_open.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// One that is dead is no error: its exit is there to be read.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match signal_pidfd(&self.pidfd, signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            result => result,
        }
    }

    pub(super) fn signal_tree(&self, signal: Signal) -> io::Result<()> {
        let exit = self.lock_exit();
        // The numbers of a child that is reaped may be somebody else's by now.
        if exit.is_some() { Ok(()) } else { tree::signal(self, signal) }
    }

    /// The kill signal now, SIGKILL after the grace. Only the first cause counts.
    pub(super) fn end(self: &Arc<Self>, cause: Cause) {
        if self.try_exit().is_some() || self.cause.set(cause).is_err() {
            return;
        }
        self.changed.notify_waiters();
        self.send_to_all(self.ending.signal);
        if let Some(at) = self.ending.grace.and_then(|grace| Instant::now().checked_add(grace)) {
            minder::at(at, self, Due::Kill);
        }
    }

    pub(super) fn kill(&self) {
        self.send_to_all(Signal::KILL);
    }

    pub(super) fn set_deadline(self: &Arc<Self>, at: Instant) {
        let deadline = minder::at(at, self, Due::Timeout);
        self.deadline.set(deadline).expect("a child has one time-out");
    }

    fn send_to_all(&self, signal: Signal) {
        let sent = if self.ending.whole_tree { self.signal_tree(signal) } else { self.signal(signal) };
        // EPERM: it became another user's (set-user-id). Then the exit, which everybody waits for, is all there is.
        drop(sent);
    }

    fn lock_exit(&self) -> MutexGuard<'_, Option<Exit>> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(unsafe_code, reason = "tokio cannot know that a descriptor stays the same")]
fn watch(pidfd: BorrowedFd<'_>) -> io::Result<AsyncFd<BorrowedFd<'_>>> {
    // SAFETY: a borrowed descriptor is open for as long as it is borrowed, and always has the same number.
    Ok(unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?)
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(deadline) = self.deadline.take() {
            minder::forget(deadline);
        }
    }
}
