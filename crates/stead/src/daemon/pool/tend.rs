//! What the task of an app does for its pool: its workers come, leave and die; the pool wants more of them, or one killed.

use std::time::Duration;

use stead_jobs::Death;
use stead_process::keeper::Signal;
use stead_process::node::Channel;
use stead_supervisor::{Input, WorkerId};

use super::super::app::AppTask;
use super::{Ear, Pool, Wish};
use crate::config::AppSettings;

/// How long a dead worker's channel may stay open, because something that it started holds it.
const SILENCE_FOLLOWS: Duration = Duration::from_secs(1);

impl AppTask {
    /// The pool of an app that is one, where everybody finds it.
    pub(in crate::daemon) fn open_pool(&mut self) {
        if let Some(settings) = &self.settings.pool {
            let pool = Pool::new(settings.clone(), self.inbox.clone(), self.shared.seed());
            self.shared.pools.add(&self.settings.name, &pool);
            self.pool = Some(pool);
        }
    }

    /// What listens to a worker.
    pub(in crate::daemon) fn ear(&self, worker: WorkerId, channel: &Channel) -> Ear {
        Ear {
            pools: self.shared.pools.clone(),
            name: format!("{}.{worker}", self.settings.name),
            worker,
            channel: channel.clone(),
            pool: self.pool.clone(),
        }
    }

    /// A worker of a pool is ready as soon as it is there: its tasks wait in its channel.
    pub(in crate::daemon) fn join_pool(&mut self, worker: WorkerId) {
        let Some(pool) = self.pool.clone() else { return };
        let slot = self.workers.get(&worker).map_or(0, |process| process.slot);
        if let Some(link) = self.link(worker) {
            pool.join(worker, slot, link.channel.clone());
            self.found_ready(worker);
        }
    }

    pub(in crate::daemon) fn drain_tasks(&mut self, worker: WorkerId) {
        let Some(pool) = &self.pool else { return };
        if !pool.drain(worker) {
            self.input(Input::Drained { worker });
        }
    }

    /// Its last task is done. It hears the end of its channel, and has a moment to leave by itself.
    pub(in crate::daemon) fn dismiss(&mut self, worker: WorkerId) {
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.asked_to_end = true;
        match process.node() {
            Some(link) if link.open => {
                link.disconnecting = true;
                link.channel.close();
            }
            _ => self.signal(worker, Signal::TERM),
        }
    }

    pub(in crate::daemon) fn died(&mut self, worker: WorkerId, blameless: bool) {
        let Some(pool) = self.pool.clone() else { return };
        pool.dead(worker, if blameless { Death::Outside } else { Death::Own });
        tokio::spawn(async move {
            tokio::time::sleep(SILENCE_FOLLOWS).await;
            pool.silent(worker);
        });
    }

    pub(in crate::daemon) fn hear_wish(&mut self, wish: Wish) {
        match wish {
            Wish::Workers(count) => {
                if self.scaled.is_none() && count != self.settings.instances {
                    self.say(&format!("{count} workers are needed"));
                    self.settings =
                        std::sync::Arc::new(AppSettings { instances: count, ..(*self.settings).clone() });
                    self.input(Input::Scale(count));
                }
            }
            Wish::Kill(worker) => {
                if let Some(process) = self.workers.get(&worker) {
                    let (name, slot) = (&self.settings.name, process.slot);
                    self.say(&format!("{name}.{slot} does not end its task in time and is killed"));
                    self.shared.keeper.signal(process.child.id, Signal::KILL);
                }
            }
            Wish::Drained(worker) => {
                if let Some(process) = self.workers.get_mut(&worker)
                    && process.draining.take().is_some()
                {
                    self.input(Input::Drained { worker });
                }
            }
        }
    }

    /// How many workers a pool goes on with whose size is up to its queue.
    pub(in crate::daemon) fn instances_of(&self, settings: &AppSettings) -> u32 {
        let adapted = settings.pool.as_ref().filter(|pool| pool.adapts());
        let adapted = adapted.map(|pool| self.settings.instances.clamp(pool.size.0, pool.size.1));
        self.scaled.or(adapted).unwrap_or(settings.instances)
    }
}
