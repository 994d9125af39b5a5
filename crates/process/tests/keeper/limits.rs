//! At its limits the keeper refuses, and goes on.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use stead_process::spawn::SpawnSpec;

use crate::commands::{Command, Report};
use crate::harness::{Stead, exit_code, puppet, shell, status_field, wait_end};

#[test]
fn too_many_open_files_refuse_one_child_and_harm_nothing() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let open = std::fs::read_dir(format!("/proc/{}/fd", stead.pid())).unwrap().count() as u64;
    let files: Vec<String> = (0..20).map(|number| stead.path(&number.to_string())).collect();
    let refused = |report| match report {
        Report::NotSpawned { error } => {
            assert!(error.ends_with("Too many open files (os error 24)"), "{error}");
        }
        other => panic!("not refused: {other:?}"),
    };
    // Room for none of the descriptors, some of them, all of them but no pipe.
    for room in [0, 1, 10, 20, 21] {
        let before = limit_open_files(&stead, open + room);
        let spec = SpawnSpec { descriptors: (0..20).collect(), ..shell("exit 0") };
        refused(daemon.ask(&Command::Spawn { spec, files: files.clone() }));
        limit_open_files(&stead, before);
    }
    // All numbers below are taken.
    let before = limit_open_files(&stead, 3);
    refused(daemon.ask(&Command::Spawn { spec: shell("exit 0"), files: Vec::new() }));
    limit_open_files(&stead, before);

    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let (child, _) = daemon.spawn(SpawnSpec { descriptors: (0..20).collect(), ..shell("exit 8") }, &files);
    assert_eq!(daemon.exit_of(child), exit_code(8));
    assert_eq!(daemon.starts, 1);
    daemon.obey(&Command::Bury { child });
    daemon.settle();
    let left = std::fs::read_dir(format!("/proc/{}/fd", stead.pid())).unwrap().count() as u64;
    assert_eq!(left, open, "nothing stays open");
}

#[test]
fn a_keeper_with_few_descriptors_refuses_to_hold_and_can_still_start_a_daemon() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let (_, pid, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    limit_open_files(&stead, 64);
    daemon.obey(&Command::HoldMany { names: 200 });
    daemon.settle();
    assert!(stead.words().contains("there is no room for it"), "{}", stead.words());
    assert!(daemon.spawn_error(shell("true")).ends_with("Too many open files (os error 24)"));
    for _ in 0..2 {
        daemon.kill();
        daemon = stead.daemon();
        assert!((10..64).contains(&daemon.held.len()), "{}", daemon.held.len());
        assert_eq!(daemon.children[0].pid, pid);
    }
    // What is given back can be used again.
    daemon.held.clone().iter().for_each(|(name, _)| daemon.obey(&Command::Release { name: name.clone() }));
    let (child, _) = daemon.spawn(shell("exit 8"), &[]);
    assert_eq!(daemon.exit_of(child), exit_code(8));
}

#[test]
fn a_daemon_with_few_descriptors_is_told_what_it_did_not_get() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    daemon.obey(&Command::HoldMany { names: 400 });
    daemon.settle();
    let program = puppet().to_string_lossy().into_owned();
    assert_eq!(daemon.ask(&Command::Upgrade { program, state: 1 }), Report::UpgradeBegun);
    let mut successor = stead.successor();
    let limit = Rlimit { current: Some(300), maximum: Some(300) };
    prlimit(Pid::from_raw(successor.pid.cast_signed()), Resource::Nofile, limit).unwrap();
    successor.tell(&Command::TakeOver);
    assert_eq!(daemon.hear(), Report::HandOver);
    daemon.obey(&Command::HandedOver);
    successor.hear_inheritance();
    assert_eq!(successor.held.len() + successor.lost, 400);
    assert!(successor.lost > 100, "{}", successor.lost);
    // And it goes on.
    let (child, _) = successor.spawn(shell("exit 1"), &[]);
    assert_eq!(successor.exit_of(child), exit_code(1));
}

#[test]
fn a_keeper_that_waits_is_small() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    daemon.obey(&Command::HoldMany { names: 1000 });
    for _ in 0..50 {
        daemon.spawn(SpawnSpec { tag: "shop.0".into(), ..shell("exec sleep 1000") }, &[]);
    }
    daemon.settle();
    let status = std::fs::read_to_string(format!("/proc/{}/status", stead.pid())).unwrap();
    let resident = status_field(&status, "VmRSS");
    let kilobytes: u32 = resident.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 3 << 10, "{resident}");
}

#[test]
fn a_daemon_that_does_not_read_is_replaced() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    daemon.tell(&Command::Flood { requests: 1_000_000 });
    let mut next = stead.daemon();
    wait_end(daemon.pid);
    assert!(stead.words().contains("the other side does not read"), "{}", stead.words());
    let (child, _) = next.spawn(shell("exit 1"), &[]);
    assert_eq!(next.exit_of(child), exit_code(1));
}

#[test]
fn a_request_beyond_the_largest_message_is_refused() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let spec = SpawnSpec { arguments: vec!["x".repeat(5 << 20).into()], ..SpawnSpec::new("/bin/true") };
    let expected =
        "program `/bin/true` could not be started (while preparing it): Argument list too long (os error 7)";
    assert_eq!(daemon.spawn_error(spec), expected);
    // One argument may have 128 KiB on Linux; that is the system's to say.
    let spec = SpawnSpec { arguments: vec!["x".repeat(200 << 10).into()], ..SpawnSpec::new("/bin/true") };
    let expected =
        "program `/bin/true` could not be started (while executing it): Argument list too long (os error 7)";
    assert_eq!(daemon.spawn_error(spec), expected);
    let spec = SpawnSpec { arguments: vec!["x".repeat(100 << 10).into(); 8], ..SpawnSpec::new("/bin/true") };
    let (child, _) = daemon.spawn(spec, &[]);
    assert_eq!(daemon.exit_of(child), exit_code(0));
}

/// The soft limit of the keeper. Returns what it was.
fn limit_open_files(stead: &Stead, limit: u64) -> u64 {
    let keeper = Pid::from_child(&stead.keeper);
    let hard =
        prlimit(Some(keeper), Resource::Nofile, Rlimit { current: Some(limit), maximum: hard_limit() });
    hard.expect("our own child").current.expect("a limit")
}

fn hard_limit() -> Option<u64> {
    rustix::process::getrlimit(Resource::Nofile).maximum
}
