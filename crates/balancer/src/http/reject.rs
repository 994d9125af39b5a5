//! Why a request was refused, and the answer its client gets.
//!
//! After a refusal the connection is always closed: where the next request would begin is not known.

use super::{Answer, AnswerTo, ChunkedError, Version};

/// Why a request was refused. The text is a fragment that the client reads after the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// More than two empty lines before a request.
    #[error("there are too many empty lines before the request")]
    EmptyLines,
    /// The first bytes cannot be a method. TLS on a plain port looks like this.
    #[error("this is not HTTP (a TLS client on a plain HTTP port?)")]
    NotHttp,
    /// HTTP on a port of TLS. Never found here: for the engine.
    #[error("this port speaks HTTPS: use https:// instead of http://")]
    NotTls,
    /// Not `method SP target SP version`.
    #[error("the request line is malformed")]
    RequestLine,
    /// A bare LF or CR.
    #[error("a line of the head does not end with CR LF")]
    LineEnd,
    /// A blank before the colon, an empty name, a folded line, a forbidden byte.
    #[error("the name of a header field is malformed")]
    HeaderName,
    /// A control character in a value.
    #[error("the value of a header field is malformed")]
    HeaderValue,
    /// A target that is none of the forms of RFC 9112 §3.2, or has forbidden characters.
    #[error("the request target is malformed")]
    Target,
    /// `.` or `..` in a path by which apps are told apart. Never found here: for the engine.
    #[error("the path has `.` or `..` as a segment, perhaps escaped: resolve it first")]
    DotSegments,
    /// HTTP/1.1 without `Host`.
    #[error("the Host header field is missing")]
    HostMissing,
    /// More than one `Host`.
    #[error("the Host header field is given more than once")]
    HostRepeated,
    /// A `Host` or an authority that is no host name or address.
    #[error("the host is malformed")]
    HostInvalid,
    /// A `Content-Length` that is not plain digits, or too large.
    #[error("the Content-Length is not a number")]
    ContentLength,
    /// More than one `Content-Length`, even when equal.
    #[error("the Content-Length is given more than once")]
    ContentLengthRepeated,
    /// `Content-Length` and `Transfer-Encoding` together.
    #[error("Content-Length and Transfer-Encoding are given together")]
    LengthAndEncoding,
    /// `Transfer-Encoding` that is not one `chunked`.
    #[error("the Transfer-Encoding is malformed")]
    TransferEncoding,
    /// `Transfer-Encoding` in HTTP/1.0.
    #[error("Transfer-Encoding is not allowed in HTTP/1.0")]
    TransferEncodingInHttp10,
    /// More names in `Connection` than anybody needs.
    #[error("the Connection header field names too many others")]
    ConnectionOptions,
    /// The body's chunked coding is broken.
    #[error("the body is malformed: {0}")]
    Chunked(#[from] ChunkedError),
    /// The body is larger than allowed. Never found here: for the engine.
    #[error("the body is larger than allowed")]
    BodyTooLarge,
    /// The target is longer than allowed.
    #[error("the request target is longer than allowed")]
    TargetTooLong,
    /// The head is larger than allowed.
    #[error("the head of the request is larger than allowed")]
    HeadTooLarge,
    /// More header fields than allowed.
    #[error("the request has more header fields than allowed")]
    TooManyHeaders,
    /// A transfer coding other than `chunked`.
    #[error("transfer codings other than chunked are not supported")]
    TransferCoding,
    /// `CONNECT`.
    #[error("the method CONNECT is not supported")]
    Connect,
    /// The preface of HTTP/2 on an HTTP/1.1 listener.
    #[error("this listener speaks HTTP/1.1, not HTTP/2")]
    Http2,
    /// Any other version than 1.0 and 1.1.
    #[error("this HTTP version is not supported")]
    Version,
}

impl Reject {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Reject::BodyTooLarge => 413,
            Reject::TargetTooLong => 414,
            Reject::HeadTooLarge
            | Reject::TooManyHeaders
            | Reject::Chunked(ChunkedError::TrailersTooLarge) => 431,
            Reject::TransferCoding | Reject::Connect => 501,
            Reject::Http2 | Reject::Version => 505,
            _ => 400,
        }
    }

    /// Writes the whole answer. The connection is to be closed after it.
    pub fn write_response(self, out: &mut Vec<u8>) {
        let text = self.to_string();
        let answer = Answer { status: self.status(), text: &text, retry_after: None, location: None };
        // The method of a refused request is not known, and the end of this answer is the end of the connection:
        // a body harms nobody.
        answer.write(&AnswerTo { head: false, version: Version::Http11, keep_alive: false }, out);
    }
}

#[cfg(test)]
mod tests {
    use super::Reject;

    #[track_caller]
    fn check(reject: Reject, expected: &str) {
        let mut out = Vec::new();
        reject.write_response(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace('\n', "\r\n").replace("|", "\n"));
    }

    #[test]
    fn refusal_says_why_and_closes() {
        check(
            Reject::Http2,
            "HTTP/1.1 505 HTTP Version Not Supported\n\
             Content-Type: text/plain; charset=utf-8\n\
             Cache-Control: no-store\n\
             Content-Length: 74\n\
             Connection: close\n\
             \n\
             505 HTTP Version Not Supported: this listener speaks HTTP/1.1, not HTTP/2|",
        );
    }
}
