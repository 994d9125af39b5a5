//! Reads what the engine writes for a client, HTTP/1.1, and says what that is in HTTP/2. Pure.

use http::{Response, StatusCode};

use super::body::{Body, LIMITS, Piece, Untranslatable, append};
use crate::http::{ChunkedReader, HeaderSpace, RequestMethodKind, ResponseBody, parse_response};

/// What comes next for the client.
#[derive(Debug)]
pub(super) enum Part {
    /// 1xx: the answer is still to come.
    Informational(Response<()>),
    /// The head of the answer; `true`: that is all of it.
    Head(Response<()>, bool),
    Body(Piece),
}

/// One answer, as far as it has been read.
#[derive(Debug)]
pub(super) struct Answer {
    kind: RequestMethodKind,
    /// A head that is not whole yet.
    head: Vec<u8>,
    /// Once the head is.
    body: Option<Body>,
}

impl Answer {
    pub(super) fn new(kind: RequestMethodKind) -> Self {
        Self { kind, head: Vec::new(), body: None }
    }

    /// Its end is that of the engine's writing.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.body, Some(Body::Open))
    }

    /// Reads all of `bytes`.
    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Part),
    ) -> Result<(), Untranslatable> {
        while !bytes.is_empty() && !self.body.as_ref().is_some_and(Body::is_done) {
            let consumed = match &mut self.body {
                None => self.read_head(bytes, &mut each)?,
                Some(body) => body.read(bytes, &mut |piece| each(Part::Body(piece)))?,
            };
            bytes = &bytes[consumed..];
        }
        Ok(())
    }

    fn read_head(&mut self, bytes: &[u8], each: &mut impl FnMut(Part)) -> Result<usize, Untranslatable> {
        let known = self.head.len();
        self.head.extend_from_slice(bytes);
        let mut space = HeaderSpace::new();
        let Some(head) = parse_response(&self.head, &LIMITS, self.kind, &mut space)? else {
            return Ok(bytes.len());
        };
        let consumed = head.head_bytes - known;
        let status = match (head.upgrade, head.status) {
            // The answer to a CONNECT that has been granted (RFC 8441 §5).
            (true, _) => 200,
            // A worker that knows no such protocol answers as it would without one; to a CONNECT this would say yes.
            (false, 200..300) if self.kind == RequestMethodKind::Upgrade => 502,
            (false, status) => status,
        };
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).map_err(|_| Untranslatable::Field)?;
        head.headers.iter().try_for_each(|header| append(response.headers_mut(), header))?;
        if head.upgrade {
            // The proof of a handshake that the client has not made.
            response.headers_mut().remove("sec-websocket-accept");
        }
        if head.informational {
            each(Part::Informational(response));
        } else {
            let body = match head.body {
                _ if head.upgrade => Body::Open,
                ResponseBody::None => Body::Done,
                ResponseBody::Length(length) => Body::of_length(length),
                ResponseBody::Chunked => Body::Chunked(ChunkedReader::new()),
                ResponseBody::UntilClose => Body::Open,
            };
            each(Part::Head(response, body.is_done()));
            self.body = Some(body);
        }
        self.head = Vec::new();
        Ok(consumed)
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
