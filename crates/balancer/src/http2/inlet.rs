//! The receiving side of a stream: what comes in HTTP/2, as the engine reads it.

use std::task::{Context, Poll, ready};

use h2::{Reason, RecvStream};

use super::request::{self, Content};
use crate::buffer::Buffer;
use crate::http::{CHUNK_END, write_chunk_head, write_last_chunk};

#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) content: Content,
    stream: RecvStream,
    /// What the engine reads next.
    ready: Vec<u8>,
    /// How much of that counts in the flow control window.
    counted: usize,
    pub(super) ended: bool,
}

impl Inlet {
    /// Begins with a head.
    pub(super) fn new(head: Vec<u8>, content: Content, stream: RecvStream) -> Self {
        Self { content, stream, ready: head, counted: 0, ended: content == Content::None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Gives the engine what is there. From now on the sender may send as much again.
    pub(super) fn take(&mut self, buffer: &mut Buffer) -> usize {
        buffer.room().extend_from_slice(&self.ready);
        let count = self.ready.len();
        self.ready = Vec::new();
        // A stream that is reset has no window any more.
        let _gone = self.stream.flow_control().release_capacity(std::mem::take(&mut self.counted));
        count
    }

    /// Waits for something to take, or the end.
    ///
    /// # Errors
    /// The stream is broken, or to be broken for this reason.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        while self.ready.is_empty() && !self.ended {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(data)) => self.add(&data),
                Some(Err(_)) => return Poll::Ready(Err(Reason::CANCEL)),
                None => {
                    let Ok(fields) = ready!(self.stream.poll_trailers(context)) else {
                        return Poll::Ready(Err(Reason::CANCEL));
                    };
                    self.ended = true;
                    let Ok(lines) = request::trailers(&fields.unwrap_or_default()) else {
                        return Poll::Ready(Err(Reason::PROTOCOL_ERROR));
                    };
                    if self.content == Content::Chunked {
                        write_last_chunk(&lines, &mut self.ready);
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn add(&mut self, data: &[u8]) {
        self.counted = data.len();
        if self.content == Content::Chunked && !data.is_empty() {
            write_chunk_head(data.len(), &mut self.ready);
            self.ready.extend_from_slice(data);
            self.ready.extend_from_slice(CHUNK_END);
        } else {
            self.ready.extend_from_slice(data);
        }
    }
}
