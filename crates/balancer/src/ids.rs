//! Numbers that nobody can guess and that do not come twice, for the names of requests.
//!
//! A count under a keyed hash whose key is the kernel's: as cheap as a hash, and without a generator of our own. One for each
//! lane, so that nothing is shared.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

#[derive(Default)]
pub(crate) struct Ids {
    key: RandomState,
    count: Cell<u64>,
}

impl Ids {
    pub(crate) fn next(&self) -> u64 {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        self.key.hash_one(count)
    }

    pub(crate) fn next_pair(&self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Ids;

    #[test]
    fn no_number_comes_twice_nor_on_two_lanes() {
        let lanes = [Ids::default(), Ids::default()];
        let numbers: HashSet<u128> = (0..20_000).map(|turn| lanes[turn % 2].next_pair()).collect();
        assert_eq!(numbers.len(), 20_000);
    }
}
