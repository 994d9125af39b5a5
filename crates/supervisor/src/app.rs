//! The machine of an application: which slots there are, and what is wanted of them.
//!
//! | phase | input | what happens |
//! |---|---|---|
//! | idle, stopped | start | running: every slot is filled; nothing of the past counts against it |
//! | idle, stopped | restart | running: as start, and the restart is done when all are ready |
//! | idle | stop, stop now | stopped |
//! | running | start | failed and finished slots are tried at once |
//! | running | scale, reconfigure | slots are added, or drain from the highest down |
//! | running | reload, restart | slot by slot (`reload.rs`); at most one runs, the others are merged into the next |
//! | running | recycle | one worker is replaced (`recycle.rs`) as soon as no reload is wanted and no other is being replaced |
//! | running | stop, stop now | stopping: every worker leaves, nothing is started, reloads have failed |
//! | stopping | stop now | what is left is killed |
//! | stopping | start, restart | stopping to start |
//! | stopping | the last process is gone | stopped |
//! | stopping to start | stop, stop now | stopping |
//! | stopping to start | the last process is gone | as start when stopped |
//! | any | of a worker | its slot handles it (`slot.rs`) |
//! | not running | reload | has failed |
//! | not running | scale, reconfigure | kept for the next start |
//!
//! After each input the machine settles: slots that are due are filled, reloads and recycling go on, the unhealthy are taken out or put
//! back, and what that adds up to is told. What is wanted of the application is in `app/orders.rs`.

use std::time::Instant;

use crate::config::AppConfig;
use crate::event::{Action, Event, Input, Recycle, WorkerId};
use crate::moment::{Clock, Moment};
use crate::recycle::Recycles;
use crate::reload::{Failure, Reloads, Slots};
use crate::saved::SavedApp;
use crate::slot::{News, Slot};
use crate::snapshot::{AppSnapshot, Phase, SlotSnapshot, View};
use crate::turn::{Desk, Standing, Turn};
use crate::worker;

mod orders;

/// One supervised application.
#[derive(Debug)]
pub struct App {
    phase: Phase,
    slots: Slots,
    reloads: Reloads,
    recycles: Recycles,
    desk: Desk,
    /// None before the first input.
    clock: Option<Clock>,
}

impl App {
    /// An application that waits for [`Input::Start`]. `seed` decides the jitter of its backoff.
    #[must_use]
    pub fn new(config: AppConfig, seed: u64) -> Self {
        let (slots, reloads, recycles) = (Slots::new(), Reloads::default(), Recycles::default());
        Self { phase: Phase::Idle, slots, reloads, recycles, desk: Desk::new(config, seed), clock: None }
    }

    /// Goes on with what another process [saved](Self::save), with the same workers and deadlines.
    ///
    /// `now` stands for the moment of the save. The present makes the time between not count; an instant as much earlier makes it
    /// count. First come the actions that the states of the workers imply, and then what was not told yet. For workers that were
    /// asked for and not answered the driver says `Started` or `SpawnFailed` unasked; for processes that have ended, `Exited`.
    #[must_use]
    pub fn resume(config: AppConfig, seed: u64, saved: SavedApp, now: Instant) -> Self {
        let SavedApp { at, phase, slots, reloads, recycles, memory, untold } = saved;
        let desk = Desk { memory, ..Desk::new(config, seed) };
        let mut app = Self { phase, slots, reloads, recycles, desk, clock: Some(Clock::new(now, at)) };
        let turn = &mut Turn { now: at, desk: &mut app.desk };
        app.slots.values_mut().for_each(|slot| slot.resume(turn));
        untold.into_iter().for_each(|event| turn.tell(event));
        app.scale(at);
        app
    }

