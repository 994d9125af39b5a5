//! Reads what the engine writes for a worker, HTTP/1.1, and says what that is in HTTP/2. Pure.

use http::{HeaderMap, Request, Uri};

use super::body::{Body, LIMITS, Piece, Untranslatable, append};
use crate::http::{self as http1, ChunkedReader, HeaderSpace, Target, parse_request};

/// What comes next for the worker.
#[derive(Debug)]
pub(super) enum Part {
    /// The head; `true`: that is all of the request.
    Head(Request<()>, bool),
    Body(Piece),
}

/// One request, as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// A head that is not whole yet.
    head: Vec<u8>,
    /// Once the head is.
    body: Option<Body>,
}

impl Question {
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
        let Some(head) = parse_request(&self.head, &LIMITS, &mut space)? else { return Ok(bytes.len()) };
        let consumed = head.head_bytes - known;
        let body = match head.body {
            http1::Body::None => Body::Done,
            http1::Body::Length(length) => Body::of_length(length),
            http1::Body::Chunked => Body::Chunked(ChunkedReader::new()),
        };
        each(Part::Head(request(&head)?, body.is_done()));
        self.body = Some(body);
        self.head = Vec::new();
        Ok(consumed)
    }
}

/// The offer of another protocol is left out with the fields of connections: a worker that is spoken to in HTTP/2 gets none.
fn request(head: &http1::Request<'_, '_>) -> Result<Request<()>, Untranslatable> {
    let mut fields = HeaderMap::new();
    for header in head.headers.iter().filter(|header| !header.name.eq_ignore_ascii_case("host")) {
        append(&mut fields, header)?;
    }
    let path = match head.target {
        Target::Origin(path) => path,
        Target::Asterisk | Target::Absolute { .. } => "*",
    };
    let uri = Uri::builder().scheme("http").authority(head.host.unwrap_or_default()).path_and_query(path);
    // A request of HTTP/1.0 may name no host.
    let uri = if head.host.is_none_or(<[u8]>::is_empty) { Uri::builder().path_and_query(path) } else { uri };
    let request = Request::builder().method(head.method.as_str()).version(::http::Version::HTTP_2);
    let mut request = request
        .uri(uri.build().map_err(|_| Untranslatable::Field)?)
        .body(())
        .map_err(|_| Untranslatable::Field)?;
    *request.headers_mut() = fields;
    Ok(request)
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
