//! Where the control group of a process is in the file system, wherever version 2 is mounted.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{KEEPER, WORKER};

/// The group that the keeper divides, for `process`: the keeper or one of its kind, by pid or `self`. `None` without
/// version 2.
pub fn base(process: &str) -> Option<PathBuf> {
    let group = of(process)?;
    match group.file_name() == Some(OsStr::new(KEEPER)) {
        true => group.parent().map(Path::to_owned),
        false => Some(group),
    }
}

/// The group that was made for this child, if one was.
pub fn of_worker(pid: u32) -> Option<PathBuf> {
    of(&pid.to_string()).filter(|group| {
        group.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(WORKER))
    })
}

fn of(process: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    find(&groups, &fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// By the texts of `/proc/<pid>/cgroup` and `/proc/self/mountinfo`.
fn find(groups: &str, mounts: &str) -> Option<PathBuf> {
    let own = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        // What is mounted may be a part of the whole, as in containers.
        let below = own.strip_prefix(root).ok().filter(|_| kind.starts_with("cgroup2 "))?;
        (!below.starts_with("..")).then(|| Path::new(place).join(below).components().collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_where_it_is_mounted() {
        let check = |groups: &str, mounts: &str, expected: Option<&str>| {
            assert_eq!(find(groups, mounts), expected.map(PathBuf::from), "{groups} {mounts}");
        };
        let pure = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        check("0::/user.slice/a.scope\n", pure, Some("/sys/fs/cgroup/user.slice/a.scope"));
        check("0::/\n", pure, Some("/sys/fs/cgroup"));
        check("0::/../other\n", pure, None);
        let hybrid = "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        check("4:memory:/x\n0::/a\n", hybrid, Some("/sys/fs/cgroup/unified/a"));
        let bound = "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        check("0::/docker/1/x\n", bound, Some("/sys/fs/cgroup/x"));
        check("4:memory:/x\n", hybrid, None);
        check("0::/a\n", "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", None);
    }

    #[test]
    fn a_process_outside_of_stead_is_no_worker() {
        assert_eq!(of_worker(std::process::id()), None);
        assert_eq!(base("no-such-process"), None);
    }
}
