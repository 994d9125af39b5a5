//! Which init system there is, by the traces it leaves.

use std::fs;
use std::path::Path;

/// What starts services at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// systemd.
    Systemd,
    /// OpenRC (Alpine, Gentoo).
    OpenRc,
    /// runit (Void).
    Runit,
    /// Scripts in /etc/init.d.
    SysV,
    /// launchd (macOS).
    Launchd,
    /// Nothing: a container, whose first process is a program.
    None,
    /// Something, but not one of these.
    Unknown,
}

/// Names on the command line, PM2's included.
const NAMES: [(&str, Init); 12] = [
    ("systemd", Init::Systemd),
    ("openrc", Init::OpenRc),
    ("runit", Init::Runit),
    ("sysvinit", Init::SysV),
    ("systemv", Init::SysV),
    ("upstart", Init::SysV),
    ("launchd", Init::Launchd),
    ("ubuntu", Init::Systemd),
    ("ubuntu14", Init::SysV),
    ("centos", Init::Systemd),
    ("gentoo", Init::OpenRc),
    ("arch", Init::Systemd),
];

/// Reads a name.
pub(super) fn parse(text: &str) -> Result<Init, String> {
    let name = text.to_lowercase();
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, init)| *init).ok_or_else(|| {
        "expected systemd, openrc, runit or sysvinit; `stead startup` finds out by itself".to_owned()
    })
}

/// Looks around below `root`, which is `/` except in tests.
pub(in super::super) fn look(root: &Path) -> Init {
    let there = |path: &str| root.join(path).exists();
    let first = fs::read_to_string(root.join("proc/1/comm")).unwrap_or_default();
    let first = first.trim();
    // A container may have the files of an init system in its image that nobody runs.
    let runs = |names: &[&str]| names.contains(&first);
    if there("run/systemd/system") {
        Init::Systemd
    } else if there("run/openrc") || runs(&["openrc-init"]) {
        Init::OpenRc
    } else if there("run/runit") || runs(&["runit"]) {
        Init::Runit
    } else if runs(&["init"]) && there("etc/init.d") && there("etc/inittab") {
        Init::SysV
    } else if runs(&["launchd"]) {
        Init::Launchd
    } else if is_container(root) || !runs(&["init", "systemd", "s6-svscan", "dinit", "shepherd", "busybox"]) {
        Init::None
    } else {
        Init::Unknown
    }
}

/// Whether this is a container, as far as one can tell.
pub(in super::super) fn is_container(root: &Path) -> bool {
    let marks = [".dockerenv", "run/.containerenv"];
    let variable = || {
        let environment = fs::read(root.join("proc/1/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"container="))
    };
    marks.iter().any(|mark| root.join(mark).exists()) || variable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_systems_are_known_by_their_traces() {
        let check = |files: &[(&str, &str)], expected: Init| {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            assert_eq!(look(root.path()), expected, "{files:?}");
        };
        check(&[("run/systemd/system/x", ""), ("proc/1/comm", "systemd\n")], Init::Systemd);
        check(&[("run/openrc/softlevel", ""), ("proc/1/comm", "init\n")], Init::OpenRc);
        check(&[("proc/1/comm", "runit\n"), ("etc/init.d/x", "")], Init::Runit);
        check(&[("proc/1/comm", "init\n"), ("etc/init.d/x", ""), ("etc/inittab", "")], Init::SysV);
        check(&[("proc/1/comm", "init\n")], Init::Unknown);
        check(&[("proc/1/comm", "s6-svscan\n")], Init::Unknown);
        check(&[("proc/1/comm", "init\n"), (".dockerenv", "")], Init::None);
        check(&[("proc/1/comm", "node\n"), ("etc/init.d/x", ""), ("etc/inittab", "")], Init::None);
        check(&[("proc/1/comm", "init\n"), ("proc/1/environ", "a=b\0container=lxc\0")], Init::None);
        check(&[], Init::None);
    }

    #[test]
    fn names_are_understood() {
        assert_eq!(parse("SystemD"), Ok(Init::Systemd));
        assert_eq!(parse("systemv"), Ok(Init::SysV));
        assert!(parse("windows").unwrap_err().contains("openrc"));
    }
}
