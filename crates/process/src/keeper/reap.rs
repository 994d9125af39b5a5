//! The system calls around the end of a process.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::process::Pid;

use super::exit::{Exit, ResourceUse};
use super::signal::Signal;

/// Signals a whole process group.
#[expect(unsafe_code, reason = "rustix does not send real-time signals")]
pub(crate) fn kill_group(pid: Pid, signal: Signal) {
    // ESRCH and EPERM are no errors here: the group is gone, or all of it became another user's.
    // SAFETY: plain numbers.
    unsafe { libc::kill(-pid.as_raw_pid(), signal.number()) };
}

/// A child that is dead and waits to be reaped.
pub(super) fn peek() -> Option<Pid> {
    wait(libc::P_ALL, 0, libc::WNOHANG | libc::WNOWAIT).map(|(pid, _)| pid)
}

/// Reaps a child that [`peek`] found.
pub(super) fn reap(pid: Pid) -> Exit {
    // It is dead and waited to be reaped, so this neither waits nor fails.
    wait(libc::P_PID, pid.as_raw_pid().unsigned_abs(), 0).map(|(_, exit)| exit).unwrap_or_default()
}

/// What has become of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Alive,
    /// And is reaped now.
    Ended(Exit),
    /// Somebody else has reaped it, or nobody had to.
    ReapedElsewhere,
}

/// Reaps the child if it is dead.
pub(crate) fn fate(pidfd: &OwnedFd) -> Fate {
    match try_wait(libc::P_PIDFD, pidfd.as_raw_fd().unsigned_abs(), libc::WNOHANG) {
        Ok(Some((_, exit))) => Fate::Ended(exit),
        Ok(None) => Fate::Alive,
        Err(_) => Fate::ReapedElsewhere,
    }
}

/// Whether the child is dead and waits to be reaped.
pub(crate) fn is_dead(pidfd: &OwnedFd) -> bool {
    let options = libc::WNOHANG | libc::WNOWAIT;
    wait(libc::P_PIDFD, pidfd.as_raw_fd().unsigned_abs(), options).is_some()
}

/// Signals the very process that a pidfd means.
#[expect(unsafe_code, reason = "rustix does not send real-time signals")]
pub(crate) fn signal_pidfd(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
    let (pidfd, nothing) = (pidfd.as_raw_fd(), ptr::null::<libc::siginfo_t>());
    // SAFETY: plain numbers and no structure.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal.number(), nothing, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn wait(kind: libc::idtype_t, id: libc::id_t, options: i32) -> Option<(Pid, Exit)> {
    try_wait(kind, id, options).ok().flatten()
}

/// The system call itself, because the C library's form does not tell the resources.
#[expect(unsafe_code, reason = "no library tells pid and resources at once")]
fn try_wait(kind: libc::idtype_t, id: libc::id_t, options: i32) -> io::Result<Option<(Pid, Exit)>> {
    loop {
        // SAFETY: plain structures for which all zeros is valid; pid 0 then means that nobody is dead.
        let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { mem::zeroed() };
        let (info_at, usage_at) = (ptr::from_mut(&mut info), ptr::from_mut(&mut usage));
        // SAFETY: writes to structures we own.
        let result =
            unsafe { libc::syscall(libc::SYS_waitid, kind, id, info_at, libc::WEXITED | options, usage_at) };
        if result == 0 {
            // SAFETY: waitid fills in the fields of SIGCHLD.
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            return Ok(Pid::from_raw(pid).map(|pid| (pid, exit(info.si_code, status, &usage))));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn exit(code: i32, status: i32, usage: &libc::rusage) -> Exit {
    let rusage = Some(ResourceUse {
        // The kernel counts in KiB.
        memory_bytes_max: usage.ru_maxrss.unsigned_abs().saturating_mul(1024),
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
    });
    match code {
        libc::CLD_EXITED => Exit { code: Some(status), rusage, ..Exit::default() },
        _ => {
            let core_dumped = code == libc::CLD_DUMPED;
            Exit { signal: Some(status), core_dumped, rusage, ..Exit::default() }
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(micros)
}
