//! Writes a request's head for the worker (RFC 9110 §7.6).
//!
//! Fields of this hop go, framing is written anew, and who the client is stands in `Forwarded` (RFC 7239) and in
//! `X-Forwarded-*`. What the client itself says there is believed only if the user told us to trust what comes in.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::field::Field;
use super::{Body, Reject, Request, Version, patience, write};

/// About what the fields take that are added to a head.
const ADDED_BYTES: usize = 256;

const FORWARDED: &[u8] = b"Forwarded: ";
const X_FORWARDED_FOR: &[u8] = b"X-Forwarded-For: ";

/// A client's address in the forms that header fields need, made once per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientText {
    /// `for="192.0.2.1:5678"`
    forwarded: String,
    /// Where in it `192.0.2.1` stands.
    address: Range<usize>,
}

impl ClientText {
    /// The address without the port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.forwarded[self.address.clone()]
    }

    /// The texts for `client`. An IPv4 address inside an IPv6 one is written as IPv4.
    #[must_use]
    pub fn new(client: SocketAddr) -> Self {
        let address = client.ip().to_canonical();
        let forwarded = format!("for=\"{}\"", SocketAddr::new(address, client.port()));
        let (before, after) = if address.is_ipv6() { ("for=\"[", "]:") } else { ("for=\"", ":") };
        let end = forwarded.rfind(after).expect("the port stands behind it");
        Self { forwarded, address: before.len()..end }
    }
}

/// How the client reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What is said to the worker about the client and the connection.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// `None` for a client without an address (a Unix socket).
    pub client: Option<&'a ClientText>,
    /// How the client reached us.
    pub scheme: Scheme,
    /// What is known of the certificate that the client has shown: whole fields. Empty if it has shown none.
    pub certificate: &'a [u8],
    /// Whoever connects is another proxy of the user's: its `Forwarded`, `X-Forwarded-*`, `X-Real-IP` and `Client-Cert` are
    /// kept, and ours appended. Otherwise theirs are dropped.
    pub trust: bool,
    /// The id of the request. `None`: what the client says is passed on like any field.
    pub request_id: Option<&'a str>,
    /// The value of `traceparent` for a request that belongs to no trace yet.
    pub traceparent: Option<&'a str>,
    /// Ask the worker to close after this request.
    pub close: bool,
}

