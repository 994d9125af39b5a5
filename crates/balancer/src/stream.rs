//! A connection, to a client or to a worker: a socket, or a TLS session on one. The engine does not see which.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use crate::buffer::Buffer;
use crate::http::Scheme;
use crate::socket::Socket;
use crate::tls::Session;

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<Session>),
}

impl Stream {
    fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(session) => session.socket(),
        }
    }

    /// The socket, if what is on it is what is meant.
    pub(crate) fn plain(&self) -> Option<&Socket> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(_) => None,
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Stream::Plain(_) => Scheme::Http,
            Stream::Tls(_) => Scheme::Https,
        }
    }

    /// What the worker is told about the client's certificate: whole header fields, or nothing.
    pub(crate) fn certificate_fields(&self) -> &[u8] {
        match self {
            Stream::Plain(_) => &[],
            Stream::Tls(session) => session.certificate_fields(),
        }
    }

    /// Reads what is there into the buffer; `Ok(0)` is the end, `WouldBlock` nothing yet.
    pub(crate) fn try_read(&self, buffer: &mut Buffer) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_read(buffer),
            Stream::Tls(session) => session.try_read(buffer),
        }
    }

    /// Writes what is taken now. What a TLS session has taken is on its way only after [`Stream::try_flush`].
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_write(bytes),
            Stream::Tls(session) => session.try_write(bytes),
        }
    }

    /// Gives the kernel all that was written; `WouldBlock` if it does not take it yet.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(session) => session.try_flush(),
        }
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => socket.poll_read_ready(context),
            Stream::Tls(session) => session.poll_read_ready(context),
        }
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_write_ready(context)
    }

    /// Writes and flushes all of it.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let wrote = if bytes.is_empty() { self.try_flush().map(|()| 0) } else { self.try_write(bytes) };
            match wrote {
                Ok(_) if bytes.is_empty() => return Ok(()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll_fn(|context| self.poll_write_ready(context)).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// See [`Socket::forget_writable`].
    pub(crate) fn forget_writable(&self) {
        self.socket().forget_writable();
    }

    /// See [`Socket::is_taken`].
    pub(crate) fn is_taken(&self) -> bool {
        self.socket().is_taken()
    }

    /// See [`Socket::unread_bytes`].
    pub(crate) fn unread_bytes(&self) -> u32 {
        self.socket().unread_bytes()
    }

    /// Whether nothing has come, not even the end, as far as the event loop knows. To be asked of workers' connections.
    pub(crate) fn is_quiet(&self) -> bool {
        self.socket().is_quiet()
    }

    /// Ends our direction; the peer reads end-of-file.
    pub(crate) fn finish_writing(&self) {
        self.part();
        self.socket().finish_writing();
    }

    /// Says that all that was to be said has been said. Over TCP the end of the connection says so; over TLS it does not,
    /// because anybody on the way can end a connection.
    pub(crate) fn part(&self) {
        if let Stream::Tls(session) = self {
            session.part();
        }
    }

    /// Whether another process can go on with it. The keys of a TLS session cannot be handed over.
    pub(crate) fn is_movable(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }

    /// A connection that another process had.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        Socket::from_descriptor(descriptor).map(Stream::Plain)
    }

    /// Takes the connection out of the event loop; it stays open.
    pub(crate) fn into_descriptor(self) -> io::Result<OwnedFd> {
        match self {
            Stream::Plain(socket) => socket.into_descriptor(),
            Stream::Tls(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}
