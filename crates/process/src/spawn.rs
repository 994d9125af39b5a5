//! What starting one child needs, as plain data, and how it can fail.
//!
//! [`SpawnSpec`] travels from the daemon to the keeper; `start` in `launch.rs` carries it out there, and
//! `child.rs` is what happens in the new process before it becomes the program. A failure keeps the step and the `errno`
//! it happened with, so that "program not found" is never confused with "directory missing".

#[expect(unsafe_code, reason = "a process that is not a program yet may only make raw system calls")]
mod child;
mod identity;
mod launch;
mod plan;
#[expect(unsafe_code, reason = "memory for the stack of another process")]
mod stack;
mod wire;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use child::with_signals_blocked;
pub use identity::{Identity, ResourceName};
pub(crate) use launch::{Group, Kind, Launch, Started, start, start_time};

/// The highest number a child may ask to have a descriptor at.
pub const DESCRIPTOR_NUMBER_MAX: i32 = 1023;

/// One child to start: in a process group of its own, with default signal handling, and killed when the keeper dies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "wire::Spec", into = "wire::Spec")]
pub struct SpawnSpec {
    /// A path, or a name that is looked up in the `PATH` of `environment`.
    pub program: OsString,
    /// What follows the program's name.
    pub arguments: Vec<OsString>,
    /// Where to run; the keeper's own directory if `None`. A relative `program` is resolved there.
    pub directory: Option<PathBuf>,
    /// The whole environment; nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// The numbers at which the child finds the descriptors sent along, in the same order. 0, 1 and 2 are its standard
    /// streams; those not named are `/dev/null`. Everything else is closed.
    pub descriptors: Vec<i32>,
    /// Sets `LISTEN_PID` to the child's own pid (systemd's socket activation).
    pub listen_pid: bool,
    /// How many descriptors the child may have open (the soft `RLIMIT_NOFILE`), cut to what the system permits; as the
    /// keeper was started with if `None`.
    pub open_files_max: Option<u64>,
    /// What the daemon calls it; a later daemon gets it back with the child.
    pub tag: String,
    /// User, groups, limits.
    pub identity: Identity,
    /// The directory of the control group the child is put into before it runs.
    pub cgroup: Option<PathBuf>,
}

impl SpawnSpec {
    /// A program without arguments, environment or descriptors.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    /// What an error is about, besides the program.
    pub(crate) fn context(&self) -> Context {
        Context { directory: self.directory.clone(), cgroup: self.cgroup.clone() }
    }
}

/// The paths of a specification that an error names.
#[derive(Debug, Default)]
pub(crate) struct Context {
    directory: Option<PathBuf>,
    cgroup: Option<PathBuf>,
}

