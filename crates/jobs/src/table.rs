//! Tables whose keys are numbers that this process counts up by itself, or has mixed.
//!
//! Nobody outside can choose such a key, so the hash need not resist anybody; each task is looked up several times.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by [`crate::TaskId`] or by the number of a key.
pub(crate) type Table<T> = HashMap<u64, T, BuildHasherDefault<NumberHasher>>;

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
