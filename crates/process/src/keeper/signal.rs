//! A signal by number and name.
//!
//! Plain data; how the keeper receives signals is in `signals.rs`.

use std::fmt;

use serde::{Deserialize, Serialize};

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
}
