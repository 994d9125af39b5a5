//! How records lie in a file: in batches, each with a checksum over all of it.
//!
//! ```text
//! batch   4 bytes mark, 4 bytes length of what follows the checksum, 4 bytes checksum of length and records, records
//! record  4 bytes length, bytes
//! ```
//!
//! A batch is written at once and only when the one before is on the disk. So what a crash leaves behind is one broken batch at the end
//! at most, and a broken batch with a whole one after it is damage. Numbers are little-endian.

use std::io::{self, Read};

/// Begins each batch; what is searched for behind a broken one.
const MARK: [u8; 4] = *b"\xf5SJ\n";

/// Mark, length, checksum.
pub(crate) const HEAD_BYTES: usize = 12;

/// Records on their way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Room for the head, and what was added.
    bytes: Vec<u8>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a record that is written by `write`.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEAD_BYTES, 0);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - 4).expect("a record is shorter than 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// The batch as it is written. Empty if nothing was added.
    pub(crate) fn seal(&mut self) -> &[u8] {
        if !self.bytes.is_empty() {
            let length = u32::try_from(self.bytes.len() - HEAD_BYTES).expect("a batch is shorter than 4 GiB");
            let checksum = checksum(length, &self.bytes[HEAD_BYTES..]);
            self.bytes[..4].copy_from_slice(&MARK);
            self.bytes[4..8].copy_from_slice(&length.to_le_bytes());
            self.bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        }
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}

fn checksum(length: u32, records: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(records);
    hasher.finalize()
}

/// Reads a batch's records into `records`, of which at most `left` bytes are in the file. Tells whether it is whole.
pub(crate) fn read(file: &mut impl Read, left: u64, records: &mut Vec<u8>) -> io::Result<bool> {
    let mut head = [0; HEAD_BYTES];
    if left < HEAD_BYTES as u64 {
        return Ok(false);
    }
    file.read_exact(&mut head)?;
    let (length, sum) = (number(&head[4..8]), number(&head[8..12]));
    if head[..4] != MARK || u64::from(length) > left - HEAD_BYTES as u64 {
        return Ok(false);
    }
    records.resize(length as usize, 0);
    file.read_exact(records)?;
    Ok(checksum(length, records) == sum)
}

/// Where in these bytes batches could begin.
pub(crate) fn marks(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.windows(MARK.len()).enumerate().filter(|(_, window)| **window == MARK).map(|(at, _)| at)
}

/// The records of a batch that is whole, each with its place in it.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = number(bytes.get(at..at + 4)?) as usize;
        let record = bytes.get(at + 4..at + 4 + length)?;
        at += 4 + length;
        Some((at - length, record))
    })
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes were taken"))
}
