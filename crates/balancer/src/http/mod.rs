//! HTTP/1.1 as pure functions over bytes.
//!
//! Nothing here reads a socket, a clock or a random number, and nothing allocates while a request or a response passes
//! as it should. The grammar of heads is httparse's; the rules on top of it are ours and strict, because two programs
//! that disagree about where a request ends are the way requests are smuggled (RFC 9112 §11.2).
//!
//! | file | decides |
//! |---|---|
//! | `head`, `request`, `target`, `method` | what the client asks, or why that is refused |
//! | `response` | what the worker answered, or why that cannot be passed on |
//! | `framing`, `chunked` | where a body ends |
//! | `connection`, `field` | which header fields belong to one hop only |
//! | `forward`, `downstream` | the head as it goes to the worker, to the client |
//! | `trace`, `patience` | what names a request; how long its client waits |
//! | `reject`, `answer` | the answers Stead gives itself |

mod answer;
mod chunked;
#[cfg(test)]
mod chunked_tests;
mod connection;
mod downstream;
mod field;
mod forward;
#[cfg(test)]
mod forward_tests;
mod framing;
mod head;
mod limits;
mod method;
mod patience;
#[cfg(test)]
mod property_tests;
mod reject;
mod request;
#[cfg(test)]
mod request_tests;
mod response;
#[cfg(test)]
mod response_tests;
#[cfg(test)]
mod smuggling_tests;
mod target;
mod trace;
mod write;

pub use answer::{Answer, AnswerTo};
pub use chunked::{
    CHUNK_END, ChunkedError, ChunkedReader, LAST_CHUNK, Piece, PieceKind, write_chunk_head, write_last_chunk,
};
pub use downstream::{Downstream, Framing};
pub use forward::{ClientText, Forward, Scheme};
pub use framing::{Body, ResponseBody};
pub use httparse::Header;
pub use limits::{HEADERS_MAX, HeaderSpace, Limits};
pub use method::{Method, RequestMethodKind};
pub use patience::write_timeout;
pub use reject::Reject;
pub use request::{Request, Version, parse_request};
pub use response::{BadResponse, Response, parse_response};
pub use target::Target;
pub use trace::{RequestId, TraceStart};
pub use write::insert_field;
