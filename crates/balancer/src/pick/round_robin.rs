//! Each worker in turn; with weights, the heavier ones more often, and their turns spread among those of the others. Pure.

use super::{Candidate, turn};

/// Among equals.
pub(super) fn pick(candidates: impl Iterator<Item = Candidate>, next: usize) -> Option<usize> {
    candidates.min_by_key(|c| turn(c.index, next)).map(|c| c.index)
}

/// Turns by weight (smooth weighted round robin, as in NGINX): each candidate earns its weight, the richest is chosen and pays
/// what all have earned.
#[derive(Debug, Default)]
pub(super) struct SmoothTurns {
    /// By slot.
    earned: Vec<i64>,
}

impl SmoothTurns {
    pub(super) fn pick(
        &mut self,
        candidates: impl Iterator<Item = Candidate>,
        weight: impl Fn(&Candidate) -> u64,
    ) -> Option<usize> {
        let mut total = 0;
        let mut richest: Option<(i64, Candidate)> = None;
        for candidate in candidates {
            let (slot, weight) = (candidate.slot as usize, weight(&candidate) as i64);
            if slot >= self.earned.len() {
                self.earned.resize(slot + 1, 0);
            }
            self.earned[slot] += weight;
            total += weight;
            if richest.is_none_or(|(most, _)| self.earned[slot] > most) {
                richest = Some((self.earned[slot], candidate));
            }
        }
        let (_, chosen) = richest?;
        self.earned[chosen.slot as usize] -= total;
        Some(chosen.index)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::simulator::{Stage, simulate};
    use super::super::tests::{check, check_weighted};
    use super::super::{Policy, Terms};

    #[test]
    fn each_in_turn_whatever_it_has() {
        check(Policy::RoundRobin, &[(5, 5, 0), (0, 0, 0)], &[0, 1, 0, 1]);
    }

    #[test]
    fn turns_of_the_heavy_are_spread() {
        let terms = Terms { weights: vec![5, 1, 1], priorities: Vec::new() };
        check_weighted(Policy::RoundRobin, terms, &[(0, 0, 0); 3], &[0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn simulated_shares_are_the_weights() {
        let stage = Stage { speeds: vec![2.0, 1.0, 1.0], weights: vec![2, 1, 1], ..Stage::equal(3) };
        let run = simulate("round-robin, weighted", Policy::RoundRobin, &stage);
        for (share, expected) in run.shares.iter().zip([0.5, 0.25, 0.25]) {
            assert!((share - expected).abs() < 0.001, "{run:?}");
        }
    }
}
