//! A request of HTTP/2 as the head of HTTP/1.1 that the engine reads, or why it is malformed (RFC 9113 §8.2, §8.3).
//!
//! Pure. What could be read in two ways on the other side of the translation is refused here; what is only wrong in itself (a
//! host that is no host, too many fields) the engine refuses with an answer that says so, as it does for HTTP/1.1.

use h2::ext::Protocol;
use http::header::{COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::body::is_of_connections;
use crate::http::RequestMethodKind;

/// Why a request is malformed. Its stream is reset with `PROTOCOL_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// Neither a path nor, in `OPTIONS`, an asterisk.
    #[error("the path is neither absolute nor an asterisk")]
    Path,
    /// `:authority` and `Host` name different hosts.
    #[error("the authority and the Host header field differ")]
    Authority,
    /// A field that says something about a connection.
    #[error("a header field is for connections of HTTP/1.1 only")]
    ConnectionField,
    /// A value with blanks around it or control characters in it.
    #[error("the value of a header field is malformed")]
    Value,
    /// Not one number, or another than what follows shows.
    #[error("the content-length is malformed")]
    ContentLength,
}

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing.
    None,
    /// Bytes, as many as the head says.
    Plain,
    /// Bytes that are to be put into chunks, and perhaps trailers.
    Chunked,
    /// Bytes of another protocol (RFC 8441).
    Tunnel,
}

/// A request, translated.
#[derive(Debug)]
pub(crate) struct Translated {
    pub(crate) head: Vec<u8>,
    pub(crate) content: Content,
    pub(crate) kind: RequestMethodKind,
}

/// Translates a request. `ended`: nothing follows its head. `nonce` is what a WebSocket handshake of HTTP/1.1 needs and one of
/// HTTP/2 does not.
pub(crate) fn translate(
    request: &Request<()>,
    ended: bool,
    nonce: impl FnOnce() -> String,
) -> Result<Translated, Malformed> {
    let websocket =
        request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    let fields = request.headers();
    let mut head = Vec::with_capacity(512);
    let content = if websocket { Content::Tunnel } else { content(fields, ended)? };
    let method = if websocket { "GET" } else { request.method().as_str() };
    write_line(method, request.uri(), request.method() == Method::CONNECT && !websocket, &mut head)?;
    write_host(request.uri(), fields, &mut head)?;
    for (name, value) in fields {
        if is_translated(name, content)? {
            write(name.as_str(), trimmed(value)?, &mut head);
        }
    }
    write_cookies(fields, &mut head)?;
    match content {
        Content::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Content::Tunnel => {
            head.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ");
            head.extend_from_slice(nonce().as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        Content::None | Content::Plain => (),
    }
    head.extend_from_slice(b"\r\n");
    let kind = match (websocket, request.method()) {
        (true, _) => RequestMethodKind::Upgrade,
        (false, &Method::HEAD) => RequestMethodKind::Head,
        (false, _) => RequestMethodKind::Other,
    };
    Ok(Translated { head, content, kind })
}

/// `connect`: a tunnel that is not offered. The engine says so.
fn write_line(method: &str, uri: &Uri, connect: bool, head: &mut Vec<u8>) -> Result<(), Malformed> {
    let target = if connect {
        uri.authority().map_or("", |authority| authority.as_str())
    } else {
        uri.path_and_query().map_or("", |path| path.as_str())
    };
    // Anything else could be read as an address with a host of its own, or as the end of the line.
    let known = connect || target.starts_with('/') || target == "*";
    if !known || target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(Malformed::Path);
    }
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

fn write_host(uri: &Uri, fields: &HeaderMap, head: &mut Vec<u8>) -> Result<(), Malformed> {
    let Some(authority) = uri.authority() else {
        // None or several: the engine refuses it.
        return fields
            .get_all(HOST)
            .iter()
            .try_for_each(|host| trimmed(host).map(|host| write("host", host, head)));
    };
    let authority = authority.as_str().as_bytes();
    if fields.get_all(HOST).iter().any(|host| !host.as_bytes().eq_ignore_ascii_case(authority)) {
        return Err(Malformed::Authority);
    }
    write("host", authority, head);
    Ok(())
}

/// Clients send each cookie in a field of its own; programs that speak HTTP/1.1 expect one field (RFC 9113 §8.2.3).
fn write_cookies(fields: &HeaderMap, head: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut cookies = fields.get_all(COOKIE).iter();
    let Some(first) = cookies.next() else { return Ok(()) };
    head.extend_from_slice(b"cookie: ");
    head.extend_from_slice(trimmed(first)?);
    for cookie in cookies {
        head.extend_from_slice(b"; ");
        head.extend_from_slice(trimmed(cookie)?);
    }
    head.extend_from_slice(b"\r\n");
    Ok(())
}

fn content(fields: &HeaderMap, ended: bool) -> Result<Content, Malformed> {
    let mut lengths = fields.get_all("content-length").iter();
    let length = match (lengths.next(), lengths.next()) {
        (Some(length), None) if is_number(length.as_bytes()) => Some(length.as_bytes()),
        (None, _) => None,
        _ => return Err(Malformed::ContentLength),
    };
    match (length, ended) {
        (Some(length), true) if length.iter().any(|digit| *digit != b'0') => Err(Malformed::ContentLength),
        (_, true) => Ok(Content::None),
        // Trailers that were not announced would be lost; those who announce them want them.
        (Some(_), false) if !fields.contains_key("trailer") => Ok(Content::Plain),
        (_, false) => Ok(Content::Chunked),
    }
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Whether a field is written as it came. Those of this list that are for connections are refused by `h2` already.
fn is_translated(name: &HeaderName, content: Content) -> Result<bool, Malformed> {
    match name.as_str() {
        _ if is_of_connections(name) => Err(Malformed::ConnectionField),
        "content-length" => Ok(matches!(content, Content::None | Content::Plain)),
        "sec-websocket-key" => Ok(content != Content::Tunnel),
        // With nothing to follow nobody waits.
        _ if name == EXPECT => Ok(matches!(content, Content::Plain | Content::Chunked)),
        _ => Ok(name != HOST && name != COOKIE),
    }
}

/// The fields that end a body, a line each.
pub(crate) fn trailers(fields: &HeaderMap) -> Result<Vec<u8>, Malformed> {
    let mut lines = Vec::new();
    for (name, value) in fields {
        write(name.as_str(), trimmed(value)?, &mut lines);
    }
    Ok(lines)
}

/// A value that has no blanks around it. That it has no line end in it is a rule of its type, and checked again: it is what
/// requests are smuggled with.
fn trimmed(value: &HeaderValue) -> Result<&[u8], Malformed> {
    let bytes = value.as_bytes();
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    if is_blank(bytes.first()) || is_blank(bytes.last()) || bytes.iter().any(is_control) {
        return Err(Malformed::Value);
    }
    Ok(bytes)
}

fn write(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
