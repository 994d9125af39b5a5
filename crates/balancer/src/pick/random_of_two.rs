//! The less loaded of two workers drawn by lot (power of two choices). Pure: the lot is a generator with a seed.
//!
//! Several balancers in front of the same workers do not all run to the same one, as they do when each of them chooses the
//! least loaded that it knows of.

use super::Candidate;
use crate::random::Random;

/// Among those that may be given a request; the load is divided by the weight.
pub(super) fn pick(
    candidates: impl Iterator<Item = Candidate> + Clone,
    random: &mut Random,
    weight: impl Fn(&Candidate) -> u64,
) -> Option<usize> {
    let count = candidates.clone().count() as u64;
    if count == 0 {
        return None;
    }
    let first = random.below(count);
    let second = if count == 1 { first } else { (first + 1 + random.below(count - 1)) % count };
    let load = |c: &Candidate| (u64::from(c.untaken), u64::from(c.in_flight) + 1);
    let drawn = (0..).zip(candidates).filter(|(position, _)| *position == first || *position == second);
    // Equal loads go to the one that was drawn first.
    let better = drawn.map(|(position, candidate)| (candidate, position != first)).min_by(
        |(a, late_a), (b, late_b)| {
            let ((untaken_a, flight_a), (untaken_b, flight_b)) = (load(a), load(b));
            let (weight_a, weight_b) = (weight(a), weight(b));
            let untaken = (untaken_a * weight_b).cmp(&(untaken_b * weight_a));
            untaken.then((flight_a * weight_b).cmp(&(flight_b * weight_a))).then(late_a.cmp(late_b))
        },
    );
    better.map(|(candidate, _)| candidate.index)
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::super::tests::check;
    use super::super::tests::simulator::{Stage, simulate};

    #[test]
    fn of_two_workers_the_less_loaded_is_chosen() {
        check(Policy::RandomOfTwo, &[(0, 3, 0), (0, 1, 0)], &[1, 1, 1]);
        check(Policy::RandomOfTwo, &[(1, 1, 0), (0, 5, 0)], &[1, 1, 1]);
        check(Policy::RandomOfTwo, &[(0, 3, 0)], &[0, 0]);
    }

    /// What is known of the workers is old, as with several balancers: all that come in between see the same.
    #[test]
    fn simulated_herd_does_not_run_to_one_worker() {
        let stage = Stage { seen_every: 40, ..Stage::equal(8) };
        let two = simulate("random-of-two, old news", Policy::RandomOfTwo, &stage);
        let fastest = simulate("fastest, old news", Policy::Fastest, &stage);
        assert!(two.fairness > 0.98, "{two:?}");
        assert!(two.p99 < fastest.p99, "{two:?} against {fastest:?}");
    }
}
