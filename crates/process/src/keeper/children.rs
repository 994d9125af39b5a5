//! The workers: started, signalled, ended, reaped, and remembered until the daemon knows how they ended.
//!
//! A child is a process group. When its leader has died, what is left of the group is killed before the leader is reaped:
//! until then the kernel cannot give its number to anybody else, so the kill cannot hit a stranger.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::memory::MemoryKills;
use super::protocol::{ChildId, ChildRecord};
use super::reap::{kill_group, peek, reap};
use super::renewal::reclaim;
use super::signal::Signal;
use crate::spawn::{Launch, SpawnFailure, start, start_time};

/// How long children may take to end by themselves when the keeper ends.
const TERMINATE_WAIT: Duration = Duration::from_secs(2);

/// Dead children that no daemon has buried; beyond that the oldest are forgotten.
const DEAD_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Children {
    /// By age.
    known: BTreeMap<ChildId, Child>,
    next: u64,
    memory: MemoryKills,
}

#[derive(Debug)]
struct Child {
    pid: Pid,
    pidfd: Arc<OwnedFd>,
    start_time: u64,
    tag: String,
    cgroup: Option<PathBuf>,
    /// Being ended, and killed at this time.
    kill_at: Option<Instant>,
    /// We sent SIGKILL ourselves, so the kernel's memory is not to blame.
    killed: bool,
    memory_kills_before: Option<u64>,
    /// Once it is dead and reaped.
    exit: Option<Exit>,
    /// The present daemon knows how it ended.
    told: bool,
}

/// All children as they go through a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedChildren {
    known: Vec<SavedChild>,
    next: u64,
    memory_kills_explained: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedChild {
    id: ChildId,
    pid: i32,
    pidfd: RawFd,
    start_time: u64,
    tag: String,
    cgroup: Option<String>,
    killed: bool,
    memory_kills_before: Option<u64>,
    exit: Option<Exit>,
    told: bool,
}

/// A child that was just started.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) id: ChildId,
    pub(super) pid: Pid,
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) start_time: u64,
}

/// A dead process that was just reaped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reaped {
    Child(ChildId),
    /// Not one of ours: a daemon, or, for a process that is PID 1 or a subreaper, any orphan.
    Other {
        pid: Pid,
        exit: Exit,
    },
}

impl Children {
    pub(super) fn new() -> Self {
        Self { known: BTreeMap::new(), next: 1, memory: MemoryKills::new() }
    }

    /// Writes down all; `keep` leaves a pidfd open and tells its number.
    pub(super) fn save(&self, keep: &mut dyn FnMut(&OwnedFd) -> RawFd) -> SavedChildren {
        let known = self.known.iter().map(|(id, child)| SavedChild {
            id: *id,
            pid: child.pid.as_raw_pid(),
            pidfd: keep(&child.pidfd),
            start_time: child.start_time,
            tag: child.tag.clone(),
            cgroup: child.cgroup.as_ref().map(|path| path.to_string_lossy().into_owned()),
            killed: child.killed,
            memory_kills_before: child.memory_kills_before,
            exit: child.exit,
            told: child.told,
        });
        SavedChildren {
            known: known.collect(),
            next: self.next,
            memory_kills_explained: self.memory.explained(),
        }
    }

    pub(super) fn restore(saved: SavedChildren) -> io::Result<Self> {
        let known = saved.known.into_iter().map(|child| {
            let restored = Child {
                pid: Pid::from_raw(child.pid).ok_or(io::ErrorKind::InvalidData)?,
                pidfd: Arc::new(reclaim(child.pidfd)?),
                start_time: child.start_time,
                tag: child.tag,
                cgroup: child.cgroup.map(PathBuf::from),
                kill_at: None,
                killed: child.killed,
                memory_kills_before: child.memory_kills_before,
                exit: child.exit,
                told: child.told,
            };
            Ok((child.id, restored))
        });
        let memory = MemoryKills::resume(saved.memory_kills_explained);
        Ok(Self { known: known.collect::<io::Result<_>>()?, next: saved.next, memory })
    }

