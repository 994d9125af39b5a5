//! What keeper and daemon say to each other.
//!
//! Both are the same binary, or two of which the newer asked the older for this number before anything else. A message
//! that is not understood is skipped.
//!
//! ```text
//! daemon                          keeper
//!                                 Welcome
//! Prepared                                             at once, but from a successor only after
//!                                 Children, Held ..    the old daemon said HandedOver
//! More (after each of those)
//!                                 Begin
//! Serving
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::signal::Signal;
use crate::spawn::{SpawnFailure, SpawnSpec};

/// The version of this protocol, and of the state the keeper leaves to itself when it executes another binary.
pub const VERSION: u32 = 2;

/// Environment variable with the number of the daemon's end of the socket.
pub const FD_VARIABLE: &str = "STEAD_KEEPER_FD";

/// Environment variable with the version of the protocol.
pub const VERSION_VARIABLE: &str = "STEAD_KEEPER_PROTOCOL";

/// How many descriptors the keeper holds at most.
pub const HELD_MAX: usize = 16_384;

/// The longest name of a held descriptor, and the longest tag of a child, in bytes.
pub const NAME_BYTES_MAX: usize = 512;

/// What is handed to a new daemon in one message. The kernel's limit for descriptors is not far above.
pub(super) const BATCH_MAX: usize = 200;

/// A child of the keeper. Never reused while the keeper lives, unlike a pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChildId(pub u64);

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why this daemon was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// There was none before.
    First,
    /// The one before died.
    Resume,
    /// The one before is still there and will hand over.
    Successor,
}

/// A child as a new daemon gets it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChildRecord {
    pub(super) child: ChildId,
    pub(super) pid: u32,
    pub(super) start_time: u64,
    pub(super) tag: String,
    pub(super) exit: Option<Exit>,
}

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToKeeper {
    /// Answered by `Spawned` or `NotSpawned` with the same number; the descriptors are the child's.
    Spawn {
        request: u64,
        spec: Box<SpawnSpec>,
    },
    /// To the whole process group.
    Signal {
        child: ChildId,
        signal: Signal,
    },
    /// The end of this child is known; forget it.
    Bury {
        child: ChildId,
    },
    /// With one descriptor, which replaces an earlier one of the same name.
    Hold {
        name: String,
    },
    Release {
        name: String,
    },
    /// Ready to take over.
    Prepared,
    /// A part of the inheritance has arrived.
    More,
    /// Everything is taken over and working.
    Serving,
    /// Start this program as successor.
    Upgrade {
        program: String,
    },
    /// The successor may begin; this daemon only finishes what it has in its hands.
    HandedOver,
    /// To be told to the service manager.
    Notify {
        state: String,
    },
    Pong,
    /// The daemon is about to exit, and means it.
    Finish {
        code: u8,
    },
}

/// From the keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToDaemon {
    /// The first message.
    Welcome {
        daemon_starts: u32,
        keeper_pid: u32,
        role: Role,
    },
    /// With the pidfd of each.
    Children {
        children: Vec<ChildRecord>,
    },
    /// With one descriptor for each name.
    Held {
        names: Vec<String>,
    },
    /// That was everything. To a successor with one descriptor, the connection to the old daemon.
    Begin,
    /// With the pidfd.
    Spawned {
        request: u64,
        child: ChildId,
        pid: u32,
        start_time: u64,
    },
    NotSpawned {
        request: u64,
        failure: SpawnFailure,
    },
    Exited {
        child: ChildId,
        exit: Exit,
    },
    Signal {
        signal: Signal,
    },
    /// The successor is prepared. With one descriptor, the connection to it.
    HandOver,
    /// There will be no successor; go on.
    UpgradeFailed {
        reason: String,
    },
    /// Answered by `Pong`.
    Ping,
}
