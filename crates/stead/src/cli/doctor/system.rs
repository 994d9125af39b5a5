//! Kernel, limits, cgroups, ports, clock.

use super::finding::{Finding, Verdict};
use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The oldest kernel that has everything: pidfds that can be waited for, and children that start in a cgroup.
const KERNEL_MIN: (u32, u32) = (5, 7);

/// Fewer open files than this are few connections.
const OPEN_FILES_LOW: u64 = 4096;

/// Seconds since 1970 before which no version of Stead was there: 2026-01-01.
const OLDEST_TIME: Duration = Duration::from_secs(1_767_225_600);

/// How far in the future a file may have been written: clocks are corrected by a little all the time.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Number of the capability to listen on any port.
const NET_BIND_SERVICE: u32 = 10;

/// What is known about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct System {
    pub(super) kernel: Option<(u32, u32)>,
    pub(super) open_files: Option<u64>,
    pub(super) cgroup: Cgroup,
    /// The first port that everybody may listen on.
    pub(super) ports_from: u16,
    pub(super) may_bind_all: bool,
    pub(super) now: SystemTime,
    /// When the newest file of the home was written.
    pub(super) newest_file: Option<SystemTime>,
}

/// Whether apps can get limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cgroup {
    /// No cgroup v2.
    Absent,
    /// There is one and it belongs to somebody else.
    Foreign(PathBuf),
    /// Its own may be divided; the controllers it has.
    Delegated { path: PathBuf, controllers: Vec<String> },
}

/// Looks at the machine; `keeper` is that of the background instance, whose cgroup is the one that counts.
pub(super) fn look(home: &Path, keeper: Option<u32>) -> System {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    System {
        kernel: parse_kernel(&read("/proc/sys/kernel/osrelease")),
        open_files: getrlimit(Resource::Nofile).maximum,
        cgroup: cgroup(keeper),
        ports_from: read("/proc/sys/net/ipv4/ip_unprivileged_port_start").trim().parse().unwrap_or(1024),
        may_bind_all: has_capability(&read("/proc/self/status"), NET_BIND_SERVICE),
        now: SystemTime::now(),
        newest_file: newest_file(home),
    }
}

fn parse_kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn has_capability(status: &str, number: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> number & 1 == 1)
}

fn cgroup(keeper: Option<u32>) -> Cgroup {
    let process = keeper.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let Some(path) = stead_process::cgroup::base(&process) else { return Cgroup::Absent };
    let writable = ["", "cgroup.procs", "cgroup.subtree_control"]
        .iter()
        .all(|name| access(path.join(name), Access::WRITE_OK).is_ok());
    if !writable {
        return Cgroup::Foreign(path);
    }
    let controllers = std::fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    Cgroup::Delegated { path, controllers: controllers.split_whitespace().map(str::to_owned).collect() }
}