    /// All that another process has to know to go on, settings apart. May be taken at any time; of the actions that were not taken out
    /// yet only the events are kept, for the others follow from the states.
    #[must_use]
    pub fn save(&self, now: Instant) -> SavedApp {
        let untold = self.desk.actions.iter().filter_map(|action| match action {
            Action::Tell(event) => Some(event.clone()),
            _ => None,
        });
        SavedApp {
            at: self.moment(now),
            phase: self.phase,
            slots: self.slots.clone(),
            reloads: self.reloads.clone(),
            recycles: self.recycles.clone(),
            memory: self.desk.memory.clone(),
            untold: untold.collect(),
        }
    }

    /// Takes in what happened; then take out every [`poll_action`](Self::poll_action). Words about workers that are gone are ignored.
    pub fn handle(&mut self, now: Instant, input: Input) {
        let now = self.clock.get_or_insert(Clock::new(now, Moment::default())).moment(now);
        let was_finished = self.is_finished();
        match input {
            Input::Start => self.start(now),
            Input::Started { worker, pid } => self.handle_started(now, worker, pid),
            Input::SpawnFailed { worker, reason, fatal } => {
                self.forward(now, worker, &worker::Input::SpawnFailed { reason, fatal });
            }
            Input::Ready { worker } => self.forward(now, worker, &worker::Input::Ready),
            Input::Unready { worker } => self.forward(now, worker, &worker::Input::Unready),
            Input::Drained { worker } => self.forward(now, worker, &worker::Input::Drained),
            Input::Exited { worker, exit } => self.forward(now, worker, &worker::Input::Exited { exit }),
            Input::Wedged { worker } => self.handle_wedged(now, worker),
            Input::Scale(instances) => {
                self.desk.config.instances = instances;
                self.scale(now);
            }
            Input::Unhealthy { worker } => self.forward(now, worker, &worker::Input::Unhealthy),
            Input::Recycle { worker, why } => self.recycle(worker, why),
            Input::Reload { id } => self.reload(now, id),
            Input::Restart { id } => self.restart(now, id),
            Input::ResetCounts => self.slots.values_mut().for_each(Slot::reset_count),
            Input::Reconfigure(config) => self.reconfigure(now, config),
            Input::Stop => self.stop(now, &worker::Input::Retire),
            Input::StopNow => self.stop(now, &worker::Input::Kill),
            Input::Timeout => self.handle_timeout(now),
        }
        self.settle(now);
        if !was_finished && self.is_finished() {
            self.desk.actions.push_back(Action::Tell(Event::Finished));
        }
    }

