//! Where a body ends (RFC 9112 §6.3).
//!
//! Requests are judged strictly: whatever another server could read differently is refused. Responses come from the
//! user's own programs, so equal repeated lengths are forgiven, but never anything whose end is in doubt.

use super::connection::list;
use super::{BadResponse, Reject, RequestMethodKind, Version};

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// No `Content-Length` and no `Transfer-Encoding`: no body.
    None,
    /// This many bytes; may be 0.
    Length(u64),
    /// Chunks, to be read with a [`ChunkedReader`](super::ChunkedReader).
    Chunked,
}

/// How the body of a response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// None, whatever the head says: the answer to `HEAD`, 1xx, 204, 304.
    None,
    /// This many bytes; may be 0.
    Length(u64),
    /// Chunks, to be read with a [`ChunkedReader`](super::ChunkedReader).
    Chunked,
    /// Everything until the worker closes.
    UntilClose,
}

/// Gathers the framing fields of a request.
#[derive(Default)]
pub(super) struct RequestFraming {
    length: Option<u64>,
    chunked: bool,
}

impl RequestFraming {
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.length.is_some() {
            return Err(Reject::ContentLengthRepeated);
        }
        self.length = Some(decimal(value).ok_or(Reject::ContentLength)?);
        Ok(())
    }

    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.chunked {
            return Err(Reject::TransferEncoding);
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let unknown = list(value).any(|coding| !coding.eq_ignore_ascii_case(b"chunked"));
        Err(if unknown { Reject::TransferCoding } else { Reject::TransferEncoding })
    }

    pub(super) fn decide(&self, version: Version) -> Result<Body, Reject> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Reject::LengthAndEncoding),
            (None, true) if version == Version::Http10 => Err(Reject::TransferEncodingInHttp10),
            (None, true) => Ok(Body::Chunked),
            (Some(length), false) => Ok(Body::Length(length)),
            (None, false) => Ok(Body::None),
        }
    }
}

/// Gathers the framing fields of a response.
#[derive(Default)]
pub(super) struct ResponseFraming {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
}

impl ResponseFraming {
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), BadResponse> {
        let length = decimal(value).ok_or(BadResponse::ContentLength)?;
        match self.length.replace(length) {
            Some(earlier) if earlier != length => Err(BadResponse::ContentLength),
            _ => Ok(()),
        }
    }

    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), BadResponse> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(BadResponse::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    pub(super) fn decide(
        &self,
        status: u16,
        version: Version,
        kind: RequestMethodKind,
    ) -> Result<ResponseBody, BadResponse> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(BadResponse::LengthAndEncoding),
            (None, true) if version == Version::Http10 => Err(BadResponse::TransferEncoding),
            _ if kind == RequestMethodKind::Head || status < 200 || matches!(status, 204 | 304) => {
                Ok(ResponseBody::None)
            }
            (None, true) => Ok(ResponseBody::Chunked),
            (Some(length), false) => Ok(ResponseBody::Length(length)),
            (None, false) => Ok(ResponseBody::UntilClose),
        }
    }
}

/// Digits only; `None` for anything else and for more than 64 bits hold.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn only_digits_are_a_length() {
        let accepted: &[(&[u8], u64)] =
            &[(b"0", 0), (b"5", 5), (b"007", 7), (b"18446744073709551615", u64::MAX)];
        for (text, number) in accepted {
            assert_eq!(decimal(text), Some(*number));
        }
        let refused: &[&[u8]] = &[
            b"",
            b"+5",
            b"-1",
            b" 5",
            b"5 ",
            b"5,5",
            b"0x5",
            b"1e3",
            b"5.0",
            b"18446744073709551616",
            b"\xb2",
        ];
        for text in refused {
            assert_eq!(decimal(text), None, "{}", text.escape_ascii());
        }
    }
}
