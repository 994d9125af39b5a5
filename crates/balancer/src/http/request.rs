//! Reads the head of a request, or says why it is refused.
//!
//! `head.rs` finds the whole head, httparse takes it apart, this file judges what it means.

use std::time::Duration;

use httparse::Header;

use super::connection::{Connection, TooManyOptions, list};
use super::field::Field;
use super::framing::RequestFraming;
use super::head::{self, Extent};
use super::target::is_host;
use super::trace::{self, Single};
use super::{Body, HeaderSpace, Limits, Method, Reject, RequestMethodKind, Target, patience};

/// The version in a start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    pub(super) fn of(minor: u8) -> Self {
        if minor == 0 { Version::Http10 } else { Version::Http11 }
    }
}

/// A request that may be passed on.
#[derive(Clone, Copy, Debug)]
pub struct Request<'h, 'b> {
    /// What is to be done.
    pub method: Method<'b>,
    /// To what.
    pub target: Target<'b>,
    /// What the client speaks.
    pub version: Version,
    /// Bytes from the beginning of the input to the first byte of the body, skipped empty lines included.
    pub head_bytes: usize,
    /// All header fields as they came.
    pub headers: &'h [Header<'b>],
    /// The host that counts: of an absolute target, else of `Host`. May be empty; `None` only in HTTP/1.0.
    pub host: Option<&'b [u8]>,
    /// How the body is framed.
    pub body: Body,
    /// The client wants to keep the connection.
    pub keep_alive: bool,
    /// The client offers another protocol, and it may be passed on: HTTP/1.1, `Connection: upgrade`, no body, and
    /// not HTTP/2, which would let requests pass unseen.
    pub upgrade: bool,
    /// The offered protocol is WebSocket.
    pub upgrade_websocket: bool,
    /// The client waits for 100 before it sends the body (HTTP/1.1 only).
    pub expect_continue: bool,
    /// `Idempotency-Key` is there: the request may be sent again although its method is not idempotent.
    pub idempotency_key: bool,
    /// `TE: trailers`.
    pub accepts_trailers: bool,
    /// `X-Request-Id`, if there is one of harmless letters.
    pub request_id: Option<&'b str>,
    /// The id of the trace that a well-formed `traceparent` names.
    pub trace_id: Option<&'b str>,
    /// `X-Request-Timeout`: how long the client waits.
    pub timeout: Option<Duration>,
    pub(super) connection: Connection,
}

impl Request<'_, '_> {
    /// What [`parse_response`](super::parse_response) has to know about this request.
    #[must_use]
    pub fn kind(&self) -> RequestMethodKind {
        match self.method {
            Method::Head => RequestMethodKind::Head,
            _ if self.upgrade => RequestMethodKind::Upgrade,
            _ => RequestMethodKind::Other,
        }
    }
}

/// Reads the head of the request that begins with the first of `bytes`. `None`: more bytes are needed.
///
/// Each call costs no more than one pass over `bytes`, and stops at the end of the head.
///
/// # Errors
/// The request is refused; the rest of the connection cannot be used.
pub fn parse_request<'h, 'b>(
    bytes: &'b [u8],
    limits: &Limits,
    space: &'h mut HeaderSpace<'b>,
) -> Result<Option<Request<'h, 'b>>, Reject> {
    let Some(Extent { start, end }) = head::find(bytes, limits)? else { return Ok(None) };
    let head = &bytes[start..end];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, space.within(limits)) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => (),
        Ok(_) => return Err(Reject::RequestLine),
        Err(error) => return Err(head::refusal(error, head)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Reject::RequestLine);
    };
    if target.len() > limits.target_bytes_max {
        return Err(Reject::TargetTooLong);
    }
    if method == "CONNECT" {
        return Err(Reject::Connect);
    }
    let method = Method::of(method);
    let target = Target::parse(target, method)?;
    let line = Line { method, target, version: Version::of(minor) };
    let headers: &'h [Header<'b>] = parsed.headers;
    Meaning::of(headers)?.request(line, headers, end).map(Some)
}

