//! Reads the head of a worker's response, or says why it cannot be passed on.
//!
//! Workers are the user's own programs and are forgiven what does no harm: bare LF, a blank before the colon, a missing
//! reason. A response whose end is in doubt is refused, and where a sloppy worker could have been tricked into one, its
//! connection is not used again.

use std::time::Duration;

use httparse::Header;
use memchr::memchr_iter;

use super::connection::{Connection, TooManyOptions, list};
use super::field::Field;
use super::framing::{ResponseFraming, decimal};
use super::{HeaderSpace, Limits, RequestMethodKind, ResponseBody, Version};

/// Why a response cannot be passed on: the client gets 502, the worker's connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// Not `HTTP/1.x SP status`.
    #[error("the status line is malformed")]
    StatusLine,
    /// Not HTTP/1.0 and not HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// A field's name, value or line end is malformed, or a line is folded.
    #[error("a header field is malformed")]
    Header,
    /// The head is larger than allowed.
    #[error("the head is larger than allowed")]
    HeadTooLarge,
    /// More header fields than allowed.
    #[error("there are more header fields than allowed")]
    TooManyHeaders,
    /// Not a number, or two different ones.
    #[error("the Content-Length is malformed or contradicts itself")]
    ContentLength,
    /// Not exactly one `chunked`, or in HTTP/1.0.
    #[error("the Transfer-Encoding is not supported")]
    TransferEncoding,
    /// `Content-Length` and `Transfer-Encoding` together.
    #[error("Content-Length and Transfer-Encoding are given together")]
    LengthAndEncoding,
    /// 101 although no upgrade was offered.
    #[error("it switches protocols without being asked")]
    UnaskedUpgrade,
    /// The body's chunked coding is broken.
    #[error("the body is malformed: {0}")]
    Chunked(#[from] super::ChunkedError),
}

/// A response that may be passed on.
#[derive(Clone, Copy, Debug)]
pub struct Response<'h, 'b> {
    /// 100 to 999.
    pub status: u16,
    /// As the worker wrote it; may be empty.
    pub reason: &'b [u8],
    /// What the worker speaks.
    pub version: Version,
    /// Bytes from the beginning of the input to the first byte of the body.
    pub head_bytes: usize,
    /// All header fields as they came.
    pub headers: &'h [Header<'b>],
    /// How the body is framed.
    pub body: ResponseBody,
    /// The connection to the worker can be used again once the body has been read.
    pub keep_alive: bool,
    /// How long the worker keeps an idle connection (`Keep-Alive: timeout=5`).
    pub keep_alive_timeout: Option<Duration>,
    /// 1xx but not 101: the real answer is still to come.
    pub informational: bool,
    /// 101: the connection now speaks another protocol.
    pub upgrade: bool,
    /// The `Content-Length` that was given, also where there is no body (`HEAD`, 304).
    pub content_length: Option<u64>,
    pub(super) connection: Connection,
}

/// Reads the head of the response that begins with the first of `bytes`. `None`: more bytes are needed.
///
/// # Errors
/// The response cannot be passed on.
pub fn parse_response<'h, 'b>(
    bytes: &'b [u8],
    limits: &Limits,
    for_method: RequestMethodKind,
    space: &'h mut HeaderSpace<'b>,
) -> Result<Option<Response<'h, 'b>>, BadResponse> {
    let within = &bytes[..bytes.len().min(limits.head_bytes_max)];
    // The grammar would skip empty lines; after an earlier response they mean that its end was wrong.
    if within.first().is_some_and(|byte| *byte != b'H') {
        return Err(BadResponse::StatusLine);
    }
    let mut parsed = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    let head_bytes =
        match config.parse_response_with_uninit_headers(&mut parsed, within, space.within(limits)) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < limits.head_bytes_max => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(BadResponse::HeadTooLarge),
            Err(error) => return Err(grammar(error)),
        };
    let (Some(status @ 100..), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(BadResponse::StatusLine);
    };
    let head = &bytes[..head_bytes];
    let line = StatusLine { status, reason: reason(head), version: Version::of(minor) };
    let headers: &'h [Header<'b>] = parsed.headers;
    let mut response = Meaning::of(headers)?.response(line, headers, for_method)?;
    response.head_bytes = head_bytes;
    // A worker that copies a client's LF into a header lets the client write a second response.
    response.keep_alive &= !has_bare_line_feed(head);
    Ok(Some(response))
}

#[derive(Clone, Copy)]
struct StatusLine<'b> {
    status: u16,
    reason: &'b [u8],
    version: Version,
}

/// What the header fields say that matters here.
#[derive(Default)]
struct Meaning {
    framing: ResponseFraming,
    connection: Connection,
    keep_alive_timeout: Option<Duration>,
}

impl Meaning {
    #[inline]
    fn of(headers: &[Header<'_>]) -> Result<Self, BadResponse> {
        let mut meaning = Meaning::default();
        for header in headers {
            match Field::of(header.name) {
                Field::ContentLength => meaning.framing.content_length(header.value)?,
                Field::TransferEncoding => meaning.framing.transfer_encoding(header.value)?,
                Field::Connection => {
                    meaning.connection.add(header.value).map_err(|TooManyOptions| BadResponse::Header)?;
                }
                Field::KeepAlive => meaning.keep_alive_timeout = keep_alive_timeout(header.value),
                _ => (),
            }
        }
        Ok(meaning)
    }

    #[inline]
    fn response<'h, 'b>(
        self,
        line: StatusLine<'b>,
        headers: &'h [Header<'b>],
        kind: RequestMethodKind,
    ) -> Result<Response<'h, 'b>, BadResponse> {
        let StatusLine { status, reason, version } = line;
        let upgrade = status == 101;
        if upgrade && (kind != RequestMethodKind::Upgrade || version == Version::Http10) {
            return Err(BadResponse::UnaskedUpgrade);
        }
        let body = self.framing.decide(status, version, kind)?;
        let wanted = !self.connection.close && (version == Version::Http11 || self.connection.keep_alive);
        // Neither 1xx nor 204 may announce a body; a worker that does may also send it.
        let announced = (status < 200 || status == 204)
            && (self.framing.chunked || self.framing.length.is_some_and(|length| length > 0));
        Ok(Response {
            status,
            reason,
            version,
            head_bytes: 0,
            headers,
            body,
            keep_alive: wanted && body != ResponseBody::UntilClose && !announced && !upgrade,
            keep_alive_timeout: self.keep_alive_timeout,
            informational: status < 200 && !upgrade,
            upgrade,
            content_length: self.framing.length,
            connection: self.connection,
        })
    }
}

/// The rest of the status line behind `HTTP/1.1 200 `. httparse drops a reason with bytes beyond ASCII.
fn reason(head: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', head).unwrap_or(head.len());
    let line = head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]);
    line.get("HTTP/1.1 200 ".len()..).unwrap_or_default()
}

fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).any(|end| end == 0 || head[end - 1] != b'\r')
}

/// `timeout` of `Keep-Alive`, whole seconds.
fn keep_alive_timeout(value: &[u8]) -> Option<Duration> {
    list(value).find_map(|parameter| {
        let (name, seconds) = parameter.split_at_checked("timeout=".len())?;
        name.eq_ignore_ascii_case(b"timeout=").then(|| decimal(seconds).map(Duration::from_secs))?
    })
}

#[cold]
fn grammar(error: httparse::Error) -> BadResponse {
    match error {
        httparse::Error::Version => BadResponse::Version,
        httparse::Error::TooManyHeaders => BadResponse::TooManyHeaders,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => BadResponse::Header,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => {
            BadResponse::StatusLine
        }
    }
}
