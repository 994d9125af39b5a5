//! Why a program cannot be started, found out before anything is started.

use std::io;
use std::path::PathBuf;

/// Why a program cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The command has no word.
    #[error("the command is empty")]
    Empty,
    /// A quote in a command is not closed.
    #[error("the command `{command}` has a quote that is not closed")]
    Quote {
        /// As written.
        command: String,
    },
    /// A script or a program given by its path does not exist.
    #[error("file `{}` not found", path.display())]
    FileNotFound {
        /// As written.
        path: PathBuf,
        /// A file beside it, as it would be written.
        nearest: Option<String>,
    },
    /// It is a directory and holds no package.
    #[error("`{}` is a directory without a package.json", path.display())]
    NotAPackage {
        /// As written.
        path: PathBuf,
    },
    /// It is there and may not be executed.
    #[error("`{}` is not executable", path.display())]
    NotExecutable {
        /// As found.
        path: PathBuf,
    },
    /// There is no program of this name.
    #[error("program `{name}` not found")]
    NotFound {
        /// As written.
        name: String,
        /// What was meant: a program in `PATH`, or a file in the directory.
        nearest: Option<String>,
    },
    /// A script's interpreter is not installed.
    #[error("program `{interpreter}`, which runs `{}`, not found", script.display())]
    InterpreterMissing {
        /// What was to be run.
        script: PathBuf,
        /// What runs it.
        interpreter: &'static str,
    },
    /// An interpreter, or arguments for one, are given for something that has none.
    #[error("{what} has no interpreter to be chosen or given arguments")]
    NoInterpreter {
        /// What it is.
        what: &'static str,
    },
    /// Nothing here runs TypeScript.
    #[error("nothing found that runs TypeScript: {node}, no `bun`, and no `tsx` in node_modules")]
    NoTypeScript {
        /// What was found of Node.js.
        node: String,
    },
    /// The directory to run in does not exist, or is none.
    #[error("directory `{}` {}", path.display(), if *exists { "is not a directory" } else { "not found" })]
    Directory {
        /// As resolved.
        path: PathBuf,
        /// Something else is there.
        exists: bool,
        /// A directory beside it.
        nearest: Option<String>,
    },
    /// There is no `package.json` here or above.
    #[error("no package.json in `{}` or above it", directory.display())]
    NoPackage {
        /// Where the search began.
        directory: PathBuf,
    },
    /// `package.json` cannot be read.
    #[error("failed to read `{}`", path.display())]
    PackageUnreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `package.json` is no JSON object.
    #[error("`{}` is not a package.json", path.display())]
    PackageInvalid {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The package has no script of this name.
    #[error("`{}` has no script `{name}`", path.display())]
    NoScript {
        /// Which one.
        path: PathBuf,
        /// As written.
        name: String,
        /// Those it has.
        known: Vec<String>,
        /// The one that was meant.
        nearest: Option<String>,
    },
    /// The package has neither a start script nor a main file.
    #[error("`{}` has neither a script `start` nor a `main` file", path.display())]
    NoStart {
        /// Which one.
        path: PathBuf,
    },
}

impl ProgramError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ProgramError::Empty => Some("name a script or a command: `stead run server.js`".to_owned()),
            ProgramError::Quote { .. } => None,
            ProgramError::FileNotFound { nearest, .. }
            | ProgramError::NotFound { nearest, .. }
            | ProgramError::Directory { nearest, .. } => nearest.as_deref().map(did_you_mean),
            ProgramError::NotAPackage { .. } => Some("name a script in it, or a command".to_owned()),
            ProgramError::NotExecutable { path } => {
                Some(format!("make it executable: `chmod +x {}`", path.display()))
            }
            ProgramError::InterpreterMissing { interpreter, .. } => {
                Some(format!("install `{interpreter}`, or put its directory into PATH"))
            }
            ProgramError::NoInterpreter { .. } => {
                Some("write `interpreter` and `interpreter_args` into the command".to_owned())
            }
            ProgramError::NoTypeScript { .. } => {
                Some("install Node.js 22.18 or newer, or `npm install tsx`".to_owned())
            }
            ProgramError::NoPackage { .. } => Some("`--cwd` names the directory to run in".to_owned()),
            ProgramError::PackageUnreadable { .. } | ProgramError::PackageInvalid { .. } => None,
            ProgramError::NoScript { nearest: Some(nearest), .. } => Some(did_you_mean(nearest)),
            ProgramError::NoScript { known, .. } if known.is_empty() => None,
            ProgramError::NoScript { known, .. } => Some(format!("its scripts are {}", list(known))),
            ProgramError::NoStart { .. } => Some("name a script: `stead run server.js`".to_owned()),
        }
    }
}

fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
