//! Goes from slot to slot and has each replace its worker: a reload starts the new one beside the old, a restart when the old is gone.
//!
//! A reload is done when every slot has a ready worker that was asked for after the reload was. It ends at the first new worker that
//! fails: then replaced slots stay replaced, and in all others the old workers serve on. One reload runs; those asked for meanwhile
//! are merged into one that follows, as long as they are of one kind. Slots that are scaled away drop out; slots that are added have the
//! new code anyway.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::event::{Event, WorkerId};
use crate::reason::Reason;
use crate::slot::Slot;
use crate::snapshot::ReloadSnapshot;
use crate::turn::Turn;

/// So many requests to reload may wait; each waits for an answer of its own.
const WAITING_MAX: usize = 64;

pub(crate) type Slots = BTreeMap<u32, Slot>;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloads {
    running: Option<Reload>,
    waiting: VecDeque<(u64, How)>,
}

/// What a slot does with its old worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// It serves until the new one is ready.
    Beside,
    /// It is gone before the new one is started.
    Instead,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reload {
    how: How,
    ids: Vec<u64>,
    /// Workers from this one on have the new code.
    oldest: WorkerId,
    pending: BTreeSet<u32>,
    active: BTreeSet<u32>,
    done: u32,
}

impl Reloads {
    /// A reload is asked for. It begins at the next [`advance`](Self::advance) at which no other runs.
    pub(crate) fn request(&mut self, id: u64, how: How, turn: &mut Turn<'_>) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((id, how));
        } else {
            turn.tell(Event::ReloadFailed { id, slot: None, reason: Reason::ReloadsWaiting });
        }
    }

    /// One runs, or is to.
    pub(crate) fn are_wanted(&self) -> bool {
        self.running.is_some() || !self.waiting.is_empty()
    }

    /// Does whatever can be done now.
    pub(crate) fn advance(&mut self, slots: &mut Slots, turn: &mut Turn<'_>) {
        while let Some(mut reload) = self.running.take().or_else(|| self.begin(slots, turn)) {
            reload.advance(slots, turn);
            if !reload.is_done() {
                self.running = Some(reload);
                return;
            }
            for &id in &reload.ids {
                turn.tell(Event::ReloadDone { id });
            }
        }
    }

    fn begin(&mut self, slots: &Slots, turn: &mut Turn<'_>) -> Option<Reload> {
        let (_, how) = *self.waiting.front()?;
        let count = self.waiting.iter().take_while(|(_, other)| *other == how).count();
        let ids = self.waiting.drain(..count).map(|(id, _)| id).collect();
        Some(Reload::begin(how, ids, slots, turn))
    }

    /// The slot has replaced its worker.
    pub(crate) fn handle_replaced(&mut self, slot: u32, turn: &mut Turn<'_>) {
        if let Some(reload) = &mut self.running
            && reload.active.remove(&slot)
        {
            reload.count_done(turn);
        }
    }

    /// The slot's new worker failed.
    pub(crate) fn handle_not_replaced(&mut self, slot: &Failure, slots: &mut Slots, turn: &mut Turn<'_>) {
        // A slot may still be busy with a restart that another slot has ended.
        let Some(reload) = self.running.take_if(|reload| reload.active.remove(&slot.index)) else {
            return;
        };
        for index in &reload.active {
            if let Some(other) = slots.get_mut(index) {
                other.cancel_reload(turn);
            }
        }
        for &id in &reload.ids {
            turn.tell(Event::ReloadFailed { id, slot: Some(slot.index), reason: slot.reason.clone() });
        }
    }

    /// Slots from this one on are no longer wanted.
    pub(crate) fn drop_slots_from(&mut self, first: u32) {
        if let Some(reload) = &mut self.running {
            reload.pending.retain(|&index| index < first);
            reload.active.retain(|&index| index < first);
        }
    }

    /// The application stops; its slots see to their workers themselves.
    pub(crate) fn abort(&mut self, turn: &mut Turn<'_>) {
        let running = self.running.take().map(|reload| reload.ids).unwrap_or_default();
        let waiting = self.waiting.drain(..).map(|(id, _)| id);
        for id in running.into_iter().chain(waiting) {
            turn.tell(Event::ReloadFailed { id, slot: None, reason: Reason::Stopped });
        }
    }

    pub(crate) fn snapshot(&self) -> Option<ReloadSnapshot> {
        self.running.as_ref().map(|reload| ReloadSnapshot {
            ids: reload.ids.clone(),
            done: reload.done,
            of: reload.of(),
            waiting: self.waiting.len(),
        })
    }
}

/// The slot whose new worker failed, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) index: u32,
    pub(crate) reason: Reason,
}

impl Reload {
    fn begin(how: How, ids: Vec<u64>, slots: &Slots, turn: &mut Turn<'_>) -> Self {
        let concerned = |slot: &&Slot| slot.is_wanted() && (how == How::Instead || !slot.is_finished());
        let pending = slots.values().filter(concerned).map(Slot::index).collect();
        let reload = Self { how, ids, oldest: turn.worker_next(), pending, active: BTreeSet::new(), done: 0 };
        reload.tell_progress(turn);
        reload
    }

    fn advance(&mut self, slots: &mut Slots, turn: &mut Turn<'_>) {
        while self.active.len() < turn.config().reload_parallel.max(1) as usize {
            // The new code of a worker that was started meanwhile is given the time to get ready.
            let is_free = |index: &&u32| {
                let slot = slots.get(index);
                slot.is_none_or(|slot| slot.is_free_to_reload() && !slot.is_coming(self.oldest))
            };
            let Some(index) = self.pending.iter().find(is_free).copied() else { return };
            self.pending.remove(&index);
            match slots.get_mut(&index) {
                None => (),
                // It finished, or its worker died, meanwhile; then it is done, or the new code runs already.
                Some(slot) if slot.is_fresh(self.oldest) => self.count_done(turn),
                Some(slot) if self.how == How::Beside && slot.is_finished() => self.count_done(turn),
                Some(slot) => {
                    match self.how {
                        How::Beside => slot.reload(turn),
                        How::Instead => slot.restart(turn),
                    }
                    self.active.insert(index);
                }
            }
        }
    }

    fn count_done(&mut self, turn: &mut Turn<'_>) {
        self.done += 1;
        self.tell_progress(turn);
    }

    fn is_done(&self) -> bool {
        self.pending.is_empty() && self.active.is_empty()
    }

    fn of(&self) -> u32 {
        let open = self.pending.len() + self.active.len();
        self.done.saturating_add(u32::try_from(open).unwrap_or(u32::MAX))
    }

    fn tell_progress(&self, turn: &mut Turn<'_>) {
        for &id in &self.ids {
            turn.tell(Event::ReloadProgress { id, done: self.done, of: self.of() });
        }
    }
}
