//! One stream of an HTTP/2 connection to a worker, as the engine sees a worker: bytes of HTTP/1.1 that can be written and read.
//!
//! The counterpart of `client_stream.rs`. That a request was not read cannot be seen as it can with a socket of its own; it is
//! known where the worker says so: by `REFUSED_STREAM`, or by a `GOAWAY` that leaves the stream out (RFC 9113 §8.7).

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Response};

use super::inlet::Inlet;
use super::outlet::Outlet;
use super::question::{Part, Question};
use super::reply::translate;
use crate::buffer::Buffer;
use crate::stream::Stream;

/// A stream. Read errors: `ConnectionRefused` means that the worker has not begun with the request.
#[derive(Debug)]
pub(crate) struct WorkerStream {
    connection: Rc<Stream>,
    state: RefCell<State>,
}

struct State {
    sender: SendRequest<Bytes>,
    question: Question,
    outlet: Outlet,
    is_head: bool,
    answer: Answer,
}

enum Answer {
    /// Nothing has been asked.
    Unasked,
    /// It has not begun; heads of informational answers come before.
    Waiting(ResponseFuture, Vec<u8>),
    Begun(Inlet),
    Broken(ErrorKind),
    /// The client is gone.
    Cancelled,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("question", &self.question).finish_non_exhaustive()
    }
}

impl WorkerStream {
    pub(super) fn new(connection: Rc<Stream>, sender: SendRequest<Bytes>) -> Self {
        let state = State {
            sender,
            question: Question::default(),
            outlet: Outlet::default(),
            is_head: false,
            answer: Answer::Unasked,
        };
        Self { connection, state: RefCell::new(state) }
    }

    /// What the stream is one of.
    pub(crate) fn connection(&self) -> &Stream {
        &self.connection
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        state.outlet.drain()?;
        state.write(bytes)?;
        match state.outlet.drain() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    pub(crate) fn try_flush(&self) -> io::Result<()> {
        self.state.borrow_mut().outlet.drain()
    }

    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let ready = ready!(state.outlet.poll_ready(context));
        Poll::Ready(ready.map_err(|()| ErrorKind::BrokenPipe.into()))
    }

    /// Takes what [`WorkerStream::poll_read_ready`] has found.
    pub(crate) fn try_read(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        match &mut state.answer {
            Answer::Unasked => Err(ErrorKind::WouldBlock.into()),
            Answer::Waiting(_, heads) if heads.is_empty() => Err(ErrorKind::WouldBlock.into()),
            Answer::Waiting(_, heads) => {
                buffer.room().extend_from_slice(heads);
                Ok(std::mem::take(heads).len())
            }
            Answer::Begun(inlet) => match inlet.take(buffer) {
                0 if !inlet.ended => Err(ErrorKind::WouldBlock.into()),
                count => Ok(count),
            },
            Answer::Broken(kind) => Err((*kind).into()),
            Answer::Cancelled => Ok(0),
        }
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.borrow_mut().poll_read(context).map(Ok)
    }

    /// The client is gone: nobody waits for the answer.
    pub(crate) fn finish_writing(&self) {
        let mut state = self.state.borrow_mut();
        state.outlet.cancel();
        state.answer = Answer::Cancelled;
    }
}

impl State {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { sender, question, outlet, is_head, answer } = self;
        let mut sent = Ok(());
        let read = question.read(bytes, |part| match part {
            Part::Head(request, whole) => {
                *is_head = request.method() == Method::HEAD;
                sent = sender.send_request(request, whole).map(|(response, stream)| {
                    outlet.open(stream, whole);
                    *answer = Answer::Waiting(response, Vec::new());
                });
            }
            Part::Body(piece) => outlet.push(piece),
        });
        read.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        sent.map_err(io::Error::other)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // What is left of the request goes on meanwhile. A worker that wants no more of it may still answer.
        let _unwanted = self.outlet.poll_drain(context);
        match &mut self.answer {
            Answer::Unasked => Poll::Pending,
            Answer::Waiting(response, heads) => {
                while let Poll::Ready(Some(Ok(early))) = response.poll_informational(context) {
                    heads.extend(translate(early.status(), early.headers(), (true, false)).0);
                }
                if !heads.is_empty() {
                    return Poll::Ready(());
                }
                match ready!(Pin::new(response).poll(context)) {
                    Ok(response) => self.begin(response),
                    Err(error) => self.answer = Answer::Broken(kind_of(&error)),
                }
                Poll::Ready(())
            }
            Answer::Begun(inlet) => {
                if ready!(inlet.poll(context)).is_err() {
                    self.answer = Answer::Broken(ErrorKind::BrokenPipe);
                }
                Poll::Ready(())
            }
            Answer::Broken(_) | Answer::Cancelled => Poll::Ready(()),
        }
    }

    fn begin(&mut self, response: Response<RecvStream>) {
        let (parts, stream) = response.into_parts();
        let ended = (stream.is_end_stream(), self.is_head);
        let (head, content) = translate(parts.status, &parts.headers, ended);
        self.answer = Answer::Begun(Inlet::new(head, content, stream));
    }
}

/// What an error says about the request.
fn kind_of(error: &h2::Error) -> ErrorKind {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let unprocessed = (refused || error.is_go_away()) && error.is_remote();
    if unprocessed { ErrorKind::ConnectionRefused } else { ErrorKind::BrokenPipe }
}
