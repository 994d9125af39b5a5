//! Speaks to Node.js children in Node.js's own words, so that they need no library and no change.
//!
//! The map: [`frame`] cuts the stream into messages ([`v8`] is one of its two formats), [`channel`] carries
//! messages and descriptors, a [`Message`] is read only when somebody wants to, [`cluster`] is the vocabulary of a cluster's primary, [`environment`] the
//! variables that make a child a worker. `preload.cjs` runs inside the worker before the program.

pub mod channel;
pub mod cluster;
pub mod environment;
pub mod frame;
mod message;
pub mod v8;

pub use channel::{Channel, Continuation, Received, Receiver, Released, SendError, Unsent};
pub use cluster::{AddressType, ClusterMessage, FromWorker, Query, ServerKind, socket_name};
pub use frame::Serialization;
pub use message::Message;

/// The JavaScript loaded into each Node.js worker with `--require`. Write it to a file whose name ends in
/// `.cjs`, so that it is read as a CommonJS module wherever it lies.
pub const PRELOAD: &str = include_str!("preload.cjs");
