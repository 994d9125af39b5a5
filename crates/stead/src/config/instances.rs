//! How many workers: a number, `max`, or fewer than max.
//!
//! What `max` means is the standard library's answer: on Linux `available_parallelism` counts the cores in the affinity
//! mask of this process and lowers that to the CPU quota of its cgroup, version 1 or 2.

use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::thread::available_parallelism;

/// As it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceCount {
    /// Exactly this many, at least one.
    Exactly(u32),
    /// One for each core this process may use.
    Max,
    /// This many fewer than `Max`, at least one.
    Fewer(u32),
}

/// No machine runs more; a larger number is a slip of the finger.
pub const INSTANCES_MAX: u32 = 1024;

impl InstanceCount {
    /// The number of workers on a machine with this many cores.
    pub fn on(self, cores: u32) -> u32 {
        match self {
            InstanceCount::Exactly(count) => count,
            InstanceCount::Max => cores,
            InstanceCount::Fewer(fewer) => cores.saturating_sub(fewer).max(1),
        }
    }

    /// By how many it is fewer, if that is more than there are of these cores.
    pub fn beyond(self, cores: u32) -> Option<u32> {
        match self {
            InstanceCount::Fewer(fewer) => (fewer > cores).then_some(fewer),
            InstanceCount::Exactly(_) | InstanceCount::Max => None,
        }
    }

    /// The number of workers on this machine.
    pub fn here(self) -> u32 {
        self.on(cores())
    }
}

/// Cores this process may use, by affinity and cgroup quota; at least 1.
pub fn cores() -> u32 {
    available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

impl FromStr for InstanceCount {
    type Err = String;

    fn from_str(text: &str) -> Result<InstanceCount, String> {
        if text == "max" {
            return Ok(InstanceCount::Max);
        }
        let count: i64 = text.parse().map_err(|_| format!("`{text}` is neither a number nor `max`"))?;
        InstanceCount::try_from(count)
    }
}

impl TryFrom<i64> for InstanceCount {
    type Error = String;

    fn try_from(count: i64) -> Result<InstanceCount, String> {
        let size = u32::try_from(count.unsigned_abs()).unwrap_or(u32::MAX);
        match size {
            0 => Ok(InstanceCount::Max),
            size if size > INSTANCES_MAX => Err(format!("at most {INSTANCES_MAX} instances can run")),
            size if count < 0 => Ok(InstanceCount::Fewer(size)),
            size => Ok(InstanceCount::Exactly(size)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn instances_are_counted_from_the_cores() {
        let check = |text: &str, expected: Result<u32, &str>| {
            let actual = text.parse::<InstanceCount>().map(|count| count.on(4));
            assert_eq!(actual, expected.map_err(str::to_owned), "{text}");
        };
        check("1", Ok(1));
        check("16", Ok(16));
        check("max", Ok(4));
        check("0", Ok(4));
        check("-1", Ok(3));
        check("-4", Ok(1));
        check("-100", Ok(1));
        check("1025", Err("at most 1024 instances can run"));
        check("many", Err("`many` is neither a number nor `max`"));
        check("", Err("`` is neither a number nor `max`"));
        check("99999999999999999999", Err("`99999999999999999999` is neither a number nor `max`"));
    }

    /// Starts this very test binary on one core and lets it print what it counts.
    #[test]
    fn cores_respect_the_affinity_of_the_process() {
        if std::env::var_os("COUNT_CORES").is_some() {
            println!("cores={}", cores());
            return;
        }
        let name = "config::instances::tests::cores_respect_the_affinity_of_the_process";
        let output = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env("COUNT_CORES", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("cores=1\n"), "{text}");
    }
}
