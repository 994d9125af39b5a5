//! What the task of an app does for its pool: its workers come, leave and die; the pool wants more of them, or one killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;
use stead_control::{ExitRecord, Home, TaskCounts};
use stead_jobs::{Death, Key};
use stead_messages::Member;
use stead_process::keeper::Signal;
use stead_process::node::Channel;
use stead_supervisor::{Input, WorkerId};

use super::super::app::AppTask;
use super::super::message::Message;
use super::super::outlet::OUTPUT_FOLLOWS;
use super::book::Say;
use super::readiness::until_ready;
use super::{Ear, Pool, SavedPool, Wish};
use crate::config::AppSettings;

/// How long a dead worker's channel may stay open, because something that it started holds it.
const SILENCE_FOLLOWS: Duration = Duration::from_secs(1);

impl AppTask {
    /// The pool of an app that is one, where everybody finds it.
    pub(in crate::daemon) fn open_pool(&mut self) {
        if let Some(settings) = &self.settings.pool {
            let (app, outlet) = (self.settings.name.clone(), Arc::clone(&self.outlet));
            let console = Arc::clone(&self.shared.console);
            let say: Say = Arc::new(move |text| {
                outlet.note(text);
                console.say(Some(&app), text);
            });
            let register = self.shared.pools.clone();
            let settings = (settings.clone(), self.shared.seed());
            let name = &self.settings.name;
            let pool = Pool::new(settings, self.inbox.clone(), (name, register), (&self.journal(), &say));
            self.shared.pools.add(name, &pool);
            self.pool = Some(pool);
        }
    }

    /// Where tasks of the pool are kept. Beside the one in the background there may be others, each in a directory of its own.
    fn journal(&self) -> PathBuf {
        let name = &self.settings.name;
        let file = if self.shared.background {
            format!("{name}.journal")
        } else {
            let here = Key::new(self.settings.directory.as_os_str().as_encoded_bytes()).number();
            format!("{name}-{here:016x}.journal")
        };
        Home::here().path().join("pools").join(file)
    }

    /// What listens to a worker.
    pub(in crate::daemon) fn ear(&self, worker: WorkerId, channel: &Channel) -> Ear {
        let (pools, member) = (self.shared.pools.clone(), self.member(worker));
        pools.connect((member.app, worker), channel.clone());
        let exchange = Arc::clone(&self.shared.exchange);
        let (spoke, pool) = (AtomicBool::new(false), self.pool.clone());
        Ear { pools, exchange, member, channel: channel.clone(), spoke, pool }
    }

    /// A worker of a pool goes on in this daemon, if it is known what it has; or else is replaced, and nobody hears what it may
    /// say yet.
    pub(in crate::daemon) fn resume_in_pool(&mut self, worker: WorkerId, known: bool) {
        if self.pool.is_none() {
            return;
        }
        if known {
            return self.join_pool(worker);
        }
        if let Some(process) = self.workers.get(&worker) {
            self.shared.keeper.signal(process.child.id, Signal::KILL);
        }
    }

    /// A worker of a pool is there; it is ready once it has got through its start.
    pub(in crate::daemon) fn join_pool(&mut self, worker: WorkerId) {
        let Some(pool) = self.pool.clone() else { return };
        let slot = self.workers.get(&worker).map_or(0, |process| process.slot);
        let (is_node, inbox) = (self.settings.program.is_node, self.inbox.clone());
        let Some(process) = self.workers.get_mut(&worker) else { return };
        let Some(channel) = process.node().map(|link| link.channel.clone()) else { return };
        pool.join(worker, slot, channel.clone());
        process.belongings.tasks.push(tokio::spawn(async move {
            if until_ready(&channel, is_node).await.is_some() {
                // An app that has ended meanwhile does not mind.
                drop(inbox.send(Message::Ready { worker }));
            }
        }));
    }

    /// Goes on with what another daemon wrote down of it.
    pub(in crate::daemon) fn resume_pool(&mut self, left: Option<Value>, counts: Option<TaskCounts>) {
        if let (Some(pool), Some(counts)) = (&self.pool, counts) {
            pool.count_on(counts);
        }
        let left = left.and_then(|left| serde_json::from_value::<SavedPool>(left).ok());
        if let (Some(pool), Some(left)) = (&self.pool, left) {
            pool.resume(left);
            for (worker, process) in &mut self.workers {
                let member = Member { app: self.id, worker: *worker };
                if let Some(link) = process.node().filter(|_| pool.knows_protocol(*worker)) {
                    self.shared.exchange.connect(member, link.channel.clone());
                }
            }
        }
        self.admit_tasks();
    }

    /// A pool that is stopped takes no tasks.
    pub(in crate::daemon) fn admit_tasks(&self) {
        if let Some(pool) = &self.pool {
            pool.close(self.rests.then_some("is stopped"));
        }
    }

    /// Other settings hold from now on.
    pub(in crate::daemon) fn reconfigure_pool(&self) {
        if let (Some(pool), Some(settings)) = (&self.pool, &self.settings.pool) {
            pool.reconfigure(settings);
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

    /// A worker is dead. What is known of it, unless it was told to end; its last lines [follow](Self::hear_last_lines).
    pub(in crate::daemon) fn died(&mut self, worker: WorkerId, record: Option<ExitRecord>, by_others: bool) {
        let Some(pool) = self.pool.clone() else { return };
        match record {
            Some(record) => pool.dying(worker, (record, if by_others { Death::Killed } else { Death::Own })),
            None => pool.dead(worker, Death::Outside),
        }
        tokio::spawn(async move {
            tokio::time::sleep(SILENCE_FOLLOWS).await;
            pool.silent(worker, false);
            // Somebody else tells them first, unless its output was never read.
            tokio::time::sleep(OUTPUT_FOLLOWS).await;
            pool.last_lines(worker, Vec::new());
        });
    }

    /// What a worker that ended as it should not had printed last.
    pub(in crate::daemon) fn hear_last_lines(&mut self, worker: WorkerId, lines: Vec<String>) {
        if let Some(pool) = &self.pool {
            pool.last_lines(worker, lines.clone());
        }
        self.ends.add_lines(worker, lines);
    }

    pub(in crate::daemon) fn hear_wish(&mut self, wish: Wish) {
        match wish {
            Wish::Workers(count) => {
                if self.scaled.is_none() && count != self.settings.instances {
                    self.say(&format!("{count} workers are needed"));
                    self.settings = Arc::new(AppSettings { instances: count, ..(*self.settings).clone() });
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
