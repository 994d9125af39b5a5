//! Who owns which part of an app's keys: what the balancer divides, with the processes that serve it.

use stead_control::{Refusal, RefusalKind, ShardSlot, ShardTable};

use super::app::AppTask;

impl AppTask {
    /// The table, and the owner of a key.
    pub(super) fn shards(&self, key: Option<&str>) -> Result<ShardTable, Refusal> {
        let name = &self.settings.name;
        let refuse = |why: &str| Refusal::new(RefusalKind::Conflict, format!("app `{name}` {why}"));
        let Some(shard) = &self.settings.choosing.shard else {
            return Err(refuse("has no shards").with_hint("for example: shard = \"cookie:session\""));
        };
        // All its ports divide in the same way.
        let Some((_, port)) = self.ports.iter().find(|(_, port)| !port.pool.shards(None).0.is_empty()) else {
            return Err(refuse("has no worker yet that requests could belong to"));
        };
        let (shares, owner) = port.pool.shards(key);
        let pid_of = |slot: u32| {
            let mut serving = self.workers.values().filter(|worker| worker.slot == slot && worker.routed);
            serving.next().map(|worker| worker.child.pid)
        };
        let slot = |part: stead_balancer::Shard| ShardSlot {
            slot: part.slot,
            share: part.share,
            pid: pid_of(part.slot),
        };
        Ok(ShardTable { shard: shard.to_string(), slots: shares.into_iter().map(slot).collect(), owner })
    }
}
