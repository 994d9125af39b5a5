//! The ends of a child's standard streams that this process holds.
//!
//! For async code they are tokio's `AsyncRead` and `AsyncWrite`; [`into_std`](ChildStdout::into_std) turns them into what
//! the standard library reads and writes. A runtime is needed only once one is used in the first way.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

use super::state::State;
use super::stdio::Stdio;

/// What the child reads from its standard input. Drop it, and the child finds the end.
#[derive(Debug)]
pub struct ChildStdin(End<pipe::Sender>);

/// What the child writes to its standard output.
#[derive(Debug)]
pub struct ChildStdout(Output);

/// What the child writes to its standard error.
#[derive(Debug)]
pub struct ChildStderr(Output);

/// One end of a pipe.
#[derive(Debug)]
enum End<T> {
    Plain(OwnedFd),
    /// Watched by a runtime.
    Watched(T),
    /// Given away, or dropped when that failed.
    Gone,
}

#[derive(Debug)]
struct Output {
    end: End<pipe::Receiver>,
    open: Open,
}

/// Counts as open until it is dropped.
#[derive(Debug)]
struct Open(Option<Arc<State>>);

impl Open {
    fn close(&mut self) {
        if let Some(state) = self.0.take() {
            state.stream_ended();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> End<T> {
    fn watched(&mut self, watch: impl FnOnce(OwnedFd) -> io::Result<T>) -> io::Result<&mut T> {
        if let Self::Plain(_) = self
            && let Self::Plain(descriptor) = std::mem::replace(self, Self::Gone)
        {
            *self = Self::Watched(watch(descriptor)?);
        }
        match self {
            Self::Watched(end) => Ok(end),
            Self::Plain(_) | Self::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// If no runtime watches it.
    fn as_plain(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Plain(descriptor) => Some(descriptor.as_fd()),
            Self::Watched(_) | Self::Gone => None,
        }
    }

    fn into_descriptor(self, unwatch: impl FnOnce(T) -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
        match self {
            Self::Plain(descriptor) => Ok(descriptor),
            Self::Watched(end) => unwatch(end),
            Self::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Output {
    fn new(descriptor: OwnedFd, state: &Arc<State>) -> Self {
        state.stream_opened();
        Self { end: End::Plain(descriptor), open: Open(Some(Arc::clone(state))) }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let end = self.end.watched(pipe::Receiver::from_owned_fd)?;
        ready!(Pin::new(end).poll_read(cx, buffer))?;
        if buffer.filled().len() == before && buffer.remaining() > 0 {
            self.open.close();
        }
        Poll::Ready(Ok(()))
    }

    fn into_descriptor(self) -> io::Result<OwnedFd> {
        self.end.into_descriptor(pipe::Receiver::into_blocking_fd)
    }
}

macro_rules! output {
    ($name:ident) => {
        impl $name {
            pub(super) fn new(descriptor: OwnedFd, state: &Arc<State>) -> Self {
                Self(Output::new(descriptor, state))
            }

            /// For code that waits in reading. The child's [`close`](super::Event::Close) is no longer held up by it.
            ///
            /// # Errors
            /// It had failed to be watched by a runtime before.
            pub fn into_std(self) -> io::Result<PipeReader> {
                Ok(self.0.into_descriptor()?.into())
            }

            /// What another child is given: nothing, if it had failed before.
            pub(super) fn into_stdio(self) -> Stdio {
                self.0.into_descriptor().map_or(Stdio::Null, Stdio::Descriptor)
            }

            /// To be read by whoever is told by `poll` that there is something.
            pub(super) fn as_plain(&self) -> Option<BorrowedFd<'_>> {
                self.0.end.as_plain()
            }
        }

        impl AsyncRead for $name {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.0.poll_read(cx, buffer)
            }
        }
    };
}

output!(ChildStdout);
output!(ChildStderr);

impl ChildStdin {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        Self(End::Plain(descriptor))
    }

    /// For code that waits in writing.
    ///
    /// # Errors
    /// It had failed to be watched by a runtime before.
    pub fn into_std(self) -> io::Result<PipeWriter> {
        Ok(self.0.into_descriptor(pipe::Sender::into_blocking_fd)?.into())
    }

    /// What another child is given: nothing, if it had failed before.
    pub(super) fn into_stdio(self) -> Stdio {
        self.0.into_descriptor(pipe::Sender::into_blocking_fd).map_or(Stdio::Null, Stdio::Descriptor)
    }

    /// To be written to by whoever is told by `poll` that there is room.
    pub(super) fn as_plain(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_plain()
    }

    fn watched(&mut self) -> io::Result<Pin<&mut pipe::Sender>> {
        self.0.watched(pipe::Sender::from_owned_fd).map(Pin::new)
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watched()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The child finds the end.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = End::Gone;
        Poll::Ready(Ok(()))
    }
}
