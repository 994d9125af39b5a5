//! What is agreed with each slot: how much it may get, and whether it is there for the others' overflow only. Pure.

/// Weights and classes of slots; those beyond the lists have 1 and 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// By slot: its part of the requests, at least 1.
    pub weights: Vec<u32>,
    /// By slot: its class. Higher numbers get what none of the lower ones can be given.
    pub priorities: Vec<u32>,
}

impl Terms {
    /// Nothing is agreed: all slots are the same.
    pub(crate) fn are_equal(&self) -> bool {
        self.weights.is_empty() && self.priorities.is_empty()
    }

    /// At least 1.
    pub(crate) fn weight(&self, slot: u32) -> u32 {
        self.weights.get(slot as usize).copied().unwrap_or(1).max(1)
    }

    /// The first class is 0.
    pub(crate) fn class(&self, slot: u32) -> u32 {
        self.priorities.get(slot as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::super::tests::check_weighted;
    use super::super::tests::simulator::{Stage, simulate};
    use super::*;

    #[test]
    fn later_class_gets_nothing_while_the_first_can_be_given_more() {
        let terms = || Terms { weights: Vec::new(), priorities: vec![0, 0, 1] };
        for policy in [Policy::LeastLoaded, Policy::RoundRobin, Policy::Fastest] {
            check_weighted(policy, terms(), &[(0, 9, 0), (0, 9, 0), (0, 0, 0)], &[0, 1, 0, 1]);
        }
        let reserve = Terms { weights: Vec::new(), priorities: vec![1, 0] };
        check_weighted(Policy::LeastLoaded, reserve, &[(0, 0, 0)], &[0]);
    }

    #[test]
    fn simulated_reserve_gets_the_overflow_only() {
        let quiet = Stage { priorities: vec![0, 0, 1], in_flight_max: 4, load: 0.2, ..Stage::equal(3) };
        let busy = Stage { load: 0.9, ..quiet.clone() };
        let quiet = simulate("classes, quiet", Policy::LeastLoaded, &quiet);
        let busy = simulate("classes, busy", Policy::LeastLoaded, &busy);
        assert!(quiet.shares[2] < 0.02, "{quiet:?}");
        assert!(busy.shares[2] > 0.1 && busy.shares[2] < busy.shares[0], "{busy:?}");
    }
}
