//! What keeper and daemon say to each other.
//!
//! Both are the same binary, so the version only guards against a daemon that was started by a keeper from before an
//! upgrade. A message the keeper does not understand is skipped.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spawn::{SpawnFailure, SpawnSpec};

/// The version of this protocol.
pub(super) const VERSION: u32 = 1;

/// Environment variable with the number of the daemon's end of the socket.
pub const FD_VARIABLE: &str = "STEAD_KEEPER_FD";

/// Environment variable with the version of the protocol.
pub const VERSION_VARIABLE: &str = "STEAD_KEEPER_PROTOCOL";

/// How many descriptors the keeper holds at most; they are handed to a new daemon in one message.
pub const HELD_MAX: usize = crate::descriptors::DESCRIPTORS_MAX;

/// The longest name of a held descriptor, in bytes.
pub const NAME_BYTES_MAX: usize = 512;

/// A child of the keeper. Never reused while the keeper lives, unlike a pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChildId(pub u64);

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a child ended: either `code` or `signal` is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// What it passed to `exit`.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// It left a core dump.
    pub core_dumped: bool,
    /// The kernel killed it because memory ran out. Known from a counter, so it is a very good guess.
    pub out_of_memory: bool,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal.and_then(Signal::from_number)) {
            (Some(code), _) => write!(f, "exit code {code}")?,
            (None, Some(signal)) => write!(f, "killed by {signal}")?,
            (None, None) => write!(f, "ended")?,
        }
        match (self.out_of_memory, self.core_dumped) {
            (true, _) => write!(f, ", out of memory"),
            (false, true) => write!(f, ", core dumped"),
            (false, false) => Ok(()),
        }
    }
}

/// A signal by its Linux number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Signal(i32);

impl Signal {
    /// Hang-up; asks many servers to read their configuration again.
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Ctrl-C.
    pub const INT: Self = Self(libc::SIGINT);
    /// Quit with a core dump.
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// Cannot be caught.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// The program's own business.
    pub const USR1: Self = Self(libc::SIGUSR1);
    /// The program's own business; to Stead it means a rolling reload.
    pub const USR2: Self = Self(libc::SIGUSR2);
    /// The polite request to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// Continues a stopped process.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// Stops a process; cannot be caught.
    pub const STOP: Self = Self(libc::SIGSTOP);

    const NAMES: [(&str, i32); 31] = [
        ("SIGHUP", libc::SIGHUP),
        ("SIGINT", libc::SIGINT),
        ("SIGQUIT", libc::SIGQUIT),
        ("SIGILL", libc::SIGILL),
        ("SIGTRAP", libc::SIGTRAP),
        ("SIGABRT", libc::SIGABRT),
        ("SIGBUS", libc::SIGBUS),
        ("SIGFPE", libc::SIGFPE),
        ("SIGKILL", libc::SIGKILL),
        ("SIGUSR1", libc::SIGUSR1),
        ("SIGSEGV", libc::SIGSEGV),
        ("SIGUSR2", libc::SIGUSR2),
        ("SIGPIPE", libc::SIGPIPE),
        ("SIGALRM", libc::SIGALRM),
        ("SIGTERM", libc::SIGTERM),
        ("SIGSTKFLT", libc::SIGSTKFLT),
        ("SIGCHLD", libc::SIGCHLD),
        ("SIGCONT", libc::SIGCONT),
        ("SIGSTOP", libc::SIGSTOP),
        ("SIGTSTP", libc::SIGTSTP),
        ("SIGTTIN", libc::SIGTTIN),
        ("SIGTTOU", libc::SIGTTOU),
        ("SIGURG", libc::SIGURG),
        ("SIGXCPU", libc::SIGXCPU),
        ("SIGXFSZ", libc::SIGXFSZ),
        ("SIGVTALRM", libc::SIGVTALRM),
        ("SIGPROF", libc::SIGPROF),
        ("SIGWINCH", libc::SIGWINCH),
        ("SIGIO", libc::SIGIO),
        ("SIGPWR", libc::SIGPWR),
        ("SIGSYS", libc::SIGSYS),
    ];

    /// The signal with this number; real-time signals are numbers only.
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }

    /// `SIGTERM`, `TERM`, `term` or `15`.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Ok(number) = name.parse() {
            return Self::from_number(number);
        }
        let name = name.to_ascii_uppercase();
        let wanted = name.strip_prefix("SIG").unwrap_or(&name);
        let known = Self::NAMES.iter().find(|(known, _)| &known[3..] == wanted);
        known.map(|&(_, number)| Self(number))
    }

    /// Its Linux number.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Ctrl-C or the polite request: the user wants the program to end.
    pub(super) fn asks_to_stop(self) -> bool {
        self == Self::INT || self == Self::TERM
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl TryFrom<i32> for Signal {
    type Error = String;

    fn try_from(number: i32) -> Result<Self, String> {
        Self::from_number(number).ok_or_else(|| format!("there is no signal {number}"))
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.number()
    }
}

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToKeeper {
    /// Answered by `Spawned` or `NotSpawned` with the same number; the descriptors are the child's.
    Spawn {
        request: u64,
        spec: SpawnSpec,
    },
    /// To the whole process group.
    Signal {
        child: ChildId,
        signal: Signal,
    },
    /// With one descriptor, which replaces an earlier one of the same name.
    Hold {
        name: String,
    },
    Release {
        name: String,
    },
    /// The daemon is about to exit, and means it.
    Finish {
        code: u8,
    },
}

/// From the keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToDaemon {
    /// The first message; with one descriptor for each name.
    Welcome {
        daemon_starts: u32,
        keeper_pid: u32,
        held: Vec<String>,
    },
    /// With the pidfd.
    Spawned {
        request: u64,
        child: ChildId,
        pid: u32,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_the_names_people_use() {
        for name in ["SIGTERM", "TERM", "term", "sigterm", "15"] {
            assert_eq!(Signal::from_name(name), Some(Signal::TERM), "{name}");
        }
        for name in ["", "SIG", "0", "65", "-1", "NOPE"] {
            assert_eq!(Signal::from_name(name), None, "{name}");
        }
        assert_eq!(Signal::USR2.to_string(), "SIGUSR2");
        assert_eq!(Signal(40).to_string(), "signal 40");
        assert!(serde_json::from_str::<Signal>("99").is_err());
    }

    #[test]
    fn an_exit_reads_like_a_sentence() {
        let check = |exit: Exit, words: &str| assert_eq!(exit.to_string(), words);
        check(Exit { code: Some(3), ..Exit::default() }, "exit code 3");
        check(
            Exit { signal: Some(11), core_dumped: true, ..Exit::default() },
            "killed by SIGSEGV, core dumped",
        );
        check(
            Exit { signal: Some(9), out_of_memory: true, ..Exit::default() },
            "killed by SIGKILL, out of memory",
        );
    }
}
