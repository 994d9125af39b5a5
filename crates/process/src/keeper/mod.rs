//! The parent of everything, and the daemon's way to talk to it.
//!
//! The keeper starts the daemon and, on its request, workers; holds duplicates of descriptors that must outlive the
//! daemon; reaps, and reports exits. It is a single thread that waits in one `poll`. It knows no application and no
//! policy but its own: a daemon that dies is started again.
//!
//! The map: [`run`] is the foreground process; [`Keeper::connect`] is what the daemon calls. `policy.rs` decides (pure),
//! `server.rs` performs, with `daemon.rs`, `children.rs`, `connection.rs`, `signals.rs` and `memory.rs` as its hands; `protocol.rs` and
//! `frame.rs` are what both sides say; `connect.rs` and `client.rs` are the daemon's side, on tokio, `peer.rs` what two daemons say to
//! each other when one takes over.

mod children;
mod client;
mod connect;
mod connection;
mod daemon;
mod frame;
mod memory;
mod peer;
mod policy;
mod protocol;
mod say;
mod server;
mod signals;

pub use client::{Child, Event, Events, Keeper};
pub use connect::{ConnectError, Welcome};
pub use daemon::DaemonCommand;
pub use peer::{PeerReceiver, PeerSender, peer};
pub use protocol::{ChildId, Exit, FD_VARIABLE, HELD_MAX, NAME_BYTES_MAX, Signal, VERSION_VARIABLE};
pub use server::run;
