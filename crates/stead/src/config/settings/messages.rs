//! Messages between workers: how many and how large, and the values that a command computes for all of them.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What bounds the messages of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSettings {
    /// Of one message or shared value.
    pub message_bytes_max: u64,
    /// Messages that wait for one worker, and questions of one worker without an answer yet.
    pub queue_max: u64,
    /// Bytes that wait for one worker.
    pub queue_bytes_max: u64,
    /// For an answer, if the sender does not say.
    pub timeout: Duration,
    /// Of all shared values together.
    pub shared_bytes_max: u64,
    /// Values that a command computes; names unique.
    pub shared: Vec<SharedCommand>,
}

/// A shared value that a command computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedCommand {
    /// Of the value.
    pub name: String,
    /// A line for a shell; what it prints is the value.
    pub command: String,
    /// From the end of one run to the next.
    pub every: Duration,
    /// Longest time of a run.
    pub timeout: Duration,
}

impl MessageSettings {
    /// Those of apps that were started by versions without messages.
    pub(super) fn of_older_versions() -> MessageSettings {
        MessageSettings {
            message_bytes_max: 1 << 20,
            queue_max: 10_000,
            queue_bytes_max: 4 << 20,
            timeout: Duration::from_secs(30),
            shared_bytes_max: 16 << 20,
            shared: Vec::new(),
        }
    }
}
