//! Reads one response as its bytes arrive. Pure: knows no socket and no clock.
//!
//! Strict where a server's mistake would hide a lost or a mixed-up answer: an answer needs a status line, a framing, a
//! complete body; chunk lines end in CR LF; nothing follows the end.

use crate::config::Expect;

/// Longest head, and longest chunk-size or trailer line.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How much of a body [`Expect::Contains`] looks at.
const LOOK_BYTES_MAX: usize = 64 * 1024;
/// How much of any body is kept to describe a failure.
const EXCERPT_BYTES: usize = 200;

/// What is known after some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    More,
    /// The answer is complete.
    Done,
    /// This is not an HTTP/1 answer, or it does not end where it says.
    Bad(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilEof,
    Done,
}

/// What a response is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) expect: &'a Expect,
    /// The request's own body.
    pub(crate) sent: &'a [u8],
    /// The request was HEAD.
    pub(crate) no_body: bool,
    /// Header whose value is kept in [`Response::counted`].
    pub(crate) count_header: Option<&'a str>,
}

/// One response; its buffers are used again for the next.
#[derive(Debug)]
pub(crate) struct Response {
    state: State,
    line: Vec<u8>,
    body: Vec<u8>,
    body_bytes: u64,
    echo_good: bool,
    /// Status of the final answer; 0 before its head.
    pub(crate) status: u16,
    /// The connection may be used again.
    pub(crate) keep_alive: bool,
    /// Value of the counted header, or empty.
    pub(crate) counted: String,
    /// A byte of the answer has arrived.
    pub(crate) begun: bool,
}

impl Response {
    pub(crate) fn new() -> Response {
        Response {
            state: State::Head,
            line: Vec::new(),
            body: Vec::new(),
            body_bytes: 0,
            echo_good: true,
            status: 0,
            keep_alive: true,
            counted: String::new(),
            begun: false,
        }
    }

