//! The chunked coding (RFC 9112 §7.1): an incremental strict reader, and writers.
//!
//! The reader copies no data, and its state survives any split of the input. Every byte that is not data must be the
//! one the grammar demands: another program that reads a chunk's size differently sees another request begin.

use std::ops::Range;

use httparse::Header;
use memchr::memchr;

use super::field::Field;
use super::write;

/// Bytes of the extensions of one chunk. They are read over and not passed on.
const EXTENSION_BYTES_MAX: usize = 256;
/// Digits of a size: 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;
/// Bytes of the whole trailer section.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Fields in the trailer section.
const TRAILERS_MAX: usize = 32;

/// Ends the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// Ends a body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Why a chunked body cannot be read on. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    /// Not 1 to 16 hexadecimal digits, followed at once by `;` or CR LF.
    #[error("the size of a chunk is not a hexadecimal number")]
    Size,
    /// A forbidden byte in a chunk's extensions.
    #[error("the extension of a chunk is malformed")]
    Extension,
    /// Longer extensions than allowed.
    #[error("the extension of a chunk is longer than allowed")]
    ExtensionTooLong,
    /// A chunk's line ends with a bare CR or LF.
    #[error("a chunk line does not end with CR LF")]
    LineEnd,
    /// The data is not followed by CR LF.
    #[error("a chunk is longer than its size")]
    DataEnd,
    /// A malformed trailer field.
    #[error("a trailer field is malformed")]
    Trailer,
    /// More or longer trailers than allowed.
    #[error("the trailer section is larger than allowed")]
    TrailersTooLarge,
}

/// What [`ChunkedReader::next`] found at the beginning of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many bytes of the input are done with.
    pub consumed: usize,
    /// What they were.
    pub kind: PieceKind,
}

/// What a piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// `input[range]` is data, never empty. More may follow in the same input.
    Data(Range<usize>),
    /// All of the input is consumed and the body goes on.
    NeedMore,
    /// The body is over; what follows in the input is not part of it. Trailers have been written.
    End,
}

/// Reads one chunked body.
#[derive(Debug, Default)]
pub struct ChunkedReader {
    state: State,
    /// Lines of the trailer section, each with its CR LF; empty (and never allocated) without trailers.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { value: u64, digits: u8 },
    Extension { value: u64, bytes: usize },
    SizeLineFeed { value: u64 },
    Data { remaining: u64 },
    DataReturn,
    DataLineFeed,
    TrailerStart,
    TrailerLine,
    LastLineFeed,
    Done,
}

impl Default for State {
    fn default() -> Self {
        State::Size { value: 0, digits: 0 }
    }
}

impl ChunkedReader {
    /// A reader at the beginning of a body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The body has been read to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Reads on, to the end of the next piece of data or of the input. To be called until it says
    /// [`PieceKind::NeedMore`] or [`PieceKind::End`], each time with what was not consumed yet.
    ///
    /// At the end the trailers that may be passed on are appended to `trailers`, a line with CR LF each.
    ///
    /// # Errors
    /// The coding is broken; nothing more can be read.
    pub fn next(&mut self, input: &[u8], trailers: &mut Vec<u8>) -> Result<Piece, ChunkedError> {
        let mut at = 0;
        while !self.is_done() && at < input.len() {
            match self.state {
                State::Data { remaining } => {
                    let length = usize::try_from(remaining).unwrap_or(usize::MAX).min(input.len() - at);
                    let remaining = remaining - length as u64;
                    self.state = if remaining == 0 { State::DataReturn } else { State::Data { remaining } };
                    let range = at..at + length;
                    return Ok(Piece { consumed: range.end, kind: PieceKind::Data(range) });
                }
                State::TrailerLine => at += self.take_trailer_line(&input[at..])?,
                _ => {
                    self.take_byte(input[at])?;
                    at += 1;
                }
            }
        }
        if !self.is_done() {
            return Ok(Piece { consumed: at, kind: PieceKind::NeedMore });
        }
        self.write_trailers(trailers)?;
        Ok(Piece { consumed: at, kind: PieceKind::End })
    }

