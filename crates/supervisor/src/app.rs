//! The machine of an application: which slots there are, and what is wanted of them.
//!
//! | phase | input | what happens |
//! |---|---|---|
//! | idle, stopped | start | running: every slot is filled |
//! | idle | stop, stop now | stopped |
//! | running | start | failed and finished slots are tried at once |
//! | running | scale, reconfigure | slots are added, or drain from the highest down |
//! | running | reload | slot by slot (`reload.rs`); at most one runs, the others are merged into the next |
//! | running | stop, stop now | stopping: every worker leaves, nothing is started, reloads have failed |
//! | stopping | stop now | what is left is killed |
//! | stopping | the last process is gone | stopped |
//! | any | of a worker | its slot handles it (`slot.rs`) |
//! | not running | reload | has failed |
//! | not running | scale, reconfigure | kept for the next start |
//!
//! After each input the machine settles: slots that are due are filled, the reload goes on, and what that adds up to is told.

use std::time::Instant;

use crate::config::AppConfig;
use crate::event::{Action, Event, Input, WorkerId};
use crate::moment::{Clock, Moment};
use crate::reason::Reason;
use crate::reload::{Failure, Reloads, Slots};
use crate::saved::SavedApp;
use crate::slot::{News, Slot};
use crate::snapshot::{AppSnapshot, Phase, SlotSnapshot, View};
use crate::turn::{Desk, Standing, Turn};
use crate::worker;

/// One supervised application.
#[derive(Debug)]
pub struct App {
    phase: Phase,
    slots: Slots,
    reloads: Reloads,
    desk: Desk,
    /// None before the first input.
    clock: Option<Clock>,
}

impl App {
    /// An application that waits for [`Input::Start`]. `seed` decides the jitter of its backoff.
    #[must_use]
    pub fn new(config: AppConfig, seed: u64) -> Self {
        let (slots, reloads) = (Slots::new(), Reloads::default());
        Self { phase: Phase::Idle, slots, reloads, desk: Desk::new(config, seed), clock: None }
    }

    /// Goes on with what another process [saved](Self::save), with the same workers and deadlines.
    ///
    /// `now` stands for the moment of the save. The present makes the time between not count; an instant as much earlier makes it
    /// count. First come the actions that the states of the workers imply, and then what was not told yet. For workers that were
    /// asked for and not answered the driver says `Started` or `SpawnFailed` unasked; for processes that have ended, `Exited`.
    #[must_use]
    pub fn resume(config: AppConfig, seed: u64, saved: SavedApp, now: Instant) -> Self {
        let SavedApp { at, phase, slots, reloads, memory, untold } = saved;
        let desk = Desk { memory, ..Desk::new(config, seed) };
        let mut app = Self { phase, slots, reloads, desk, clock: Some(Clock::new(now, at)) };
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
            Input::Reload { id } => self.handle_reload(now, id),
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
        self.slots.values().filter_map(Slot::poll_timeout).min().map(|at| clock.instant(at))
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
            slots: self.slots.values().map(|slot| SlotSnapshot::take(slot, &view)).collect(),
        }
    }

    fn moment(&self, instant: Instant) -> Moment {
        self.clock.map_or(Moment::default(), |clock| clock.moment(instant))
    }

    fn start(&mut self, now: Moment) {
        match self.phase {
            Phase::Idle | Phase::Stopped => {
                self.phase = Phase::Running;
                self.scale(now);
            }
            Phase::Running => {
                for slot in self.slots.values_mut() {
                    slot.retry(now);
                    slot.start_again(now);
                }
                self.forgive();
            }
            // The stop wins; whoever wants another start waits for `Stopped`.
            Phase::Stopping => (),
        }
    }

    fn stop(&mut self, now: Moment, how: &worker::Input) {
        match self.phase {
            Phase::Idle | Phase::Running | Phase::Stopping => {
                self.phase = Phase::Stopping;
                let turn = &mut Turn { now, desk: &mut self.desk };
                self.reloads.abort(turn);
                for slot in self.slots.values_mut() {
                    slot.want_down(how, turn);
                }
            }
            Phase::Stopped => (),
        }
    }

    /// Makes the slots as many as are wanted.
    fn scale(&mut self, now: Moment) {
        match self.phase {
            Phase::Running => (),
            Phase::Idle | Phase::Stopping | Phase::Stopped => return,
        }
        let instances = self.desk.config.instances;
        let turn = &mut Turn { now, desk: &mut self.desk };
        self.reloads.drop_slots_from(instances);
        for (_, slot) in self.slots.range_mut(instances..).rev().filter(|(_, slot)| slot.is_wanted()) {
            slot.want_down(&worker::Input::Retire, turn);
        }
        for index in 0..instances {
            self.slots.entry(index).or_insert_with(|| Slot::new(index, now)).want_up(now);
        }
    }

    fn reconfigure(&mut self, now: Moment, config: AppConfig) {
        self.desk.config = config;
        self.scale(now);
        for slot in self.slots.values_mut() {
            slot.retry(now);
        }
        self.forgive();
    }

    /// Something was changed from outside, so the application may fail anew.
    fn forgive(&mut self) {
        if self.desk.memory.standing == Standing::GivenUp {
            self.desk.memory.standing = Standing::Untested;
        }
    }

    fn handle_reload(&mut self, now: Moment, id: u64) {
        let turn = &mut Turn { now, desk: &mut self.desk };
        match self.phase {
            Phase::Running => self.reloads.request(id, turn),
            Phase::Idle | Phase::Stopping | Phase::Stopped => {
                turn.tell(Event::ReloadFailed { id, slot: None, reason: Reason::NotRunning });
            }
        }
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
            Some(News::Replaced) => self.reloads.handle_replaced(index, turn),
            Some(News::NotReplaced(reason)) => {
                self.reloads.handle_not_replaced(&Failure { index, reason }, &mut self.slots, turn);
            }
            None => (),
        }
    }

    /// Does what has become possible or due.
    fn settle(&mut self, now: Moment) {
        let instances = self.desk.config.instances;
        let turn = &mut Turn { now, desk: &mut self.desk };
        match self.phase {
            Phase::Running => {
                self.slots.retain(|&index, slot| index < instances || !slot.is_vacant());
                self.reloads.advance(&mut self.slots, turn);
                for slot in self.slots.values_mut() {
                    slot.fill(turn);
                }
                self.give_up_if_hopeless();
            }
            Phase::Stopping if self.slots.values().all(Slot::is_vacant) => {
                self.phase = Phase::Stopped;
                turn.tell(Event::Stopped);
            }
            Phase::Idle | Phase::Stopping | Phase::Stopped => (),
        }
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
