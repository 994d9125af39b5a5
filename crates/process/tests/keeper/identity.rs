//! A child is who it is asked to be.

use std::path::Path;

use rustix::process::geteuid;
use stead_process::spawn::{Identity, ResourceName, SpawnSpec};

use crate::harness::{Stead, exit_code, killed_by, shell, signal_process, status_field, wait_end};
use stead_process::keeper::Signal;

/// Somebody who is never the one that runs the tests.
const STRANGER: u32 = 65_533;

#[test]
fn limits_mask_and_privileges_are_as_asked() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let limits = vec![
        (ResourceName::Nofile, Some(99)),
        (ResourceName::Core, Some(0)),
        (ResourceName::Fsize, Some(1 << 20)),
    ];
    let identity = Identity { umask: Some(0o027), limits, no_new_privileges: true, ..Identity::default() };
    let script = "echo Mask: $(umask); echo Files: $(ulimit -n) $(ulimit -Hn); echo Core: $(ulimit -c); \
                  cat /proc/self/limits; exec cat /proc/self/status";
    let spec = SpawnSpec { descriptors: vec![1], open_files_max: Some(77), identity, ..shell(script) };
    let (child, _) = daemon.spawn(spec, &[&stead.path("out")]);
    assert_eq!(daemon.exit_of(child), exit_code(0));
    let out = stead.read("out");
    let check = |field, value: &str| assert_eq!(status_field(&out, field), value, "{field}");
    check("Mask", "0027");
    check("Files", "99 99");
    check("Core", "0");
    check("NoNewPrivs", "1");
    assert!(out.lines().any(|line| line.starts_with("Max file size") && line.contains("1048576")));
}

#[test]
fn user_and_groups_are_as_asked_or_the_reason_is_told() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let identity =
        Identity { uid: Some(STRANGER), gid: Some(65_532), groups: vec![65_531], ..Identity::default() };
    let spec = SpawnSpec { identity, ..shell("exec sleep 1000") };
    if !geteuid().is_root() {
        let error = daemon.spawn_error(spec);
        assert_eq!(
            error,
            "program `/bin/sh` cannot be given its user and groups: Operation not permitted (os error 1)"
        );
        return;
    }
    let (_, pid) = daemon.spawn(spec, &[]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let check = |field, value: &str| assert_eq!(status_field(&status, field), value, "{field}");
    check("Uid", "65533\t65533\t65533\t65533");
    check("Gid", "65532\t65532\t65532\t65532");
    check("Groups", "65531");
    check("CapEff", "0000000000000000");
    // And it still dies with the keeper, which is another user's.
    signal_process(stead.pid(), Signal::KILL);
    wait_end(pid);
}

#[test]
fn a_directory_is_entered_as_the_user_one_becomes() {
    if !geteuid().is_root() {
        return;
    }
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let closed = stead.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let identity = Identity { uid: Some(STRANGER), ..Identity::default() };
    let spec = SpawnSpec { identity, directory: Some(closed.clone().into()), ..shell("true") };
    let expected = format!("directory `{closed}` cannot be entered: Permission denied (os error 13)");
    assert_eq!(daemon.spawn_error(spec), expected);
}

#[test]
fn one_s_own_user_needs_no_privilege() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let identity = Identity { uid: Some(geteuid().as_raw()), ..Identity::default() };
    let (child, _) = daemon.spawn(SpawnSpec { identity, ..shell("exit 2") }, &[]);
    assert_eq!(daemon.exit_of(child), exit_code(2));
}

#[test]
fn a_child_begins_in_its_control_group_or_the_reason_is_told() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let spec = SpawnSpec { cgroup: Some("/no/such".into()), ..shell("true") };
    let expected = "control group `/no/such` cannot be entered: No such file or directory (os error 2)";
    assert_eq!(daemon.spawn_error(spec), expected);

    // Where this test may make a control group, one is used.
    let Some(group) = make_cgroup() else { return };
    let spec = SpawnSpec { cgroup: Some(group.clone().into()), ..shell("exec sleep 1000") };
    let (child, pid) = daemon.spawn(spec, &[]);
    let members = std::fs::read_to_string(Path::new(&group).join("cgroup.procs")).unwrap();
    assert_eq!(members.trim(), pid.to_string());
    daemon.obey(&crate::commands::Command::Signal { child, signal: Signal::KILL });
    assert_eq!(daemon.exit_of(child), killed_by(Signal::KILL), "and nothing is said of memory");
    std::fs::remove_dir(&group).unwrap();
}

fn make_cgroup() -> Option<String> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let group = format!("/sys/fs/cgroup{own}/stead-test-{}", std::process::id());
    std::fs::create_dir(&group).ok()?;
    // A hierarchy of the first version has no such file.
    if Path::new(&group).join("cgroup.procs").exists() {
        return Some(group);
    }
    std::fs::remove_dir(&group).ok()?;
    None
}
