//! How often what happened, over all lives: a simulation in which nothing happens proves nothing.

use stead_supervisor::{Action, Event, Next};

#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) spawned: u64,
    pub(crate) killed: u64,
    pub(crate) reloads_done: u64,
    pub(crate) reloads_failed: u64,
    pub(crate) restarts_done: u64,
    pub(crate) restarts_failed: u64,
    pub(crate) recycled: u64,
    pub(crate) recycles_failed: u64,
    pub(crate) unhealthy: u64,
    pub(crate) ejected: u64,
    pub(crate) restored: u64,
    pub(crate) healthy: u64,
    pub(crate) recovered: u64,
    pub(crate) slots_failed: u64,
    pub(crate) apps_failed: u64,
    pub(crate) finished: u64,
    pub(crate) stopped: u64,
    pub(crate) starts_following: u64,
    pub(crate) wedged: u64,
    pub(crate) not_ready: u64,
    pub(crate) resumed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.fields().into_iter().zip(other.clone().fields()) {
            *mine += *theirs;
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.clone().fields().into_iter().all(|count| *count > 0)
    }

    pub(crate) fn count(&mut self, action: &Action) {
        let count = match action {
            Action::Spawn { .. } => &mut self.spawned,
            Action::Kill { .. } => &mut self.killed,
            Action::Tell(Event::WorkerExited { next: Next::Failed { .. }, .. }) => &mut self.slots_failed,
            Action::Tell(Event::WorkerUnhealthy { .. }) => &mut self.unhealthy,
            Action::Tell(Event::WorkerEjected { .. }) => &mut self.ejected,
            Action::Tell(Event::WorkerRestored { .. }) => &mut self.restored,
            Action::Tell(Event::WorkerHealthy { .. }) => &mut self.healthy,
            Action::Tell(Event::WorkerNotReady { .. }) => &mut self.not_ready,
            Action::Tell(Event::WorkerWedged { .. }) => &mut self.wedged,
            Action::Tell(Event::Recycled { .. }) => &mut self.recycled,
            Action::Tell(Event::RecycleFailed { .. }) => &mut self.recycles_failed,
            Action::Tell(Event::Recovered { .. }) => &mut self.recovered,
            Action::Tell(Event::Finished) => &mut self.finished,
            Action::Tell(Event::Stopped) => &mut self.stopped,
            Action::Tell(Event::StartFollows) => &mut self.starts_following,
            Action::Tell(Event::Failed { .. }) => &mut self.apps_failed,
            // Whether it was a reload or a restart only the rules know.
            _ => return,
        };
        *count += 1;
    }

    fn fields(&mut self) -> [&mut u64; 22] {
        [
            &mut self.steps,
            &mut self.spawned,
            &mut self.killed,
            &mut self.reloads_done,
            &mut self.reloads_failed,
            &mut self.restarts_done,
            &mut self.restarts_failed,
            &mut self.recycled,
            &mut self.recycles_failed,
            &mut self.unhealthy,
            &mut self.ejected,
            &mut self.restored,
            &mut self.healthy,
            &mut self.recovered,
            &mut self.slots_failed,
            &mut self.apps_failed,
            &mut self.finished,
            &mut self.stopped,
            &mut self.starts_following,
            &mut self.wedged,
            &mut self.not_ready,
            &mut self.resumed,
        ]
    }
}