    /// Forgets everything; the next byte is the first of a new response.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.line.clear();
        self.body.clear();
        self.body_bytes = 0;
        self.echo_good = true;
        self.status = 0;
        self.keep_alive = true;
        self.counted.clear();
        self.begun = false;
    }

    /// Takes the next bytes. Once `Done` or `Bad`, takes no more.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], wanted: Wanted<'_>) -> Progress {
        self.begun |= !bytes.is_empty();
        while !bytes.is_empty() {
            let step = match self.state {
                State::Head => self.head(bytes, wanted),
                State::Length(left) | State::Chunk(left) => {
                    let now = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.take_body(&bytes[..now], wanted);
                    self.state = self.after_body(left - now as u64);
                    Ok(now)
                }
                State::UntilEof => {
                    self.take_body(bytes, wanted);
                    Ok(bytes.len())
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.chunk_line(bytes),
                State::Done => Err("bytes after the end of the answer"),
            };
            match step {
                Ok(taken) => bytes = &bytes[taken..],
                Err(why) => return Progress::Bad(why),
            }
        }
        if self.state == State::Done { Progress::Done } else { Progress::More }
    }

    /// The server closed: is the answer complete with that?
    pub(crate) fn end(&mut self) -> bool {
        if self.state == State::UntilEof {
            self.state = State::Done;
            self.keep_alive = false;
        }
        self.state == State::Done
    }

    /// The body is what was wanted.
    pub(crate) fn body_good(&self, wanted: Wanted<'_>) -> bool {
        match wanted.expect {
            Expect::Anything => true,
            Expect::Contains(text) => {
                text.is_empty() || self.body.windows(text.len()).any(|window| window == text.as_bytes())
            }
            Expect::Echo => self.echo_good && self.body_bytes == wanted.sent.len() as u64,
        }
    }

    /// The beginning of the body, for a person.
    pub(crate) fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(EXCERPT_BYTES)]).into_owned()
    }

    fn take_body(&mut self, bytes: &[u8], wanted: Wanted<'_>) {
        if *wanted.expect == Expect::Echo {
            let at = usize::try_from(self.body_bytes).unwrap_or(usize::MAX);
            self.echo_good &= wanted.sent.get(at..at.saturating_add(bytes.len())) == Some(bytes);
        }
        let keep = if matches!(wanted.expect, Expect::Contains(_)) { LOOK_BYTES_MAX } else { EXCERPT_BYTES };
        let room = keep.saturating_sub(self.body.len());
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.body_bytes += bytes.len() as u64;
    }

    fn after_body(&self, left: u64) -> State {
        match self.state {
            State::Length(_) if left == 0 => State::Done,
            State::Length(_) => State::Length(left),
            _ if left == 0 => State::ChunkEnd,
            _ => State::Chunk(left),
        }
    }

    /// Collects the head; a head that arrives in one piece is parsed in place.
    fn head(&mut self, bytes: &[u8], wanted: Wanted<'_>) -> Result<usize, &'static str> {
        if self.line.is_empty() {
            if let Some(length) = self.parse_head(bytes, wanted)? {
                return Ok(length);
            }
            self.line.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let before = self.line.len();
        let mut head = std::mem::take(&mut self.line);
        head.extend_from_slice(bytes);
        let parsed = self.parse_head(&head, wanted);
        match parsed? {
            Some(length) => {
                head.clear();
                self.line = head;
                Ok(length - before)
            }
            None if head.len() > HEAD_BYTES_MAX => Err("head longer than 64 KiB"),
            None => {
                self.line = head;
                Ok(bytes.len())
            }
        }
    }

    /// The head's length, when it is complete; sets status, framing and what follows.
    fn parse_head(&mut self, bytes: &[u8], wanted: Wanted<'_>) -> Result<Option<usize>, &'static str> {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("not an HTTP/1 answer"),
        };
        let status = head.code.unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            return Ok(Some(length)); // an interim answer; the final one follows
        }
        self.status = status;
        self.keep_alive = head.version == Some(1);
        let mut content_length = None;
        let mut chunked = false;
        for header in head.headers.iter() {
            let value = header.value.trim_ascii();
            if header.name.eq_ignore_ascii_case("content-length") {
                let text = str::from_utf8(value).map_err(|_| "content-length is not a number")?;
                let number: u64 = text.parse().map_err(|_| "content-length is not a number")?;
                if content_length.is_some_and(|before| before != number) {
                    return Err("two different content-length");
                }
                content_length = Some(number);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.eq_ignore_ascii_case(b"chunked");
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.keep_alive = keeps_alive(value, self.keep_alive);
            } else if wanted.count_header.is_some_and(|name| header.name.eq_ignore_ascii_case(name)) {
                self.counted.push_str(&String::from_utf8_lossy(value));
            }
        }
        self.state = match (wanted.no_body || matches!(status, 204 | 304), chunked, content_length) {
            (true, ..) => State::Done,
            (_, true, Some(_)) => return Err("both transfer-encoding and content-length"),
            (_, true, None) => State::ChunkSize,
            (_, false, Some(0)) => State::Done,
            (_, false, Some(number)) => State::Length(number),
            (_, false, None) => State::UntilEof,
        };
        Ok(Some(length))
    }

    /// A chunk-size line, the line end after a chunk, a trailer line.
    fn chunk_line(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(bytes);
            return if self.line.len() > HEAD_BYTES_MAX {
                Err("endless chunk line")
            } else {
                Ok(bytes.len())
            };
        };
        self.line.extend_from_slice(&bytes[..end]);
        if self.line.pop() != Some(b'\r') {
            return Err("a chunk line without CR");
        }
        self.state = match self.state {
            State::ChunkEnd if self.line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err("a chunk longer than it says"),
            State::Trailer if self.line.is_empty() => State::Done,
            State::Trailer => State::Trailer,
            _ => match chunk_size(&self.line)? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
        };
        self.line.clear();
        Ok(end + 1)
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or("a chunk size that is not one")
}

fn keeps_alive(value: &[u8], by_version: bool) -> bool {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).fold(by_version, |keep, word| {
        if word.eq_ignore_ascii_case(b"close") {
            false
        } else {
            keep || word.eq_ignore_ascii_case(b"keep-alive")
        }
    })
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
