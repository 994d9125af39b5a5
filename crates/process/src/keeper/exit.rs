//! How a child ended, and what it took.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::signal::Signal;

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
    /// What it took; `None` where it could not be learned.
    pub rusage: Option<ResourceUse>,
}

/// What a child, and those of its own children that it had waited for, took from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceUse {
    /// The largest resident set of any of them, in bytes. For a child of a large program at least what *that* had when it
    /// started the child: Linux counts in what the process was before it became the program.
    pub memory_bytes_max: u64,
    /// Processor time in the program.
    pub user: Duration,
    /// Processor time in the kernel on its behalf.
    pub system: Duration,
}

impl Exit {
    /// Exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
