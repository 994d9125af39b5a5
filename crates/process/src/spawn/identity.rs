//! Who a child is to the system: user, groups, file mode mask, limits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a child has instead of what the keeper has. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The user. Only root may take on another one.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// Supplementary groups; all others are given up if there is a `uid`, a `gid` or one of these.
    pub groups: Vec<u32>,
    /// Permissions that new files do not get, such as `0o027`.
    pub umask: Option<u32>,
    /// Soft and hard limit at once; `None` is unlimited. Only root may go above the hard limits the keeper has.
    pub limits: Vec<(ResourceName, Option<u64>)>,
    /// Nothing the child executes can gain privileges (set-user-id programs do not work).
    pub no_new_privileges: bool,
}

/// A limit of the system, by the name that `ulimit`, systemd and containers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceName {
    /// Open descriptors.
    Nofile,
    /// Processes and threads of the user.
    Nproc,
    /// Bytes of a core dump.
    Core,
    /// Bytes of address space.
    As,
    /// Bytes of the main thread's stack.
    Stack,
    /// Bytes locked in memory.
    Memlock,
    /// Bytes of a file that is written.
    Fsize,
    /// Seconds of processor time.
    Cpu,
}

impl ResourceName {
    /// All there are.
    pub const ALL: [Self; 8] =
        [Self::Nofile, Self::Nproc, Self::Core, Self::As, Self::Stack, Self::Memlock, Self::Fsize, Self::Cpu];

    /// As it is written in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nofile => "nofile",
            Self::Nproc => "nproc",
            Self::Core => "core",
            Self::As => "as",
            Self::Stack => "stack",
            Self::Memlock => "memlock",
            Self::Fsize => "fsize",
            Self::Cpu => "cpu",
        }
    }

    /// The limit with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

    pub(super) const fn number(self) -> libc::__rlimit_resource_t {
        match self {
            Self::Nofile => libc::RLIMIT_NOFILE,
            Self::Nproc => libc::RLIMIT_NPROC,
            Self::Core => libc::RLIMIT_CORE,
            Self::As => libc::RLIMIT_AS,
            Self::Stack => libc::RLIMIT_STACK,
            Self::Memlock => libc::RLIMIT_MEMLOCK,
            Self::Fsize => libc::RLIMIT_FSIZE,
            Self::Cpu => libc::RLIMIT_CPU,
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_it_is_called() {
        for limit in ResourceName::ALL {
            assert_eq!(ResourceName::from_name(limit.name()), Some(limit));
            assert_eq!(serde_json::to_value(limit).unwrap(), limit.name());
        }
        assert_eq!(ResourceName::from_name("rss"), None);
    }
}
