//! What can be wanted of an application: that it runs, stops, has so many slots, and has its workers replaced.

use super::App;
use crate::config::AppConfig;
use crate::event::{Event, Recycle, WorkerId};
use crate::moment::Moment;
use crate::reason::Reason;
use crate::reload::How;
use crate::slot::Slot;
use crate::snapshot::Phase;
use crate::turn::{Standing, Turn};
use crate::worker;

impl App {
    pub(super) fn start(&mut self, now: Moment) {
        match self.phase {
            Phase::Idle | Phase::Stopped => {
                self.phase = Phase::Running;
                self.desk.memory.standing = Standing::Untested;
                self.slots.values_mut().for_each(Slot::forgive);
                self.scale(now);
            }
            Phase::Running => {
                for slot in self.slots.values_mut() {
                    slot.retry(now);
                    slot.start_again(now);
                }
                self.forgive();
            }
            Phase::Stopping => {
                self.phase = Phase::StoppingToStart;
                Turn { now, desk: &mut self.desk }.tell(Event::StartFollows);
            }
            Phase::StoppingToStart => (),
        }
    }

    pub(super) fn stop(&mut self, now: Moment, how: &worker::Input) {
        match self.phase {
            Phase::Idle | Phase::Running | Phase::Stopping | Phase::StoppingToStart => {
                self.phase = Phase::Stopping;
                let turn = &mut Turn { now, desk: &mut self.desk };
                self.reloads.abort(turn);
                self.recycles.abort();
                for slot in self.slots.values_mut() {
                    slot.want_down(how, turn);
                }
            }
            Phase::Stopped => (),
        }
    }

    /// Makes the slots as many as are wanted.
    pub(super) fn scale(&mut self, now: Moment) {
        match self.phase {
            Phase::Running => (),
            Phase::Idle | Phase::Stopping | Phase::StoppingToStart | Phase::Stopped => return,
        }
        let instances = self.desk.config.instances;
        let turn = &mut Turn { now, desk: &mut self.desk };
        self.reloads.drop_slots_from(instances);
        self.recycles.drop_slots_from(instances);
        for (_, slot) in self.slots.range_mut(instances..).rev().filter(|(_, slot)| slot.is_wanted()) {
            slot.want_down(&worker::Input::Retire, turn);
        }
        for index in 0..instances {
            self.slots.entry(index).or_insert_with(|| Slot::new(index, now)).want_up(now);
        }
    }

    pub(super) fn reconfigure(&mut self, now: Moment, config: AppConfig) {
        self.desk.config = config;
        self.scale(now);
        for slot in self.slots.values_mut() {
            slot.retry(now);
        }
        self.forgive();
    }

    /// Something was changed from outside, so the application may fail anew.
    pub(super) fn forgive(&mut self) {
        if self.desk.memory.standing == Standing::GivenUp {
            self.desk.memory.standing = Standing::Untested;
        }
    }

    pub(super) fn reload(&mut self, now: Moment, id: u64) {
        let turn = &mut Turn { now, desk: &mut self.desk };
        match self.phase {
            Phase::Running => self.reloads.request(id, How::Beside, turn),
            Phase::Idle | Phase::Stopping | Phase::StoppingToStart | Phase::Stopped => {
                turn.tell(Event::ReloadFailed { id, slot: None, reason: Reason::NotRunning });
            }
        }
    }

    pub(super) fn restart(&mut self, now: Moment, id: u64) {
        match self.phase {
            Phase::Running => (),
            Phase::Idle | Phase::Stopping | Phase::StoppingToStart | Phase::Stopped => self.start(now),
        }
        self.reloads.request(id, How::Instead, &mut Turn { now, desk: &mut self.desk });
    }

    pub(super) fn recycle(&mut self, worker: WorkerId, why: Recycle) {
        if self.slots.values().any(|slot| slot.is_served_by(worker)) {
            self.recycles.request(worker, why);
        }
    }
}
