//! Which processes belong to a test, and what they are doing. A process belongs to a test when the mark that the test put
//! into the environment of the binary it started is in its own: children inherit it, however they detach themselves.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Name of the mark.
pub(crate) const MARK: &str = "STEAD_TEST_ID";

/// A process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// `R`, `S`, `T` (stopped), `Z` (zombie) and so on.
    pub(crate) state: char,
    /// Arguments joined with spaces; empty for a zombie.
    pub(crate) command: String,
}

/// All living processes with this mark. A zombie has no environment left and is never among them.
pub(crate) fn marked(mark: &str) -> Vec<Process> {
    let wanted = format!("{MARK}={mark}");
    let is_marked = |pid: &u32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
            environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        })
    };
    pids().into_iter().filter(is_marked).filter_map(process).collect()
}

/// Direct children, zombies included.
pub(crate) fn children(parent: u32) -> Vec<Process> {
    pids().into_iter().filter_map(process).filter(|process| process.parent == parent).collect()
}

/// The process, if there is one that lives.
pub(crate) fn living(pid: u32) -> Option<Process> {
    process(pid).filter(|process| !matches!(process.state, 'Z' | 'X'))
}

/// Sends a signal to this process alone; a process that is gone already is fine.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// `kill -9` of this process alone.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Resident memory of a process, in bytes.
pub(crate) fn memory_of(pid: u32) -> usize {
    memory(pid, "VmRSS:")
}

/// The most it ever was.
pub(crate) fn memory_peak_of(pid: u32) -> usize {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, which: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with(which)).expect("a process has memory");
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<usize>().ok()).expect("a number")
        * 1024
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets included.
    let mut rest = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = rest.next()?.chars().next()?;
    let parent = rest.next()?.parse().ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&arguments).replace('\0', " ").trim_end().to_owned();
    Some(Process { pid, parent, state, command })
}

/// Processes that were started with this as one of their arguments.
pub(crate) fn with_argument(argument: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    pids().into_iter().filter(has).collect()
}
