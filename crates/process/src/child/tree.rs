//! Finds and signals all that a child has started.
//!
//! There is no system call for it, so the processes of the system are looked through. One that was found is held by a
//! pidfd, and looked at once more before it is signalled, so that a number that changes hands hits nobody else.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Signal;
use super::state::State;
use crate::keeper::{kill_group, signal_pidfd};
use crate::spawn::Group;

/// How often more processes are looked for before those found are killed. Each time is one generation that a stopped
/// process had started before it was stopped.
const ROUNDS_MAX: usize = 32;

/// Where a process stands to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kin {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
}

/// The caller sees to it that the child is not reaped.
pub(super) fn signal(child: &State, signal: Signal) -> io::Result<()> {
    if signal == Signal::KILL
        && let Some(cgroup) = &child.cgroup
        && fs::write(cgroup.join("cgroup.kill"), "1").is_ok()
    {
        return Ok(());
    }
    let mut found = vec![child.pidfd.try_clone()?];
    if signal == Signal::KILL {
        hold(child, &mut found);
    } else {
        let mut known = HashSet::from([child.pid.as_raw_pid()]);
        find(child, &mut known, &mut found);
    }
    if child.group != Group::Inherited {
        kill_group(child.pid, signal);
    }
    // To each, also if one cannot be signalled.
    let results: Vec<io::Result<()>> = found.iter().map(|pidfd| signal_one(pidfd, signal)).collect();
    results.into_iter().collect()
}

/// Stops all, until nobody is left who could start another.
fn hold(child: &State, found: &mut Vec<OwnedFd>) {
    let mut known = HashSet::from([child.pid.as_raw_pid()]);
    let mut stopped = 0;
    for _ in 0..ROUNDS_MAX {
        // EPERM: it will not be killed either, and that is told.
        found[stopped..].iter().for_each(|pidfd| drop(signal_one(pidfd, Signal::STOP)));
        stopped = found.len();
        find(child, &mut known, found);
        if found.len() == stopped {
            return;
        }
    }
}

/// Adds those who are not known yet.
fn find(child: &State, known: &mut HashSet<i32>, found: &mut Vec<OwnedFd>) {
    let root = child.pid.as_raw_pid();
    let all: Vec<Kin> = processes().collect();
    loop {
        let before = known.len();
        for kin in &all {
            let belongs = |kin: &Kin| {
                let by_group = child.group != Group::Inherited && (kin.group == root || kin.session == root);
                by_group || known.contains(&kin.parent)
            };
            if known.contains(&kin.pid) || !belongs(kin) {
                continue;
            }
            let pidfd = Pid::from_raw(kin.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            // Whoever has the number now may be another one than before.
            if let Some(pidfd) = pidfd.filter(|_| look(kin.pid).as_ref().is_some_and(belongs)) {
                known.insert(kin.pid);
                found.push(pidfd);
            }
        }
        if known.len() == before {
            return;
        }
    }
}

fn signal_one(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
    match signal_pidfd(pidfd, signal) {
        // It has ended by itself.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result,
    }
}

fn processes() -> impl Iterator<Item = Kin> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| look(entry.file_name().to_str()?.parse().ok()?))
}

fn look(pid: i32) -> Option<Kin> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name, which may contain anything.
fn parse(pid: i32, stat: &str) -> Option<Kin> {
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(1).map(|field| field.parse().ok());
    Some(Kin { pid, parent: fields.next()??, group: fields.next()??, session: fields.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kin_are_found_behind_any_name() {
        let kin = Kin { pid: 7, parent: 1, group: 5, session: 4 };
        for name in ["node", "a b", ") 1 (", "x) R 9 9 9"] {
            assert_eq!(parse(7, &format!("7 ({name}) S 1 5 4 0 -1")), Some(kin), "{name}");
        }
        assert_eq!(parse(7, "7 (a) S 1"), None);
    }
}
