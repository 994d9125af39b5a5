//! Tells a child killed for want of memory from one killed by somebody.
//!
//! Both die of SIGKILL; only the kernel's counter of such kills tells them apart. It is raised before the signal is sent,
//! so it is already there when the child is reaped. The counter of the keeper's own control group is preferred, because
//! the machine's (`/proc/vmstat`) also counts strangers.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup;

const MACHINE: &str = "/proc/vmstat";
const EVENTS: &str = "memory.events";

/// Reads the counters. While one cannot be read, nothing is called out of memory.
#[derive(Debug)]
pub(super) struct MemoryKills {
    file: PathBuf,
    account: Account,
}

impl MemoryKills {
    pub(super) fn new() -> Self {
        let group = cgroup::base("self").map(|group| group.join(EVENTS));
        let file = group.filter(|file| count(file).is_some()).unwrap_or_else(|| MACHINE.into());
        Self { file, account: Account::default() }
    }

    /// With the account of another process.
    pub(super) fn resume(explained: u64) -> Self {
        Self { account: Account { explained }, ..Self::new() }
    }

    pub(super) fn explained(&self) -> u64 {
        self.account.explained
    }

    /// The counter now, of a child's own control group if it has one; to be remembered with a child that is about to be
    /// spawned.
    pub(super) fn now(&self, group: Option<&Path>) -> Option<u64> {
        match group {
            Some(group) => count(&group.join(EVENTS)),
            None => count(&self.file),
        }
    }

    /// Whether a child that was spawned at `since` and just died of SIGKILL may be called out of memory.
    pub(super) fn explains_kill(&mut self, since: Option<u64>, group: Option<&Path>) -> bool {
        let Some((since, now)) = since.zip(self.now(group)) else { return false };
        if group.is_none() {
            return self.account.explains_kill(since, now);
        }
        // Few share it, and a kill there is theirs. It was counted for all as well, and must not explain another's death.
        if now > since {
            self.account.explained = self.account.explained.max(self.now(None).unwrap_or(0));
        }
        now > since
    }
}

/// Each kill the kernel counted explains one death.
#[derive(Debug, Default)]
struct Account {
    explained: u64,
}

impl Account {
    fn explains_kill(&mut self, since: u64, now: u64) -> bool {
        let known = self.explained.max(since);
        if now > known {
            self.explained = known + 1;
        }
        now > known
    }
}

fn count(file: &Path) -> Option<u64> {
    find_count(&fs::read_to_string(file).ok()?)
}

fn find_count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counted_kill_explains_one_death() {
        let mut account = Account::default();
        assert!(!account.explains_kill(7, 7), "somebody else killed it");
        assert!(account.explains_kill(7, 9), "two were counted");
        assert!(account.explains_kill(7, 9), "the second of them");
        assert!(!account.explains_kill(7, 9), "there was no third");
        assert!(!account.explains_kill(12, 12), "kills from before the spawn explain nothing");
        assert!(account.explains_kill(12, 13));
    }

    #[test]
    fn a_kill_in_a_child_s_own_group_explains_no_other_death() {
        let directory = tempfile::tempdir().unwrap();
        let (base, own) = (directory.path(), directory.path().join("own"));
        fs::create_dir(&own).unwrap();
        let set = |group: &Path, kills: u64| {
            fs::write(group.join(EVENTS), format!("oom_kill {kills}\n")).unwrap();
        };
        set(base, 7);
        set(&own, 0);
        let mut kills = MemoryKills { file: base.join(EVENTS), account: Account::default() };
        assert!(!kills.explains_kill(Some(0), Some(&own)), "somebody else killed it");
        // The counter of a group is part of those of the groups above.
        set(base, 9);
        set(&own, 2);
        assert!(kills.explains_kill(Some(0), Some(&own)));
        assert!(!kills.explains_kill(Some(7), None), "it was in another group");
        set(base, 10);
        assert!(kills.explains_kill(Some(7), None));
    }

    #[test]
    fn the_counter_is_found_in_both_files() {
        let check = |text, expected| assert_eq!(find_count(text), expected, "{text}");
        check("low 0\noom 3\noom_kill 2\noom_group_kill 1\n", Some(2));
        check("pgfault 9\noom_kill 4\n", Some(4));
        check("oom_kill many\n", None);
        check("", None);
    }
}
