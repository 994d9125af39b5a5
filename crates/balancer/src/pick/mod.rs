//! Chooses a worker among those that may be given a request. Pure: loads in, a choice out.
//!
//! | file | chooses |
//! |---|---|
//! | `least_loaded` | who has the least to do |
//! | `round_robin` | whose turn it is; by weights, smoothly |
//! | `fastest` | whose answer is expected first (peak EWMA) |
//! | `random_of_two` | the less loaded of two drawn by lot |
//! | `terms` | weights and classes of slots; a class is used up before the next one is touched |

mod fastest;
mod least_loaded;
mod random_of_two;
mod round_robin;
mod terms;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use fastest::PeakEwma;
pub use terms::Terms;

use crate::random::Random;
use round_robin::SmoothTurns;

/// How a worker is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The worker with the fewest requests it has not taken, then the fewest in flight. The default.
    LeastLoaded,
    /// Each in turn.
    RoundRobin,
    /// The lowest expected wait: peak-sensitive moving average of latency times requests in flight (peak EWMA).
    Fastest,
    /// The less loaded of two that are drawn by lot.
    RandomOfTwo,
}

/// What a policy knows of one candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Position in the caller's list, returned as the choice.
    pub(crate) index: usize,
    pub(crate) slot: u32,
    pub(crate) untaken: u32,
    pub(crate) in_flight: u32,
    pub(crate) latency: Duration,
}

/// Chooses among candidates; remembers whose turn is next.
#[derive(Debug)]
pub(crate) struct Picker {
    policy: Policy,
    terms: Terms,
    next: usize,
    turns: SmoothTurns,
    random: Random,
}

impl Picker {
    pub(crate) fn new(policy: Policy, terms: Terms, seed: u64) -> Self {
        Self { policy, terms, next: 0, turns: SmoothTurns::default(), random: Random(seed) }
    }

    /// The index of the chosen candidate; ties go to the one whose turn it is, so that equal workers get equal work.
    pub(crate) fn pick(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) -> Option<usize> {
        if self.terms.are_equal() {
            return self.pick_equal(candidates);
        }
        let class = candidates.clone().map(|candidate| self.terms.class(candidate.slot)).min()?;
        let chosen = {
            let Self { policy, terms, next, turns, random } = self;
            let candidates = candidates.filter(|candidate| terms.class(candidate.slot) == class);
            let weight = |candidate: &Candidate| u64::from(terms.weight(candidate.slot));
            match policy {
                Policy::LeastLoaded => least_loaded::pick_weighted(candidates, *next, weight),
                Policy::RoundRobin => turns.pick(candidates, weight),
                Policy::Fastest => fastest::pick(candidates, *next, weight),
                Policy::RandomOfTwo => random_of_two::pick(candidates, random, weight),
            }
        }?;
        self.next = chosen + 1;
        Some(chosen)
    }

    fn pick_equal(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) -> Option<usize> {
        let chosen = match self.policy {
            Policy::LeastLoaded => least_loaded::pick(candidates, self.next),
            Policy::RoundRobin => round_robin::pick(candidates, self.next),
            Policy::Fastest => fastest::pick(candidates, self.next, |_| 1),
            Policy::RandomOfTwo => random_of_two::pick(candidates, &mut self.random, |_| 1),
        }?;
        self.next = chosen + 1;
        Some(chosen)
    }
}

/// How long it is until it is this one's turn, `next` being the one whose turn it is.
fn turn(index: usize, next: usize) -> usize {
    if index >= next { index - next } else { usize::MAX / 2 + index }
}
