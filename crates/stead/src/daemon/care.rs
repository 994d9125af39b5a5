//! What is done for an app once a second: it is measured, and workers that have served their time are replaced.

use std::time::Instant;

use stead_supervisor::{Input, WorkerId};

use super::app::AppTask;
use super::recycle::{self, Life};

impl AppTask {
    /// Tells the supervisor which workers have served their time. It may be told again and again.
    pub(super) fn recycle(&mut self) {
        let now = Instant::now();
        let due: Vec<Input> = self
            .workers
            .iter()
            .filter_map(|(worker, process)| {
                // Asked for all, since asking is what has it measured.
                let usage = self.shared.sampler.of(process.child.pid);
                if !process.routed || process.asked_to_end {
                    return None;
                }
                let life = Life {
                    memory_bytes: usage.map(|usage| usage.memory_bytes),
                    age: now.saturating_duration_since(process.started),
                    requests: self.requests_of(*worker),
                };
                let why = recycle::due(&self.settings.recycle, &self.settings.name, *worker, life)?;
                Some(Input::Recycle { worker: *worker, why })
            })
            .collect();
        due.into_iter().for_each(|input| self.input(input));
    }

    fn requests_of(&self, worker: WorkerId) -> u64 {
        if self.settings.recycle.requests.is_none() {
            return 0;
        }
        let of = |port: &super::ports::Port| {
            let endpoint = port.endpoint_of(worker)?;
            port.pool
                .snapshot()
                .endpoints
                .iter()
                .find(|found| found.id == endpoint)
                .map(|found| found.requests)
        };
        self.ports.iter().filter_map(|(_, port)| of(port)).sum()
    }
}
