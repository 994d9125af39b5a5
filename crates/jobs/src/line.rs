//! Tasks that wait in order: higher priority first, then the one that was accepted first.
//!
//! A task that comes back after a failure or a death takes its old place, because its number is as old as it is. One tree and not a
//! queue per priority: a task can leave from the middle at once, and nothing stale is ever left behind.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::event::TaskId;

/// A task's place among those who wait; the smallest goes first.
pub(crate) type Place = (Reverse<i32>, TaskId);

/// Those who wait.
#[derive(Debug, Default)]
pub(crate) struct Line(BTreeSet<Place>);

impl Line {
    pub(crate) fn join(&mut self, place: Place) {
        self.0.insert(place);
    }

    /// Tells whether it was there.
    pub(crate) fn leave(&mut self, place: &Place) -> bool {
        self.0.remove(place)
    }

    pub(crate) fn first(&self) -> Option<Place> {
        self.0.first().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Place> {
        self.0.iter().copied()
    }

    pub(crate) fn take_all(&mut self) -> Line {
        std::mem::take(self)
    }
}

impl IntoIterator for Line {
    type Item = Place;
    type IntoIter = std::collections::btree_set::IntoIter<Place>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
