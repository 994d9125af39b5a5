//! The socket of a connection, TCP or Unix; non-blocking, read and written in place.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, getsockname, sendmsg};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::buffer::Buffer;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! either {
    ($self:ident, $stream:ident => $body:expr) => {
        match $self {
            Socket::Tcp($stream) => $body,
            Socket::Unix($stream) => $body,
        }
    };
}

impl Socket {
    /// Reads what is there into the buffer; `Ok(0)` is the end, `WouldBlock` nothing yet.
    pub(crate) fn try_read(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let room = buffer.room();
        let space = room.capacity() - room.len();
        let read = either!(self, stream => stream.try_read_buf(room))?;
        self.was_read(read, space);
        Ok(read)
    }

    /// The same, into plain memory.
    pub(crate) fn try_read_slice(&self, room: &mut [u8]) -> io::Result<usize> {
        let read = either!(self, stream => stream.try_read(room))?;
        self.was_read(read, room.len());
        Ok(read)
    }

    /// The same, and leaves it there.
    pub(crate) fn try_peek(&self, room: &mut [u8]) -> io::Result<usize> {
        let peek = || {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            rustix::net::recv(self, &mut *room, flags).map(|(count, _)| count).map_err(io::Error::from)
        };
        either!(self, stream => stream.try_io(Interest::READABLE, peek))
    }

    /// The same, in whatever way `read` does it.
    pub(crate) fn try_read_by(&self, read: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        either!(self, stream => stream.try_io(Interest::READABLE, read))
    }

    fn was_read(&self, read: usize, space: usize) {
        if read < space {
            // That was all there is; what comes later is a new edge. Asking the kernel again would cost a call for nothing.
            self.forget(Interest::READABLE);
        }
    }

    /// Writes what the kernel takes now. It is asked even if the event loop does not know the socket to be writable: a new
    /// one nearly always is, and on a worker's we forget that it was (see [`Socket::forget_writable`]).
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_by(|| rustix::net::send(self, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from))
    }

    /// The same, for what lies in pieces.
    pub(crate) fn try_write_pieces(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_by(|| {
            let mut nothing = SendAncillaryBuffer::default();
            sendmsg(self, pieces, &mut nothing, SendFlags::NOSIGNAL).map_err(io::Error::from)
        })
    }

    /// The same, in whatever way `write` does it.
    pub(crate) fn try_write_by(&self, mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        match write() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                either!(self, stream => stream.try_io(Interest::WRITABLE, write))
            }
            result => result,
        }
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read_ready(context))
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_write_ready(context))
    }

    /// Forgets that the socket was writable, so that the next readiness is a new edge from the kernel: on a Unix socket
    /// that edge comes when the peer has read something (`unix_write_space`).
    pub(crate) fn forget_writable(&self) {
        self.forget(Interest::WRITABLE);
    }

    fn forget(&self, readiness: Interest) {
        let nothing = || Err::<(), _>(ErrorKind::WouldBlock.into());
        // The error is the point: it clears the readiness, except that of a closed connection.
        drop(either!(self, stream => stream.try_io(readiness, nothing)));
    }

    /// Whether the peer has read everything that was written (Unix sockets only).
    pub(crate) fn is_taken(&self) -> bool {
        // The kernel wakes us before it takes off the last 1 of what the peer has read (`sock_wfree`).
        self.unread_bytes() <= 1
    }

    /// What the kernel holds for the peer, its own bookkeeping included (Unix sockets only).
    pub(crate) fn unread_bytes(&self) -> u32 {
        stead_process::socket::unread_bytes(self.as_fd()).unwrap_or(u32::MAX)
    }

    /// Whether nothing has come, not even the end, as far as the event loop knows.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.poll_read_ready(&mut context).is_pending() || self.has_nothing_to_read()
    }

    fn has_nothing_to_read(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(self, &mut [0_u8; 1], flags), Err(Errno::WOULDBLOCK))
    }

    /// Ends our direction; the peer reads end-of-file.
    pub(crate) fn finish_writing(&self) {
        // The only failure is a peer that is gone already, which needs no end.
        let _gone = rustix::net::shutdown(self.as_fd(), Shutdown::Write);
    }

    /// A connection that another process had.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        let is_tcp = SocketAddr::try_from(getsockname(&descriptor)?).is_ok();
        Ok(if is_tcp {
            Socket::Tcp(TcpStream::from_std(descriptor.into())?)
        } else {
            Socket::Unix(UnixStream::from_std(descriptor.into())?)
        })
    }

    /// Takes the connection out of the event loop; it stays open.
    pub(crate) fn into_descriptor(self) -> io::Result<OwnedFd> {
        match self {
            Socket::Tcp(stream) => stream.into_std().map(OwnedFd::from),
            Socket::Unix(stream) => stream.into_std().map(OwnedFd::from),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, stream => stream.as_fd())
    }
}
