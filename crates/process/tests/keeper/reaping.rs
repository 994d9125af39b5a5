//! Nothing is left behind: no process of a group, no zombie, no orphan.

use std::os::unix::process::CommandExt;

use stead_process::keeper::Signal;

use crate::commands::{Command, Report};
use crate::harness::{Stead, exists, exit_code, killed_by, shell, signal_process, wait_end};

#[test]
fn the_group_dies_with_its_leader() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let (child, pid, member) = daemon.shell(&stead, "trap '' TERM HUP; sleep 1000 & echo $!; exit 3");
    assert_eq!(daemon.exit_of(child), exit_code(3));
    wait_end(member.parse().unwrap());
    assert!(!exists(pid), "reaped before it is reported");
}

#[test]
fn ends_are_told_apart() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let (child, _) = daemon.spawn(shell("exit 255"), &[]);
    assert_eq!(daemon.exit_of(child), exit_code(255));
    let (child, _) = daemon.spawn(shell("kill -TERM $$; sleep 1000"), &[]);
    assert_eq!(daemon.exit_of(child), killed_by(Signal::TERM));
    // From outside: not taken for a lack of memory.
    let (child, pid, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    signal_process(pid, Signal::KILL);
    assert_eq!(daemon.exit_of(child), killed_by(Signal::KILL));
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let script =
        "(trap 'exit 0' USR1; while :; do sleep 1000 & wait; done) & trap 'wait; exit 5' USR1; echo $!; wait";
    let (child, _, _) = daemon.shell(&stead, script);
    daemon.obey(&Command::Signal { child, signal: Signal::KILL });
    assert_eq!(daemon.exit_of(child), killed_by(Signal::KILL));
    assert_eq!(stead.children(), [daemon.pid]);
}

#[test]
fn no_zombies_are_left_by_a_crowd() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    for _ in 0..100 {
        daemon.tell(&Command::Spawn { spec: shell("exit 0"), files: Vec::new() });
    }
    let (mut spawned, mut exited) = (0, 0);
    while spawned + exited < 200 {
        match daemon.hear() {
            Report::Spawned { .. } => spawned += 1,
            Report::Exited { .. } => exited += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((spawned, exited), (100, 100));
    assert_eq!(stead.children(), [daemon.pid]);
}

#[test]
#[expect(unsafe_code, reason = "a process becomes a subreaper between fork and exec only")]
fn orphans_that_are_given_to_the_keeper_are_reaped() {
    // What PID 1 is to a container, a subreaper is to its descendants; the attribute survives exec.
    // SAFETY: one system call, which allocates nothing.
    let stead = Stead::start_as(|program| unsafe {
        program.pre_exec(|| Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?))
    });
    let mut daemon = stead.daemon();
    // In a session of its own, so that it does not die with its group.
    let (child, _, orphan) = daemon.shell(&stead, "setsid sh -c 'echo $$; exec sleep 1000' & wait");
    daemon.obey(&Command::Signal { child, signal: Signal::TERM });
    assert_eq!(daemon.exit_of(child), killed_by(Signal::TERM));
    let orphan = orphan.parse().unwrap();
    assert!(stead.children().contains(&orphan), "the keeper is its parent now");

    signal_process(orphan, Signal::KILL);
    wait_end(orphan);
    daemon.settle_alone(&stead);
}
