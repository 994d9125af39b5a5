//! The request on its way to workers: its head as they get it, and as much of its body as has come.
//!
//! All of it is kept while it is small, so that it can be sent again to another worker. A body that outgrows the limit is
//! passed on as it comes and forgotten; such a request is sent once.

use crate::buffer::Buffer;
use crate::http::{Body, CHUNK_END, ChunkedReader, LAST_CHUNK, PieceKind, Reject, write_chunk_head};

/// Bytes that may lie ready for a worker before no more is read from the client.
const AHEAD_BYTES_MAX: usize = 256 * 1024;
/// What any program reads at once at least.
const FIRST_PIECE_BYTES: usize = 4 * 1024;

/// Reads one request's body from what the client sent.
pub(crate) struct RequestBody {
    state: State,
    /// Bytes of body so far, without framing.
    bytes: u64,
    bytes_max: u64,
    trailers: Vec<u8>,
}

enum State {
    Done,
    Length(u64),
    Chunked(ChunkedReader),
}

impl RequestBody {
    /// # Errors
    /// The announced length is over the limit.
    pub(crate) fn new(body: Body, bytes_max: u64) -> Result<Self, Reject> {
        let state = match body {
            Body::None | Body::Length(0) => State::Done,
            Body::Length(length) if length > bytes_max => return Err(Reject::BodyTooLarge),
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Chunked(ChunkedReader::new()),
        };
        Ok(Self { state, bytes: 0, bytes_max, trailers: Vec::new() })
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes still to come, if that is known.
    pub(crate) fn known_rest(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(rest) => Some(rest),
            State::Chunked(_) => None,
        }
    }

    /// Moves what has come from `input` to the worker's bytes, chunks framed anew.
    ///
    /// # Errors
    /// The chunked coding is broken, or the body is over the limit.
    pub(crate) fn advance(&mut self, input: &mut Buffer, wire: &mut Wire) -> Result<(), Reject> {
        match &mut self.state {
            State::Done => Ok(()),
            State::Length(rest) => {
                let length = input.len().min(usize::try_from(*rest).unwrap_or(usize::MAX));
                wire.bytes.extend_from_slice(&input.unused()[..length]);
                input.consume(length);
                self.bytes += length as u64;
                *rest -= length as u64;
                if *rest == 0 {
                    self.state = State::Done;
                }
                Ok(())
            }
            State::Chunked(_) => self.advance_chunks(input, wire),
        }
    }

    fn advance_chunks(&mut self, input: &mut Buffer, wire: &mut Wire) -> Result<(), Reject> {
        let State::Chunked(reader) = &mut self.state else { return Ok(()) };
        loop {
            let piece = reader.next(input.unused(), &mut self.trailers)?;
            match piece.kind {
                PieceKind::Data(range) => {
                    self.bytes += range.len() as u64;
                    if self.bytes > self.bytes_max {
                        return Err(Reject::BodyTooLarge);
                    }
                    write_chunk_head(range.len(), &mut wire.bytes);
                    wire.bytes.extend_from_slice(&input.unused()[range]);
                    wire.bytes.extend_from_slice(CHUNK_END);
                    input.consume(piece.consumed);
                }
                PieceKind::NeedMore => {
                    input.consume(piece.consumed);
                    return Ok(());
                }
                PieceKind::End => {
                    input.consume(piece.consumed);
                    // "0 CRLF", the trailers, the empty line.
                    wire.bytes.extend_from_slice(&LAST_CHUNK[..3]);
                    wire.bytes.extend_from_slice(&self.trailers);
                    wire.bytes.extend_from_slice(CHUNK_END);
                    self.state = State::Done;
                    return Ok(());
                }
            }
        }
    }
}

/// The bytes for workers.
pub(crate) struct Wire {
    pub(crate) bytes: Vec<u8>,
    pub(crate) head_bytes: usize,
    /// Bytes that the current worker has been sent.
    sent: usize,
    /// In how many pieces.
    writes: u32,
    kept: bool,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), head_bytes: 0, sent: 0, writes: 0, kept: true }
    }

    /// Begins a new request.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::new() };
    }

    /// Gives memory back that the last request needed and the next may not.
    pub(crate) fn rest(&mut self, bytes_max: usize) {
        if self.bytes.capacity() > bytes_max {
            *self = Self::new();
        }
    }

    /// Begins a new try.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
        self.writes = 0;
    }

    /// Everything that was ever sent is still here.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }

    /// The head; empty if it is forgotten.
    pub(crate) fn head(&self) -> &[u8] {
        if self.kept { &self.bytes[..self.head_bytes] } else { &[] }
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// What to write next. A request that is too large to be read in one piece begins with a piece of its own: when that has
    /// been read, the kernel tells.
    pub(crate) fn next_piece(&self, whole_bytes_max: usize) -> &[u8] {
        let unsent = self.unsent();
        let first = self.is_untouched() && whole_bytes_max > 0 && unsent.len() > whole_bytes_max;
        if first { &unsent[..FIRST_PIECE_BYTES.min(whole_bytes_max)] } else { unsent }
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.sent == 0 && self.kept
    }

    /// The request went out in one write of at most `bytes_max`: a reader gets it in one piece.
    pub(crate) fn went_whole(&self, bytes_max: usize) -> bool {
        self.kept && self.writes == 1 && self.sent == self.bytes.len() && self.sent <= bytes_max
    }

    pub(crate) fn wants_more(&self) -> bool {
        self.unsent().len() < AHEAD_BYTES_MAX
    }

    /// `count` bytes were written; what is over the limit of what is kept is forgotten.
    pub(crate) fn wrote(&mut self, count: usize, kept_bytes_max: usize) {
        self.sent += count;
        self.writes += 1;
        if !self.kept || self.bytes.len() - self.head_bytes > kept_bytes_max {
            self.kept = false;
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: Body, input: &[&str], expected: &str) {
        let mut buffer = Buffer::default();
        let mut wire = Wire::new();
        let mut request = RequestBody::new(body, 100).expect("within the limit");
        for part in input {
            buffer.room().extend_from_slice(part.as_bytes());
            request.advance(&mut buffer, &mut wire).expect("well-formed");
        }
        assert!(request.is_done(), "{input:?}");
        assert_eq!(String::from_utf8_lossy(&wire.bytes), expected);
        assert_eq!(buffer.unused(), b"rest");
    }

    #[test]
    fn body_ends_where_its_framing_says() {
        check(Body::None, &["rest"], "");
        check(Body::Length(5), &["he", "llorest"], "hello");
        check(
            Body::Chunked,
            &["3;x=y\r\nhe", "y\r\n0\r\nA: b\r\n\r\nrest"],
            "2\r\nhe\r\n1\r\ny\r\n0\r\nA: b\r\n\r\n",
        );
    }

    #[test]
    fn body_over_the_limit_is_refused() {
        assert!(RequestBody::new(Body::Length(101), 100).is_err());
        let mut request = RequestBody::new(Body::Chunked, 3).expect("not known yet");
        let mut input = Buffer::default();
        input.room().extend_from_slice(b"4\r\nabcd\r\n");
        assert_eq!(request.advance(&mut input, &mut Wire::new()), Err(Reject::BodyTooLarge));
    }

    #[test]
    fn large_body_is_forgotten_as_it_goes() {
        let mut wire = Wire::new();
        wire.bytes = vec![0; 50];
        wire.head_bytes = 10;
        wire.wrote(20, 100);
        assert!(wire.is_kept());
        wire.wrote(30, 30);
        assert!(!wire.is_kept());
        assert!(wire.bytes.is_empty());
    }
}
