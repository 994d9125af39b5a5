//! As whom a worker runs, and what it may use.

use super::text;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// As whom a worker runs. What is nothing stays as it is for Stead itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User.
    pub uid: Option<u32>,
    /// Group; always there when `uid` is.
    pub gid: Option<u32>,
    /// Supplementary groups, to be set when `gid` is there.
    pub groups: Vec<u32>,
    /// The user's home directory. `HOME` of the app's environment is set to it already.
    #[serde(with = "text")]
    pub home: Option<PathBuf>,
    /// Permissions that files it makes do not get, at most 0o777.
    pub umask: Option<u32>,
    /// Soft and hard limit alike; nothing is "unlimited". Bytes, seconds or pieces.
    pub limits: Vec<(ResourceName, Option<u64>)>,
    /// It and what it executes cannot gain privileges (set-user-ID programs).
    pub no_new_privileges: bool,
}

/// What `setrlimit` limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResourceName {
    /// Open descriptors.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Bytes of a core file.
    Core,
    /// Bytes of address space.
    As,
    /// Bytes of the main thread's stack.
    Stack,
    /// Bytes locked in memory.
    Memlock,
    /// Bytes of a file it writes.
    Fsize,
    /// Seconds of CPU time.
    Cpu,
}

/// What the kernel grants each worker with all it starts, by a cgroup of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CgroupSettings {
    /// Bytes; beyond, the kernel kills.
    pub memory_bytes_max: Option<u64>,
    /// Cores: 1.5 is one and a half.
    pub cpu_max: Option<f64>,
    /// Processes and threads.
    pub tasks_max: Option<u64>,
}
