//! How records lie in a file: each with a checksum of its own, in batches that are written at once.
//!
//! ```text
//! batch   4 bytes mark, 4 bytes length of its records, 4 bytes checksum of the length, records
//! record  4 bytes mark, 4 bytes length of its bytes, 4 bytes checksum of length and bytes, bytes
//! ```
//!
//! A batch is written only when the one before is on the disk. So a crash leaves behind a last batch of which any part may be missing, and
//! no more; something broken with the head of another batch behind it is damage, because what stood there had been acknowledged. Either
//! way [`scan`] finds the records that are whole. No mark can stand in a text, for its first byte is none of UTF-8. Numbers are
//! little-endian.

use std::io::{self, Read};
use std::ops::Range;

const BATCH: [u8; 4] = *b"\xf5SJ\n";
const RECORD: [u8; 4] = *b"\xf5SR\n";

/// Mark, length, checksum: of a batch as of a record.
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

    /// Adds a record that is written by `write`. Tells how long it is.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.bytes.is_empty() {
            self.bytes.resize(HEAD_BYTES, 0);
        }
        let start = self.bytes.len() + HEAD_BYTES;
        self.bytes.resize(start, 0);
        write(&mut self.bytes);
        let (head, record) = self.bytes[start - HEAD_BYTES..].split_at_mut(HEAD_BYTES);
        head.copy_from_slice(&encode_head(RECORD, record.len(), record));
        record.len()
    }

    /// The batch as it is written. Empty if nothing was added.
    pub(crate) fn seal(&mut self) -> &[u8] {
        if !self.bytes.is_empty() {
            let head = encode_head(BATCH, self.bytes.len() - HEAD_BYTES, &[]);
            self.bytes[..HEAD_BYTES].copy_from_slice(&head);
        }
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}

fn encode_head(mark: [u8; 4], length: usize, record: &[u8]) -> [u8; HEAD_BYTES] {
    let length = u32::try_from(length).expect("a batch is shorter than 4 GiB").to_le_bytes();
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&mark);
    head[4..8].copy_from_slice(&length);
    head[8..].copy_from_slice(&checksum(length, record).to_le_bytes());
    head
}

fn checksum(length: [u8; 4], record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(record);
    hasher.finalize()
}

/// Reads a batch's records into `records`, of which at most `left` bytes are in the file. Tells whether it is whole.
pub(crate) fn read(file: &mut impl Read, left: u64, records: &mut Vec<u8>) -> io::Result<bool> {
    let mut head = [0; HEAD_BYTES];
    if left < HEAD_BYTES as u64 {
        return Ok(false);
    }
    file.read_exact(&mut head)?;
    let length = match batch_at(&head) {
        Some(length) if length as u64 <= left - HEAD_BYTES as u64 => length,
        Some(_) | None => return Ok(false),
    };
    records.resize(length, 0);
    file.read_exact(records)?;
    Ok(self::records(records).last().map_or(0, |(at, record)| at + record.len()) == length)
}

/// The records that stand one behind another in these bytes, each with its place; up to the first that is not whole.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let record = record_at(&bytes[at..])?;
        let start = at + HEAD_BYTES;
        at = start + record.len();
        Some((start, record))
    })
}

/// What is whole of bytes that begin with something broken.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: Vec<Range<usize>>,
    /// A batch begins in here that was written later than what is broken.
    pub(crate) goes_on: bool,
    /// Bytes that are of no record, and no head of a later batch. Zeros at the end are not counted.
    pub(crate) broken: u64,
}

/// Looks for what is whole.
pub(crate) fn scan(bytes: &[u8]) -> Found {
    let (mut found, mut at) = (Found::default(), 0);
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    while at < end {
        if let Some(record) = record_at(&bytes[at..]) {
            let start = at + HEAD_BYTES;
            at = start + record.len();
            found.records.push(start..at);
        } else if batch_at(&bytes[at..]).is_some() {
            if at == 0 {
                found.broken += HEAD_BYTES as u64;
            } else {
                found.goes_on = true;
            }
            at += HEAD_BYTES;
        } else {
            let next = bytes[at + 1..end].iter().position(|byte| *byte == BATCH[0]);
            let next = next.map_or(end, |next| at + 1 + next);
            found.broken += (next - at) as u64;
            at = next;
        }
    }
    found
}

/// The length of the batch that begins here.
fn batch_at(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..HEAD_BYTES)?;
    let length = head[4..8].try_into().expect("four bytes were taken");
    let is_one = head[..4] == BATCH && head[8..] == checksum(length, &[]).to_le_bytes();
    is_one.then_some(u32::from_le_bytes(length) as usize)
}

/// The record that begins here, if it is whole.
fn record_at(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES).filter(|(head, _)| head[..4] == RECORD)?;
    let length = head[4..8].try_into().expect("four bytes were taken");
    let record = rest.get(..u32::from_le_bytes(length) as usize)?;
    (head[8..] == checksum(length, record).to_le_bytes()).then_some(record)
}
