//! Replaces single workers that have served their time, beside everything else that goes on.
//!
//! | state | leaves for |
//! |---|---|
//! | resting | replacing (a worker waits, no reload is wanted, the pause is over) |
//! | replacing | emptying (the new one is ready), resting (it failed: with a pause; a reload begins; the slot is scaled away) |
//! | emptying | resting (the old worker is gone) |
//!
//! One at a time, so that an application whose workers all grow too large at once does not need twice the memory. Who failed to be
//! replaced waits again: only the end of a worker, or its recovery if it was unhealthy, takes it from the queue.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::backoff;
use crate::event::{Event, Recycle, WorkerId};
use crate::moment::Moment;
use crate::reason::Reason;
use crate::reload::{Failure, Slots};
use crate::slot::Slot;
use crate::snapshot::RecycleSnapshot;
use crate::turn::Turn;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recycles {
    state: State,
    /// Each worker at most once, so it is no longer than there are slots.
    queue: VecDeque<(WorkerId, Recycle)>,
    /// In a row.
    failures: u32,
    paused_until: Option<Moment>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    #[default]
    Resting,
    Replacing(Order),
    Emptying {
        slot: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    worker: WorkerId,
    slot: u32,
    why: Recycle,
}

impl Recycles {
    /// The worker is to be replaced, some time.
    pub(crate) fn request(&mut self, worker: WorkerId, why: Recycle) {
        let is_replaced = matches!(self.state, State::Replacing(order) if order.worker == worker);
        if !is_replaced && !self.queue.iter().any(|(other, _)| *other == worker) {
            self.queue.push_back((worker, why));
        }
    }

    /// Does whatever can be done now, provided that no reload is wanted.
    pub(crate) fn advance(&mut self, slots: &mut Slots, turn: &mut Turn<'_>) {
        if let State::Emptying { slot } = self.state
            && slots.get(&slot).is_none_or(Slot::is_free_to_reload)
        {
            self.state = State::Resting;
        }
        let is_due = |(worker, why): &(WorkerId, Recycle)| {
            let mut slots = slots.values();
            slots.any(|slot| {
                slot.is_served_by(*worker) && (*why != Recycle::Unhealthy || slot.is_ill(*worker))
            })
        };
        self.queue.retain(is_due);
        if self.state == State::Resting && self.paused_until.is_none() {
            self.begin(slots, turn);
        }
    }

    fn begin(&mut self, slots: &mut Slots, turn: &mut Turn<'_>) {
        let slot_of =
            |worker| slots.values().find(|slot| slot.is_served_by(worker) && slot.is_free_to_reload());
        let found = self.queue.iter().enumerate().find_map(|(place, &(worker, why))| {
            let slot = slot_of(worker)?.index();
            Some((place, Order { worker, slot, why }))
        });
        let Some((place, order)) = found else { return };
        self.queue.remove(place);
        let Order { worker, slot, why } = order;
        if let Some(found) = slots.get_mut(&slot) {
            turn.tell(Event::RecycleStarted { worker, slot, why });
            found.reload(turn);
            self.state = State::Replacing(order);
        }
    }

    /// A reload is wanted: it replaces the worker anyway, and nobody shall wait for code that is no longer wanted.
    pub(crate) fn give_way(&mut self, slots: &mut Slots, turn: &mut Turn<'_>) {
        if let State::Replacing(order) = self.state {
            if let Some(slot) = slots.get_mut(&order.slot) {
                slot.cancel_reload(turn);
            }
            self.put_back(order, Reason::ReloadFirst, turn);
        }
    }

    /// The slot has replaced its worker. True if that was for this.
    pub(crate) fn handle_replaced(&mut self, index: u32, turn: &mut Turn<'_>) -> bool {
        let Some(Order { worker, slot, why }) = self.order_of(index) else { return false };
        turn.tell(Event::Recycled { worker, slot, why });
        self.failures = 0;
        self.state = State::Emptying { slot };
        true
    }

    /// The slot's new worker failed. True if it was for this.
    pub(crate) fn handle_not_replaced(&mut self, failure: &Failure, turn: &mut Turn<'_>) -> bool {
        let Some(order) = self.order_of(failure.index) else { return false };
        self.failures = self.failures.saturating_add(1);
        let config = &turn.desk.config;
        // What fails again and again is left alone for longer.
        let pause = if self.failures > config.restarts_max { config.cool_down } else { config.backoff_first };
        let pause = pause.max(backoff::delay(self.failures, config, &mut turn.desk.jitter));
        self.paused_until = Some(turn.after(pause));
        self.put_back(order, failure.reason.clone(), turn);
        true
    }

    fn order_of(&self, index: u32) -> Option<Order> {
        match self.state {
            State::Replacing(order) => Some(order).filter(|order| order.slot == index),
            State::Resting | State::Emptying { .. } => None,
        }
    }

    fn put_back(&mut self, order: Order, reason: Reason, turn: &mut Turn<'_>) {
        let Order { worker, slot, why } = order;
        turn.tell(Event::RecycleFailed { worker, slot, why, reason });
        self.queue.push_back((worker, why));
        self.state = State::Resting;
    }

    /// Slots from this one on are no longer wanted.
    pub(crate) fn drop_slots_from(&mut self, first: u32) {
        if let State::Replacing(Order { slot, .. }) = self.state
            && slot >= first
        {
            self.state = State::Resting;
        }
    }

    /// The application stops.
    pub(crate) fn abort(&mut self) {
        *self = Self::default();
    }

    pub(crate) const fn poll_timeout(&self) -> Option<Moment> {
        self.paused_until
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
    }

    pub(crate) fn snapshot(&self) -> Option<RecycleSnapshot> {
        match self.state {
            State::Replacing(Order { worker, slot, why }) => Some(RecycleSnapshot { worker, slot, why }),
            State::Resting | State::Emptying { .. } => None,
        }
    }
}
