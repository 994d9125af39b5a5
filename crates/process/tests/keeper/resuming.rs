//! A daemon dies, and the next one goes on where it was.

use std::time::Duration;

use stead_process::keeper::{Role, Signal};
use stead_process::spawn::SpawnSpec;

use crate::commands::{Command, Report};
use crate::harness::{Stead, exists, exit_code, killed_by, plain, shell, signal_process, wait_end};

/// A daemon's deaths in a row.
const DEATHS: u32 = 40;

#[test]
fn children_outlive_their_daemon() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    assert_eq!((daemon.role, daemon.children.len()), (Role::First, 0));
    let spec = SpawnSpec { tag: "shop.0".into(), ..shell("exec sleep 1000") };
    let Report::Spawned { child, pid, start_time } = daemon.ask(&Command::Spawn { spec, files: Vec::new() })
    else {
        panic!("not spawned");
    };
    assert!(start_time > 0);
    for starts in 2..=DEATHS {
        // Otherwise each start would be later than the one before.
        daemon.obey(&Command::Serving);
        daemon.kill();
        daemon = stead.daemon();
        assert_eq!((daemon.role, daemon.starts), (Role::Resume, starts));
        let [inherited] = daemon.children.as_slice() else { panic!("{:?}", daemon.children) };
        assert_eq!((inherited.child, inherited.pid, inherited.start_time), (child, pid, start_time));
        assert_eq!((inherited.tag.as_str(), inherited.exit, inherited.ended), ("shop.0", None, Some(false)));
    }
    // And it is the new daemon's as it was the old one's.
    daemon.obey(&Command::Signal { child, signal: Signal::TERM });
    assert_eq!(daemon.exit_of(child), killed_by(Signal::TERM));
    daemon.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
}

#[test]
fn a_child_that_dies_meanwhile_is_reported_with_its_exit() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let (child, pid, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    let (other, _, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    daemon.kill();
    wait_end(daemon.pid);
    signal_process(pid, Signal::USR1);
    wait_end(pid);
    let mut daemon = stead.daemon();
    let found: Vec<_> = daemon.children.iter().map(|found| (found.child, found.exit.map(plain))).collect();
    // The keeper may not have reaped it before it told of it; then it tells now.
    if found == [(child, None), (other, None)] {
        assert_eq!(daemon.exit_of(child), killed_by(Signal::USR1));
    } else {
        assert_eq!(found, [(child, Some(killed_by(Signal::USR1))), (other, None)]);
        assert_eq!(daemon.children[0].ended, Some(true));
    }
}

#[test]
fn an_exit_is_told_until_it_is_buried() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let (child, _) = daemon.spawn(shell("exit 4"), &[]);
    assert_eq!(daemon.exit_of(child), exit_code(4));
    daemon.kill();
    let mut daemon = stead.daemon();
    assert_eq!(daemon.children[0].exit.map(plain), Some(exit_code(4)));
    daemon.obey(&Command::Bury { child });
    // A living child cannot be buried.
    let (living, pid, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    daemon.obey(&Command::Bury { child: living });
    daemon.settle();
    daemon.kill();
    let daemon = stead.daemon();
    assert_eq!(daemon.children.iter().map(|child| child.child).collect::<Vec<_>>(), [living]);
    assert!(exists(pid));
}

#[test]
fn an_exit_tells_what_the_child_took() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    let script = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
    let (child, _) = daemon.spawn(shell(script), &[]);
    let Report::Exited { child: exited, exit } = daemon.hear() else { panic!("no exit") };
    let taken = exit.rusage.unwrap();
    assert_eq!(exited, child);
    assert!(taken.memory_bytes_max > 100 << 10, "{taken:?}");
    assert!(taken.user + taken.system > Duration::from_millis(1), "{taken:?}");
}

#[test]
fn finish_ends_what_an_earlier_daemon_started() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    let (_, worker, member) = daemon.shell(&stead, "trap '' TERM; sleep 1000 & echo $!; wait");
    daemon.kill();
    stead.daemon().tell(&Command::Finish { code: 3 });
    assert_eq!(stead.exit_code(), Some(3));
    wait_end(worker);
    wait_end(member.parse().unwrap());
}

#[test]
fn a_thousand_descriptors_are_handed_on() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    daemon.obey(&Command::HoldMany { names: 1000 });
    daemon.settle();
    daemon.kill();
    let daemon = stead.daemon();
    assert_eq!((daemon.held.len(), daemon.lost), (1000, 0));
    assert!(daemon.held.iter().all(|(_, path)| path.starts_with("socket:")));
}