    /// What the driver has to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.desk.actions.pop_front()
    }

    /// When [`Input::Timeout`] is due. Ask again after every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let clock = self.clock?;
        let deadlines =
            self.slots.values().filter_map(Slot::poll_timeout).chain(self.recycles.poll_timeout());
        deadlines.min().map(|at| clock.instant(at))
    }

    /// What it looks like at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> AppSnapshot {
        let config = &self.desk.config;
        let clock = self.clock.unwrap_or(Clock::new(now, Moment::default()));
        let view = View { now: clock.moment(now), clock, config };
        AppSnapshot {
            phase: self.phase,
            instances: config.instances,
            reload: self.reloads.snapshot(),
            recycle: self.recycles.snapshot(),
            slots: self.slots.values().map(|slot| SlotSnapshot::take(slot, &view)).collect(),
        }
    }

    fn moment(&self, instant: Instant) -> Moment {
        self.clock.map_or(Moment::default(), |clock| clock.moment(instant))
    }

    fn handle_started(&mut self, now: Moment, worker: WorkerId, pid: u32) {
        if self.slot_of(worker).is_some() {
            self.forward(now, worker, &worker::Input::Started { pid });
        } else {
            // It was given up because nothing answered for too long. Nobody waits for it any more.
            self.desk.actions.push_back(Action::Kill { worker });
        }
    }

    fn handle_wedged(&mut self, now: Moment, worker: WorkerId) {
        let Some(index) = self.slot_of(worker) else { return };
        let turn = &mut Turn { now, desk: &mut self.desk };
        let news = self.slots.get_mut(&index).and_then(|slot| slot.handle_wedged(worker, turn));
        self.react(now, index, news);
    }

    fn handle_timeout(&mut self, now: Moment) {
        // A deadline may set the next one to this very moment; each worker has only a few before one lies ahead.
        while let Some(worker) = self.slots.values().find_map(|slot| slot.due(now)) {
            self.forward(now, worker, &worker::Input::Timeout);
        }
        self.recycles.handle_timeout(now);
    }

    fn forward(&mut self, now: Moment, worker: WorkerId, input: &worker::Input) {
        let Some(index) = self.slot_of(worker) else { return };
        let turn = &mut Turn { now, desk: &mut self.desk };
        let news = self.slots.get_mut(&index).and_then(|slot| slot.handle(worker, input, turn));
        self.react(now, index, news);
    }

    fn slot_of(&self, worker: WorkerId) -> Option<u32> {
        self.slots.values().find(|slot| slot.holds(worker)).map(Slot::index)
    }

    fn react(&mut self, now: Moment, index: u32, news: Option<News>) {
        let turn = &mut Turn { now, desk: &mut self.desk };
        match news {
            Some(News::Replaced) => {
                let is_recycled = self.recycles.handle_replaced(index, turn);
                if !is_recycled {
                    self.reloads.handle_replaced(index, turn);
                }
            }
            Some(News::NotReplaced(reason)) => {
                let failure = Failure { index, reason };
                let is_recycled = self.recycles.handle_not_replaced(&failure, turn);
                if !is_recycled {
                    self.reloads.handle_not_replaced(&failure, &mut self.slots, turn);
                }
            }
            Some(News::Incurable(worker)) => self.recycles.request(worker, Recycle::Unhealthy),
            None => (),
        }
    }

    /// Does what has become possible or due.
    fn settle(&mut self, now: Moment) {
        let is_empty = self.slots.values().all(Slot::is_vacant);
        match self.phase {
            Phase::Stopping if is_empty => {
                self.phase = Phase::Stopped;
                self.desk.actions.push_back(Action::Tell(Event::Stopped));
            }
            Phase::StoppingToStart if is_empty => {
                self.phase = Phase::Stopped;
                self.start(now);
            }
            Phase::Idle | Phase::Running | Phase::Stopping | Phase::StoppingToStart | Phase::Stopped => (),
        }
        if self.phase == Phase::Running {
            self.go_on(now);
        }
    }

    fn go_on(&mut self, now: Moment) {
        let instances = self.desk.config.instances;
        let turn = &mut Turn { now, desk: &mut self.desk };
        self.slots.retain(|&index, slot| index < instances || !slot.is_vacant());
        if self.reloads.are_wanted() {
            self.recycles.give_way(&mut self.slots, turn);
            self.reloads.advance(&mut self.slots, turn);
        }
        // The reload may just have ended.
        if !self.reloads.are_wanted() {
            self.recycles.advance(&mut self.slots, turn);
        }
        let any_healthy = self.slots.values().any(Slot::is_healthy);
        for slot in self.slots.values_mut() {
            slot.share(any_healthy, turn);
            slot.fill(turn);
        }
        self.give_up_if_hopeless();
    }

    /// Tells once that an application which was never ready has failed: when its program cannot be started, or every slot has failed.
    fn give_up_if_hopeless(&mut self) {
        if self.desk.memory.standing != Standing::Untested {
            return;
        }
        let failures = || self.slots.values().filter_map(Slot::failure);
        let is_over = self.slots.values().all(|slot| slot.failure().is_some() || slot.is_finished());
        let reason = failures()
            .find(|reason| reason.is_fatal())
            .or_else(|| failures().next_back().filter(|_| is_over))
            .cloned();
        if let Some(reason) = reason {
            self.desk.memory.standing = Standing::GivenUp;
            self.desk.actions.push_back(Action::Tell(Event::Failed { reason }));
        }
    }

    /// There are slots, and none has anything left to do.
    fn is_finished(&self) -> bool {
        self.phase == Phase::Running
            && !self.slots.is_empty()
            && self.slots.values().all(|slot| slot.is_finished() && slot.is_vacant())
    }
}
