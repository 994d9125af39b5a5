//! Another binary takes over while everything runs.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use stead_process::keeper::{Role, Signal};

use crate::commands::{Command, Report};
use crate::harness::{
    Daemon, PATIENCE, Stead, exists, exit_code, killed_by, puppet, shell, signal_process, wait_end,
};

/// A copy of the puppet, as a newer version would be.
fn new_binary(stead: &Stead, name: &str) -> String {
    let path = stead.path(name);
    std::fs::copy(puppet(), &path).expect("room for a copy");
    path
}

fn script(stead: &Stead, text: &str) -> String {
    let path = stead.path("script");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

fn program_of(pid: u32) -> String {
    std::fs::read_link(format!("/proc/{pid}/exe")).expect("a process").to_string_lossy().into_owned()
}

/// Asks for a successor, and lets it prepare until the old daemon is to hand over.
fn begin(stead: &Stead, old: &mut Daemon, program: &str) -> Daemon {
    let begun = old.ask(&Command::Upgrade { program: program.to_owned(), state: 1 });
    assert_eq!(begun, Report::UpgradeBegun);
    let new = stead.successor();
    assert_eq!(new.role, Role::Successor);
    new
}

fn offer(stead: &Stead, old: &mut Daemon, program: &str) -> Daemon {
    let mut new = begin(stead, old, program);
    new.tell(&Command::TakeOver);
    assert_eq!(old.hear(), Report::HandOver);
    new
}

/// A whole upgrade; the old daemon lingers.
fn upgrade(stead: &Stead, old: &mut Daemon, program: &str) -> Daemon {
    let mut new = offer(stead, old, program);
    old.obey(&Command::HandedOver);
    new.hear_inheritance();
    new.obey(&Command::Serving);
    new
}

/// Waits until the keeper is the new binary, which it becomes between two requests.
fn settle_renewed(stead: &Stead, daemon: &mut Daemon, program: &str) {
    let deadline = Instant::now() + PATIENCE;
    while program_of(stead.pid()) != program {
        assert!(Instant::now() < deadline, "the keeper is {}", program_of(stead.pid()));
        daemon.settle();
    }
}

fn refusal(daemon: &mut Daemon, program: &str, state: u32) -> String {
    match daemon.ask(&Command::Upgrade { program: program.to_owned(), state }) {
        Report::UpgradeRefused { error } => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn failure(daemon: &mut Daemon) -> String {
    match daemon.hear() {
        Report::UpgradeFailed { reason } => reason,
        other => panic!("not a failure: {other:?}"),
    }
}

#[test]
fn a_successor_takes_over_and_the_keeper_becomes_the_new_binary() {
    let mut stead = Stead::start();
    let mut old = stead.daemon();
    let (child, pid, _) = old.shell(&stead, "echo; exec sleep 1000");
    let (dead, _) = old.spawn(shell("exit 9"), &[]);
    assert_eq!(old.exit_of(dead), exit_code(9));
    let kept = stead.path("kept");
    old.obey(&Command::Hold { name: "a".into(), file: kept.clone() });
    let program = new_binary(&stead, "stead-2");
    let mut new = offer(&stead, &mut old, &program);
    old.obey(&Command::Hold { name: "state".into(), file: kept.clone() });
    old.obey(&Command::ToPeer { byte: 7 });
    old.obey(&Command::HandedOver);

    new.hear_inheritance();
    assert_eq!(new.held, [("a".to_owned(), kept.clone()), ("state".to_owned(), kept)]);
    let found: Vec<_> = new.children.iter().map(|child| (child.child, child.pid)).collect();
    assert_eq!((found[0], new.children.len(), new.peer), ((child, pid), 2, true));
    assert_eq!(new.ask(&Command::HearPeer), Report::FromPeer { byte: 7 });
    assert_eq!(program_of(stead.pid()), puppet().to_string_lossy());
    new.obey(&Command::Serving);
    new.obey(&Command::Bury { child: dead });
    settle_renewed(&stead, &mut new, &program);
    assert_eq!(program_of(new.pid), program);
    assert!(exists(pid) && exists(old.pid));

    // The new daemon is *the* daemon, the old one only ends.
    stead.signal(Signal::HUP);
    assert_eq!(new.hear(), Report::Signal { signal: Signal::HUP });
    signal_process(pid, Signal::USR1);
    assert_eq!(new.exit_of(child), killed_by(Signal::USR1));
    old.tell(&Command::Exit { code: 0 });
    wait_end(old.pid);
    new.settle_alone(&stead);
    new.kill();
    let mut next = stead.daemon();
    assert_eq!((next.role, program_of(next.pid)), (Role::Resume, program));
    assert_eq!((next.starts, next.held.len(), next.children.len()), (3, 2, 1));
    next.tell(&Command::Finish { code: 6 });
    assert_eq!(stead.exit_code(), Some(6));
}

#[test]
fn upgrade_follows_upgrade_and_no_signal_is_lost() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    let (child, pid, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    daemon.obey(&Command::HoldMany { names: 300 });
    for turn in 0..8 {
        let program = new_binary(&stead, &format!("stead-{turn}"));
        let mut new = offer(&stead, &mut daemon, &program);
        daemon.obey(&Command::HandedOver);
        new.hear_inheritance();
        // The keeper is just becoming another program.
        new.tell(&Command::Serving);
        stead.signal(Signal::USR2);
        let mut heard = [new.hear(), new.hear()];
        heard.sort_by_key(|report| *report != Report::Done);
        assert_eq!(heard, [Report::Done, Report::Signal { signal: Signal::USR2 }]);
        settle_renewed(&stead, &mut new, &program);
        assert_eq!((new.children[0].child, new.children[0].pid, new.held.len()), (child, pid, 300));
        daemon.tell(&Command::Exit { code: 0 });
        wait_end(daemon.pid);
        daemon = new;
    }
    // What a child does while its keeper becomes another program is not lost either.
    let (short, _) = daemon.spawn(shell("exit 3"), &[]);
    assert_eq!(daemon.exit_of(short), exit_code(3));
    daemon.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
    wait_end(pid);
}

#[test]
fn a_child_that_ends_during_the_change_is_reported() {
    let stead = Stead::start();
    let mut old = stead.daemon();
    let (child, pid, _) = old.shell(&stead, "echo; exec sleep 1000");
    let program = new_binary(&stead, "stead-2");
    let mut new = offer(&stead, &mut old, &program);
    old.obey(&Command::HandedOver);
    new.hear_inheritance();
    new.tell(&Command::Serving);
    signal_process(pid, Signal::USR1);
    let mut heard = [new.hear(), new.hear()];
    heard.sort_by_key(|report| *report != Report::Done);
    match heard {
        [Report::Done, Report::Exited { child: exited, exit }] => {
            assert_eq!((exited, exit.signal), (child, Some(Signal::USR1.number())));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_take_over_is_refused_before_anything_happens() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let program = new_binary(&stead, "stead-2");
    let mut check = |program: &str, state, words: &str| {
        assert_eq!(refusal(&mut daemon, program, state), words);
    };
    check(&program, 5, "version 0.0.1 cannot take over: its state format is 1, and 5 is needed");
    let old = script(&stead, r#"echo '{"version":"0.9.0","keeper":1,"state":1}'"#);
    check(&old, 1, "version 0.9.0 cannot take over: its keeper format is 1, and 2 is needed");
    let not_stead = "`/bin/true` does not tell its formats; it is not Stead, or one that cannot take over";
    check("/bin/true", 1, not_stead);
    check("/no/such", 1, "the new program does not run: program `/no/such` not found");
    daemon.settle_alone(&stead);
    assert_eq!((daemon.starts, stead.words().as_str()), (1, ""));
}

#[test]
fn a_successor_that_fails_leaves_the_old_daemon_as_it_was() {
    let stead = Stead::start();
    let mut old = stead.daemon();
    let program = new_binary(&stead, "stead-2");
    let (child, pid, _) = old.shell(&stead, "echo; exec sleep 1000");

    begin(&stead, &mut old, &program).tell(&Command::Exit { code: 4 });
    assert_eq!(failure(&mut old), "the new daemon ended before it was ready (exit code 4)");
    begin(&stead, &mut old, &program).tell(&Command::Finish { code: 5 });
    assert!(failure(&mut old).contains("declined with exit code 5"));
    begin(&stead, &mut old, &program).tell(&Command::Raw { bytes: vec![0xff; 64] });
    // Killed, or ended by itself because nobody listens to it any more.
    assert!(failure(&mut old).starts_with("the new daemon ended before it was ready"));
    // After it was prepared and before the old one has handed over.
    offer(&stead, &mut old, &program).kill();
    assert_eq!(failure(&mut old), "the new daemon ended before it took over (killed by SIGKILL)");
    // Only one at a time.
    let first = begin(&stead, &mut old, &program);
    assert_eq!(old.ask(&Command::Upgrade { program: program.clone(), state: 1 }), Report::UpgradeBegun);
    assert_eq!(failure(&mut old), "an upgrade is going on already");
    first.kill();
    assert!(failure(&mut old).contains("before it was ready"));

    old.obey(&Command::Signal { child, signal: Signal::TERM });
    assert_eq!(old.exit_of(child), killed_by(Signal::TERM));
    wait_end(pid);
    assert_eq!(program_of(stead.pid()), puppet().to_string_lossy());
    old.settle_alone(&stead);
    // And then one that works.
    let new = upgrade(&stead, &mut old, &program);
    assert_eq!(new.children.len(), 1);
}

#[test]
fn a_successor_that_never_prepares_is_killed() {
    let stead = Stead::start();
    let mut old = stead.daemon();
    let program = new_binary(&stead, "stead-2");
    let new = begin(&stead, &mut old, &program);
    assert_eq!(failure(&mut old), "the new daemon was not ready within 10s");
    wait_end(new.pid);
    old.settle_alone(&stead);
}

#[test]
fn a_successor_that_dies_between_is_followed_by_the_old_program() {
    let stead = Stead::start();
    let mut old = stead.daemon();
    let (child, pid, _) = old.shell(&stead, "echo; exec sleep 1000");
    let program = new_binary(&stead, "stead-2");
    let mut new = offer(&stead, &mut old, &program);
    old.obey(&Command::HandedOver);
    new.hear_inheritance();
    new.kill();
    let mut next = stead.daemon();
    assert_eq!((next.role, program_of(next.pid)), (Role::Resume, puppet().to_string_lossy().into_owned()));
    assert_eq!((next.children[0].child, next.children[0].pid), (child, pid));
    // The old daemon hears nothing of it, and can go in peace.
    old.tell(&Command::Exit { code: 0 });
    wait_end(old.pid);
    next.settle();
    assert!(exists(pid));
    // And this one can be upgraded.
    upgrade(&stead, &mut next, &program);
}

#[test]
fn a_successor_that_dies_as_the_old_daemon_hands_over_leaves_no_gap() {
    let stead = Stead::start();
    let mut old = stead.daemon();
    let (child, pid, _) = old.shell(&stead, "echo; exec sleep 1000");
    let program = new_binary(&stead, "stead-2");
    let new = offer(&stead, &mut old, &program);
    new.kill();
    assert!(failure(&mut old).contains("before it took over"));
    // It had not heard of that yet, let us say.
    old.obey(&Command::HandedOver);
    let next = stead.daemon();
    assert_eq!((next.role, next.children[0].child, next.children[0].pid), (Role::Resume, child, pid));
    assert!(exists(old.pid));
}

#[test]
fn an_old_daemon_that_dies_while_it_is_replaced_is_resumed() {
    let stead = Stead::start();
    let mut old = stead.daemon();
    let program = new_binary(&stead, "stead-2");
    let new = offer(&stead, &mut old, &program);
    old.kill();
    let next = stead.daemon();
    assert_eq!((next.role, program_of(next.pid)), (Role::Resume, puppet().to_string_lossy().into_owned()));
    wait_end(new.pid);
}

#[test]
fn a_stop_signal_ends_an_upgrade() {
    let mut stead = Stead::start();
    let mut old = stead.daemon();
    let program = new_binary(&stead, "stead-2");
    let new = begin(&stead, &mut old, &program);
    stead.signal(Signal::TERM);
    assert_eq!(failure(&mut old), "the service is being stopped");
    assert_eq!(old.hear(), Report::Signal { signal: Signal::TERM });
    wait_end(new.pid);
    old.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
}

#[test]
fn finish_ends_what_lingers() {
    let mut stead = Stead::start();
    let mut old = stead.daemon();
    let program = new_binary(&stead, "stead-2");
    let mut new = upgrade(&stead, &mut old, &program);
    new.settle();
    new.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
    wait_end(old.pid);
}
