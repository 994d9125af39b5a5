//! Which worker a request goes to, beyond the policy.

use serde::{Deserialize, Serialize};
use stead_balancer::ShardKey;

/// Which worker a request goes to, beyond the policy. What is empty or nothing is off, as in the states of versions that did not
/// know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChoosingSettings {
    /// By slot, at least 1; 1 for those beyond.
    pub weights: Vec<u32>,
    /// By slot; 0 for those beyond.
    pub priorities: Vec<u32>,
    /// Requests with the same key go to the same slot.
    pub shard: Option<ShardKey>,
    /// Clients come back to the slot that they had.
    pub sticky: bool,
    /// Failures in a row after which a worker is taken out.
    pub eject_failures: Option<u32>,
    /// A worker is taken out that takes so many times as long as the others.
    pub eject_slower: Option<f64>,
}

impl ChoosingSettings {
    /// Requests belong to slots.
    pub fn binds(&self) -> bool {
        self.shard.is_some() || self.sticky
    }
}