#[derive(Clone, Copy)]
struct Line<'b> {
    method: Method<'b>,
    target: Target<'b>,
    version: Version,
}

/// What the header fields say that matters here.
#[derive(Default)]
struct Meaning<'b> {
    framing: RequestFraming,
    connection: Connection,
    host: Option<&'b [u8]>,
    upgrade: Offer,
    expect_continue: bool,
    idempotency_key: bool,
    accepts_trailers: bool,
    request_id: Single<'b>,
    traceparent: Single<'b>,
    timeout: Single<'b>,
}

impl<'b> Meaning<'b> {
    #[inline]
    fn of(headers: &[Header<'b>]) -> Result<Self, Reject> {
        let mut meaning = Meaning::default();
        for header in headers {
            match Field::of(header.name) {
                Field::ContentLength => meaning.framing.content_length(header.value)?,
                Field::TransferEncoding => meaning.framing.transfer_encoding(header.value)?,
                Field::Connection => {
                    let added = meaning.connection.add(header.value);
                    added.map_err(|TooManyOptions| Reject::ConnectionOptions)?;
                }
                Field::Host if meaning.host.is_some() => return Err(Reject::HostRepeated),
                Field::Host if !is_host(header.value) => return Err(Reject::HostInvalid),
                Field::Host => meaning.host = Some(header.value),
                Field::Upgrade => meaning.upgrade.add(header.value),
                Field::Expect => {
                    meaning.expect_continue |= header.value.eq_ignore_ascii_case(b"100-continue");
                }
                Field::IdempotencyKey => meaning.idempotency_key |= !header.value.is_empty(),
                Field::Te => {
                    meaning.accepts_trailers |=
                        list(header.value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
                }
                Field::RequestId => meaning.request_id.add(header.value),
                Field::TraceParent => meaning.traceparent.add(header.value),
                Field::RequestTimeout => meaning.timeout.add(header.value),
                _ => (),
            }
        }
        Ok(meaning)
    }

    #[inline]
    fn request<'h>(
        self,
        line: Line<'b>,
        headers: &'h [Header<'b>],
        head_bytes: usize,
    ) -> Result<Request<'h, 'b>, Reject> {
        let Line { method, target, version } = line;
        let modern = version == Version::Http11;
        if modern && self.host.is_none() {
            return Err(Reject::HostMissing);
        }
        let host = match target {
            Target::Absolute { authority, .. } => Some(authority.as_bytes()),
            Target::Origin(_) | Target::Asterisk => self.host,
        };
        let body = self.framing.decide(version)?;
        let upgrade = modern
            && self.connection.upgrade
            && self.upgrade.may_pass()
            && body == Body::None
            && method != Method::Head;
        let keep_alive = !self.connection.close && (modern || self.connection.keep_alive);
        Ok(Request {
            method,
            target,
            version,
            head_bytes,
            headers,
            host,
            body,
            keep_alive,
            upgrade,
            upgrade_websocket: upgrade && self.upgrade.websocket,
            expect_continue: modern && self.expect_continue,
            idempotency_key: self.idempotency_key,
            accepts_trailers: self.accepts_trailers,
            request_id: self.request_id.get().and_then(trace::request_id),
            trace_id: self.traceparent.get().and_then(trace::trace_id),
            timeout: self.timeout.get().and_then(patience::read),
            connection: self.connection,
        })
    }
}

/// The protocols of `Upgrade`.
#[derive(Default)]
struct Offer {
    any: bool,
    websocket: bool,
    /// `h2c` and other forms of HTTP and TLS: requests inside them would bypass every rule here.
    http: bool,
}

impl Offer {
    fn add(&mut self, value: &[u8]) {
        for protocol in list(value) {
            let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
            self.any = true;
            self.websocket |= name.eq_ignore_ascii_case(b"websocket");
            self.http |=
                [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|known| name.eq_ignore_ascii_case(known));
        }
    }

    fn may_pass(&self) -> bool {
        self.any && !self.http
    }
}
