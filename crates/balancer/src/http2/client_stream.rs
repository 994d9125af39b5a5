//! One stream of a client's HTTP/2 connection, as the engine sees a client: bytes of HTTP/1.1 that can be read and written.
//!
//! Driven in place by the task that serves the request, like a session of TLS: what the engine does not read stays in the flow
//! control window of the stream, and what the client does not take makes the engine wait. The engine has one form of a
//! request for both protocols, and with it one set of rules about what is sent again after a worker's death.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};

use super::answer::{Answer, Part};
use super::body::Piece;
use super::inlet::Inlet;
use super::outlet::Outlet;
use super::request::{Content, Translated};
use crate::buffer::Buffer;
use crate::stream::Stream;

/// A stream. It is at its end when the client has reset it, or the answer has been given; not when the client has no more to say,
/// which in HTTP/1.1 nobody can say either.
#[derive(Debug)]
pub(crate) struct ClientStream {
    connection: Rc<Stream>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    request: Inlet,
    answer: Answer,
    /// For the head of the answer, and to reset the stream.
    respond: SendResponse<Bytes>,
    outlet: Outlet,
    /// The client has reset the stream, or is gone.
    gone: bool,
}

impl ClientStream {
    pub(crate) fn new(
        connection: Rc<Stream>,
        translated: Translated,
        (stream, respond): (RecvStream, SendResponse<Bytes>),
    ) -> Self {
        let Translated { head, content, kind } = translated;
        let state = State {
            request: Inlet::new(head, content, stream),
            answer: Answer::new(kind),
            respond,
            outlet: Outlet::default(),
            gone: false,
        };
        Self { connection, state: RefCell::new(state) }
    }

    /// What the stream is one of.
    pub(crate) fn connection(&self) -> &Stream {
        &self.connection
    }

    /// Takes what [`ClientStream::poll_read_ready`] has found.
    pub(crate) fn try_read(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let count = state.request.take(buffer);
        if count == 0 && !state.is_at_end() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.borrow_mut().poll_read(context).map(Ok)
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        state.drain()?;
        // Nobody asks a tunnel to be flushed.
        let open = state.answer.is_open();
        let count = if open { state.outlet.room(bytes.len()) } else { bytes.len() };
        if count == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.write(&bytes[..count])?;
        match state.drain() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    pub(crate) fn try_flush(&self) -> io::Result<()> {
        self.state.borrow_mut().drain()
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if !state.gone {
            state.gone = ready!(state.outlet.poll_ready(context)).is_err();
        }
        Poll::Ready(Ok(()))
    }

    /// Ends what has no other end.
    pub(crate) fn finish_writing(&self) {
        let mut state = self.state.borrow_mut();
        if state.answer.is_open() {
            state.outlet.push(Piece::End(None));
            // Whoever ends has flushed before: there is nothing left to wait for, or nobody.
            let _gone = state.drain();
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if !state.outlet.finished {
            // Half an answer, or none: the client must not take it for whole.
            state.respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

impl State {
    fn is_at_end(&self) -> bool {
        let tunnel_ended = self.request.ended && self.request.content == Content::Tunnel;
        self.gone || self.outlet.finished || tunnel_ended
    }

    /// More of the request, or its end, or that of the client.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_at_end() {
            return Poll::Ready(());
        }
        if let Err(reason) = ready!(self.request.poll(context)) {
            self.respond.send_reset(reason);
            self.gone = true;
        }
        if self.is_at_end() || !self.request.is_empty() {
            return Poll::Ready(());
        }
        let reset = match &mut self.outlet.stream {
            Some(stream) => stream.poll_reset(context),
            None => self.respond.poll_reset(context),
        };
        reset.map(|_| self.gone = true)
    }

    fn drain(&mut self) -> io::Result<()> {
        if self.gone { Err(ErrorKind::ConnectionReset.into()) } else { self.outlet.drain() }
    }

    /// Takes in what the engine has written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { answer, respond, outlet, .. } = self;
        let mut sent = Ok(());
        let read = answer.read(bytes, |part| match part {
            Part::Informational(response) => sent = respond.send_informational(response),
            Part::Head(response, whole) => {
                sent = respond.send_response(response, whole).map(|stream| outlet.open(stream, whole));
            }
            Part::Body(piece) => outlet.push(piece),
        });
        read.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        sent.map_err(io::Error::other)
    }
}
