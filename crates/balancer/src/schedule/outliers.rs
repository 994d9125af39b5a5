//! Workers that are taken out for what their requests have shown; `outlier.rs` says which those are.

use std::time::{Duration, Instant};

use super::{Grant, Load, Schedule};
use crate::EndpointId;
use crate::outlier::{may_one_more_go, median};
use crate::warming::Warming;

impl Schedule {
    /// The worker did what was asked of it.
    pub(crate) fn served(&mut self, grant: Grant) {
        if let Some(load) = self.load_mut(grant.endpoint) {
            load.standing.answered();
        }
    }

    /// The worker failed a try, and nobody else is to blame.
    pub(crate) fn failed(&mut self, now: Instant, grant: Grant) {
        let Some(load) = self.load_mut(grant.endpoint) else { return };
        load.standing.failed();
        self.judge(now, grant.endpoint);
    }

    /// The worker has answered, after `latency`. Has a meaning only where slow ones are taken out.
    pub(crate) fn compare(&mut self, now: Instant, grant: Grant, latency: Duration) {
        let Some(slower) = self.limits.ejection.slower else { return };
        let Some(usual) = self.usual_but_for(grant.endpoint) else { return };
        let Some(load) = self.load_mut(grant.endpoint) else { return };
        load.standing.compare(slower, latency, usual);
        self.judge(now, grant.endpoint);
    }

    /// Takes a worker out if it has to be, and can be.
    fn judge(&mut self, now: Instant, id: EndpointId) {
        let Some(load) = self.load(id) else { return };
        let slot = load.slot;
        let is_outlier = load.accepting && load.standing.is_outlier(&self.limits.ejection);
        let does_well = |load: &Load| load.id != id && load.accepting && load.standing.does_well();
        let may_go = || may_one_more_go(self.accepting(), self.out) && self.loads.iter().any(does_well);
        if is_outlier && may_go() {
            self.load_mut(id).expect("just seen").standing.take_out(now);
            self.count();
            if !self.loads.iter().any(|load| load.slot == slot && load.serves()) {
                self.leave(slot);
            }
        }
    }

    /// What others take to answer.
    fn usual_but_for(&self, id: EndpointId) -> Option<Duration> {
        let others = self.loads.iter().filter(|load| load.id != id && load.serves());
        median(others.map(|load| load.latency.value()).collect())
    }

    /// Lets those in whose time is over. To be called a few times a second.
    pub(crate) fn let_in(&mut self, now: Instant) {
        if self.out == 0 {
            return;
        }
        let slow_start = self.limits.slow_start.is_some();
        let mut back = Vec::new();
        for load in &mut self.loads {
            if load.standing.come_back(now) && load.accepting {
                load.warming = slow_start.then(|| Warming::new(now));
                load.added = now;
                back.push(load.slot);
            }
        }
        self.count();
        back.into_iter().for_each(|slot| self.join(slot));
    }
}
