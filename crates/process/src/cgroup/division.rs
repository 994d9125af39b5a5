//! Makes a control group able to have limited groups in it: enables their controllers, which the kernel permits only once
//! the group has no processes of its own.
//!
//! Only processes of Stead itself and what it started are ever moved.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::{Asked, CgroupError, KEEPER, make_directory, wanted};

/// Processes that are started while others are moved are moved in the next round.
const ROUNDS_MAX: u32 = 10;
/// Longest way from a process to an ancestor.
const ANCESTORS_MAX: usize = 256;

/// A group that is to be divided.
pub(super) struct Division<'a> {
    pub(super) base: &'a Path,
    pub(super) asked: &'a [Asked],
    pub(super) keeper_pid: u32,
}

impl Division<'_> {
    pub(super) fn carry_out(&self) -> Result<(), CgroupError> {
        let lacking = self.lacking()?;
        if lacking.is_empty() {
            return Ok(());
        }
        let enable = || fs::write(self.base.join("cgroup.subtree_control"), lacking.join(" "));
        let mut enabled = enable();
        if enabled.as_ref().is_err_and(|error| is(error, Errno::BUSY)) {
            self.make_room()?;
            enabled = enable();
        }
        enabled.map_err(|error| self.refused(error))
    }

    /// The controllers that have to be enabled.
    fn lacking(&self) -> Result<Vec<String>, CgroupError> {
        let offered = self.words("cgroup.controllers")?;
        let enabled = self.words("cgroup.subtree_control")?;
        let lacks = |words: &[String], name: &str| !words.iter().any(|word| word == name);
        let controllers = || self.asked.iter().map(|(_, controller)| *controller);
        let missing: Vec<&str> = controllers().filter(|name| lacks(&offered, name)).collect();
        if !missing.is_empty() {
            return Err(CgroupError::Missing { wanted: self.wanted(), group: self.base.to_owned(), missing });
        }
        Ok(controllers().filter(|name| lacks(&enabled, name)).map(|name| format!("+{name}")).collect())
    }

    /// Moves the keeper and its children into a group of their own.
    fn make_room(&self) -> Result<(), CgroupError> {
        let leaf = self.base.join(KEEPER);
        for _ in 0..ROUNDS_MAX {
            // Those of other namespaces are 0 here.
            let members: Vec<u32> =
                self.words("cgroup.procs")?.iter().filter_map(|pid| pid.parse().ok()).collect();
            if members.is_empty() {
                return Ok(());
            }
            if let Some(pid) = members.iter().copied().find(|pid| !self.is_ours(*pid)) {
                let group = self.base.to_owned();
                return Err(CgroupError::Shared { wanted: self.wanted(), group, pid });
            }
            make_directory(&leaf).map_err(|error| self.refused(error))?;
            for pid in members {
                match fs::write(leaf.join("cgroup.procs"), pid.to_string()) {
                    // It has ended meanwhile.
                    Err(error) if is(&error, Errno::SRCH) => (),
                    result => result.map_err(|error| self.refused(error))?,
                }
            }
        }
        Ok(())
    }

    /// It is one that the keeper started, or runs the same program: the command that started the keeper may still wait for
    /// its answer.
    fn is_ours(&self, pid: u32) -> bool {
        let program = |process: &str| fs::read_link(format!("/proc/{process}/exe")).ok();
        descends(pid, self.keeper_pid, parent)
            || program("self").is_some_and(|own| program(&pid.to_string()) == Some(own))
    }

    fn words(&self, file: &str) -> Result<Vec<String>, CgroupError> {
        let text = fs::read_to_string(self.base.join(file)).map_err(|error| self.refused(error))?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    fn refused(&self, source: io::Error) -> CgroupError {
        let group = self.base.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound => {
                CgroupError::Foreign { wanted: self.wanted(), group }
            }
            _ => CgroupError::Unusable { group, source },
        }
    }

    fn wanted(&self) -> String {
        wanted(self.asked)
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

/// Whether `pid` is `ancestor`, or was started by it or one of those it started.
fn descends(pid: u32, ancestor: u32, parent: impl Fn(u32) -> Option<u32>) -> bool {
    std::iter::successors(Some(pid), |pid| parent(*pid)).take(ANCESTORS_MAX).any(|pid| pid == ancestor)
}

fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and parentheses; the state and the parent follow the last one.
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
pub(super) mod test_support {
    /// A directory that looks like a group.
    pub(crate) fn group(offered: &str, enabled: &str, members: &str) -> tempfile::TempDir {
        let group = tempfile::tempdir().unwrap();
        let files =
            [("cgroup.controllers", offered), ("cgroup.subtree_control", enabled), ("cgroup.procs", members)];
        for (name, text) in files {
            std::fs::write(group.path().join(name), text).unwrap();
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::test_support::group;
    use super::*;
    use crate::cgroup::{Cgroups, Limits};

    const ALL: [Asked; 3] = [("memory_max", "memory"), ("cpu_max", "cpu"), ("tasks_max", "pids")];

    fn division(base: &Path) -> Division<'_> {
        Division { base, asked: &ALL, keeper_pid: std::process::id() }
    }

    #[test]
    fn only_what_is_not_enabled_yet_is_asked_for() {
        let check = |enabled: &str, expected: &str| {
            let base = group("cpu io memory pids", enabled, "");
            division(base.path()).carry_out().unwrap();
            let written = fs::read_to_string(base.path().join("cgroup.subtree_control")).unwrap();
            assert_eq!(written, expected, "{enabled}");
        };
        check("", "+memory +cpu +pids");
        check("memory", "+cpu +pids");
        check("cpu memory pids", "cpu memory pids");
    }

    #[test]
    fn what_is_missing_is_named() {
        let base = group("cpu io", "", "");
        let error = division(base.path()).carry_out().unwrap_err();
        let place = base.path().display();
        let expected = format!(
            "memory_max, cpu_max, tasks_max: the cgroup `{place}` lacks the controllers memory, pids"
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.is_fatal());
        fs::remove_file(base.path().join("cgroup.controllers")).unwrap();
        let error = division(base.path()).carry_out().unwrap_err();
        assert!(matches!(error, CgroupError::Foreign { .. }), "{error}");
    }

    #[test]
    fn strangers_are_not_moved_and_nobody_is_because_of_them() {
        let own = std::process::id();
        let base = group("memory", "", &format!("{own}\n1\n"));
        let error = division(base.path()).make_room().unwrap_err();
        assert!(matches!(error, CgroupError::Shared { pid: 1, .. }), "{error}");
        assert!(!base.path().join(KEEPER).exists());
    }

    /// With a controller that this machine has, whichever it is.
    #[test]
    fn the_kernel_lets_a_group_be_divided_once_its_processes_are_moved() {
        let own = crate::cgroup::base("self");
        let made = own.and_then(|own| {
            let base = own.join(format!("stead-test-{}", std::process::id()));
            fs::create_dir(&base).is_ok().then_some(base)
        });
        let Some(base) = made else {
            // No version 2 here, or none that this user may divide.
            let limits = Limits { memory_max: Some(1 << 30), ..Limits::default() };
            assert!(Cgroups::of_parent().prepare(&limits).unwrap_err().is_fatal());
            return;
        };
        let read = |file: &str| fs::read_to_string(base.join(file)).unwrap().trim().to_owned();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(base.join("cgroup.procs"), child.id().to_string()).unwrap();
        let offered = read("cgroup.controllers");
        let controller = offered.split_whitespace().next().unwrap_or("memory").to_owned().leak();
        let asked = [("memory_max", &*controller)];
        let outcome = Division { base: &base, asked: &asked, keeper_pid: std::process::id() }.carry_out();
        let seen = (read("cgroup.subtree_control"), read("cgroup.procs"));
        let moved = fs::read_to_string(base.join("stead-keeper/cgroup.procs")).unwrap_or_default();
        let pid = child.id().to_string();
        child.kill().unwrap();
        child.wait().unwrap();
        drop(fs::remove_dir(base.join("stead-keeper")));
        fs::remove_dir(&base).unwrap();
        if offered.is_empty() {
            assert!(matches!(outcome, Err(CgroupError::Missing { .. })), "{outcome:?}");
            return;
        }
        outcome.unwrap();
        assert_eq!(seen.0, *controller);
        // Some controllers (cpu, pids) tolerate processes beside groups.
        assert!(moved.trim() == pid && seen.1.is_empty() || seen.1 == pid, "{moved} {seen:?}");
    }

    #[test]
    fn descent_is_followed_over_generations() {
        let parent = |pid| (pid > 1).then_some(pid / 10);
        let check = |pid, ancestor, expected| assert_eq!(descends(pid, ancestor, parent), expected, "{pid}");
        check(812, 8, true);
        check(8, 8, true);
        check(812, 9, false);
    }
}
