//! A small generator of numbers that look random (SplitMix64) and the mixing function that it is made of. Not for secrets.
//!
//! Seeded by whoever wants to see the same numbers again; what it mixes is the same in each process and on each machine.

/// Spreads every bit of `number` over all bits of the result; no two numbers become the same.
pub(crate) fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A row of numbers that its seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_their_seed_repeats_them() {
        let mut random = Random(1);
        let mut counts = [0_u32; 8];
        (0..8000).for_each(|_| counts[random.below(8) as usize] += 1);
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 120), "{counts:?}");
        assert_eq!(Random(7).next(), Random(7).next());
    }
}
