//! The worker with the least to do: fewest requests that it has not taken, then fewest in flight. Pure.

use super::{Candidate, turn};

/// So that a share of a request can be told in whole numbers.
const SCALE: u64 = 1 << 20;

/// Among equals.
pub(super) fn pick(candidates: impl Iterator<Item = Candidate>, next: usize) -> Option<usize> {
    candidates.min_by_key(|c| (c.untaken, c.in_flight, turn(c.index, next))).map(|c| c.index)
}

/// What a worker of twice the weight has is half as much to it.
pub(super) fn pick_weighted(
    candidates: impl Iterator<Item = Candidate>,
    next: usize,
    weight: impl Fn(&Candidate) -> u64,
) -> Option<usize> {
    let key = |c: &Candidate| {
        let scaled = |count: u32| u64::from(count) * SCALE / weight(c);
        (scaled(c.untaken), scaled(c.in_flight + 1), turn(c.index, next))
    };
    candidates.min_by_key(key).map(|c| c.index)
}

#[cfg(test)]
mod tests {
    use super::super::tests::simulator::{Stage, simulate};
    use super::super::tests::{check, check_weighted};
    use super::super::{Policy, Terms};

    #[test]
    fn least_loaded_prefers_who_has_taken_everything() {
        check(Policy::LeastLoaded, &[(1, 1, 0), (0, 9, 0)], &[1, 1]);
        check(Policy::LeastLoaded, &[(0, 2, 0), (0, 1, 0)], &[1, 1]);
    }

    #[test]
    fn equal_loads_take_turns() {
        check(Policy::LeastLoaded, &[(0, 0, 0); 3], &[0, 1, 2, 0, 1]);
    }

    #[test]
    fn load_is_divided_by_weight() {
        let terms = || Terms { weights: vec![3, 1], priorities: Vec::new() };
        check_weighted(Policy::LeastLoaded, terms(), &[(0, 1, 0), (0, 0, 0)], &[0]);
        check_weighted(Policy::LeastLoaded, terms(), &[(0, 3, 0), (0, 0, 0)], &[1]);
    }

    #[test]
    fn simulated_equal_workers_get_equal_work_and_tails_are_shorter_than_in_turn() {
        let least = simulate("least-loaded, equal", Policy::LeastLoaded, &Stage::equal(4));
        let turns = simulate("round-robin, equal", Policy::RoundRobin, &Stage::equal(4));
        assert!(least.fairness > 0.99, "{least:?}");
        assert!(least.p99 < turns.p99, "{least:?} against {turns:?}");
    }

    #[test]
    fn simulated_weights_steer_load_where_the_power_is() {
        let stage = Stage { speeds: vec![3.0, 1.0, 1.0], weights: vec![3, 1, 1], ..Stage::equal(3) };
        let weighted = simulate("least-loaded, weighted", Policy::LeastLoaded, &stage);
        let flat = Stage { weights: Vec::new(), ..stage };
        let unweighted = simulate("least-loaded, unweighted", Policy::LeastLoaded, &flat);
        assert!(weighted.mean < unweighted.mean, "{weighted:?} against {unweighted:?}");
    }
}
