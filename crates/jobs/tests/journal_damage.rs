//! A journal whose file was damaged, at random places: every record that is whole is there, in its order, and nothing else; what was
//! acknowledged is not lost in silence.

use std::ops::Range;
use std::path::Path;

use stead_jobs::journal::{Damage, Journal, JournalError};

const KIND: &str = "tests 1";
/// How many files are damaged in each test.
const SEEDS: u64 = 100;
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("it is below a usize")
    }
}

/// A journal as it was written.
struct Written {
    bytes: Vec<u8>,
    /// Each with its place, the bytes before it that belong to it included.
    records: Vec<(Range<usize>, Vec<u8>)>,
    /// Where batches begin, and the end.
    batches: Vec<usize>,
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("a short file")
}

fn write(path: &Path, random: &mut Random) -> Written {
    let mut journal = Journal::open(path, KIND, |_| ()).expect("a new one");
    let (mut records, mut batches) = (Vec::new(), vec![place(journal.length())]);
    for _ in 0..1 + random.below(6) {
        for _ in 0..1 + random.below(12) {
            let most = [20, 200, 3000][random.below(3)];
            let length = random.below(most);
            // Records of texts as records of anything; each another.
            let mut record: Vec<u8> = (0..length).map(|at| [b'x', 0xf5, b'S', 0][at % 4]).collect();
            record.extend_from_slice(&u64::try_from(records.len()).expect("a few").to_le_bytes());
            let start = place(journal.append(&record));
            records.push((start - 12..start + record.len(), record));
        }
        journal.commit().expect("there is room");
        batches.push(place(journal.length()));
    }
    drop(journal);
    Written { bytes: std::fs::read(path).expect("it was written"), records, batches }
}

/// Changes some bytes behind the first line.
fn hurt(bytes: &mut [u8], range: Range<usize>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let start = range.start + random.below(range.len());
        let most = [1, 40, 3000][random.below(3)];
        let end = (start + 1 + random.below(most)).min(range.end);
        match random.below(3) {
            0 => bytes[start..end].fill(0),
            1 => bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0x41),
            _ => bytes[start..end].fill_with(|| u8::try_from(random.below(256)).expect("it is below 256")),
        }
    }
}

fn open(path: &Path) -> Result<Vec<Vec<u8>>, JournalError> {
    let mut records = Vec::new();
    Journal::open(path, KIND, |entry| records.push(entry.record.to_vec())).map(|_| records)
}

fn repair(path: &Path) -> (Vec<Vec<u8>>, Option<Damage>) {
    let mut records = Vec::new();
    let opened = Journal::open_or_repair(path, KIND, |entry| records.push(entry.record.to_vec()));
    (records, opened.expect("any damage can be repaired").1)
}

impl Written {
    /// The records of which no byte is another in `hurt`.
    fn whole(&self, hurt: &[u8]) -> Vec<Vec<u8>> {
        let same = |range: &Range<usize>| hurt.get(range.clone()) == self.bytes.get(range.clone());
        let whole = self.records.iter().filter(|(range, _)| same(range));
        whole.map(|(_, record)| record.clone()).collect()
    }

    /// Something that was acknowledged is broken, and it can be seen that it was.
    fn is_damaged(&self, hurt: &[u8]) -> bool {
        let same = |range: Range<usize>| hurt[range.clone()] == self.bytes[range];
        let first = self.batches.windows(2).position(|ends| !same(ends[0]..ends[1]));
        let heads = &self.batches[first.map_or(self.batches.len(), |first| first + 1)..];
        heads.iter().filter(|head| **head < hurt.len()).any(|head| same(*head..head + 12))
    }
}

#[test]
fn damage_costs_the_records_that_it_hits_and_no_other() {
    let mut repaired = 0;
    for seed in 1..=SEEDS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let written = write(&path, &mut random);
        let mut bytes = written.bytes.clone();
        let first = written.batches[0];
        hurt(&mut bytes, first..written.bytes.len(), &mut random);
        std::fs::write(&path, &bytes).expect("there is room");
        let whole = written.whole(&bytes);
        let damaged = written.is_damaged(&bytes);
        if damaged {
            assert!(matches!(open(&path), Err(JournalError::Damaged { .. })), "seed {seed}");
            assert!(std::fs::read(&path).expect("it is there") == bytes, "seed {seed}: it is left as it is");
        }
        let (records, damage) = repair(&path);
        assert!(records == whole, "seed {seed}: {} records of {}", records.len(), whole.len());
        assert_eq!(damage.is_some(), damaged, "seed {seed}");
        if let Some(damage) = damage {
            repaired += 1;
            assert!(std::fs::read(&damage.aside).expect("it is kept") == bytes, "seed {seed}");
            assert!(damage.lost > 0, "seed {seed}");
        }
        assert!(open(&path).expect("it is whole again") == records, "seed {seed}");
    }
    assert!(repaired > SEEDS / 4, "only {repaired} were damaged");
}

#[test]
fn crash_leaves_any_part_of_the_last_batch_and_is_no_damage() {
    for seed in 1..=SEEDS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let written = write(&path, &mut random);
        let mut bytes = written.bytes.clone();
        // Zeros had been written ahead, and of what came over them some sectors are on the disk.
        let last = written.batches[written.batches.len() - 2];
        let mut at = last;
        while at < bytes.len() {
            let end = ((at / SECTOR + 1) * SECTOR).min(bytes.len());
            if random.below(2) == 0 {
                bytes[at..end].fill(0);
            }
            at = end;
        }
        bytes.resize(bytes.len() + random.below(5000), 0);
        std::fs::write(&path, &bytes).expect("there is room");
        let records = open(&path).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(records == written.whole(&bytes), "seed {seed}");
        assert_eq!(repair(&path).1.map(|damage| damage.offset), None, "seed {seed}");
        assert!(open(&path).expect("it is whole") == records, "seed {seed}");
    }
}
