//! Writes a response's head for the client.

use super::field::Field;
use super::{Response, ResponseBody, Version, write};

/// How the body is framed on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The length is known.
    Length(u64),
    /// In chunks; not for HTTP/1.0.
    Chunked,
    /// Until the connection closes, which is then announced.
    CloseDelimited,
    /// There is no body: the answer to `HEAD`, 1xx, 204, 304. A `Content-Length` that may stand there stays.
    None,
}

impl Framing {
    /// The framing for a body that is passed on as it comes.
    #[must_use]
    pub fn for_stream(body: ResponseBody, client: Version) -> Self {
        match (body, client) {
            (ResponseBody::None, _) => Framing::None,
            (ResponseBody::Length(length), _) => Framing::Length(length),
            (ResponseBody::Chunked | ResponseBody::UntilClose, Version::Http11) => Framing::Chunked,
            (ResponseBody::Chunked | ResponseBody::UntilClose, Version::Http10) => Framing::CloseDelimited,
        }
    }
}

/// The connection to the client, as far as the head depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downstream {
    /// The version of the request.
    pub client: Version,
    /// The connection stays open after this response.
    pub keep_alive: bool,
    /// How the body follows.
    pub framing: Framing,
}

impl Response<'_, '_> {
    /// Appends the head for the client to `out`, its empty last line included.
    ///
    /// An informational response must not go to an HTTP/1.0 client at all.
    pub fn write_downstream(&self, context: &Downstream, out: &mut Vec<u8>) {
        assert!(
            context.framing != Framing::Chunked || context.client == Version::Http11,
            "an HTTP/1.0 client is never sent chunks"
        );
        // Room for Content-Length and Connection.
        out.reserve(self.head_bytes + 64);
        out.extend_from_slice(b"HTTP/1.1 ");
        write::number(u64::from(self.status), 10, out);
        out.push(b' ');
        out.extend_from_slice(self.reason);
        out.extend_from_slice(b"\r\n");
        for header in self.headers {
            if self.is_kept(header.name) {
                write::field(header.name, header.value, out);
            }
        }
        self.write_framing(context.framing, out);
        self.write_connection(context, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the worker says itself which request this answers.
    pub fn names_request(&self) -> bool {
        self.headers.iter().any(|header| Field::of(header.name) == Field::RequestId)
    }

    #[inline]
    fn is_kept(&self, name: &str) -> bool {
        match Field::of(name) {
            Field::Connection
            | Field::ContentLength
            | Field::Dropped
            | Field::KeepAlive
            | Field::Te
            | Field::TransferEncoding => false,
            Field::Upgrade => self.names_protocols(),
            _ => !self.connection.names(name, self.headers),
        }
    }

    fn write_framing(&self, framing: Framing, out: &mut Vec<u8>) {
        match framing {
            Framing::Length(length) => write::content_length(length, out),
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::CloseDelimited => (),
            Framing::None => {
                // 1xx and 204 may not have one (RFC 9110 §8.6).
                if let Some(length) = self.content_length
                    && self.status >= 200
                    && self.status != 204
                {
                    write::content_length(length, out);
                }
            }
        }
    }

    fn write_connection(&self, context: &Downstream, out: &mut Vec<u8>) {
        if self.informational {
            return;
        }
        let close = !context.keep_alive || context.framing == Framing::CloseDelimited;
        let line: &[u8] = match (self.upgrade, self.names_protocols(), close) {
            (true, ..) | (false, true, false) => b"Connection: Upgrade\r\n",
            (false, true, true) => b"Connection: Upgrade, close\r\n",
            (false, false, true) => b"Connection: close\r\n",
            (false, false, false) if context.client == Version::Http10 => b"Connection: keep-alive\r\n",
            (false, false, false) => b"",
        };
        out.extend_from_slice(line);
    }

    /// 101 says which protocol follows, 426 which would do (RFC 9110 §15.5.22); elsewhere `Upgrade` is an
    /// advertisement for this hop.
    fn names_protocols(&self) -> bool {
        matches!(self.status, 101 | 426)
    }
}
