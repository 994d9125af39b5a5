//! Why a foreign file could not be understood.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a foreign file could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It cannot be read.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its name says nothing about what it is.
    #[error("`{}` is not a file that can be imported", path.display())]
    Unknown {
        /// As it was named.
        path: PathBuf,
    },
    /// It is not what its name says.
    #[error("`{}` is not {format}: {reason}", path.display())]
    Malformed {
        /// As it was named.
        path: PathBuf,
        /// "JSON", with its article where it needs one.
        format: &'static str,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// It is a program, and there is nothing to run it.
    #[error("`{}` is a program, and `node`, which runs it, was not found", path.display())]
    NoNode {
        /// As it was named.
        path: PathBuf,
    },
    /// Node.js could not be started.
    #[error("failed to start `node` for `{}`", path.display())]
    NodeFailed {
        /// As it was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program threw, or ended by itself.
    #[error("`{}` failed", path.display())]
    Threw {
        /// As it was named.
        path: PathBuf,
        /// What Node.js said, a few lines.
        said: String,
    },
    /// The program did not end.
    #[error("`{}` did not end within {} s", path.display(), patience.as_secs())]
    Endless {
        /// As it was named.
        path: PathBuf,
        /// How long it had.
        patience: Duration,
    },
    /// It holds no app.
    #[error("`{}` names no app: {reason}", path.display())]
    NoApp {
        /// As it was named.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
}

impl ForeignError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ForeignError::Unknown { .. } => Some(
                "files are known by their names: *.config.js, .cjs, .mjs, .json, .yaml, .yml, package.json, Procfile"
                    .to_owned(),
            ),
            ForeignError::NoNode { .. } => {
                Some("install Node.js, or put its directory into PATH; JSON and YAML need none".to_owned())
            }
            ForeignError::Endless { .. } => {
                Some("a file that names apps must not wait for anything, or open what keeps it alive".to_owned())
            }
            ForeignError::NoApp { .. } => {
                Some("it should hold { \"apps\": [{ \"name\": \"shop\", \"script\": \"server.js\" }] }".to_owned())
            }
            ForeignError::Unreadable { .. }
            | ForeignError::Malformed { .. }
            | ForeignError::NodeFailed { .. }
            | ForeignError::Threw { .. } => None,
        }
    }

    /// Lines of the program's own.
    pub fn details(&self) -> Option<&str> {
        match self {
            ForeignError::Threw { said, .. } => Some(said),
            _ => None,
        }
    }
}
