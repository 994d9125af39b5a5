//! Finds the head of a request among the bytes that have come, before its grammar is looked at.
//!
//! By line ends alone. That settles that every line ends with CR LF (httparse would take a bare LF), and it keeps a head
//! that comes byte by byte from being parsed again with every byte.

use memchr::{memchr, memchr_iter};

use super::{Limits, Reject};

/// Empty lines that are skipped before a request (RFC 9112 §2.2).
const EMPTY_LINES_MAX: usize = 2;

/// Where a head begins and ends, its empty last line included.
pub(super) struct Extent {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Finds the head; `None` if it is not whole yet but may become a good one.
pub(super) fn find(bytes: &[u8], limits: &Limits) -> Result<Option<Extent>, Reject> {
    let Some(start) = skip_empty_lines(bytes)? else { return Ok(None) };
    if is_binary(bytes[start]) {
        return Err(Reject::NotHttp);
    }
    let within = &bytes[..bytes.len().min(limits.head_bytes_max)];
    if let Some(end) = find_end(within, start)? {
        return Ok(Some(Extent { start, end }));
    }
    check_beginning(within.get(start..).unwrap_or_default(), limits)?;
    if bytes.len() >= limits.head_bytes_max { Err(Reject::HeadTooLarge) } else { Ok(None) }
}

/// Where the request line begins; `None` if only empty lines are there yet.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, Reject> {
    let mut start = 0;
    loop {
        match &bytes[start..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if start == EMPTY_LINES_MAX * 2 => return Err(Reject::EmptyLines),
            [b'\r', b'\n', ..] => start += 2,
            [b'\r' | b'\n', ..] => return Err(Reject::LineEnd),
            _ => return Ok(Some(start)),
        }
    }
}

/// The index behind the empty line that ends the head.
fn find_end(bytes: &[u8], start: usize) -> Result<Option<usize>, Reject> {
    let mut line = start;
    for end in memchr_iter(b'\n', &bytes[start.min(bytes.len())..]) {
        let end = start + end;
        if end == line || bytes[end - 1] != b'\r' {
            return Err(Reject::LineEnd);
        }
        if end - line == 1 {
            return Ok(Some(end + 1));
        }
        line = end + 1;
    }
    Ok(None)
}

/// Refuses a head that is not whole yet, if its first line shows that it will never be accepted.
fn check_beginning(bytes: &[u8], limits: &Limits) -> Result<(), Reject> {
    if let Some(end) = memchr(b'\n', bytes) {
        let line = &bytes[..=end];
        return match httparse::Request::new(&mut []).parse(line) {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal(error, line)),
        };
    }
    let method_end = memchr(b' ', bytes).unwrap_or(bytes.len());
    if !bytes[..method_end].iter().all(|byte| is_token_byte(*byte)) {
        return Err(Reject::RequestLine);
    }
    let target = bytes.get(method_end + 1..).unwrap_or_default();
    let target_bytes = memchr(b' ', target).unwrap_or(target.len());
    if target_bytes > limits.target_bytes_max { Err(Reject::TargetTooLong) } else { Ok(()) }
}

/// Whether a request cannot begin like this but the first message of another protocol can.
fn is_binary(byte: u8) -> bool {
    !byte.is_ascii_graphic() && byte != b' ' && byte != b'\t'
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Translates what httparse found.
#[cold]
pub(super) fn refusal(error: httparse::Error, head: &[u8]) -> Reject {
    match error {
        httparse::Error::HeaderName => Reject::HeaderName,
        httparse::Error::HeaderValue => Reject::HeaderValue,
        httparse::Error::TooManyHeaders => Reject::TooManyHeaders,
        httparse::Error::NewLine => Reject::LineEnd,
        httparse::Error::Version => version(head),
        httparse::Error::Token | httparse::Error::Status => Reject::RequestLine,
    }
}

/// Tells a version that is not spoken from something that is no version at all.
fn version(head: &[u8]) -> Reject {
    if head.starts_with(b"PRI * HTTP/2.0\r\n") {
        return Reject::Http2;
    }
    let line = &head[..memchr(b'\r', head).unwrap_or(head.len())];
    match line.split(|byte| *byte == b' ').nth(2) {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Reject::Version
        }
        _ => Reject::RequestLine,
    }
}
