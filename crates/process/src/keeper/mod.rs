//! The parent of everything, and the daemon's way to talk to it.
//!
//! The keeper starts the daemon and, on its request, workers; holds duplicates of descriptors that must outlive the
//! daemon; reaps, and reports exits. It is a single thread that waits in one `poll`. It knows no application and no
//! policy but its own: a daemon that dies is started again, and takes over what runs.
//!
//! The map:
//!
//! - [`run`] is the foreground process. `policy.rs` (one daemon's life) and `upgrade.rs` (one daemon after another) decide and
//!   are pure, as is `watchdog.rs` (is it stuck?); `server.rs` waits and performs, `requests.rs` what daemons ask for, `succession.rs` how one follows another,
//!   `renewal.rs` how the keeper becomes another binary. Their hands are `daemon.rs`, `children.rs`, `reap.rs`,
//!   `connection.rs`, `signals.rs`, `systemd.rs`, `memory.rs`, `footprint.rs`, `name.rs` and `say.rs`.
//! - `protocol.rs`, `frame.rs`, `exit.rs` and `signal.rs` are what both sides say.
//! - [`Keeper::connect`] is what the daemon calls, on tokio: `connect.rs`, `client.rs`, `exchange.rs`, `inheritance.rs`, and
//!   `formats.rs` for which versions understand each other. `peer.rs` is what two daemons say to each other.

mod children;
mod client;
mod connect;
mod connection;
mod daemon;
mod exchange;
mod exit;
mod footprint;
mod formats;
mod frame;
mod inheritance;
mod memory;
mod name;
mod peer;
mod policy;
mod protocol;
mod reap;
mod renewal;
mod requests;
mod say;
mod server;
mod signal;
mod signals;
mod succession;
mod systemd;
mod upgrade;
mod watchdog;

pub use client::{Child, Event, Events, Keeper};
pub use connect::{ConnectError, Welcome};
pub use daemon::DaemonCommand;
pub use exit::{Exit, ResourceUse};
pub use formats::{FORMATS_VERB, Formats, UpgradeError};
pub use inheritance::{Inheritance, Inherited};
pub use peer::{PeerReceiver, PeerSender, peer};
pub use protocol::{ChildId, FD_VARIABLE, HELD_MAX, NAME_BYTES_MAX, Role, VERSION, VERSION_VARIABLE};
pub(crate) use reap::{Fate, fate, is_dead, kill_group, signal_pidfd};
pub use renewal::is_renewed;
pub use server::run;
pub use signal::Signal;