    /// How many there are, dead ones too.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn any_alive(&self) -> bool {
        self.known.values().any(Child::is_alive)
    }

    pub(super) fn spawn(&mut self, launch: &Launch<'_>) -> Result<Spawned, SpawnFailure> {
        let cgroup = launch.spec.cgroup.clone();
        let memory_kills_before = self.memory.now(cgroup.as_deref());
        let started = start(launch)?;
        let id = ChildId(self.next);
        self.next += 1;
        let pidfd = Arc::new(started.pidfd);
        let start_time = start_time(started.pid);
        let child = Child {
            pid: started.pid,
            pidfd: Arc::clone(&pidfd),
            start_time,
            tag: launch.spec.tag.clone(),
            cgroup,
            kill_at: None,
            killed: false,
            memory_kills_before,
            exit: None,
            told: false,
        };
        self.known.insert(id, child);
        Ok(Spawned { id, pid: started.pid, pidfd, start_time })
    }

    /// To the whole group. One that is gone is no error: its exit is on its way to the daemon.
    pub(super) fn signal(&mut self, id: ChildId, signal: Signal) {
        if let Some(child) = self.known.get_mut(&id).filter(|child| child.is_alive()) {
            child.signal(signal);
        }
    }

    /// Forgets a dead child.
    pub(super) fn bury(&mut self, id: ChildId) {
        if self.known.get(&id).is_some_and(|child| !child.is_alive()) {
            self.known.remove(&id);
        }
    }

    /// Asks all to end, and kills them if they have not after a while.
    pub(super) fn end_all(&mut self, now: Instant) {
        for child in self.alive().filter(|child| child.kill_at.is_none()) {
            child.signal(Signal::TERM);
            // A stopped process cannot act on SIGTERM until it is continued.
            child.signal(Signal::CONT);
            child.kill_at = Some(now + TERMINATE_WAIT);
        }
    }

    pub(super) fn kill_all(&mut self) {
        for child in self.alive() {
            child.signal(Signal::KILL);
            child.kill_at = None;
        }
    }

    /// When [`Self::kill_overdue`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.known.values().filter_map(|child| child.kill_at).min()
    }

    pub(super) fn kill_overdue(&mut self, now: Instant) {
        for child in self.alive() {
            if child.kill_at.is_some_and(|kill_at| kill_at <= now) {
                child.signal(Signal::KILL);
                child.kill_at = None;
            }
        }
    }

    /// Reaps one dead process, if there is one. `daemons` lead groups as well.
    pub(super) fn reap(&mut self, daemons: &[Pid]) -> Option<Reaped> {
        let pid = peek()?;
        let id = self.known.iter().find(|(_, child)| child.pid == pid && child.is_alive()).map(|(id, _)| *id);
        if id.is_some() || daemons.contains(&pid) {
            kill_group(pid, Signal::KILL);
        }
        let mut exit = reap(pid);
        let Some((id, child)) = id.and_then(|id| Some((id, self.known.get_mut(&id)?))) else {
            return Some(Reaped::Other { pid, exit });
        };
        exit.out_of_memory = exit.signal == Some(libc::SIGKILL)
            && !child.killed
            && self.memory.explains_kill(child.memory_kills_before, child.cgroup.as_deref());
        child.exit = Some(exit);
        child.kill_at = None;
        self.forget_oldest();
        Some(Reaped::Child(id))
    }

    /// A new daemon knows of nobody.
    pub(super) fn tell_again(&mut self) {
        self.known.values_mut().for_each(|child| child.told = false);
    }

    /// How a child ended that the present daemon does not know of yet; it does now.
    pub(super) fn tell_exit(&mut self, id: ChildId) -> Option<Exit> {
        let child = self.known.get_mut(&id).filter(|child| !child.told)?;
        child.told = child.exit.is_some();
        child.exit
    }

    pub(super) fn ids(&self) -> Vec<ChildId> {
        self.known.keys().copied().collect()
    }

    /// What a new daemon is told of a child, and its pidfd.
    pub(super) fn record(&mut self, id: ChildId) -> Option<(ChildRecord, Arc<OwnedFd>)> {
        let child = self.known.get_mut(&id)?;
        child.told = child.exit.is_some();
        let record = ChildRecord {
            child: id,
            pid: child.pid.as_raw_pid().unsigned_abs(),
            start_time: child.start_time,
            tag: child.tag.clone(),
            exit: child.exit,
        };
        Some((record, Arc::clone(&child.pidfd)))
    }

    fn alive(&mut self) -> impl Iterator<Item = &mut Child> {
        self.known.values_mut().filter(|child| child.is_alive())
    }

    fn forget_oldest(&mut self) {
        let dead = self.known.iter().filter(|(_, child)| !child.is_alive());
        let dead: Vec<ChildId> = dead.map(|(id, _)| *id).collect();
        for id in dead.iter().take(dead.len().saturating_sub(DEAD_MAX)) {
            self.known.remove(id);
        }
    }
}

impl Child {
    fn is_alive(&self) -> bool {
        self.exit.is_none()
    }

    fn signal(&mut self, signal: Signal) {
        self.killed |= signal == Signal::KILL;
        kill_group(self.pid, signal);
    }
}
