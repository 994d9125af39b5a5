//! Tasks of one key: one at a time, in the order in which they were accepted, each on the slot that the key belongs to.
//!
//! The first of a key waits for a worker; the others wait behind it until it has ended, retries and deaths included. Slots own keys by
//! rendezvous hashing: a slot that comes takes its share from all others, and one that goes leaves its share to all others.

use std::collections::BTreeSet;

use crate::backoff::mix;
use crate::event::TaskId;
use crate::table::Table;

/// What tasks of one kind have in common. Two words that become the same number only share a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of a word, the same for ever (FNV-1a, mixed).
    #[must_use]
    pub fn new(word: &[u8]) -> Self {
        let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(mix(word.iter().fold(0xcbf2_9ce4_8422_2325, fold)))
    }

    /// The key that [`Key::number`] told of.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// What to write down.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The slot of these that the key belongs to.
    pub(crate) fn owner(self, slots: impl Iterator<Item = u32>) -> Option<u32> {
        slots.max_by_key(|slot| (mix(self.0 ^ mix(u64::from(*slot) + 1)), *slot))
    }
}

/// Per key the tasks that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Keys(Table<Row>);

/// The tasks of one key.
#[derive(Debug)]
struct Row {
    /// The one that waits for a worker, runs, or will be tried again.
    current: TaskId,
    behind: BTreeSet<TaskId>,
}

impl Keys {
    pub(crate) fn join(&mut self, key: Key, task: TaskId) {
        if let Some(row) = self.0.get_mut(&key.0) {
            row.behind.insert(task);
        } else {
            self.0.insert(key.0, Row { current: task, behind: BTreeSet::new() });
        }
    }

    /// Whether it is this one's turn.
    pub(crate) fn is_current(&self, key: Key, task: TaskId) -> bool {
        self.0.get(&key.0).is_some_and(|row| row.current == task)
    }

    /// A task has ended. Tells whose turn it is now, if that has changed.
    pub(crate) fn leave(&mut self, key: Key, task: TaskId) -> Option<TaskId> {
        let row = self.0.get_mut(&key.0)?;
        if row.current != task {
            row.behind.remove(&task);
            return None;
        }
        let next = row.behind.pop_first();
        match next {
            Some(next) => row.current = next,
            None => drop(self.0.remove(&key.0)),
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_that_goes_leaves_its_keys_to_others_and_no_other_key_moves() {
        for number in 0..1000_u64 {
            let key = Key::new(&number.to_le_bytes());
            let (before, after) = (key.owner(0..4), key.owner([0, 1, 3].into_iter()));
            assert!(before == after || before == Some(2), "key {number} moved from {before:?} to {after:?}");
        }
    }

    /// Another version may not send a key elsewhere.
    #[test]
    fn owners_are_the_same_for_ever() {
        let owners = ["a", "b", "c", "d"].map(|word| Key::new(word.as_bytes()).owner(0..8));
        assert_eq!(owners, OWNERS.map(Some));
    }

    const OWNERS: [u32; 4] = [5, 4, 0, 1];
}
