//! HTTP/2 (RFC 9113), as streams that the engine reads and writes like connections of HTTP/1.1: each stream of a client becomes a
//! client, each stream to a worker a worker.
//!
//! `h2` does frames, HPACK, flow control and its share of the floods; `serve.rs` drives one client's connection and bounds what it
//! may have under way, `workers.rs` keeps those to workers. Four pure files translate heads: `request.rs` and `answer.rs` for
//! clients, `question.rs` and `reply.rs` for workers; `body.rs` what follows them. `inlet.rs` and `outlet.rs` are the two
//! directions of a stream, `client_stream.rs` and `worker_stream.rs` what the engine sees, `io.rs` what `h2` does.

mod answer;
mod body;
mod client_stream;
mod inlet;
mod io;
mod outlet;
mod question;
mod reply;
mod request;
mod serve;
mod worker_stream;
mod workers;

pub(crate) use client_stream::ClientStream;
pub(crate) use serve::{Opening, serve};
pub(crate) use worker_stream::WorkerStream;
pub(crate) use workers::Workers;
