//! Tables whose keys are numbers that this process counts up by itself.
//!
//! Nobody outside can choose such a key, so the hash need not resist anybody; the hot path looks up several per request.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by [`crate::EndpointId`], ticket or seat.
pub(crate) type ByNumber<T> = HashMap<u64, T, BuildHasherDefault<NumberHasher>>;

/// Spreads consecutive numbers over all bits: multiplication by 2^64 over the golden ratio (Knuth, vol. 3, §6.4).
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_numbers_differ_where_the_table_looks() {
        let hash = |number: u64| {
            let mut hasher = NumberHasher::default();
            hasher.write_u64(number);
            hasher.finish()
        };
        let mut tags = [0; 128];
        (0..1280).for_each(|number| tags[usize::try_from(hash(number) >> 57).expect("7 bits")] += 1);
        assert!(tags.iter().all(|count| (5..=15).contains(count)), "{tags:?}");
    }
}
