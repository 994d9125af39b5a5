//! A control group (version 2) for each worker that has limits of memory, CPU or tasks.
//!
//! ```text
//! where the keeper was started     e.g. stead.service with Delegate=yes
//!  +- stead-keeper                 keeper, daemon and children without limits: a group with groups in it has no processes
//!  +- stead-worker-812.0.17        the child that the daemon of the keeper with pid 812 calls 0.17
//! ```
//!
//! Called by the daemon, whose parent is the keeper; that a child begins in its group is `spawn.rs`'s business. Limits that
//! cannot be set are an error and not a warning: whoever asked for them relies on them. `division.rs` makes a group able to
//! have others in it, `place.rs` finds where the group of a process is.

mod division;
mod place;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::getppid;

use division::Division;
pub use place::{base, of_worker};

const KEEPER: &str = "stead-keeper";
const WORKER: &str = "stead-worker-";
/// The kernel's unit for shares of CPU time, in microseconds.
const CPU_PERIOD: f64 = 100_000.0;
/// The smallest share the kernel takes, in microseconds of a period.
const CPU_QUOTA_MIN: f64 = 1_000.0;

/// What a child may use with all it starts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Bytes of memory. A child that needs more is killed with all it has started.
    pub memory_max: Option<u64>,
    /// Cores: 1.5 is one and a half.
    pub cpu_max: Option<f64>,
    /// Processes and threads.
    pub tasks_max: Option<u64>,
}

/// Why a child cannot have the limits it is to have.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// Nothing of version 2 is mounted.
    #[error("{wanted}: cgroup version 2 is not mounted here")]
    Absent {
        /// The limits that were asked for.
        wanted: String,
    },
    /// The controllers are in use by version 1, or a group above does not pass them on.
    #[error("{wanted}: the cgroup `{}` lacks the controllers {}", group.display(), missing.join(", "))]
    Missing {
        /// The limits that were asked for.
        wanted: String,
        /// The group that was to be divided.
        group: PathBuf,
        /// The kernel's names of the controllers.
        missing: Vec<&'static str>,
    },
    /// The group belongs to another user, or to nobody (mounted read-only).
    #[error("{wanted}: this user may not divide the cgroup `{}`", group.display())]
    Foreign {
        /// The limits that were asked for.
        wanted: String,
        /// The group that was to be divided.
        group: PathBuf,
    },
    /// Somebody else's process would have to be moved.
    #[error("{wanted}: the cgroup `{}` also holds process {pid}, which is none of Stead's", group.display())]
    Shared {
        /// The limits that were asked for.
        wanted: String,
        /// The group that was to be divided.
        group: PathBuf,
        /// The other process.
        pid: u32,
    },
    /// Anything else; may pass.
    #[error("the cgroup `{}` cannot be used", group.display())]
    Unusable {
        /// The group that was to be divided, or to be made.
        group: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// Trying again without a change is pointless.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Unusable { .. })
    }
}

/// The groups of one keeper's children.
#[derive(Debug)]
pub struct Cgroups {
    keeper_pid: u32,
    /// What is divided, if there is version 2.
    base: Option<PathBuf>,
}

impl Cgroups {
    /// Those of this process's parent, the keeper.
    pub fn of_parent() -> Self {
        let keeper_pid = getppid().map_or(0, |pid| pid.as_raw_pid().unsigned_abs());
        Self { keeper_pid, base: base("self") }
    }

    /// Sees to it that groups can be made that have these limits. Moves the keeper and its children out of the way.
    ///
    /// # Errors
    /// When it cannot be; then no process of others was touched.
    pub fn prepare(&self, limits: &Limits) -> Result<(), CgroupError> {
        let asked = limits.asked();
        match &self.base {
            _ if asked.is_empty() => Ok(()),
            Some(base) => Division { base, asked: &asked, keeper_pid: self.keeper_pid }.carry_out(),
            None => Err(CgroupError::Absent { wanted: wanted(&asked) }),
        }
    }

    /// Makes the group of a child, for [`SpawnSpec::cgroup`](crate::spawn::SpawnSpec::cgroup); none if it has no limits.
    ///
    /// # Errors
    /// When it cannot have them; then no group is left.
    pub fn make(&self, name: &str, limits: &Limits) -> Result<Option<PathBuf>, CgroupError> {
        self.prepare(limits)?;
        let Some(group) = self.group(name).filter(|_| *limits != Limits::default()) else { return Ok(None) };
        let made = make_directory(&group).and_then(|()| set(&group, limits));
        if let Err(source) = made {
            // Without its limits it is of no use, and nobody is in it yet.
            drop(fs::remove_dir(&group));
            return Err(CgroupError::Unusable { group, source });
        }
        Ok(Some(group))
    }

    /// Kills what a child that has ended left in its group, and removes it. Whether it is gone; what was just killed may
    /// take a moment.
    pub fn remove(&self, name: &str) -> bool {
        let Some(group) = self.group(name).filter(|group| group.is_dir()) else { return true };
        // Older kernels cannot; then those that left the child's process group go on, and the group with them.
        drop(fs::write(group.join("cgroup.kill"), "1"));
        fs::remove_dir(&group).is_ok()
    }

