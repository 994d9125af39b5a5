//! A connection, to a client or to a worker: a socket, a TLS session on one, or a stream of HTTP/2 on either. The engine does
//! not see which.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::buffer::Buffer;
use crate::http::Scheme;
use crate::http2::{ClientStream, WorkerStream};
use crate::socket::Socket;
use crate::tls::Session;

/// How long and how much is read from a peer that will get nothing more.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<Session>),
    Http2(Box<ClientStream>),
    Http2Worker(Box<WorkerStream>),
}

impl Stream {
    fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(session) => session.socket(),
            Stream::Http2(stream) => stream.connection().socket(),
            Stream::Http2Worker(stream) => stream.connection().socket(),
        }
    }

    /// The socket, if what is on it is what is meant.
    pub(crate) fn plain(&self) -> Option<&Socket> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(_) | Stream::Http2(_) | Stream::Http2Worker(_) => None,
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Stream::Plain(_) => Scheme::Http,
            Stream::Tls(_) => Scheme::Https,
            Stream::Http2(stream) => stream.connection().scheme(),
            Stream::Http2Worker(stream) => stream.connection().scheme(),
        }
    }

    /// What the worker is told about the client's certificate: whole header fields, or nothing.
    pub(crate) fn certificate_fields(&self) -> &[u8] {
        match self {
            Stream::Plain(_) => &[],
            Stream::Tls(session) => session.certificate_fields(),
            Stream::Http2(stream) => stream.connection().certificate_fields(),
            Stream::Http2Worker(stream) => stream.connection().certificate_fields(),
        }
    }

    /// Reads what is there into the buffer; `Ok(0)` is the end, `WouldBlock` nothing yet.
    pub(crate) fn try_read(&self, buffer: &mut Buffer) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_read(buffer),
            Stream::Tls(session) => session.try_read(buffer),
            Stream::Http2(stream) => stream.try_read(buffer),
            Stream::Http2Worker(stream) => stream.try_read(buffer),
        }
    }

    /// Writes what is taken now. What a TLS session has taken is on its way only after [`Stream::try_flush`].
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_write(bytes),
            Stream::Tls(session) => session.try_write(bytes),
            Stream::Http2(stream) => stream.try_write(bytes),
            Stream::Http2Worker(stream) => stream.try_write(bytes),
        }
    }

    /// Gives the kernel all that was written; `WouldBlock` if it does not take it yet.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(session) => session.try_flush(),
            Stream::Http2(stream) => stream.try_flush(),
            Stream::Http2Worker(stream) => stream.try_flush(),
        }
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => socket.poll_read_ready(context),
            Stream::Tls(session) => session.poll_read_ready(context),
            Stream::Http2(stream) => stream.poll_read_ready(context),
            Stream::Http2Worker(stream) => stream.poll_read_ready(context),
        }
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) | Stream::Tls(_) => self.socket().poll_write_ready(context),
            Stream::Http2(stream) => stream.poll_write_ready(context),
            Stream::Http2Worker(stream) => stream.poll_write_ready(context),
        }
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
        match self {
            Stream::Plain(_) | Stream::Tls(_) => {
                self.part();
                self.socket().finish_writing();
            }
            Stream::Http2(stream) => stream.finish_writing(),
            Stream::Http2Worker(stream) => stream.finish_writing(),
        }
    }

    /// Ends our direction, and reads for a moment what the peer still sends: closing at once would reset the connection and take
    /// what was written last with it.
    pub(crate) async fn linger(&self) {
        self.finish_writing();
        let mut input = Buffer::default();
        let mut read = 0;
        let end = async {
            while read < LINGER_BYTES_MAX {
                input.clear();
                match self.try_read(&mut input) {
                    Ok(0) => return,
                    Ok(count) => read += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if poll_fn(|context| self.poll_read_ready(context)).await.is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        };
        // Late is as good as over.
        drop(tokio::time::timeout(LINGER, end).await);
    }

    /// Says that all that was to be said has been said. Over TCP the end of the connection says so; over TLS it does not,
    /// because anybody on the way can end a connection.
    pub(crate) fn part(&self) {
        if let Stream::Tls(session) = self {
            session.part();
        }
    }

    /// Whether it is one of several on a connection.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Stream::Http2(_) | Stream::Http2Worker(_))
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
            Stream::Tls(_) | Stream::Http2(_) | Stream::Http2Worker(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}