fn newest_file(home: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(home).ok()?.flatten();
    entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

pub(super) fn judge(system: &System) -> Vec<Finding> {
    vec![kernel(system), open_files(system), control_group(system), ports(system), clock(system)]
}

fn kernel(system: &System) -> Finding {
    let finding = |verdict, text: String| Finding::new("kernel", verdict, text);
    match system.kernel {
        None => finding(Verdict::Note, "its version is not known".to_owned()),
        Some((major, minor)) if (major, minor) < KERNEL_MIN => {
            finding(Verdict::Failure, format!("Linux {major}.{minor}"))
                .advice(format!("Stead needs Linux {}.{} or later", KERNEL_MIN.0, KERNEL_MIN.1))
        }
        Some((major, minor)) => finding(Verdict::Ok, format!("Linux {major}.{minor}")),
    }
}

fn open_files(system: &System) -> Finding {
    let finding = |verdict, text: String| Finding::new("open files", verdict, text);
    match system.open_files {
        Some(count) if count < OPEN_FILES_LOW => {
            finding(Verdict::Warning, format!("at most {count} at once, connections included")).advice(
                "raise the hard limit (`ulimit -Hn`, /etc/security/limits.conf, LimitNOFILE= in a unit)",
            )
        }
        Some(count) => finding(Verdict::Ok, format!("at most {count} at once")),
        None => finding(Verdict::Ok, "no limit".to_owned()),
    }
}

fn control_group(system: &System) -> Finding {
    let finding = |verdict, text: String| Finding::new("cgroup", verdict, text);
    let advice =
        "only needed for memory_max, cpu_max and tasks_max: `stead startup` sets up a service that has it";
    match &system.cgroup {
        Cgroup::Absent => {
            finding(Verdict::Note, "no cgroup v2 here: apps cannot get limits".to_owned()).advice(advice)
        }
        Cgroup::Foreign(path) => {
            finding(Verdict::Note, format!("{} cannot be divided: apps cannot get limits", path.display()))
                .advice(advice)
        }
        Cgroup::Delegated { path, controllers } => {
            let wanted = ["cpu", "memory", "pids"];
            let missing: Vec<&str> =
                wanted.into_iter().filter(|name| !controllers.iter().any(|found| found == name)).collect();
            match missing.is_empty() {
                true => finding(Verdict::Ok, format!("{} can be divided", path.display())),
                false => {
                    let text = format!("{} lacks the controllers {}", path.display(), missing.join(", "));
                    finding(Verdict::Note, text).advice(advice)
                }
            }
        }
    }
}

fn ports(system: &System) -> Finding {
    let finding = |verdict, text: String| Finding::new("ports", verdict, text);
    match system.ports_from {
        _ if system.may_bind_all => finding(Verdict::Ok, "all may be listened on".to_owned()),
        0..=80 => finding(Verdict::Ok, format!("from {} on may be listened on", system.ports_from)),
        from => finding(Verdict::Note, format!("below {from} may not be listened on by this user")).advice(
            "if it has to be 80 or 443: `setcap cap_net_bind_service=+ep` on the program, AmbientCapabilities= in a unit, or a proxy in front",
        ),
    }
}

fn clock(system: &System) -> Finding {
    let finding = |verdict, text: &str| Finding::new("clock", verdict, text);
    let advice = "set it, and let it be kept right (systemd-timesyncd, chrony)";
    if system.now < UNIX_EPOCH + OLDEST_TIME {
        return finding(Verdict::Failure, "it is years late").advice(advice);
    }
    let future = system.newest_file.is_some_and(|newest| newest > system.now + CLOCK_SLACK);
    if future {
        return finding(Verdict::Warning, "files of the home are from the future: the clock was set back")
            .advice(advice);
    }
    finding(Verdict::Ok, "plausible")
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    fn system() -> System {
        System {
            kernel: Some((6, 1)),
            open_files: Some(1 << 20),
            cgroup: Cgroup::Delegated {
                path: "/c".into(),
                controllers: ["cpu", "memory", "pids"].map(str::to_owned).to_vec(),
            },
            ports_from: 1024,
            may_bind_all: true,
            now: UNIX_EPOCH + OLDEST_TIME + Duration::from_secs(9999),
            newest_file: None,
        }
    }

    #[test]
    fn the_machine_is_judged() {
        check(&kernel(&system()), Verdict::Ok, "Linux 6.1");
        check(&kernel(&System { kernel: Some((4, 19)), ..system() }), Verdict::Failure, "Linux 4.19");
        check(&kernel(&System { kernel: None, ..system() }), Verdict::Note, "not known");
        check(&open_files(&system()), Verdict::Ok, "1048576");
        check(&open_files(&System { open_files: Some(1024), ..system() }), Verdict::Warning, "1024");
        check(&open_files(&System { open_files: None, ..system() }), Verdict::Ok, "no limit");
        check(&ports(&system()), Verdict::Ok, "all");
        check(&ports(&System { may_bind_all: false, ..system() }), Verdict::Note, "below 1024");
        check(&ports(&System { may_bind_all: false, ports_from: 80, ..system() }), Verdict::Ok, "from 80");
    }

    #[test]
    fn cgroups_are_judged() {
        let with = |cgroup| control_group(&System { cgroup, ..system() });
        check(&control_group(&system()), Verdict::Ok, "/c can be divided");
        check(&with(Cgroup::Absent), Verdict::Note, "no cgroup v2");
        check(&with(Cgroup::Foreign("/c".into())), Verdict::Note, "cannot be divided");
        let poor = Cgroup::Delegated { path: "/c".into(), controllers: vec!["memory".to_owned()] };
        check(&with(poor), Verdict::Note, "lacks the controllers cpu, pids");
    }

    #[test]
    fn clocks_are_judged() {
        let now = system().now;
        check(&clock(&system()), Verdict::Ok, "plausible");
        check(&clock(&System { now: UNIX_EPOCH, ..system() }), Verdict::Failure, "late");
        let written = |seconds| Some(now + Duration::from_secs(seconds));
        check(&clock(&System { newest_file: written(5), ..system() }), Verdict::Ok, "plausible");
        check(&clock(&System { newest_file: written(5000), ..system() }), Verdict::Warning, "future");
    }

    #[test]
    fn what_the_kernel_says_is_understood() {
        assert_eq!(parse_kernel("6.18.5-fc\n"), Some((6, 18)));
        assert_eq!(parse_kernel("5.4+"), Some((5, 4)));
        assert_eq!(parse_kernel("what"), None);
        assert!(has_capability("Name:\tx\nCapEff:\t0000000000000400\n", NET_BIND_SERVICE));
        assert!(!has_capability("CapEff:\t0000000000000000\n", NET_BIND_SERVICE));
        assert!(!has_capability("", NET_BIND_SERVICE));
        let seen = look(Path::new("/nonexistent"), None);
        assert!(seen.kernel.is_some() && seen.newest_file.is_none(), "{seen:?}");
    }
}
