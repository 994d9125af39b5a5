//! The requests that wait for a worker: one line for all that may go to any, and one for each slot that some are bound to.
//!
//! Pure, and without an opinion on who can be served: `schedule.rs` has that. Tickets rise, so that the first of two lines can
//! be told; each line is in the order they came, and nobody in a line waits for those of another. A line may hold its part of
//! the whole queue only: requests for one slot that hangs do not get those for others refused.

use std::collections::VecDeque;

use crate::schedule::{Ask, Ticket};

#[derive(Debug)]
struct Line {
    slot: u32,
    waiting: VecDeque<(Ticket, Ask)>,
}

/// All that wait.
#[derive(Debug)]
pub(crate) struct Queue {
    max: usize,
    open: VecDeque<(Ticket, Ask)>,
    /// None is empty.
    bound: Vec<Line>,
}

impl Queue {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, open: VecDeque::new(), bound: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.bound.iter().map(|line| line.waiting.len()).sum::<usize>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.bound.is_empty()
    }

    /// Some wait for one slot only.
    pub(crate) fn has_bound(&self) -> bool {
        !self.bound.is_empty()
    }

    /// Whether one more may wait, `slots` being how many share the queue.
    pub(crate) fn has_room(&self, slot: Option<u32>, slots: usize) -> bool {
        let in_line = slot.and_then(|slot| self.line(slot)).map_or(0, |line| line.waiting.len());
        let line_max = if slot.is_some() { self.max.div_ceil(slots.max(1)) } else { self.max };
        self.len() < self.max && in_line < line_max
    }

    /// At the end of a line.
    pub(crate) fn push(&mut self, slot: Option<u32>, ticket: Ticket, ask: Ask) {
        let Some(slot) = slot else { return self.open.push_back((ticket, ask)) };
        match self.bound.iter_mut().find(|line| line.slot == slot) {
            Some(line) => line.waiting.push_back((ticket, ask)),
            None => self.bound.push(Line { slot, waiting: VecDeque::from([(ticket, ask)]) }),
        }
    }

    /// Who is first of those that may go anywhere.
    pub(crate) fn first_open(&self) -> Option<(Ticket, Ask)> {
        self.open.front().copied()
    }

    /// Who is first in each line for one slot.
    pub(crate) fn first_bound(&self) -> impl Iterator<Item = (u32, Ticket, Ask)> {
        self.bound
            .iter()
            .filter_map(|line| line.waiting.front().map(|(ticket, ask)| (line.slot, *ticket, *ask)))
    }

    /// The first of a line leaves it.
    pub(crate) fn pop(&mut self, slot: Option<u32>) {
        match slot {
            None => drop(self.open.pop_front()),
            Some(slot) => {
                let line = self.bound.iter_mut().find(|line| line.slot == slot);
                line.expect("who is first stands in a line").waiting.pop_front();
                self.close_empty_lines();
            }
        }
    }

    /// Somebody gives up.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) {
        if take(&mut self.open, ticket) || self.bound.is_empty() {
            return;
        }
        if self.bound.iter_mut().any(|line| take(&mut line.waiting, ticket)) {
            self.close_empty_lines();
        }
    }

    /// Slots have come or gone: everybody to where `slot_of` says, in the order they came.
    pub(crate) fn sort(&mut self, slot_of: impl Fn(&Ask) -> Option<u32>) {
        let mut all: Vec<_> = self.open.drain(..).collect();
        all.extend(self.bound.drain(..).flat_map(|line| line.waiting));
        all.sort_unstable_by_key(|(ticket, _)| *ticket);
        all.into_iter().for_each(|(ticket, ask)| self.push(slot_of(&ask), ticket, ask));
    }

    fn line(&self, slot: u32) -> Option<&Line> {
        self.bound.iter().find(|line| line.slot == slot)
    }

    fn close_empty_lines(&mut self) {
        self.bound.retain(|line| !line.waiting.is_empty());
    }
}

fn take(line: &mut VecDeque<(Ticket, Ask)>, ticket: Ticket) -> bool {
    let found = line.binary_search_by_key(&ticket, |(waiting, _)| *waiting);
    found.is_ok_and(|position| line.remove(position).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(waiting: &[(Option<u32>, Ticket)]) -> Queue {
        let mut queue = Queue::new(6);
        waiting.iter().for_each(|(slot, ticket)| queue.push(*slot, *ticket, Ask::default()));
        queue
    }

    fn first(queue: &Queue) -> (Option<Ticket>, Vec<(u32, Ticket)>) {
        let bound = queue.first_bound().map(|(slot, ticket, _)| (slot, ticket));
        (queue.first_open().map(|(ticket, _)| ticket), bound.collect())
    }

    #[test]
    fn each_line_is_in_the_order_they_came() {
        let mut queue = queue(&[(None, 1), (Some(7), 2), (Some(3), 3), (Some(7), 4), (None, 5)]);
        assert_eq!(first(&queue), (Some(1), vec![(7, 2), (3, 3)]));
        queue.pop(Some(7));
        queue.withdraw(3);
        queue.pop(None);
        assert_eq!(first(&queue), (Some(5), vec![(7, 4)]));
        queue.withdraw(4);
        queue.withdraw(99);
        assert!(!queue.has_bound() && !queue.is_empty());
    }

    #[test]
    fn line_of_one_slot_leaves_room_for_others() {
        let queue = queue(&[(Some(0), 1), (Some(0), 2), (Some(0), 3)]);
        let room = [Some(0), Some(1), None].map(|slot| queue.has_room(slot, 2));
        assert_eq!(room, [false, true, true]);
        assert!(queue.has_room(Some(0), 1), "alone it may have all of it");
    }

    #[test]
    fn whole_queue_has_an_end() {
        let queue = queue(&[(None, 1), (None, 2), (None, 3), (None, 4), (None, 5), (Some(1), 6)]);
        assert!(!queue.has_room(Some(0), 2) && !queue.has_room(None, 2));
    }

    #[test]
    fn sorting_keeps_the_order() {
        let mut queue = queue(&[(Some(7), 1), (None, 2), (Some(3), 3)]);
        queue.sort(|_| None);
        assert_eq!(queue.open.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [1, 2, 3]);
        queue.sort(|_| Some(4));
        assert_eq!(first(&queue), (None, vec![(4, 1)]));
        assert_eq!(queue.len(), 3);
    }
}
