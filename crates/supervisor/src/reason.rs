//! Why a worker, a slot, a reload or the whole application failed.
//!
//! Structured, so that the caller can choose an exit code; printed, a fragment that fits after "failed to ..: ".

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit::ExitKind;

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The process could not be started.
    SpawnFailed {
        /// The words of whoever tried.
        reason: String,
        /// Trying again without a change is pointless: the program does not exist.
        fatal: bool,
    },
    /// The worker ended by itself.
    Exited {
        /// How it ended.
        exit: ExitKind,
    },
    /// The worker was not ready within `ready_timeout`.
    NotReady {
        /// The patience it was given.
        after: Duration,
    },
    /// The worker no longer takes or answers what it is given.
    Wedged,
    /// More deaths that count than `restarts_max` within `restarts_period`.
    TooOften {
        /// How many deaths counted in a row.
        deaths: u32,
        /// The last of them.
        last: Box<Reason>,
    },
    /// The application is not running, so there is nothing to reload.
    NotRunning,
    /// The application was told to stop meanwhile.
    Stopped,
    /// As many reloads wait already as may.
    ReloadsWaiting,
    /// A reload was asked for meanwhile and replaces the worker anyway.
    ReloadFirst,
}

impl Reason {
    /// Trying again without a change is pointless.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::SpawnFailed { fatal: true, .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpawnFailed { reason, .. } => f.write_str(reason),
            Self::Exited { exit } => write!(f, "the worker ended with {exit}"),
            Self::NotReady { after } => write!(f, "the worker was not ready within {:?}", rounded(*after)),
            Self::Wedged => f.write_str("the worker no longer answered"),
            Self::TooOften { deaths, last } => {
                write!(f, "{deaths} starts in a row failed, the last because {last}")
            }
            Self::NotRunning => f.write_str("the application is not running"),
            Self::Stopped => f.write_str("the application was stopped"),
            Self::ReloadFirst => f.write_str("a reload goes first"),
            Self::ReloadsWaiting => f.write_str("too many reloads are waiting already"),
        }
    }
}

/// To what a person cares for: tenths of a second, or milliseconds below one.
fn rounded(duration: Duration) -> Duration {
    let millis = duration.as_millis() as u64;
    Duration::from_millis(if millis < 1000 { millis } else { millis / 100 * 100 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reason: &Reason, text: &str) {
        assert_eq!(reason.to_string(), text);
    }

    #[test]
    fn each_reason_reads_as_part_of_a_sentence() {
        let missing = Reason::SpawnFailed { reason: "program `nod` not found".to_owned(), fatal: true };
        check(&missing, "program `nod` not found");
        let exited = Reason::Exited { exit: ExitKind::by_code(1) };
        check(&exited, "the worker ended with exit code 1");
        let late = Reason::NotReady { after: Duration::from_secs(30) };
        check(&late, "the worker was not ready within 30s");
        let often = Reason::TooOften { deaths: 4, last: Box::new(exited) };
        check(&often, "4 starts in a row failed, the last because the worker ended with exit code 1");
    }
}
