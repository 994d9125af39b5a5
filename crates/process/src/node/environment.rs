//! The variables that make a child a Node.js child with a channel.
//!
//! They name descriptors and sockets of one child alone. In the environment of any other they do harm (a
//! channel number that is some other descriptor makes Node.js abort), so every environment starts with
//! [`scrub`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::frame::Serialization;

pub(crate) const CHANNEL: &str = "NODE_CHANNEL_FD";
pub(crate) const CHANNEL_SERIALIZATION: &str = "NODE_CHANNEL_SERIALIZATION_MODE";
const WORKER_ID: &str = "NODE_UNIQUE_ID";
const OPTIONS: &str = "NODE_OPTIONS";
const JOIN: &str = "STEAD_JOIN";
const JOIN_ID: &str = "STEAD_JOIN_ID";

/// The variables of one child that no other may see.
pub const SCRUBBED: [&str; 5] = [CHANNEL, CHANNEL_SERIALIZATION, WORKER_ID, JOIN, JOIN_ID];

/// An environment as programs get it.
pub type Environment = Vec<(OsString, OsString)>;

/// Removes what belongs to another child.
pub fn scrub(environment: &mut Environment) {
    environment.retain(|(name, _)| !SCRUBBED.iter().any(|scrubbed| name == scrubbed));
}

/// Makes the child one with a channel (`process.send`), as `child_process.fork` does. `channel` is the
/// descriptor's number in the child.
pub fn add_channel(environment: &mut Environment, channel: i32, serialization: Serialization) {
    scrub(environment);
    set(environment, CHANNEL, channel.to_string());
    set(environment, CHANNEL_SERIALIZATION, serialization.name());
}

/// Makes the child a cluster worker over an inherited channel. `preload` is a file that holds
/// [`PRELOAD`](super::PRELOAD).
///
/// Not for programs that are expected to end by themselves: a worker lives as long as its channel.
pub fn add_worker(
    environment: &mut Environment,
    channel: i32,
    serialization: Serialization,
    worker: Worker<'_>,
) {
    add_channel(environment, channel, serialization);
    set(environment, WORKER_ID, worker.id.to_string());
    require(environment, worker.preload);
}

/// Makes a Node.js process somewhere below the child, behind wrappers, a cluster worker as soon as it listens
/// on a port: it connects to the Unix socket `join`, and that connection is its channel, serialized as JSON.
/// Several processes may come.
pub fn add_late_worker(environment: &mut Environment, join: &Path, worker: Worker<'_>) {
    scrub(environment);
    set(environment, JOIN, join.as_os_str());
    set(environment, JOIN_ID, worker.id.to_string());
    require(environment, worker.preload);
}

/// Which worker a child is to be.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// `cluster.worker.id`; Node.js keeps 31 bits of it.
    pub id: u64,
    /// The file with the preload.
    pub preload: &'a Path,
}

fn set(environment: &mut Environment, name: &str, value: impl Into<OsString>) {
    environment.retain(|(other, _)| other != name);
    environment.push((name.into(), value.into()));
}

/// Puts the preload in front of the user's own options: which half of `cluster` a process has is settled when
/// that module is first loaded, and a preload of the user's might do it.
fn require(environment: &mut Environment, preload: &Path) {
    let mut options = b"--require ".to_vec();
    options.extend_from_slice(&quote(preload.as_os_str()));
    let users = environment.iter().find(|(name, _)| name == OPTIONS).map(|(_, value)| value.as_bytes());
    if let Some(users) = users.filter(|users| !users.is_empty()) {
        options.push(b' ');
        options.extend_from_slice(users);
    }
    set(environment, OPTIONS, OsString::from_vec(options));
}

/// As `NODE_OPTIONS` is read: blanks separate, double quotes hold together, inside them a backslash takes the
/// next character as it is.
fn quote(path: &OsStr) -> Vec<u8> {
    let bytes = path.as_bytes();
    if !bytes.iter().any(|byte| b" \"\\\t\n".contains(byte)) {
        return bytes.to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in bytes {
        if byte == b'"' || byte == b'\\' {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Environment), before: &[(&str, &str)], after: &[(&str, &str)]) {
        let own = |pairs: &[(&str, &str)]| -> Environment {
            pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
        };
        let mut environment = own(before);
        change(&mut environment);
        assert_eq!(environment, own(after));
    }

    fn worker(preload: &str) -> Worker<'_> {
        Worker { id: 7, preload: Path::new(preload) }
    }

    #[test]
    fn another_child_s_variables_are_removed() {
        let before = [("NODE_CHANNEL_FD", "3"), ("A", "1"), ("STEAD_JOIN", "/s"), ("NODE_UNIQUE_ID", "2")];
        check(scrub, &before, &[("A", "1")]);
    }

    #[test]
    fn a_worker_gets_its_own_variables() {
        check(
            |environment| add_worker(environment, 5, Serialization::Advanced, worker("/run/p.cjs")),
            &[("NODE_CHANNEL_FD", "3"), ("NODE_OPTIONS", "--max-old-space-size=512")],
            &[
                ("NODE_CHANNEL_FD", "5"),
                ("NODE_CHANNEL_SERIALIZATION_MODE", "advanced"),
                ("NODE_UNIQUE_ID", "7"),
                ("NODE_OPTIONS", "--require /run/p.cjs --max-old-space-size=512"),
            ],
        );
    }

    #[test]
    fn a_late_worker_gets_no_channel() {
        check(
            |environment| add_late_worker(environment, Path::new("/s"), worker("/a \"b\"\\c.cjs")),
            &[("NODE_CHANNEL_FD", "3")],
            &[
                ("STEAD_JOIN", "/s"),
                ("STEAD_JOIN_ID", "7"),
                ("NODE_OPTIONS", r#"--require "/a \"b\"\\c.cjs""#),
            ],
        );
    }
}
