//! The keeper does not die of signals; the daemon hears of them.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use stead_process::keeper::Signal;

use crate::commands::{Command, Report};
use crate::harness::{Stead, wait_end};

#[test]
fn signals_reach_the_daemon() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    for signal in [Signal::HUP, Signal::USR2, Signal::INT, Signal::TERM, Signal::TERM] {
        stead.signal(signal);
        assert_eq!(daemon.hear(), Report::Signal { signal });
    }
    daemon.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
}

#[test]
fn a_daemon_that_dies_while_stopping_is_not_started_again() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    let (_, worker, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    stead.signal(Signal::TERM);
    assert_eq!(daemon.hear(), Report::Signal { signal: Signal::TERM });
    daemon.kill();
    assert_eq!(stead.exit_code(), Some(143));
    wait_end(worker);
}

#[test]
fn a_second_ctrl_c_ends_a_stuck_daemon() {
    let mut stead = Stead::start();
    let mut daemon = stead.daemon();
    daemon.obey(&Command::Hang);
    assert_eq!(stead.interrupt_until_end(), Some(130));
    wait_end(daemon.pid);
}

#[test]
fn a_stop_signal_ends_a_keeper_whose_daemon_keeps_dying() {
    let mut stead = Stead::start();
    // Eight deaths in a row, and the next start is more than a second away.
    for _ in 0..8 {
        stead.daemon().tell(&Command::Exit { code: 1 });
    }
    stead.signal(Signal::INT);
    assert_eq!(stead.exit_code(), Some(130));
}

#[test]
#[expect(unsafe_code, reason = "a disposition is set between fork and exec only")]
fn what_nohup_ignores_stays_ignored() {
    // SAFETY: one system call, which allocates nothing.
    let stead = Stead::start_as(|program| unsafe {
        program.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        })
    });
    let mut daemon = stead.daemon();
    stead.signal(Signal::HUP);
    stead.signal(Signal::USR2);
    assert_eq!(daemon.hear(), Report::Signal { signal: Signal::USR2 });
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid)).unwrap();
    let ignored = crate::harness::status_field(&status, "SigIgn");
    let ignored = u64::from_str_radix(&ignored, 16).unwrap();
    assert_eq!(ignored & (1 << (libc::SIGHUP - 1)), 0, "the daemon has handlers of its own");
}

#[test]
fn a_hang_up_with_a_living_terminal_is_a_hang_up_and_a_closed_one_ends_the_service() {
    let (terminal, user_side) = open_terminal();
    let mut stead = start_in(&user_side);
    drop(user_side);
    let mut daemon = stead.daemon();
    stead.signal(Signal::HUP);
    assert_eq!(daemon.hear(), Report::Signal { signal: Signal::HUP });
    // The window closes: the system sends SIGHUP to the session's leader, which is the keeper here.
    drop(terminal);
    assert_eq!(daemon.hear(), Report::Signal { signal: Signal::TERM });
    daemon.tell(&Command::Finish { code: 0 });
    assert_eq!(stead.exit_code(), Some(0));
}

fn open_terminal() -> (OwnedFd, OwnedFd) {
    let terminal =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&terminal).expect("a terminal");
    unlockpt(&terminal).expect("a terminal");
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let user_side = ioctl_tiocgptpeer(&terminal, flags).expect("its other side");
    (terminal, user_side)
}

#[expect(unsafe_code, reason = "a session is begun between fork and exec only")]
fn start_in(terminal: &OwnedFd) -> Stead {
    // SAFETY: two system calls, which allocate nothing.
    Stead::start_as(|program| unsafe {
        program.stdin(terminal.try_clone().expect("a copy")).pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin().as_fd())?;
            Ok(())
        })
    })
}
