//! A load client that can be believed: every request it starts ends in exactly one class, and none is ever sent twice.
//!
//! It exists to count what a server loses, so it forgives nothing: no retries, no hidden reconnects under a request, bodies
//! compared byte for byte, bytes after the end of a response held against it. It is honest in the other direction too: a
//! connection that the server has closed by the time the next request is due is not used for it, as careful clients do.
//!
//! | file | what it does |
//! |---|---|
//! | `config.rs` | what to send, where, how often |
//! | `class.rs` | the classes a request can end in |
//! | `request.rs` | the bytes of one request, stamped in place with its number |
//! | `response.rs` | reads one response byte by byte as it arrives; pure |
//! | `connection.rs` | one socket, one exchange |
//! | `turns.rs` | whose turn it is: closed loop, open loop |
//! | `client.rs` | runs it all on one thread |
//! | `histogram.rs`, `report.rs` | what came of it |
//!
//! One thread, one tokio runtime, a task per connection; nothing is allocated per request unless it fails. The measuring
//! side must cost little, because on a small machine it takes its processor time from the measured one.

mod class;
mod client;
mod config;
mod connection;
mod histogram;
mod report;
mod request;
mod response;
mod turns;

pub use class::{Class, Counts};
pub use client::{Live, LoadError, Running, run, start};
pub use config::{Config, Expect, Method, Target};
pub use histogram::Histogram;
pub use report::{Failure, Report};
