//! Cuts Node.js's IPC stream into messages, and makes frames of messages.
//!
//! Pure: bytes in, values out. Two serializations exist and the parent chooses: a line of JSON each, or a
//! length and V8's own format. A frame that cannot be read is skipped and said, and the stream goes on behind
//! it; half a frame at the end of the stream is nothing, because a program that ends while its parent is slow
//! leaves one.

use std::ops::Range;

use memchr::memchr;
use serde::Serialize;
use serde_json::Value;

use super::channel::SendError;
use super::v8;

/// The largest frame that is read, in bytes. A larger one is skipped. Node.js itself knows no limit; this one
/// is far beyond what is sensible to send between processes in one message.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A buffer that grew beyond this for one large frame is given back.
const BUFFER_KEPT_BYTES: usize = 256 * 1024;
/// Bytes of the length in front of an `advanced` frame.
const PREFIX_BYTES: usize = 4;
/// Bun marks its internal messages with this byte in front of the JSON.
pub(super) const BUN_MARK: u8 = 0x02;

/// How messages are written, fixed when the child is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Serialization {
    /// One line of JSON for each message, what Node.js uses unless told otherwise.
    #[default]
    Json,
    /// V8's format with a length in front.
    Advanced,
}

impl Serialization {
    /// The word Node.js has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Advanced => "advanced",
        }
    }
}

