//! Which slot a request belongs to, by a key that was chosen from it (rendezvous hashing, highest random weight).
//!
//! Pure, and the same in each process: each slot draws a number for the key, and the highest owns it. So a slot that comes
//! takes its share from all others and a slot that goes leaves its share to all others; no other key moves.
//!
//! A slot is a member from the moment its first worker serves until it is told to be gone. While it is restarted it stays.

use serde::{Deserialize, Serialize};

use crate::random::mix;

/// Where a request wants to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// To whom the policy chooses.
    #[default]
    Any,
    /// To the owner of this key.
    Key(u64),
    /// To this slot, as long as it is there.
    Slot(u32),
}

impl Place {
    /// A client that was answered by this slot does not know yet that it is to come back to it.
    pub(crate) fn is_new_to(self, slot: u32) -> bool {
        match self {
            Place::Any => true,
            Place::Slot(named) => named != slot,
            Place::Key(_) => false,
        }
    }
}

/// A slot's part of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Who owns it.
    pub slot: u32,
    /// 0 to 1.
    pub share: f64,
}

/// The slots that keys are divided among.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    /// Slots and their weights.
    members: Vec<(u32, u32)>,
}

impl Shards {
    /// The slot owns its share. Tells whether it did not before.
    pub(crate) fn join(&mut self, slot: u32, weight: u32) -> bool {
        let is_new = !self.has(slot);
        if is_new {
            self.members.push((slot, weight));
        }
        is_new
    }

    /// Others own its share. Tells whether it had one.
    pub(crate) fn leave(&mut self, slot: u32) -> bool {
        let before = self.members.len();
        self.members.retain(|(member, _)| *member != slot);
        self.members.len() < before
    }

    pub(crate) fn has(&self, slot: u32) -> bool {
        self.members.iter().any(|(member, _)| *member == slot)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.members.iter().map(|(slot, _)| *slot)
    }

    /// The slot that a request has to go to; nothing if it may go to any.
    pub(crate) fn slot_of(&self, place: Place) -> Option<u32> {
        match place {
            Place::Any => None,
            Place::Key(key) => self.owner(key),
            Place::Slot(slot) => Some(slot).filter(|slot| self.has(*slot)),
        }
    }

    fn owner(&self, key: u64) -> Option<u32> {
        let drawn = self.members.iter().map(|(slot, weight)| (draw(key, *slot) / f64::from(*weight), *slot));
        drawn.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, slot)| slot)
    }

    /// Each slot's part, by slot.
    pub(crate) fn table(&self) -> Vec<Shard> {
        let total: f64 = self.members.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let shard = |(slot, weight): &(u32, u32)| Shard { slot: *slot, share: f64::from(*weight) / total };
        let mut table: Vec<Shard> = self.members.iter().map(shard).collect();
        table.sort_by_key(|shard| shard.slot);
        table
    }
}

/// How far a slot is from a key. The time until the first event of a random process of rate 1: divided by weights, the nearest
/// is each in proportion to its weight.
fn draw(key: u64, slot: u32) -> f64 {
    let mixed = mix(key ^ mix(u64::from(slot) + 1));
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln()
}

/// A key's number (FNV-1a, mixed), the same for ever.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(key.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 20_000;

    fn shards(slots: impl IntoIterator<Item = u32>) -> Shards {
        let mut shards = Shards::default();
        slots.into_iter().for_each(|slot| assert!(shards.join(slot, 1)));
        shards
    }

    fn keys() -> impl Iterator<Item = u64> {
        (0..KEYS).map(|number| hash(format!("user-{number}").as_bytes()))
    }

    #[test]
    fn shares_are_even_and_follow_weights() {
        let mut weighted = Shards::default();
        for (slot, weight) in [(0, 3), (1, 1), (2, 1), (7, 1)] {
            weighted.join(slot, weight);
        }
        for shards in [shards(0..4), weighted] {
            for Shard { slot, share } in shards.table() {
                let owned = keys().filter(|key| shards.owner(*key) == Some(slot)).count() as f64;
                assert!((owned / KEYS as f64 - share).abs() < 0.015, "slot {slot}: {owned} and not {share}");
            }
        }
    }

    /// A slot more: only what it gets moves. A slot less: only what it had moves.
    #[test]
    fn scaling_moves_no_key_that_need_not_move() {
        for workers in [1, 2, 4, 16] {
            let (before, after) = (shards(0..workers), shards(0..=workers));
            let moved = keys().filter(|key| before.owner(*key) != after.owner(*key)).count() as f64;
            let expected = KEYS as f64 / f64::from(workers + 1);
            assert!(
                (moved - expected).abs() < expected * 0.05,
                "{moved} moved from {workers}, not {expected}"
            );
            assert!(keys().all(|key| {
                let (old, new) = (before.owner(key), after.owner(key));
                old == new || new == Some(workers)
            }));
        }
    }

    #[test]
    fn share_of_a_slot_that_is_gone_is_divided_among_all() {
        let (before, mut after) = (shards(0..4), shards(0..4));
        assert!(after.leave(1) && !after.leave(1));
        let left: Vec<u64> = keys().filter(|key| before.owner(*key) == Some(1)).collect();
        for slot in [0, 2, 3] {
            let got = left.iter().filter(|key| after.owner(**key) == Some(slot)).count();
            let part = got as f64 / left.len() as f64;
            assert!((part - 1.0 / 3.0).abs() < 0.03, "slot {slot} gets {part}");
        }
    }

    #[test]
    fn named_slot_counts_only_while_it_is_there() {
        let shards = shards([0, 1]);
        assert_eq!(shards.slot_of(Place::Slot(1)), Some(1));
        assert_eq!(shards.slot_of(Place::Slot(2)), None);
        assert_eq!(shards.slot_of(Place::Any), None);
        assert_eq!(Shards::default().slot_of(Place::Key(1)), None);
    }

    /// Another version may not send sessions elsewhere.
    #[test]
    fn owners_are_the_same_for_ever() {
        let shards = shards(0..8);
        let owners: Vec<_> = ["a", "b", "c", "d"].map(|key| shards.owner(hash(key.as_bytes()))).into();
        assert_eq!(owners, OWNERS.map(Some));
    }

    const OWNERS: [u32; 4] = [5, 4, 0, 1];
}