/// Why a child was not started. Nothing is left of it then.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such file, or no such name in `PATH`.
    #[error("program `{program}` not found")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// The script exists, but the interpreter its first line names (or a binary's loader) does not.
    #[error("the interpreter that program `{program}` names was not found")]
    InterpreterNotFound {
        /// As it was asked for.
        program: String,
    },
    /// The file exists, but may not be executed (`EACCES`), or the kernel cannot (`ENOEXEC`).
    #[error("program `{program}` cannot be executed")]
    NotExecutable {
        /// As it was asked for.
        program: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The directory to run in cannot be entered.
    #[error("directory `{}` cannot be entered", directory.display())]
    Directory {
        /// As it was asked for.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The user or group cannot be taken on (`EPERM`: only root may).
    #[error("program `{program}` cannot be given its user and groups")]
    Identity {
        /// As it was asked for.
        program: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The control group cannot be entered.
    #[error("control group `{}` cannot be entered", cgroup.display())]
    Cgroup {
        /// As it was asked for.
        cgroup: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Anything else: limits, memory, a request that makes no sense.
    #[error("program `{program}` could not be started ({step})")]
    Other {
        /// As it was asked for.
        program: String,
        /// What was being done.
        step: Step,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The keeper died; so will this process's children, and it should end too.
    #[error("the keeper is gone")]
    KeeperGone,
}

/// What was being done when a child could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Checking the request and creating the process.
    Preparing,
    /// Putting descriptors where the child expects them.
    Descriptors,
    /// Process group, parent-death signal and limits.
    Attributes,
    /// Entering the control group.
    Cgroup,
    /// Taking on user and groups.
    Identity,
    /// Entering the directory.
    Directory,
    /// Finding the interpreter a script names.
    Interpreter,
    /// Executing the program.
    Executing,
}

impl Step {
    const ALL: [Self; 8] = [
        Self::Preparing,
        Self::Descriptors,
        Self::Attributes,
        Self::Cgroup,
        Self::Identity,
        Self::Directory,
        Self::Interpreter,
        Self::Executing,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u8 == byte)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Preparing => "while preparing it",
            Self::Descriptors => "while placing its descriptors",
            Self::Attributes => "while setting its process group and limits",
            Self::Cgroup => "while entering its control group",
            Self::Identity => "while taking on its user and groups",
            Self::Directory => "while entering its directory",
            Self::Interpreter => "while looking for its interpreter",
            Self::Executing => "while executing it",
        })
    }
}

/// A failure as it travels from the new process to the keeper and on to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpawnFailure {
    pub(crate) step: Step,
    pub(crate) errno: i32,
}

impl SpawnFailure {
    pub(crate) fn preparing(error: &io::Error) -> Self {
        Self { step: Step::Preparing, errno: error.raw_os_error().unwrap_or(libc::EINVAL) }
    }

    /// Says what the caller can do about it.
    pub(crate) fn into_error(self, program: String, context: Context) -> SpawnError {
        let source = io::Error::from_raw_os_error(self.errno);
        match (self.step, self.errno) {
            (Step::Executing, libc::ENOENT | libc::ENOTDIR) => SpawnError::NotFound { program },
            (Step::Executing, libc::EACCES | libc::EPERM | libc::ENOEXEC) => {
                SpawnError::NotExecutable { program, source }
            }
            (Step::Interpreter, _) => SpawnError::InterpreterNotFound { program },
            (Step::Directory, _) => {
                SpawnError::Directory { directory: context.directory.unwrap_or_default(), source }
            }
            (Step::Cgroup, _) => SpawnError::Cgroup { cgroup: context.cgroup.unwrap_or_default(), source },
            (Step::Identity, _) => SpawnError::Identity { program, source },
            (step, _) => SpawnError::Other { program, step, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_survives_the_pipe() {
        for step in Step::ALL {
            assert_eq!(Step::from_byte(step as u8), Some(step));
        }
        assert_eq!(Step::from_byte(200), None);
    }

    #[test]
    fn an_error_says_what_to_do_about_it() {
        let check = |step, errno, words: &str| {
            let context = Context { directory: Some("/no".into()), cgroup: Some("/group".into()) };
            let error = SpawnFailure { step, errno }.into_error("nod".into(), context);
            assert_eq!(error.to_string(), words);
        };
        check(Step::Executing, libc::ENOENT, "program `nod` not found");
        check(Step::Executing, libc::EACCES, "program `nod` cannot be executed");
        check(Step::Executing, libc::ENOEXEC, "program `nod` cannot be executed");
        check(Step::Interpreter, libc::ENOENT, "the interpreter that program `nod` names was not found");
        check(Step::Directory, libc::ENOENT, "directory `/no` cannot be entered");
        check(Step::Cgroup, libc::ENOENT, "control group `/group` cannot be entered");
        check(Step::Identity, libc::EPERM, "program `nod` cannot be given its user and groups");
        check(Step::Executing, libc::E2BIG, "program `nod` could not be started (while executing it)");
        check(Step::Preparing, libc::EMFILE, "program `nod` could not be started (while preparing it)");
    }
}