impl Request<'_, '_> {
    /// Appends the head for the worker to `out`, its empty last line included.
    ///
    /// `Expect: 100-continue` is passed on; a worker's 100 is for the client.
    ///
    /// Returns where the time stands in `out` that the worker has ([`write_timeout`](super::write_timeout)), if the client
    /// has said how long it waits.
    pub fn write_forward(&self, context: &Forward<'_>, out: &mut Vec<u8>) -> Option<usize> {
        out.reserve(self.head_bytes + ADDED_BYTES);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        self.target.write_origin(self.method, out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        // HTTP/1.1 demands a Host from us even where HTTP/1.0 did not from the client.
        write::field("Host", self.host.unwrap_or_default(), out);
        for header in self.headers {
            if self.is_kept(header.name, context) {
                write::field(header.name, header.value, out);
            }
        }
        self.write_framing(out);
        self.write_connection(context, out);
        self.write_x_forwarded(context, out);
        self.write_forwarded(context, out);
        out.extend_from_slice(context.certificate);
        self.write_names(context, out);
        let timeout = self.timeout.map(|_| patience::write_room(out));
        out.extend_from_slice(b"\r\n");
        timeout
    }

    /// Appends where the same request goes under `https`.
    ///
    /// # Errors
    /// The client did not say which host it means.
    pub fn write_location(&self, port: u16, out: &mut Vec<u8>) -> Result<(), Reject> {
        let host = self.host.filter(|host| !host.is_empty()).ok_or(Reject::HostMissing)?;
        // A port follows the last colon, unless that stands in the brackets of an IPv6 address.
        let end = host.iter().rposition(|byte| *byte == b':').filter(|at| !host[*at..].contains(&b']'));
        out.extend_from_slice(b"https://");
        out.extend_from_slice(&host[..end.unwrap_or(host.len())]);
        if port != 443 {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        self.write_location_behind("", out);
        Ok(())
    }

    /// Appends the path and query of the request behind `place`, which ends without `/`.
    pub fn write_location_behind(&self, place: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(place.as_bytes());
        let path = out.len();
        self.target.write_origin(self.method, out);
        // `OPTIONS *` asks the whole server.
        if out.get(path) != Some(&b'/') {
            out.insert(path, b'/');
        }
    }

    /// The client as the last proxy in front has seen it: to be believed only if that is the user's.
    #[must_use]
    pub fn forwarded_for(&self) -> Option<IpAddr> {
        let mut fields = self.headers.iter().rev();
        let field = fields.find(|header| Field::of(header.name) == Field::ForwardedFor)?;
        std::str::from_utf8(field.value).ok()?.rsplit(',').next()?.trim().parse().ok()
    }

    #[inline]
    fn is_kept(&self, name: &str, context: &Forward<'_>) -> bool {
        match Field::of(name) {
            Field::Other | Field::IdempotencyKey | Field::Trailer => {
                !self.connection.names(name, self.headers)
            }
            // An HTTP/1.0 client does not understand the 100 it would cause.
            Field::Expect => self.version == Version::Http11,
            Field::Upgrade => self.upgrade,
            Field::ForwardedHost | Field::ForwardedProto | Field::ForwardedOther => context.trust,
            Field::ClientCertificate => context.trust && context.certificate.is_empty(),
            Field::RequestId => context.request_id.is_none() && !self.connection.names(name, self.headers),
            Field::TraceParent | Field::TraceState => self.trace_id.is_some(),
            // Written anew below.
            Field::Host
            | Field::RequestTimeout
            | Field::ContentLength
            | Field::TransferEncoding
            | Field::Connection
            | Field::Te
            | Field::Forwarded
            | Field::ForwardedFor => false,
            Field::KeepAlive | Field::Dropped | Field::LookAlike => false,
        }
    }

    fn write_framing(&self, out: &mut Vec<u8>) {
        match self.body {
            Body::None => (),
            Body::Length(length) => write::content_length(length, out),
            Body::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
    }

    fn write_connection(&self, context: &Forward<'_>, out: &mut Vec<u8>) {
        let line: &[u8] = match (self.upgrade, context.close, self.accepts_trailers) {
            (true, _, false) => b"Connection: Upgrade\r\n",
            (true, _, true) => b"Connection: Upgrade, TE\r\nTE: trailers\r\n",
            (false, true, false) => b"Connection: close\r\n",
            (false, true, true) => b"Connection: close, TE\r\nTE: trailers\r\n",
            (false, false, true) => b"Connection: TE\r\nTE: trailers\r\n",
            (false, false, false) => b"",
        };
        out.extend_from_slice(line);
    }

    fn write_x_forwarded(&self, context: &Forward<'_>, out: &mut Vec<u8>) {
        let mut begun = self.write_trusted(context, Field::ForwardedFor, out);
        if let Some(client) = context.client {
            out.extend_from_slice(if begun { &b", "[..] } else { X_FORWARDED_FOR });
            out.extend_from_slice(client.address().as_bytes());
            begun = true;
        }
        if begun {
            out.extend_from_slice(b"\r\n");
        }
        if !(context.trust && self.has(Field::ForwardedProto)) {
            write::field("X-Forwarded-Proto", context.scheme.as_str().as_bytes(), out);
        }
        if let Some(host) = self.host
            && !host.is_empty()
            && !(context.trust && self.has(Field::ForwardedHost))
        {
            write::field("X-Forwarded-Host", host, out);
        }
    }

    fn write_forwarded(&self, context: &Forward<'_>, out: &mut Vec<u8>) {
        let begun = self.write_trusted(context, Field::Forwarded, out);
        if context.client.is_none() && begun {
            // Another proxy came over a Unix socket: its last word about the client stays the last word.
            out.extend_from_slice(b"\r\n");
            return;
        }
        out.extend_from_slice(if begun { &b", "[..] } else { FORWARDED });
        if let Some(client) = context.client {
            out.extend_from_slice(client.forwarded.as_bytes());
            out.push(b';');
        }
        if let Some(host) = self.host
            && !host.is_empty()
        {
            out.extend_from_slice(b"host=\"");
            out.extend_from_slice(host);
            out.extend_from_slice(b"\";");
        }
        out.extend_from_slice(b"proto=");
        out.extend_from_slice(context.scheme.as_str().as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn write_names(&self, context: &Forward<'_>, out: &mut Vec<u8>) {
        if let Some(id) = context.request_id {
            write::field("X-Request-Id", id.as_bytes(), out);
        }
        if let Some(start) = context.traceparent
            && self.trace_id.is_none()
        {
            write::field("traceparent", start.as_bytes(), out);
        }
    }

    /// Begins the line of `field` with its incoming values, joined to one list, if they are trusted. Tells whether
    /// there were any.
    fn write_trusted(&self, context: &Forward<'_>, field: Field, out: &mut Vec<u8>) -> bool {
        let beginning: &[u8] = if field == Field::Forwarded { FORWARDED } else { X_FORWARDED_FOR };
        let mut begun = false;
        if context.trust {
            for header in self.headers.iter().filter(|header| Field::of(header.name) == field) {
                if !header.value.is_empty() {
                    out.extend_from_slice(if begun { &b", "[..] } else { beginning });
                    out.extend_from_slice(header.value);
                    begun = true;
                }
            }
        }
        begun
    }

    fn has(&self, field: Field) -> bool {
        self.headers.iter().any(|header| Field::of(header.name) == field)
    }
}
