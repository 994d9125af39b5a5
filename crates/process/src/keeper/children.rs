//! The workers: started, signalled, ended, reaped.
//!
//! A child is a process group. When its leader has died, what is left of the group is killed before the leader is reaped:
//! until then the kernel cannot give its number to anybody else, so the kill cannot hit a stranger.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::memory::MemoryKills;
use super::protocol::{ChildId, Exit, Signal};
use crate::spawn::{Launch, SpawnFailure, start};

/// How long a child of a dead daemon may take to end by itself.
const TERMINATE_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Children {
    alive: Vec<Child>,
    next: u64,
    memory: MemoryKills,
}

#[derive(Debug)]
struct Child {
    id: ChildId,
    pid: Pid,
    /// Which start of the daemon asked for it.
    owner: u32,
    /// Being ended, and killed at this time.
    kill_at: Option<Instant>,
    /// We sent SIGKILL ourselves, so the kernel's memory is not to blame.
    killed: bool,
    memory_kills_before: Option<u64>,
}

/// A child that was just started.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) id: ChildId,
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
}

/// A dead process that was just reaped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reaped {
    Child {
        id: ChildId,
        owner: u32,
        exit: Exit,
    },
    /// Not one of ours: the daemon, or, for a process that is PID 1 or a subreaper, any orphan.
    Other {
        pid: Pid,
        exit: Exit,
    },
}

impl Children {
    pub(super) fn new() -> Self {
        Self { alive: Vec::new(), next: 1, memory: MemoryKills::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    pub(super) fn spawn(&mut self, owner: u32, launch: &Launch<'_>) -> Result<Spawned, SpawnFailure> {
        let memory_kills_before = self.memory.now();
        let started = start(launch)?;
        let id = ChildId(self.next);
        self.next += 1;
        let pid = started.pid;
        self.alive.push(Child { id, pid, owner, kill_at: None, killed: false, memory_kills_before });
        Ok(Spawned { id, pid, pidfd: started.pidfd })
    }

    /// To the whole group. One that is gone is no error: its exit is on its way to the daemon.
    pub(super) fn signal(&mut self, id: ChildId, signal: Signal) {
        if let Some(child) = self.alive.iter_mut().find(|child| child.id == id) {
            child.signal(signal);
        }
    }

    /// Asks all to end, and kills them if they have not after a while.
    pub(super) fn end_all(&mut self, now: Instant) {
        for child in self.alive.iter_mut().filter(|child| child.kill_at.is_none()) {
            child.signal(Signal::TERM);
            // A stopped process cannot act on SIGTERM until it is continued.
            child.signal(Signal::CONT);
            child.kill_at = Some(now + TERMINATE_WAIT);
        }
    }

    pub(super) fn kill_all(&mut self) {
        for child in &mut self.alive {
            child.signal(Signal::KILL);
            child.kill_at = None;
        }
    }

    /// When [`Self::kill_overdue`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.alive.iter().filter_map(|child| child.kill_at).min()
    }

    pub(super) fn kill_overdue(&mut self, now: Instant) {
        for child in &mut self.alive {
            if child.kill_at.is_some_and(|kill_at| kill_at <= now) {
                child.signal(Signal::KILL);
                child.kill_at = None;
            }
        }
    }

    /// Reaps one dead process, if there is one. `daemon` leads a group as well.
    pub(super) fn reap(&mut self, daemon: Option<Pid>) -> Option<Reaped> {
        let dead = wait(libc::P_ALL, 0, libc::WNOHANG | libc::WNOWAIT)?;
        let index = self.alive.iter().position(|child| child.pid == dead.pid);
        let child = index.map(|index| self.alive.swap_remove(index));
        if child.is_some() || Some(dead.pid) == daemon {
            kill_group(dead.pid, Signal::KILL);
        }
        reap(dead.pid);
        let Some(child) = child else { return Some(Reaped::Other { pid: dead.pid, exit: dead.exit }) };
        let mut exit = dead.exit;
        exit.out_of_memory = exit.signal == Some(libc::SIGKILL)
            && !child.killed
            && self.memory.explains_kill(child.memory_kills_before);
        Some(Reaped::Child { id: child.id, owner: child.owner, exit })
    }
}

impl Child {
    fn signal(&mut self, signal: Signal) {
        self.killed |= signal == Signal::KILL;
        kill_group(self.pid, signal);
    }
}

#[expect(unsafe_code, reason = "rustix does not send real-time signals")]
fn kill_group(pid: Pid, signal: Signal) {
    // ESRCH and EPERM are no errors here: the group is gone, or all of it became another user's.
    // SAFETY: plain numbers.
    unsafe { libc::kill(-pid.as_raw_pid(), signal.number()) };
}

#[derive(Debug)]
struct Dead {
    pid: Pid,
    exit: Exit,
}

fn reap(pid: Pid) {
    // It is dead and waited to be reaped, so this neither waits nor fails.
    let _ = wait(libc::P_PID, pid.as_raw_pid().unsigned_abs(), 0);
}

#[expect(unsafe_code, reason = "rustix's waitid does not tell the pid")]
fn wait(kind: libc::idtype_t, id: libc::id_t, options: i32) -> Option<Dead> {
    loop {
        // SAFETY: a plain structure for which all zeros is valid; pid 0 then means that nobody is dead.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: writes to a structure we own.
        let result = unsafe { libc::waitid(kind, id, &raw mut info, libc::WEXITED | options) };
        if result == 0 {
            // SAFETY: waitid fills in the fields of SIGCHLD.
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            return Pid::from_raw(pid).map(|pid| Dead { pid, exit: exit(info.si_code, status) });
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

fn exit(code: i32, status: i32) -> Exit {
    match code {
        libc::CLD_EXITED => Exit { code: Some(status), ..Exit::default() },
        _ => Exit { signal: Some(status), core_dumped: code == libc::CLD_DUMPED, ..Exit::default() },
    }
}
