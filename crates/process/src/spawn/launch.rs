//! Creates the process and learns whether it became the program.
//!
//! `std::process::Command` is not used: its own error pipe may have the very number a child wants a descriptor at, it
//! cannot tell a missing directory from a missing program, and it cannot set `LISTEN_PID`. Instead the child writes what
//! failed into a pipe that closes on exec, so an empty pipe means that the program runs.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid};

use super::plan::Plan;
use super::{SpawnFailure, SpawnSpec, Step, child};

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
}

impl Kind {
    pub(super) fn ignored_signals(self) -> &'static [i32] {
        match self {
            Self::Worker => &[],
            Self::Daemon => &[libc::SIGTTIN, libc::SIGTTOU],
        }
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    /// Opened before anybody could reap the process, so it can only mean this one.
    pub(crate) pidfd: OwnedFd,
    /// In clock ticks since the machine was started.
    pub(crate) start_time: u64,
}

/// Starts a child and returns once its program runs, or once nothing is left of it.
///
/// The calling thread is the parent whose death kills a [`Kind::Worker`], and nobody else in this process may reap
/// children it does not know.
pub(crate) fn start(launch: &Launch<'_>) -> Result<Started, SpawnFailure> {
    let mut plan = Plan::new(launch)?;
    let (failures, report) = io::pipe().map_err(|error| SpawnFailure::preparing(&error))?;
    let forked = child::fork_into(&mut plan, report.as_raw_fd());
    // Also makes room for the pidfd: a free number is certain even when this process is at its limit.
    drop(report);
    let pid = forked.map_err(|error| SpawnFailure::preparing(&error))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty());
    let failure = read_failure(failures).or_else(|| {
        pidfd.as_ref().err().map(|error| SpawnFailure { step: Step::Preparing, errno: error.raw_os_error() })
    });
    match (pidfd, failure) {
        (Ok(pidfd), None) => Ok(Started { pid, pidfd, start_time: start_time(pid) }),
        (_, Some(failure)) => {
            abandon(pid);
            Err(failure)
        }
        (Err(_), None) => unreachable!("a pidfd that could not be opened is a failure"),
    }
}

/// Waits until the pipe is closed, by exec or by the child's end.
fn read_failure(mut failures: PipeReader) -> Option<SpawnFailure> {
    let mut report = [0; child::REPORT_BYTES];
    failures.read_exact(&mut report).ok()?;
    let [step, errno @ ..] = report;
    let step = Step::from_byte(step).unwrap_or(Step::Preparing);
    Some(SpawnFailure { step, errno: i32::from_ne_bytes(errno) })
}

/// Cannot fail in a way that matters: a child that is not reaped has its place in procfs, and without procfs everybody
/// finds 0 alike.
fn start_time(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    parse_start_time(&stat).unwrap_or(0)
}

/// Field 22. The second is the program's name, which may contain anything.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    behind_name.split(' ').nth(19)?.parse().ok()
}

/// Ends and reaps a child nobody will hear of.
fn abandon(pid: Pid) {
    // Harmless if it fails: the child has no group of its own yet and is exiting by itself.
    let _ = kill_process_group(pid, Signal::KILL);
    // ECHILD only: somebody ignores SIGCHLD, and then there is nothing to reap.
    let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

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
