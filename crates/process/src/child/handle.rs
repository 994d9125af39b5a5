//! A child that was started, and the handles on it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::events::Events;
use super::state::{Cause, State};
use super::streams::{ChildStderr, ChildStdin, ChildStdout};
use super::{Exit, Signal, minder};

/// A child, and our ends of its streams.
///
/// Dropped before it has ended, it goes on, or is killed if it was started with
/// [`kill_on_drop`](super::Command::kill_on_drop). In both cases it is reaped when it ends, in the background.
#[derive(Debug)]
pub struct Child {
    handle: Handle,
    kill_on_drop: bool,
    /// Its standard input, if that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    /// Our ends of further pipes, with their numbers in the child.
    pub pipes: Vec<(i32, UnixStream)>,
}

/// Knows a child and can end it, but does not keep it: [`Child`] decides what a drop means. Clones are handles on the
/// same child.
#[derive(Debug, Clone)]
pub struct Handle(Arc<State>);

impl Child {
    pub(super) fn new(state: Arc<State>) -> Self {
        let kill_on_drop = state.ending.on_drop;
        let handle = Handle(state);
        Self { handle, kill_on_drop, stdin: None, stdout: None, stderr: None, pipes: Vec::new() }
    }

    pub(super) fn state(&self) -> &Arc<State> {
        &self.handle.0
    }

    pub(super) fn kill_on_drop(&mut self) {
        self.kill_on_drop = true;
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.handle.0.pidfd.as_fd()
    }

    /// To be kept elsewhere, for example where children are to be ended from.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Its process id. Never another process's while this exists and has not told an exit.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Takes our end of the pipe that the child has at this number.
    pub fn take_pipe(&mut self, number: i32) -> Option<UnixStream> {
        let at = self.pipes.iter().position(|(known, _)| *known == number)?;
        Some(self.pipes.swap_remove(at).1)
    }

    /// All that happens to the child, from its start on, however late this is called.
    #[must_use]
    pub fn events(&self) -> Events {
        self.handle.events()
    }

    /// Waits until the child has ended. Closes its standard input first, because a child that waits for more would wait
    /// for ever. To be dropped and called again as one likes.
    ///
    /// What it has written may still be in its pipes; and a child that fills a pipe which nobody reads never ends.
    ///
    /// # Errors
    /// The runtime cannot watch the child (`ENOMEM`, `EMFILE`).
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        self.stdin = None;
        self.handle.wait().await
    }

    /// Like [`Self::wait`], and stops the thread for so long. Needs no runtime.
    ///
    /// # Errors
    /// The system is out of memory.
    pub fn wait_blocking(&mut self) -> io::Result<Exit> {
        self.stdin = None;
        self.handle.wait_blocking()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn try_wait(&self) -> Option<Exit> {
        self.handle.try_wait()
    }

    /// Sends the child a signal; see [`Handle::signal`].
    ///
    /// # Errors
    /// As there.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.handle.signal(signal)
    }

    /// Kills the child (SIGKILL), and not what it has started.
    ///
    /// # Errors
    /// As [`Handle::signal`].
    pub fn kill(&self) -> io::Result<()> {
        self.handle.signal(Signal::KILL)
    }

    /// Kills the child and all that it has started; see [`Handle::signal_tree`].
    ///
    /// # Errors
    /// As there.
    pub fn kill_tree(&self) -> io::Result<()> {
        self.handle.signal_tree(Signal::KILL)
    }

    /// Lets go of the child: it goes on, whatever [`kill_on_drop`](super::Command::kill_on_drop) says, and whether or not
    /// this process does. Our ends of its pipes are closed; a child that writes to one of them then gets SIGPIPE, so give
    /// it files or [`Stdio::Null`](super::Stdio::Null) in the first place, and let it be
    /// [`detached`](super::Command::detached).
    ///
    /// While this process lives, the child is reaped when it ends; afterwards the system does it.
    pub fn unref(mut self) {
        self.kill_on_drop = false;
    }
}

impl AsFd for Child {
    /// Its pidfd, which becomes readable when it ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let state = self.state();
        if state.try_exit().is_some() {
            return;
        }
        if self.kill_on_drop {
            state.kill();
        }
        minder::adopt(Arc::clone(state));
    }
}

impl Handle {
    /// The child's process id. Another process may have it once the child has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.pid.as_raw_pid().unsigned_abs()
    }

    /// All that happens to the child, from its start on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(Arc::clone(&self.0))
    }

    /// Waits until the child has ended. Any number of handles may wait at once, and for a child that is dropped too.
    ///
    /// # Errors
    /// As [`Child::wait`].
    ///
    /// # Panics
    /// As there.
    pub async fn wait(&self) -> io::Result<Exit> {
        self.0.wait().await
    }

    /// Like [`Self::wait`], and stops the thread for so long.
    ///
    /// # Errors
    /// The system is out of memory.
    pub fn wait_blocking(&self) -> io::Result<Exit> {
        self.0.wait_blocking()
    }

    /// How the child ended, if it has.
    #[must_use]
    pub fn try_wait(&self) -> Option<Exit> {
        self.0.try_exit()
    }

    /// Why we have ended it ourselves, if we have.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.0.cause()
    }

    /// Sends the child a signal, and nobody else even if its number is somebody else's by now. For one that has ended
    /// this does nothing.
    ///
    /// # Errors
    /// `EPERM`: it runs as another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.0.signal(signal)
    }

    /// Sends a signal to the child and all that it has started, as far as that can be found.
    ///
    /// Certain to be reached: with SIGKILL, everybody in the child's [control group](super::Command::cgroup); everybody in
    /// its process group or session if it leads one; and everybody who descends from it by parents that live. With
    /// SIGKILL they are stopped before they are killed, so that none can start another meanwhile. Not found is only who
    /// left both group and session *and* whose parent in between has ended, as daemons of the old kind do: for those,
    /// use a control group. Nothing is done for a child that has ended; see
    /// [`sweep_group`](super::Command::sweep_group) for what it leaves behind.
    ///
    /// # Errors
    /// `EPERM`: one of them runs as another user; the others were sent it.
    pub fn signal_tree(&self, signal: Signal) -> io::Result<()> {
        self.0.signal_tree(signal)
    }
}