/// A frame that was skipped.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Larger than the limit.
    #[error("message is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Not a line of JSON, or not one of the type that was asked for.
    #[error("message is {}", if .0.is_data() { "not of the type asked for" } else { "not JSON" })]
    Json(#[source] serde_json::Error),
    /// Not a value in V8's format.
    #[error("message is not in V8's format")]
    Advanced(#[source] v8::DecodeError),
}

/// Appends `value` as one frame to `out`.
///
/// ```
/// use stead_process::node::frame::{Serialization, encode};
///
/// let mut out = Vec::new();
/// encode(&serde_json::json!({"cmd": "x"}), Serialization::Json, &mut out);
/// assert_eq!(out, b"{\"cmd\":\"x\"}\n");
/// ```
pub fn encode(value: &Value, serialization: Serialization, out: &mut Vec<u8>) {
    match serialization {
        Serialization::Json => {
            serde_json::to_writer(&mut *out, value)
                .expect("a value has text keys, and a vector takes all bytes");
            out.push(b'\n');
        }
        Serialization::Advanced => {
            let start = out.len();
            out.extend_from_slice(&[0; PREFIX_BYTES]);
            v8::encode(value, out);
            let length = u32::try_from(out.len() - start - PREFIX_BYTES).unwrap_or(u32::MAX);
            out[start..start + PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Appends anything that can be serialized as one frame to `out`.
pub(crate) fn encode_typed<T: Serialize + ?Sized>(
    message: &T,
    serialization: Serialization,
    out: &mut Vec<u8>,
) -> Result<(), SendError> {
    match serialization {
        Serialization::Json => {
            let start = out.len();
            serde_json::to_writer(&mut *out, message).map_err(SendError::Message)?;
            // JSON that was encoded before (`RawValue`) may have been made for people.
            if memchr(b'\n', &out[start..]).is_some() {
                return Err(SendError::Line);
            }
            out.push(b'\n');
        }
        Serialization::Advanced => {
            encode(&serde_json::to_value(message).map_err(SendError::Message)?, serialization, out);
        }
    }
    Ok(())
}

/// Appends a message that is encoded already as one frame to `out`. False, and nothing appended, if it is none: in JSON a
/// line end would make it two, and an empty line is no message.
#[must_use]
pub fn encode_raw(message: &[u8], serialization: Serialization, out: &mut Vec<u8>) -> bool {
    match serialization {
        Serialization::Json if message.is_empty() || memchr(b'\n', message).is_some() => return false,
        Serialization::Json => {
            out.reserve(message.len() + 1);
            out.extend_from_slice(message);
            out.push(b'\n');
        }
        Serialization::Advanced => {
            out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(message);
        }
    }
    true
}

/// Collects bytes and gives out messages.
#[derive(Debug)]
pub struct Decoder {
    serialization: Serialization,
    limit: usize,
    /// Bytes from `used` to `filled` were read and not given out; those behind are room to read into.
    buffer: Vec<u8>,
    used: usize,
    filled: usize,
    /// Bytes behind `used` in which no line end was found.
    searched: usize,
    /// What is left to skip of a frame that is too large.
    skip: Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Line,
    Bytes(usize),
}

impl Decoder {
    /// A decoder for frames of up to [`FRAME_BYTES_MAX`].
    #[must_use]
    pub const fn new(serialization: Serialization) -> Self {
        Self::with_limit(serialization, FRAME_BYTES_MAX)
    }

    /// A decoder for frames of up to `limit` bytes, which is also about the most memory it holds.
    #[must_use]
    pub const fn with_limit(serialization: Serialization, limit: usize) -> Self {
        let skip = Skip::Nothing;
        Self { serialization, limit, buffer: Vec::new(), used: 0, filled: 0, searched: 0, skip }
    }

    /// What is buffered and was not given out.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer[self.used..self.filled].to_vec()
    }

    /// Adds what was read. Take all messages with [`Self::next_message`] before the next call.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Room for at least `count` bytes, to read into; say with [`Self::advance`] how many came.
    pub(crate) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.used == self.filled {
            (self.used, self.filled) = (0, 0);
            if self.buffer.len() > BUFFER_KEPT_BYTES {
                self.buffer = Vec::new();
            }
        } else if self.buffer.len() - self.filled < count && self.used > 0 {
            self.buffer.copy_within(self.used..self.filled, 0);
            (self.used, self.filled) = (0, self.filled - self.used);
        }
        if self.buffer.len() - self.filled < count {
            self.buffer.resize(self.filled + count, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// So many bytes were written into the [`Self::room`].
    pub(crate) fn advance(&mut self, count: usize) {
        let came = self.filled..self.filled + count;
        let dropped = self.skipped(came.clone());
        if dropped > 0 {
            self.buffer.copy_within(came.start + dropped..came.end, came.start);
        }
        self.filled += count - dropped;
    }

    /// The next whole message; `None` if more bytes are needed.
    ///
    /// # Errors
    /// A frame was skipped. The next call goes on behind it.
    pub fn next_message(&mut self) -> Option<Result<Value, FrameError>> {
        let serialization = self.serialization;
        Some(self.next_frame()?.and_then(|frame| parse(frame, serialization)))
    }

    /// The next whole frame as it came, without its line end or length; `None` if more bytes are needed. Whether it is a
    /// message at all was not looked at.
    ///
    /// # Errors
    /// It was too large, and skipped. The next call goes on behind it.
    pub fn next_frame(&mut self) -> Option<Result<&[u8], FrameError>> {
        let frame = match self.serialization {
            Serialization::Json => self.next_line(),
            Serialization::Advanced => self.next_block(),
        };
        Some(frame?.map(|frame| &self.buffer[frame]))
    }

    fn next_line(&mut self) -> Option<Result<Range<usize>, FrameError>> {
        let rest = &self.buffer[self.used..self.filled];
        let Some(end) = memchr(b'\n', &rest[self.searched..]) else {
            self.searched = rest.len();
            return (rest.len() > self.limit).then(|| Err(self.give_up(self.filled, Skip::Line)));
        };
        let line = self.used..self.used + self.searched + end;
        self.used = line.end + 1;
        self.searched = 0;
        Some(if line.len() > self.limit { Err(FrameError::TooLarge { limit: self.limit }) } else { Ok(line) })
    }

    fn next_block(&mut self) -> Option<Result<Range<usize>, FrameError>> {
        let (prefix, rest) = self.buffer[self.used..self.filled].split_first_chunk::<PREFIX_BYTES>()?;
        let length = u32::from_be_bytes(*prefix) as usize;
        let start = self.used + PREFIX_BYTES;
        if length > self.limit {
            let missing = length.saturating_sub(rest.len());
            return Some(Err(self.give_up(start + length.min(rest.len()), Skip::Bytes(missing))));
        }
        if rest.len() < length {
            return None;
        }
        self.used = start + length;
        Some(Ok(start..self.used))
    }

    /// Forgets all that is buffered of the frame.
    fn give_up(&mut self, used: usize, skip: Skip) -> FrameError {
        self.used = used;
        self.searched = 0;
        self.skip = if skip == Skip::Bytes(0) { Skip::Nothing } else { skip };
        FrameError::TooLarge { limit: self.limit }
    }

    /// How many of the bytes that came belong to the frame that is being skipped.
    fn skipped(&mut self, came: Range<usize>) -> usize {
        let bytes = &self.buffer[came];
        let (skip, dropped) = match self.skip {
            Skip::Nothing => (Skip::Nothing, 0),
            Skip::Line => match memchr(b'\n', bytes) {
                Some(end) => (Skip::Nothing, end + 1),
                None => (Skip::Line, bytes.len()),
            },
            Skip::Bytes(count) if count > bytes.len() => (Skip::Bytes(count - bytes.len()), bytes.len()),
            Skip::Bytes(count) => (Skip::Nothing, count),
        };
        self.skip = skip;
        dropped
    }
}

/// Reads what is in one frame.
///
/// # Errors
/// It is no message.
pub fn parse(frame: &[u8], serialization: Serialization) -> Result<Value, FrameError> {
    match serialization {
        Serialization::Json => parse_line(frame),
        Serialization::Advanced => v8::decode(frame).map_err(FrameError::Advanced),
    }
}

fn parse_line(line: &[u8]) -> Result<Value, FrameError> {
    let line = line.strip_prefix(&[BUN_MARK]).unwrap_or(line);
    serde_json::from_slice(line).or_else(|error| {
        // JavaScript's strings may hold halves of surrogate pairs; Rust's cannot.
        without_lone_surrogates(line)
            .and_then(|repaired| serde_json::from_slice(&repaired).ok())
            .ok_or(FrameError::Json(error))
    })
}

/// The line with escapes of lone surrogates (`\ud800` to `\udfff`) replaced by U+FFFD; `None` if there are
/// none.
fn without_lone_surrogates(line: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| -> Option<u16> {
        let escape = line.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
    };
    let mut repaired = line.to_vec();
    let (mut at, mut changed) = (0, false);
    while at < line.len() {
        at += match (line[at], unit(at), unit(at + 6)) {
            (b'\\', Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (b'\\', Some(0xD800..=0xDFFF), _) => {
                repaired[at..at + 6].copy_from_slice(b"\\ufffd");
                changed = true;
                6
            }
            (b'\\', _, _) => 2,
            _ => 1,
        };
    }
    changed.then_some(repaired)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMIT: usize = 64;

    fn decode(serialization: Serialization, bytes: &[u8], step: usize) -> Vec<Option<Value>> {
        let mut decoder = Decoder::with_limit(serialization, LIMIT);
        let mut messages = Vec::new();
        for piece in bytes.chunks(step) {
            decoder.push(piece);
            while let Some(message) = decoder.next_message() {
                messages.push(message.ok());
            }
            assert!(decoder.buffer.len() <= LIMIT + PREFIX_BYTES + step, "memory is bounded");
        }
        messages
    }

    /// However the bytes are cut, the same messages come out. `None` is a frame that was skipped.
    fn check(serialization: Serialization, bytes: &[u8], expected: &[Option<Value>]) {
        for step in 1..=bytes.len() {
            assert_eq!(decode(serialization, bytes, step), expected, "in pieces of {step}");
        }
    }

    fn frames(serialization: Serialization, values: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in values {
            encode(value, serialization, &mut bytes);
        }
        bytes
    }

    #[test]
    fn frames_may_be_cut_anywhere() {
        let values = [
            json!("ready"),
            json!(null),
            json!({"cmd": "NODE_CLUSTER", "act": "online", "ü": ["日本", 1.5]}),
        ];
        for serialization in [Serialization::Json, Serialization::Advanced] {
            let bytes = frames(serialization, &values);
            check(serialization, &bytes, &values.clone().map(Some));
        }
    }

    #[test]
    fn half_a_frame_at_the_end_is_nothing() {
        for serialization in [Serialization::Json, Serialization::Advanced] {
            let bytes = frames(serialization, &[json!(1), json!("cut off")]);
            check(serialization, &bytes[..bytes.len() - 1], &[Some(json!(1))]);
        }
    }

    #[test]
    fn a_frame_that_is_too_large_is_skipped() {
        for serialization in [Serialization::Json, Serialization::Advanced] {
            let bytes = frames(serialization, &[json!(1), json!("x".repeat(LIMIT * 3)), json!(2)]);
            check(serialization, &bytes, &[Some(json!(1)), None, Some(json!(2))]);
        }
    }

    #[test]
    fn a_frame_that_is_no_message_is_skipped() {
        check(Serialization::Json, b"{\"a\":\n\n7\n", &[None, None, Some(json!(7))]);
        check(
            Serialization::Advanced,
            b"\0\0\0\x01?\0\0\0\0\0\0\0\x03\xff\x0fT",
            &[None, None, Some(json!(true))],
        );
    }

    #[test]
    fn a_lone_surrogate_becomes_a_replacement_character() {
        let line = b"[\"\\ud83d\\ude00 \\ud800 \\\\ud800\",\"\\udc00\"]\n";
        check(Serialization::Json, line, &[Some(json!(["\u{1F600} \u{FFFD} \\ud800", "\u{FFFD}"]))]);
    }

    #[test]
    fn a_message_marked_by_bun_is_read() {
        check(Serialization::Json, b"\x02{\"cmd\":\"NODE_X\"}\n", &[Some(json!({"cmd": "NODE_X"}))]);
    }

    #[test]
    fn text_with_line_ends_is_still_one_line() {
        let bytes = frames(Serialization::Json, &[json!({"\n": "a\nb\r\n"})]);
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1);
    }
}