    /// Takes one byte of anything but data and the inside of a trailer line.
    #[inline]
    fn take_byte(&mut self, byte: u8) -> Result<(), ChunkedError> {
        self.state = match (self.state, byte) {
            (State::Size { value, digits }, _) => after_size_byte(value, digits, byte)?,
            (State::Extension { value, .. }, b'\r') => State::SizeLineFeed { value },
            (State::Extension { bytes: EXTENSION_BYTES_MAX, .. }, _) => {
                return Err(ChunkedError::ExtensionTooLong);
            }
            (State::Extension { value, bytes }, b'\t' | b' '..=b'~') => {
                State::Extension { value, bytes: bytes + 1 }
            }
            (State::Extension { .. }, b'\n') => return Err(ChunkedError::LineEnd),
            (State::Extension { .. }, _) => return Err(ChunkedError::Extension),
            (State::SizeLineFeed { value: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLineFeed { value }, b'\n') => State::Data { remaining: value },
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::default(),
            (State::DataReturn | State::DataLineFeed, _) => return Err(ChunkedError::DataEnd),
            (State::TrailerStart, b'\r') => State::LastLineFeed,
            (State::TrailerStart, b'\n') => return Err(ChunkedError::LineEnd),
            (State::TrailerStart, _) => {
                self.trailers.push(byte);
                State::TrailerLine
            }
            (State::LastLineFeed, b'\n') => State::Done,
            (State::SizeLineFeed { .. } | State::LastLineFeed, _) => return Err(ChunkedError::LineEnd),
            (State::Data { .. } | State::TrailerLine | State::Done, _) => {
                unreachable!("next() takes whole slices in these states")
            }
        };
        Ok(())
    }

    /// Keeps what belongs to the trailer line that has begun; returns how much that is.
    fn take_trailer_line(&mut self, input: &[u8]) -> Result<usize, ChunkedError> {
        let end = memchr(b'\n', input);
        let part = &input[..end.map_or(input.len(), |end| end + 1)];
        if self.trailers.len() + part.len() > TRAILER_BYTES_MAX {
            return Err(ChunkedError::TrailersTooLarge);
        }
        self.trailers.extend_from_slice(part);
        if end.is_some() {
            if !self.trailers.ends_with(b"\r\n") {
                return Err(ChunkedError::LineEnd);
            }
            self.state = State::TrailerStart;
        }
        Ok(part.len())
    }

    fn write_trailers(&mut self, out: &mut Vec<u8>) -> Result<(), ChunkedError> {
        if self.trailers.is_empty() {
            return Ok(());
        }
        let mut lines = std::mem::take(&mut self.trailers);
        lines.extend_from_slice(b"\r\n");
        let mut space = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        let fields = match httparse::parse_headers(&lines, &mut space) {
            Ok(httparse::Status::Complete((_, fields))) => fields,
            Ok(httparse::Status::Partial) => return Err(ChunkedError::Trailer),
            Err(httparse::Error::TooManyHeaders) => return Err(ChunkedError::TrailersTooLarge),
            Err(_) => return Err(ChunkedError::Trailer),
        };
        for Header { name, value } in fields.iter().filter(|field| may_trail(field.name)) {
            write::field(name, value, out);
        }
        Ok(())
    }
}

#[inline]
fn after_size_byte(value: u64, digits: u8, byte: u8) -> Result<State, ChunkedError> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(State::SizeLineFeed { value }),
        b';' if digits > 0 => return Ok(State::Extension { value, bytes: 0 }),
        b'\n' => return Err(ChunkedError::LineEnd),
        _ => return Err(ChunkedError::Size),
    };
    if digits == SIZE_DIGITS_MAX {
        return Err(ChunkedError::Size);
    }
    Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 })
}

/// Whether a field may stand in a trailer section: not if it frames, routes, authenticates or says how to read the
/// content (RFC 9110 §6.5.1).
fn may_trail(name: &str) -> bool {
    #[rustfmt::skip]
    const FORBIDDEN: [&str; 24] = [
        "Age", "Authorization", "Cache-Control", "Content-Encoding", "Content-Range", "Content-Type", "Cookie",
        "Date", "Expires", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since",
        "Location", "Max-Forwards", "Pragma", "Proxy-Authenticate", "Proxy-Authorization", "Range", "Retry-After",
        "Set-Cookie", "Vary", "WWW-Authenticate",
    ];
    // Whatever means something to a proxy is one of them, look-alikes included.
    Field::of(name) == Field::Other && !FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name))
}

/// Writes what stands before the data of a chunk of `length` bytes. [`CHUNK_END`] follows the data.
///
/// # Panics
/// If `length` is 0: that would end the body.
pub fn write_chunk_head(length: usize, out: &mut Vec<u8>) {
    assert!(length > 0, "a chunk without data would end the body");
    write::number(length as u64, 16, out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a body. `trailers` are whole lines, as [`ChunkedReader::next`] gives them.
pub fn write_last_chunk(trailers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}
