//! A body that the engine writes in HTTP/1.1, read for HTTP/2. Pure.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http::{BadResponse, ChunkedError, ChunkedReader, HEADERS_MAX, Header, Limits, PieceKind, Reject};

/// A head that the engine writes is not much larger than what it lets pass.
pub(super) const LIMITS: Limits =
    Limits { head_bytes_max: 1 << 20, header_count_max: HEADERS_MAX, target_bytes_max: 1 << 20 };

/// What cannot be said in HTTP/2. The engine has judged everything before: it is a mistake of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untranslatable {
    #[error("the head of the answer is malformed: {0}")]
    Answer(#[from] BadResponse),
    #[error("the head of the request is malformed: {0}")]
    Request(#[from] Reject),
    #[error("the body is malformed: {0}")]
    Body(#[from] ChunkedError),
    #[error("a header field is malformed")]
    Field,
}

/// What comes next of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    /// That was all, but for these trailers.
    End(Option<HeaderMap>),
}

/// How it is framed, and how far it has been read.
#[derive(Debug)]
pub(super) enum Body {
    Length(u64),
    Chunked(ChunkedReader),
    /// Another protocol, or all up to the end.
    Open,
    Done,
}

impl Body {
    pub(super) fn of_length(length: u64) -> Self {
        if length == 0 { Body::Done } else { Body::Length(length) }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    /// Reads on, and tells how many of the bytes it took: all, unless it has ended.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Piece),
    ) -> Result<usize, Untranslatable> {
        let (consumed, done) = match self {
            Body::Done => (0, false),
            Body::Length(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                each(Piece::Data(Bytes::copy_from_slice(&bytes[..count])));
                if *left == 0 {
                    each(Piece::End(None));
                }
                (count, *left == 0)
            }
            Body::Open => {
                each(Piece::Data(Bytes::copy_from_slice(bytes)));
                (bytes.len(), false)
            }
            Body::Chunked(reader) => read_chunks(reader, bytes, each)?,
        };
        if done {
            *self = Body::Done;
        }
        Ok(consumed)
    }
}

/// Reads to the end of `bytes` or of the body, and gives the data of all chunks as one piece.
fn read_chunks(
    reader: &mut ChunkedReader,
    bytes: &[u8],
    each: &mut impl FnMut(Piece),
) -> Result<(usize, bool), Untranslatable> {
    let mut data = BytesMut::new();
    let mut lines = Vec::new();
    let mut at = 0;
    let done = loop {
        let piece = reader.next(&bytes[at..], &mut lines)?;
        let rest = &bytes[at..];
        at += piece.consumed;
        match piece.kind {
            PieceKind::Data(range) => data.extend_from_slice(&rest[range]),
            PieceKind::NeedMore => break false,
            PieceKind::End => break true,
        }
    };
    if !data.is_empty() {
        each(Piece::Data(data.freeze()));
    }
    if done {
        each(Piece::End(trailers(lines)?));
    }
    Ok((at, done))
}

fn trailers(mut lines: Vec<u8>) -> Result<Option<HeaderMap>, Untranslatable> {
    if lines.is_empty() {
        return Ok(None);
    }
    lines.extend_from_slice(b"\r\n");
    let mut space = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let Ok(httparse::Status::Complete((_, headers))) = httparse::parse_headers(&lines, &mut space) else {
        return Err(Untranslatable::Field);
    };
    let mut fields = HeaderMap::new();
    headers.iter().try_for_each(|header| append(&mut fields, header))?;
    Ok(Some(fields))
}

/// Fields of connections mean nothing in HTTP/2 (RFC 9113 §8.2.2), but for `TE: trailers`.
pub(super) fn append(fields: &mut HeaderMap, header: &Header<'_>) -> Result<(), Untranslatable> {
    let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Untranslatable::Field)?;
    if !is_of_connections(&name) {
        let value = HeaderValue::from_bytes(header.value).map_err(|_| Untranslatable::Field)?;
        fields.append(name, value);
    }
    Ok(())
}

pub(super) fn is_of_connections(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
    )
}
