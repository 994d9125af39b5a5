//! Creates the process and learns whether it became the program.
//!
//! `std::process::Command` is not used: its own error pipe may have the very number a child wants a descriptor at, it
//! cannot tell a missing directory from a missing program, and it cannot set `LISTEN_PID`. Instead the child leaves what
//! failed in memory that both see, and this thread stands still until the child executes the program or ends.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::process::{Pid, WaitOptions, waitpid};

use super::plan::Plan;
use super::{SpawnFailure, SpawnSpec, child};

/// One child to start.
pub(crate) struct Launch<'a> {
    pub(crate) spec: &'a SpawnSpec,
    /// As many as the specification has numbers for.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
    /// `/dev/null`, for the standard streams that are not given.
    pub(crate) null: BorrowedFd<'a>,
    pub(crate) kind: Kind,
    /// What the program sees as its own name; `program` if `None`.
    pub(crate) argument_zero: Option<&'a OsStr>,
    /// Used where the specification does not say.
    pub(crate) open_files_default: Option<u64>,
}

/// How a child stands to its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Killed by the kernel when the parent dies.
    Worker,
    /// Outlives the parent, to clean up after it. It is a background process of a terminal it may write to and must not
    /// read from, and is stopped for neither.
    Daemon,
    /// Any program's child.
    Child {
        /// Whom signals from the terminal and to groups reach along with it.
        group: Group,
        /// Killed by the kernel when the thread that started it ends.
        dies_with_parent: bool,
    },
}

/// Which process group a child is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Its parent's.
    Inherited,
    /// A new one that it leads.
    Own,
    /// A new one in a new session that it leads, without a terminal.
    Session,
}

impl Kind {
    pub(super) fn ignored_signals(self) -> &'static [i32] {
        match self {
            Self::Worker | Self::Child { .. } => &[],
            Self::Daemon => &[libc::SIGTTIN, libc::SIGTTOU],
        }
    }

    pub(super) fn group(self) -> Group {
        match self {
            Self::Worker | Self::Daemon => Group::Own,
            Self::Child { group, .. } => group,
        }
    }

    pub(super) fn dies_with_parent(self) -> bool {
        match self {
            Self::Worker => true,
            Self::Daemon => false,
            Self::Child { dies_with_parent, .. } => dies_with_parent,
        }
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    /// Made together with the process, so it can only mean this one.
    pub(crate) pidfd: OwnedFd,
}

/// Starts a child and returns once its program runs, or once nothing is left of it.
///
/// The calling thread is the parent whose end kills a child that dies with its parent, and nobody else in this process
/// may reap children it does not know.
pub(crate) fn start(launch: &Launch<'_>) -> Result<Started, SpawnFailure> {
    let mut plan = Plan::new(launch)?;
    match child::start(&mut plan) {
        Ok((pid, pidfd, None)) => Ok(Started { pid, pidfd }),
        Ok((pid, _, Some(failure))) => {
            // It is dead already. ECHILD only: somebody ignores SIGCHLD, and then there is nothing to reap.
            let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
            Err(failure)
        }
        Err(error) => Err(SpawnFailure::preparing(&error)),
    }
}

/// When a process was started, in clock ticks since the machine was.
///
/// Cannot fail in a way that matters: a child that is not reaped has its place in procfs, and without procfs everybody
/// finds 0 alike.
pub(crate) fn start_time(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    parse_start_time(&stat).unwrap_or(0)
}

/// Field 22. The second is the program's name, which may contain anything.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    behind_name.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;

    /// Starts a shell and waits for its end.
    fn run(script: &str, descriptors: &[BorrowedFd<'_>], numbers: &[i32]) -> i32 {
        let spec = SpawnSpec {
            arguments: vec!["-c".into(), script.into()],
            descriptors: numbers.to_vec(),
            ..SpawnSpec::new("/bin/sh")
        };
        let null = File::open("/dev/null").unwrap();
        let launch = Launch {
            spec: &spec,
            descriptors,
            null: null.as_fd(),
            kind: Kind::Worker,
            argument_zero: None,
            open_files_default: None,
        };
        let started = start(&launch).unwrap();
        let (_, status) = waitpid(Some(started.pid), WaitOptions::empty()).unwrap().unwrap();
        status.exit_status().unwrap()
    }

    #[test]
    fn descriptors_change_places_without_overwriting_each_other() {
        let (mut first_reader, first) = io::pipe().unwrap();
        let (mut second_reader, second) = io::pipe().unwrap();
        // Each goes where the other one is.
        let numbers = [second.as_raw_fd(), first.as_raw_fd()];
        let [to_first, to_second] = numbers;
        let script = format!("printf first >/dev/fd/{to_first}; printf second >/dev/fd/{to_second}");
        assert_eq!(run(&script, &[first.as_fd(), second.as_fd()], &numbers), 0);
        drop((first, second));
        let mut text = String::new();
        first_reader.read_to_string(&mut text).unwrap();
        text.push(' ');
        second_reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first second");
    }

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let rest = (3..=30).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        for name in ["node", "a b", ") 1 (", "x) R 1"] {
            assert_eq!(parse_start_time(&format!("7 ({name}) {rest}")), Some(22), "{name}");
        }
        assert_eq!(parse_start_time(""), None);
    }

    #[test]
    fn one_descriptor_may_go_to_many_places() {
        let (mut reader, writer) = io::pipe().unwrap();
        assert_eq!(run("echo a; echo b >&2; echo c >&7", &[writer.as_fd(); 3], &[1, 2, 7]), 0);
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\nc\n");
    }
}
