//! The sending side of a stream: what the engine has written, on its way to a peer that takes it as its window allows.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

use super::body::Piece;

#[derive(Debug, Default)]
pub(super) struct Outlet {
    /// Once the head has been sent.
    pub(super) stream: Option<SendStream<Bytes>>,
    /// Not yet within the window.
    waiting: VecDeque<Bytes>,
    /// The engine has written all, with these trailers.
    end: Option<Option<HeaderMap>>,
    /// The engine was told that there is no room.
    starved: bool,
    /// All is on its way.
    pub(super) finished: bool,
}

impl Outlet {
    /// The head has been sent; `finished`: nothing follows it.
    pub(super) fn open(&mut self, stream: SendStream<Bytes>, finished: bool) {
        self.stream = Some(stream);
        self.finished = finished;
    }

    pub(super) fn push(&mut self, piece: Piece) {
        match piece {
            Piece::Data(data) => self.waiting.push_back(data),
            Piece::End(trailers) => self.end = Some(trailers),
        }
    }

    /// Sends what the window has room for. `WouldBlock`: something is left.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while let Some(data) = self.waiting.front_mut() {
            stream.reserve_capacity(data.len());
            let count = data.len().min(stream.capacity());
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let piece = data.split_to(count);
            if data.is_empty() {
                self.waiting.pop_front();
            }
            let last = self.waiting.is_empty() && matches!(self.end, Some(None));
            stream.send_data(piece, last).map_err(io::Error::other)?;
            self.finished |= last;
        }
        if let Some(end) = self.end.take().filter(|_| !self.finished) {
            let sent = match end {
                Some(trailers) => stream.send_trailers(trailers),
                None => stream.send_data(Bytes::new(), true),
            };
            sent.map_err(io::Error::other)?;
            self.finished = true;
        }
        Ok(())
    }

    /// How much of `wanted` bytes goes out at once, for those who must not leave anything behind.
    pub(super) fn room(&mut self, wanted: usize) -> usize {
        let Some(stream) = &mut self.stream else { return 0 };
        stream.reserve_capacity(wanted);
        let room = stream.capacity().min(wanted);
        self.starved = room == 0;
        room
    }

    /// Sends what is left as the window allows.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.drain() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if ready!(self.poll_ready(context)).is_err() {
                        return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
                    }
                }
                drained => return Poll::Ready(drained),
            }
        }
    }

    /// Waits until a write is worth a try.
    ///
    /// # Errors
    /// The peer wants no more, or is gone.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let full = self.starved || !self.waiting.is_empty();
        let Some(stream) = self.stream.as_mut().filter(|_| full) else { return Poll::Ready(Ok(())) };
        if stream.capacity() > 0 {
            return Poll::Ready(Ok(()));
        }
        match ready!(stream.poll_capacity(context)) {
            Some(Ok(_)) => Poll::Ready(Ok(())),
            Some(Err(_)) | None => Poll::Ready(Err(())),
        }
    }

    /// Nothing more is to be sent or received.
    pub(super) fn cancel(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.send_reset(Reason::CANCEL);
        }
    }
}
