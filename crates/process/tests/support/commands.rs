//! What a test tells the puppet daemon, and what it hears from it; one JSON document in each line.

use serde::{Deserialize, Serialize};
use stead_process::keeper::{ChildId, Event, Exit, Signal};
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
        held: Vec<(String, String)>,
    },
    Spawned {
        child: ChildId,
        pid: u32,
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

impl From<Event> for Report {
    fn from(event: Event) -> Self {
        match event {
            Event::Exited { child, exit } => Self::Exited { child, exit },
            Event::Signal(signal) => Self::Signal { signal },
            Event::Lost => Self::Lost,
        }
    }
}
