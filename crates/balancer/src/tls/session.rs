//! One client's TLS session on a non-blocking socket.
//!
//! Driven in place by whoever reads and writes: there is no task of its own, so the engine's limits on time hold for the
//! handshake as for a request. What is sealed and not yet taken by the kernel is bounded: nothing more is written before it is.

use std::cell::{OnceCell, RefCell, RefMut};
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ServerConfig, ServerConnection};

use super::subject;
use crate::buffer::Buffer;
use crate::challenge;
use crate::socket::Socket;

/// Bytes of an answer that are sealed at once.
const SEALED_BYTES_MAX: usize = 64 * 1024;

/// A session. Errors are those of the socket, and besides: `InvalidData` for a client that speaks HTTP without TLS,
/// `ConnectionAborted` for one whose TLS is refused; both are then read from and written to as they are.
#[derive(Debug)]
pub(crate) struct Session {
    socket: Socket,
    state: RefCell<State>,
    /// What the worker is told about the client's certificate.
    fields: OnceCell<Vec<u8>>,
}

#[derive(Debug)]
struct State {
    connection: ServerConnection,
    first_byte: Option<u8>,
    /// Bytes that are opened and not yet read.
    opened: usize,
    /// The client has said or shown that nothing more comes.
    ended: bool,
    /// There is no session, or none any more.
    bare: bool,
}

impl Session {
    /// # Errors
    /// The configuration cannot be used, which none that was loaded is.
    pub(crate) fn accept(socket: Socket, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(SEALED_BYTES_MAX));
        let state = State { connection, first_byte: None, opened: 0, ended: false, bare: false };
        Ok(Self { socket, state: RefCell::new(state), fields: OnceCell::new() })
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Header fields about the client's certificate, if it has shown one. To be asked when the client has sent something.
    pub(crate) fn certificate_fields(&self) -> &[u8] {
        self.fields.get_or_init(|| {
            let state = self.state.borrow();
            let certificate = state.connection.peer_certificates().and_then(<[_]>::first);
            certificate.map(|certificate| subject::fields(certificate)).unwrap_or_default()
        })
    }

    pub(crate) fn try_read(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        loop {
            if state.bare {
                return self.socket.try_read(buffer);
            }
            if state.opened > 0 || state.ended {
                return state.take(buffer);
            }
            let received = state.receive(&self.socket);
            // An answer to what was received, or what an earlier write has left.
            match (received, state.flush(&self.socket)) {
                (Err(error), _) => return Err(error),
                (Ok(()), Err(error)) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                (Ok(()), _) => (),
            }
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if state.bare {
            return self.socket.try_write(bytes);
        }
        state.flush(&self.socket)?;
        let count = state.connection.writer().write(bytes)?;
        match state.flush(&self.socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    pub(crate) fn try_flush(&self) -> io::Result<()> {
        self.state.borrow_mut().flush(&self.socket)
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if state.opened > 0 || state.ended {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(&mut state, context);
        self.socket.poll_read_ready(context)
    }

    /// A client that waits for what we have sealed sends nothing.
    fn poll_flush(&self, state: &mut RefMut<'_, State>, context: &mut Context<'_>) {
        while state.flush(&self.socket).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            if self.socket.poll_write_ready(context).is_pending() {
                return;
            }
        }
    }

    /// Tells the client that this was all.
    pub(crate) fn part(&self) {
        let mut state = self.state.borrow_mut();
        if !state.bare && !state.connection.is_handshaking() {
            state.connection.send_close_notify();
            // A client that reads nothing does not read this either.
            let _unheard = state.flush(&self.socket);
        }
    }
}

impl State {
    /// Moves a piece of what is opened to the buffer.
    fn take(&mut self, buffer: &mut Buffer) -> io::Result<usize> {
        let mut reader = self.connection.reader();
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            // A connection that ends without a word. What was cut off shows by the framing of HTTP.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
            // Nothing is expected of a client that came for the handshake alone.
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.ended => return Ok(0),
            Err(error) => return Err(error),
        };
        let count = piece.len();
        buffer.room().extend_from_slice(piece);
        reader.consume(count);
        self.opened = self.opened.saturating_sub(count);
        Ok(count)
    }

    /// Takes in what the socket has.
    fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        let read = self.connection.read_tls(&mut Source { socket, first_byte: &mut self.first_byte })?;
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.opened = state.plaintext_bytes_to_read();
                self.ended = read == 0 || state.peer_has_closed() || self.is_challenge();
                Ok(())
            }
            // What an HTTP client sends first is a letter, which no TLS record begins with.
            Err(_) if self.first_byte.is_some_and(|byte| byte.is_ascii_alphabetic()) => {
                self.bare = true;
                Err(ErrorKind::InvalidData.into())
            }
            Err(error) => {
                // The alert that says why; a client that does not read it is refused all the same.
                let _unheard = self.flush(socket);
                self.bare = true;
                Err(io::Error::new(ErrorKind::ConnectionAborted, error))
            }
        }
    }

    /// The handshake was all that this client came for (RFC 8737 §3).
    fn is_challenge(&self) -> bool {
        !self.connection.is_handshaking() && self.connection.alpn_protocol() == Some(challenge::PROTOCOL)
    }

    fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        while !self.bare && self.connection.wants_write() {
            self.connection.write_tls(&mut Sink(socket))?;
        }
        Ok(())
    }
}

/// Where sealed bytes come from.
struct Source<'s> {
    socket: &'s Socket,
    first_byte: &'s mut Option<u8>,
}

impl Read for Source<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.try_read_slice(room)?;
        if self.first_byte.is_none() {
            *self.first_byte = room[..count].first().copied();
        }
        Ok(count)
    }
}

/// Where they go.
struct Sink<'s>(&'s Socket);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_pieces(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