    /// Removes the empty groups of this keeper and of those that are dead. To be called while no child is being started.
    pub fn sweep(&self) {
        let Some(base) = &self.base else { return };
        let is_dead = |keeper: u32| !Path::new("/proc").join(keeper.to_string()).exists();
        sweep(base, |keeper| keeper == self.keeper_pid || is_dead(keeper));
    }

    fn group(&self, name: &str) -> Option<PathBuf> {
        Some(self.base.as_ref()?.join(format!("{WORKER}{}.{name}", self.keeper_pid)))
    }
}

/// A limit by name, and the controller it needs.
type Asked = (&'static str, &'static str);

impl Limits {
    fn asked(&self) -> Vec<Asked> {
        let all = [
            (self.memory_max.is_some(), ("memory_max", "memory")),
            (self.cpu_max.is_some(), ("cpu_max", "cpu")),
            (self.tasks_max.is_some(), ("tasks_max", "pids")),
        ];
        all.into_iter().filter_map(|(is_asked, asked)| is_asked.then_some(asked)).collect()
    }
}

fn wanted(asked: &[Asked]) -> String {
    let names: Vec<&str> = asked.iter().map(|(limit, _)| *limit).collect();
    names.join(", ")
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn set(group: &Path, limits: &Limits) -> io::Result<()> {
    if let Some(bytes) = limits.memory_max {
        fs::write(group.join("memory.max"), bytes.to_string())?;
        // A worker that lost one of its processes is worth less than a fresh one. Older kernels choose by themselves.
        drop(fs::write(group.join("memory.oom.group"), "1"));
    }
    if let Some(cores) = limits.cpu_max {
        let quota = (cores * CPU_PERIOD).max(CPU_QUOTA_MIN).round();
        fs::write(group.join("cpu.max"), format!("{quota} {CPU_PERIOD}"))?;
    }
    if let Some(tasks) = limits.tasks_max {
        fs::write(group.join("pids.max"), tasks.to_string())?;
    }
    Ok(())
}

/// One with processes in it stays by itself.
fn sweep(base: &Path, of_keeper: impl Fn(u32) -> bool) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let keeper =
            name.to_str().and_then(|name| name.strip_prefix(WORKER)?.split('.').next()?.parse().ok());
        if keeper.is_some_and(&of_keeper) {
            drop(fs::remove_dir(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::division::test_support::group;
    use super::*;

    const ALL: Limits = Limits { memory_max: Some(64 << 20), cpu_max: Some(1.5), tasks_max: Some(50) };

    fn cgroups(base: &Path) -> Cgroups {
        Cgroups { keeper_pid: std::process::id(), base: Some(base.to_owned()) }
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        let check = |limits: Limits, expected: [Option<&str>; 4]| {
            let base = group("cpu memory pids", "cpu memory pids", "");
            let made = cgroups(base.path()).make("0.17", &limits).unwrap().unwrap();
            assert!(made.ends_with(format!("stead-worker-{}.0.17", std::process::id())), "{made:?}");
            let files = ["memory.max", "memory.oom.group", "cpu.max", "pids.max"];
            let written = files.map(|file| fs::read_to_string(made.join(file)).ok());
            assert_eq!(written, expected.map(|text| text.map(str::to_owned)), "{limits:?}");
        };
        check(ALL, [Some("67108864"), Some("1"), Some("150000 100000"), Some("50")]);
        let only = Limits::default();
        check(Limits { memory_max: Some(1), ..only }, [Some("1"), Some("1"), None, None]);
        check(Limits { cpu_max: Some(0.25), ..only }, [None, None, Some("25000 100000"), None]);
        check(Limits { cpu_max: Some(0.001), ..only }, [None, None, Some("1000 100000"), None]);
        check(Limits { tasks_max: Some(1), ..only }, [None, None, None, Some("1")]);
    }

    #[test]
    fn without_limits_there_is_no_group() {
        let nowhere = Cgroups { keeper_pid: 1, base: None };
        assert_eq!(nowhere.make("0.1", &Limits::default()).unwrap(), None);
        assert!(nowhere.remove("0.1"), "there is nothing to remove");
        let error = nowhere.make("0.1", &ALL).unwrap_err();
        assert_eq!(error.to_string(), "memory_max, cpu_max, tasks_max: cgroup version 2 is not mounted here");
        assert!(error.is_fatal());
    }

    #[test]
    fn groups_of_the_dead_are_removed() {
        let base = group("", "", "");
        for name in ["stead-worker-7.0.1", "stead-worker-8.0.1", "stead-worker-x", "stead-keeper", "other"] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        sweep(base.path(), |keeper| keeper == 7);
        let is_left = |name: &str| base.path().join(name).exists();
        assert!(!is_left("stead-worker-7.0.1"));
        assert!(["stead-worker-8.0.1", "stead-worker-x", "stead-keeper", "other"].into_iter().all(is_left));
        assert!(cgroups(base.path()).remove("0.1"), "it is not there");
    }
}
