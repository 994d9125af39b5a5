//! How much an app's messages may be.

use std::time::Duration;

use serde_json::Value;

/// The limits of one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one message or shared value, by [`weight`].
    pub message_bytes_max: usize,
    /// Messages that wait for one worker, and requests of one worker that wait for their answer.
    pub queue_max: usize,
    /// Bytes that wait for one worker.
    pub queue_bytes_max: usize,
    /// How long an answer is waited for if the sender does not say.
    pub timeout: Duration,
    /// All shared values together, by [`weight`].
    pub shared_bytes_max: usize,
}

/// About as many bytes as a value has as JSON; found without writing it.
pub fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| weight(item) + 1).sum::<usize>(),
        Value::Object(members) => {
            2 + members.iter().map(|(name, member)| name.len() + 4 + weight(member)).sum::<usize>()
        }
    }
}
