//! Which versions of Stead can take over from each other.
//!
//! A binary tells the numbers of its formats when it is called with [`FORMATS_VERB`]. An upgrade to one with other numbers
//! is refused before anything is touched.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::protocol::VERSION;
use crate::spawn::SpawnError;

/// The argument with which a binary is asked for its [`Formats`].
pub const FORMATS_VERB: &str = "formats";

/// The numbers of what one version leaves to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formats {
    /// The version of the program, for people.
    pub version: String,
    /// Of what keeper and daemon say to each other.
    pub keeper: u32,
    /// Of what one daemon leaves to the next.
    pub state: u32,
}

impl Formats {
    /// Of this program. `state` is the daemon's own number.
    #[must_use]
    pub fn new(version: &str, state: u32) -> Self {
        Self { version: version.to_owned(), keeper: VERSION, state }
    }

    /// Whether `candidate` may take over from this one.
    pub(super) fn check(&self, candidate: &Self) -> Result<(), UpgradeError> {
        let differs = |what, ours, theirs| UpgradeError::Format {
            version: candidate.version.clone(),
            what,
            ours,
            theirs,
        };
        if candidate.keeper != self.keeper {
            return Err(differs("keeper", self.keeper, candidate.keeper));
        }
        if candidate.state != self.state {
            return Err(differs("state", self.state, candidate.state));
        }
        Ok(())
    }
}

/// Why an upgrade was not even begun.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The program cannot be executed.
    #[error("the new program does not run")]
    Spawn(#[from] SpawnError),
    /// It does not answer [`FORMATS_VERB`] as Stead does.
    #[error("`{}` does not tell its formats; it is not Stead, or one that cannot take over", program.display())]
    NotStead {
        /// As it was asked for.
        program: PathBuf,
    },
    /// It is of a version that cannot take over from this one.
    #[error("version {version} cannot take over: its {what} format is {theirs}, and {ours} is needed")]
    Format {
        /// Of the new program.
        version: String,
        /// `keeper` or `state`.
        what: &'static str,
        /// The number this program has.
        ours: u32,
        /// The number the new program has.
        theirs: u32,
    },
    /// The path is not Unicode.
    #[error("the path of the new program is not Unicode")]
    Path,
    /// The keeper is gone; this process should end.
    #[error("the keeper is gone")]
    KeeperGone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_formats_take_over() {
        let ours = Formats::new("1.0.0", 1);
        assert!(ours.check(&Formats::new("1.1.0", 1)).is_ok());
        let check = |candidate: Formats, words: &str| {
            assert_eq!(ours.check(&candidate).unwrap_err().to_string(), words);
        };
        check(
            Formats::new("2.0.0", 3),
            "version 2.0.0 cannot take over: its state format is 3, and 1 is needed",
        );
        check(
            Formats { keeper: 7, ..Formats::new("3.0.0", 1) },
            "version 3.0.0 cannot take over: its keeper format is 7, and 2 is needed",
        );
    }
}
