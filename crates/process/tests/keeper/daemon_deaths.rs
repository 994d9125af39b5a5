//! Daemon or keeper die at any moment, and what should outlive them does.

use stead_process::keeper::Signal;
use stead_process::spawn::SpawnSpec;

use crate::commands::{Command, Report};
use crate::harness::{Stead, exit_code, puppet, shell, wait_end};

#[test]
fn a_killed_daemon_is_started_again_with_what_was_held() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    assert_eq!((daemon.starts, daemon.held.len()), (1, 0));
    let (kept, replaced) = (stead.path("kept"), stead.path("replaced"));
    let hold = |name: &str, file: &str| Command::Hold { name: name.into(), file: file.into() };
    daemon.obey(&hold("a", &replaced));
    daemon.obey(&hold("b", &replaced));
    daemon.obey(&hold("a", &kept));
    daemon.obey(&Command::Release { name: "b".into() });
    daemon.settle();
    daemon.kill();

    let mut daemon = stead.daemon();
    assert_eq!(daemon.starts, 2);
    assert_eq!(daemon.held, [("a".to_owned(), kept.clone())]);
    assert!(stead.words().contains("the daemon died (killed by SIGKILL) and is started again in 10ms"));
    // And once more, with what came from the first.
    daemon.tell(&Command::Exit { code: 1 });
    let mut daemon = stead.daemon();
    assert_eq!((daemon.starts, daemon.held), (3, vec![("a".to_owned(), kept)]));
    daemon.held = Vec::new();
    daemon.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
}

#[test]
fn finish_ends_everything_with_its_code() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    let (_, worker, member) = daemon.shell(&stead, "trap '' TERM; sleep 1000 & echo $!; wait");
    daemon.tell(&Command::Finish { code: 42 });
    assert_eq!(stead.exit_code(), Some(42));
    wait_end(worker);
    wait_end(member.parse().unwrap());
    assert_eq!(stead.words(), "");
}

#[test]
fn a_daemon_that_finishes_and_stays_is_ended_at_the_second_ctrl_c() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    daemon.obey(&Command::FinishAndStay { code: 9 });
    daemon.settle();
    stead.signal(Signal::INT);
    assert_eq!(stead.exit_code(), Some(9));
}

#[test]
fn a_killed_keeper_takes_its_workers_along_and_the_daemon_hears_of_it() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    let (_, worker, member) = daemon.shell(&stead, "trap '' TERM HUP; sleep 1000 & echo $!; wait");
    stead.keeper.kill().unwrap();
    assert_eq!(daemon.hear(), Report::Lost);
    wait_end(worker);
    wait_end(member.parse().unwrap());
    let spec = shell("true");
    assert_eq!(daemon.spawn_error(spec), "the keeper is gone");
    daemon.tell(&Command::Exit { code: 0 });
    wait_end(daemon.pid);
    assert_eq!(stead.exit_code(), None);
}

#[test]
fn garbage_from_the_daemon_is_skipped() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    for body in [b"".as_slice(), b"{", b"null", b"{\"type\":\"unknown\"}", &[0xff; 5000]] {
        let header = [(body.len() as u32).to_le_bytes(), 0_u32.to_le_bytes()].concat();
        daemon.obey(&Command::Raw { bytes: [&header, body].concat() });
    }
    let (child, _) = daemon.spawn(shell("exit 6"), &[]);
    assert_eq!(daemon.exit_of(child), exit_code(6));
    assert_eq!(daemon.starts, 1);
    assert_eq!(stead.words().matches("was not understood").count(), 5);
}

#[test]
fn a_daemon_that_writes_nonsense_is_replaced() {
    let stead = Stead::start();
    let mut daemon = stead.daemon();
    daemon.tell(&Command::Raw { bytes: vec![0xff; 64] });
    let next = stead.daemon();
    assert_eq!(next.starts, 2);
    wait_end(daemon.pid);
    assert!(stead.words().contains("the header of a message makes no sense"), "{}", stead.words());
}

#[test]
fn a_daemon_may_die_at_any_byte() {
    let mut stead = Stead::start();
    let spec = SpawnSpec::new(puppet());
    let body = serde_json::json!({ "type": "spawn", "request": 1, "spec": spec }).to_string();
    let header = [(body.len() as u32).to_le_bytes(), 0_u32.to_le_bytes()].concat();
    let whole = [&header, body.as_bytes()].concat();
    for (start, cut) in [(1, 1), (2, 7), (3, 8), (4, 9), (5, whole.len() - 1)] {
        let mut daemon = stead.daemon();
        assert_eq!(daemon.starts, start);
        daemon.obey(&Command::Raw { bytes: whole[..cut].to_vec() });
        daemon.kill();
    }
    let mut daemon = stead.daemon();
    daemon.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
}
