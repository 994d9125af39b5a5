//! What a test tells the puppet daemon, and what it hears from it; one JSON document in each line.

use serde::{Deserialize, Serialize};
use stead_process::keeper::{ChildId, Exit, Role, Signal};
use stead_process::spawn::SpawnSpec;

/// To the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// With descriptors of these files, opened for reading and writing and created if they do not exist.
    Spawn {
        spec: SpawnSpec,
        files: Vec<String>,
    },
    /// Like `Spawn`, but nobody waits for the answer.
    SpawnAndForget {
        spec: SpawnSpec,
        files: Vec<String>,
    },
    Signal {
        child: ChildId,
        signal: Signal,
    },
    Hold {
        name: String,
        file: String,
    },
    Release {
        name: String,
    },
    /// Holds a copy of the keeper's own socket by so many names.
    HoldMany {
        names: u32,
    },
    Bury {
        child: ChildId,
    },
    /// A successor takes over as soon as it may; all others have done so before they say hello.
    TakeOver,
    Upgrade {
        program: String,
        state: u32,
    },
    HandedOver,
    Serving,
    Notify {
        state: String,
    },
    /// Writes to the other daemon.
    ToPeer {
        byte: u8,
    },
    /// Answered by `FromPeer`.
    HearPeer,
    /// Exits with another code than it tells the keeper.
    Finish {
        code: u8,
    },
    /// Tells the keeper, but does not exit.
    FinishAndStay {
        code: u8,
    },
    /// Exits without a word to the keeper.
    Exit {
        code: u8,
    },
    /// Writes to the keeper's socket what no client would.
    Raw {
        bytes: Vec<u8>,
    },
    /// Sends this many requests that are answered, and reads none of the answers.
    Flood {
        requests: u32,
    },
    /// Does nothing any more.
    Hang,
}

/// From the daemon.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The first, of each daemon.
    Hello {
        pid: u32,
        daemon_starts: u32,
        keeper_pid: u32,
        role: Role,
    },
    /// What was taken over.
    Inherited {
        children: Vec<Inherited>,
        held: Vec<(String, String)>,
        lost: usize,
        peer: bool,
    },
    UpgradeBegun,
    UpgradeRefused {
        error: String,
    },
    HandOver,
    UpgradeFailed {
        reason: String,
    },
    FromPeer {
        byte: u8,
    },
    Spawned {
        child: ChildId,
        pid: u32,
        start_time: u64,
    },
    NotSpawned {
        error: String,
    },
    /// A command without an answer of its own was carried out.
    Done,
    Exited {
        child: ChildId,
        exit: Exit,
    },
    Signal {
        signal: Signal,
    },
    Lost,
}

/// A child as it was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inherited {
    pub(crate) child: ChildId,
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
    pub(crate) tag: String,
    pub(crate) exit: Option<Exit>,
    /// What its pidfd says.
    pub(crate) ended: Option<bool>,
}
