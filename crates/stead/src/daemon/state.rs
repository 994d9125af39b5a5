//! What of an app outlives the daemon: written, after each change, to memory that the keeper holds, and read by the daemon
//! that comes next, after a crash or for an upgrade.
//!
//! Descriptors are not in here; the keeper holds them by the names in `held.rs`. Nothing in here is needed to serve a
//! request, so it is written after the fact and never waited for.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_control::TaskCounts;
use stead_process::keeper::{ChildId, Exit};
use stead_supervisor::WorkerId;

use super::definition::Origin;
use super::history;
use super::ports::PortId;
use super::renew::Pending;
use super::schedules::SavedSchedule;
use super::settings::Shown;
use crate::config::{AppSettings, Mode, Scheme, Serialization};

/// The number of this format. A daemon that finds another does not guess: the workers are then started afresh.
pub(super) const FORMAT: u32 = 3;

/// An app at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedApp {
    pub(super) id: u32,
    /// When it was written, on the clock that no one sets.
    pub(super) at: Duration,
    pub(super) origin: Origin,
    pub(super) settings: AppSettings,
    pub(super) machine: stead_supervisor::SavedApp,
    pub(super) shown: Shown,
    pub(super) rests: bool,
    pub(super) waits: bool,
    pub(super) finished: bool,
    pub(super) leaving: bool,
    pub(super) scaled: Option<u32>,
    pub(super) started: Option<SystemTime>,
    pub(super) next_reload: u64,
    #[serde(default)]
    pub(super) pending: Option<Pending>,
    pub(super) next_port: PortId,
    pub(super) last_exits: Vec<(u32, Exit)>,
    pub(super) ends: history::Exits,
    pub(super) workers: Vec<SavedWorker>,
    pub(super) ports: Vec<SavedPort>,
    /// Where it was before it was stopped, as people write it.
    #[serde(default)]
    pub(super) was_at: Vec<String>,
    #[serde(default)]
    pub(super) schedules: Vec<SavedSchedule>,
    /// In hexadecimal digits; missing in the states of versions that signed nothing.
    #[serde(default)]
    pub(super) sticky_key: Option<String>,
    /// In an upgrade, of a pool: who has which task.
    #[serde(default)]
    pub(super) pool: Option<Value>,
    /// Of a pool: what has become of its tasks, as of a second ago at most.
    #[serde(default)]
    pub(super) tasks: Option<TaskCounts>,
}

/// One of its processes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedWorker {
    pub(super) id: WorkerId,
    pub(super) slot: u32,
    pub(super) child: ChildId,
    pub(super) pid: u32,
    pub(super) age: Duration,
    pub(super) link: Option<SavedLink>,
    pub(super) roads: Vec<(PortId, SavedRoad)>,
    pub(super) wedged: bool,
    pub(super) asked_to_end: bool,
    /// Its private sockets.
    pub(super) files: Vec<PathBuf>,
}

/// The channel of a Node.js worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedLink {
    pub(super) serialization: Serialization,
    pub(super) open: bool,
    pub(super) online: bool,
    pub(super) disconnecting: bool,
    pub(super) keys: Vec<(String, PortId)>,
    /// Where it goes on; nothing if the daemon died.
    pub(super) left: Option<SavedPlace>,
}

/// Where one daemon stopped speaking over a channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SavedPlace {
    pub(super) seq: u64,
    pub(super) unconfirmed: usize,
    pub(super) unread: Vec<u8>,
    pub(super) unwritten: Vec<u8>,
    /// Messages that the worker did not take.
    pub(super) unsent: Vec<Value>,
}

/// Where it takes connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum SavedRoad {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// Over its channel, for this key.
    Handed(String),
}

/// Public addresses.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedPort {
    pub(super) id: PortId,
    pub(super) key: Option<String>,
    pub(super) names: Vec<String>,
    pub(super) mode: Mode,
    /// One for each listener.
    pub(super) schemes: Vec<Scheme>,
    pub(super) redirects: bool,
    pub(super) serving: bool,
    pub(super) data: Option<Value>,
    pub(super) held_as: Vec<String>,
    pub(super) totals: stead_balancer::Totals,
    /// Those that requests can belong to.
    #[serde(default)]
    pub(super) slots: Vec<u32>,
}

/// Why a state cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    #[error("it has format {0}, and this version of Stead knows format {FORMAT}")]
    Format(u32),
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("it makes no sense")]
    Damaged(#[from] serde_json::Error),
}

/// What is written, with the number of its form.
#[derive(Serialize, Deserialize)]
struct Numbered<T> {
    format: u32,
    state: T,
}

/// Writes to a file in memory.
pub(super) fn write(state: &impl Serialize) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("stead-state", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(&Numbered { format: FORMAT, state })?)?;
    Ok(file.into())
}

/// Reads what [`write`] wrote, perhaps another version of it.
pub(super) fn read<T: DeserializeOwned>(memory: OwnedFd) -> Result<T, StateError> {
    let mut file = File::from(memory);
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    let numbered: Numbered<Value> = serde_json::from_slice(&text)?;
    if numbered.format != FORMAT {
        return Err(StateError::Format(numbered.format));
    }
    Ok(serde_json::from_value(numbered.state)?)
}

impl SavedApp {
    /// The moment it was written, in this process's words.
    pub(super) fn instant(&self) -> Instant {
        let passed = clock().saturating_sub(self.at);
        let now = Instant::now();
        now.checked_sub(passed).unwrap_or(now)
    }
}

/// Since the machine was started.
pub(super) fn clock() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::try_from(time).unwrap_or_default()
}
