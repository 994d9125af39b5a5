//! How the requests of an app are divided among its slots.

use serde::{Deserialize, Serialize};

/// The shards of an app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardTable {
    /// What of a request is its key, as in the configuration.
    pub shard: String,
    /// Each slot that owns keys, by number.
    pub slots: Vec<ShardSlot>,
    /// The slot that owns the key that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
}

/// One slot's part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardSlot {
    /// Its number.
    pub slot: u32,
    /// Its part of all keys, 0 to 1.
    pub share: f64,
    /// The process that serves it now; nothing while it is replaced.
    pub pid: Option<u32>,
}
