//! How a process ended, as far as the decision what to do next needs it.

use std::fmt;

use serde::{Deserialize, Serialize};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// How a process ended. Exactly one of `code` and `signal` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitKind {
    /// The code it exited with.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// A core file was written.
    pub core_dumped: bool,
    /// The kernel ended it for want of memory.
    pub out_of_memory: bool,
    /// SIGKILL or SIGTERM that nobody in the worker caused and that was not for want of memory. Such a death never counts.
    pub outside: bool,
}

impl ExitKind {
    /// It exited by itself with `code`.
    #[must_use]
    pub const fn by_code(code: i32) -> Self {
        Self { code: Some(code), signal: None, core_dumped: false, out_of_memory: false, outside: false }
    }

    /// A signal ended it. SIGKILL and SIGTERM are taken to come from outside unless memory was short.
    #[must_use]
    pub const fn by_signal(signal: i32, core_dumped: bool, out_of_memory: bool) -> Self {
        let outside = (signal == SIGKILL || signal == SIGTERM) && !out_of_memory;
        Self { code: None, signal: Some(signal), core_dumped, out_of_memory, outside }
    }

    /// It exited with code 0.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.code, Some(0))
    }
}

impl fmt::Display for ExitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (_, Some(signal)) => match signal_name(signal) {
                Some(name) => f.write_str(name)?,
                None => write!(f, "signal {signal}")?,
            },
            (Some(code), None) => write!(f, "exit code {code}")?,
            (None, None) => f.write_str("an unknown end")?,
        }
        if self.out_of_memory {
            f.write_str(" (out of memory)")
        } else if self.outside {
            f.write_str(" (from outside)")
        } else if self.core_dumped {
            f.write_str(" (core dumped)")
        } else {
            Ok(())
        }
    }
}

/// Linux's names of the signals that can end a process and are worth a word.
const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        SIGKILL => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        SIGTERM => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exit: ExitKind, text: &str) {
        assert_eq!(exit.to_string(), text);
    }

    #[test]
    fn each_end_has_its_words() {
        check(ExitKind::by_code(0), "exit code 0");
        check(ExitKind::by_code(137), "exit code 137");
        check(ExitKind::by_signal(11, true, false), "SIGSEGV (core dumped)");
        check(ExitKind::by_signal(6, false, false), "SIGABRT");
        check(ExitKind::by_signal(9, false, false), "SIGKILL (from outside)");
        check(ExitKind::by_signal(15, false, false), "SIGTERM (from outside)");
        check(ExitKind::by_signal(9, false, true), "SIGKILL (out of memory)");
        check(ExitKind::by_signal(40, false, false), "signal 40");
    }
}
