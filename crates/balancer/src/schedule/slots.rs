//! Requests that belong to a slot, and the slots there are.

use std::time::Instant;

use super::{Ask, Load, Schedule, Ticket};
use crate::shards::{Place, Shard};

impl Schedule {
    /// The slot owns its share of the keys, and keeps it while its worker is replaced.
    pub(crate) fn join(&mut self, slot: u32) {
        if self.shards.join(slot, self.terms.weight(slot)) {
            self.sort_waiting();
        }
    }

    /// The slot gives its share to others.
    pub(super) fn leave(&mut self, slot: u32) {
        if self.shards.leave(slot) {
            self.sort_waiting();
        }
    }

    /// No slots but these will have workers.
    pub(crate) fn retain_slots(&mut self, slots: &[u32]) {
        let gone: Vec<u32> = self.shards.slots().filter(|slot| !slots.contains(slot)).collect();
        gone.into_iter().for_each(|slot| self.leave(slot));
    }

    fn sort_waiting(&mut self) {
        let Self { waiting, shards, .. } = self;
        waiting.sort(|ask| shards.slot_of(ask.place));
    }

    /// Each slot's share of the keys.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        self.shards.table()
    }

    /// The slot that a request goes to, if it cannot go to any.
    pub(crate) fn slot_of(&self, place: Place) -> Option<u32> {
        self.shards.slot_of(place)
    }

    /// Some wait for one slot only: who comes must not be sent past them.
    pub(crate) fn has_bound(&self) -> bool {
        self.waiting.has_bound()
    }

    /// Who has waited longest of those that wait for a slot that can be given a request.
    pub(super) fn first_bound(&self, now: Instant) -> Option<(u32, Ticket, Ask)> {
        let reserved = self.reservation.as_ref().map(|r| r.endpoint);
        let can_get = |load: &Load| reserved != Some(load.id) && load.may_get(now, &self.limits);
        let has_room = |slot: u32| self.loads.iter().any(|load| load.slot == slot && can_get(load));
        let first = self.waiting.first_bound().filter(|(slot, ..)| has_room(*slot));
        first.min_by_key(|(_, ticket, _)| *ticket)
    }

    pub(super) fn may_take(&self, load: &Load, place: Place) -> bool {
        self.shards.slot_of(place).is_none_or(|slot| slot == load.slot)
    }
}
