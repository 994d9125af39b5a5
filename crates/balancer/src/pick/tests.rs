//! What the tests of all policies share.

pub(super) mod simulator;

use super::*;

fn candidates(loads: &[(u32, u32, u64)]) -> Vec<Candidate> {
    let candidate = |(index, load): (usize, &(u32, u32, u64))| Candidate {
        index,
        slot: index as u32,
        untaken: load.0,
        in_flight: load.1,
        latency: Duration::from_micros(load.2),
    };
    loads.iter().enumerate().map(candidate).collect()
}

/// Loads are requests not taken, requests in flight and microseconds; they stay as they are from pick to pick.
#[track_caller]
pub(super) fn check(policy: Policy, loads: &[(u32, u32, u64)], expected: &[usize]) {
    check_weighted(policy, Terms::default(), loads, expected);
}

#[track_caller]
pub(super) fn check_weighted(policy: Policy, terms: Terms, loads: &[(u32, u32, u64)], expected: &[usize]) {
    let mut picker = Picker::new(policy, terms, 1);
    let picked: Vec<_> = expected.iter().filter_map(|_| picker.pick(candidates(loads).into_iter())).collect();
    assert_eq!(picked, expected, "{policy:?} {loads:?}");
}

#[test]
fn nobody_is_picked_from_nobody() {
    for policy in [Policy::LeastLoaded, Policy::RoundRobin, Policy::Fastest, Policy::RandomOfTwo] {
        for weights in [Vec::new(), vec![2]] {
            let terms = Terms { weights, priorities: Vec::new() };
            assert_eq!(Picker::new(policy, terms, 1).pick(std::iter::empty()), None);
        }
    }
}
