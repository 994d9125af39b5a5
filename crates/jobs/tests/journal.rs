//! A journal after crashes: what was acknowledged is there, what was cut off is dropped, what is damaged is told.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;

use stead_jobs::journal::{Journal, JournalError, Writer};

const KIND: &str = "tests 1";

/// Opens it and reads it: the records, and the bytes that were cut off.
fn open(path: &Path) -> Result<(Journal, Vec<Vec<u8>>), JournalError> {
    let mut records = Vec::new();
    let journal = Journal::open(path, KIND, |entry| records.push(entry.record.to_vec()))?;
    Ok((journal, records))
}

/// A journal of three batches of two records; tells where each batch ends.
fn three_batches(path: &Path) -> Vec<u64> {
    let (mut journal, _) = open(path).expect("a new one");
    let mut ends = vec![journal.length()];
    for batch in 0..3_u8 {
        journal.append(&[batch; 10]);
        journal.append(&[]);
        journal.commit().expect("there is room");
        ends.push(journal.length());
    }
    ends
}

#[test]
fn file_that_was_cut_off_anywhere_has_all_that_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let ends = three_batches(&path);
    let whole = std::fs::read(&path).expect("it was written");
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("there is room");
        let (journal, records) = open(&path).expect("what is cut off is no damage");
        let batches = ends[1..].iter().filter(|end| **end <= cut as u64).count();
        let begun = records.len() - batches * 2;
        assert!(begun < 2, "of a batch that is not whole there may be a record: cut at {cut}");
        assert!(begun == 0 || journal.length() <= cut as u64, "cut at {cut}");
        let length = std::fs::metadata(&path).expect("it is there").len();
        assert_eq!(length, journal.length(), "cut at {cut}: the rest is gone");
        drop(journal);
        assert_eq!(open(&path).expect("it is whole").1, records, "cut at {cut}");
    }
}

#[test]
fn any_changed_byte_is_found_and_only_in_the_last_batch_it_is_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let ends = three_batches(&path);
    let whole = std::fs::read(&path).expect("it was written");
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x41;
        std::fs::write(&path, &changed).expect("there is room");
        let batch = ends.iter().position(|end| (at as u64) < *end).expect("it is before the end");
        match (batch, open(&path)) {
            (0, Err(JournalError::NotOne { kind, .. })) => assert_eq!(kind, KIND),
            (1 | 2, Err(JournalError::Damaged { offset, .. })) => assert_eq!(offset, ends[batch - 1]),
            (3, Ok((_, records))) => {
                assert!((5..=6).contains(&records.len()), "byte {at}: one record at most is gone");
            }
            (batch, outcome) => panic!("byte {at} of batch {batch}: {outcome:?}"),
        }
    }
}

#[test]
fn journal_has_one_user_at_a_time_and_one_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let first = open(&path).expect("a new one");
    assert!(matches!(open(&path), Err(JournalError::InUse { .. })));
    drop(first);
    assert!(matches!(Journal::open(&path, "others 1", |_| ()), Err(JournalError::NotOne { .. })));
    std::fs::write(&path, "something of mine that is no journal").expect("there is room");
    assert!(matches!(open(&path), Err(JournalError::NotOne { .. })));
    let error = open(&folder.path().join("nowhere/journal")).expect_err("no such folder");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn records_can_be_read_by_their_place_and_compaction_replaces_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let (mut journal, _) = open(&path).expect("a new one");
    let places: Vec<u64> = (0..100_u8).map(|number| journal.append(&[number; 7])).collect();
    journal.commit().expect("there is room");
    for (number, place) in (0..).zip(&places) {
        let mut bytes = [0; 7];
        journal.read_at(*place, &mut bytes).expect("it was committed");
        assert_eq!(bytes, [number; 7]);
    }
    journal.compact([b"all"].iter()).expect("there is room");
    journal.append(b"more");
    journal.commit().expect("there is room");
    drop(journal);
    let (_, records) = open(&path).expect("it is whole");
    assert_eq!(records, [b"all".to_vec(), b"more".to_vec()]);
}

#[test]
fn writer_tells_what_is_safe() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let (journal, _) = open(&path).expect("a new one");
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(journal, move |synced| {
        tell.send(synced.expect("there is room")).expect("the test listens");
    })
    .expect("a thread");
    (0..10_000_u32)
        .for_each(|number| assert_eq!(writer.append(&number.to_le_bytes()), u64::from(number) + 1));
    assert!(told.iter().any(|safe| safe == 10_000), "all is safe in the end");
    assert_eq!(writer.pending_bytes(), 0);
    writer.compact(vec![b"all".to_vec()]);
    writer.append(b"more");
    drop(writer);
    let (_, records) = open(&path).expect("it is whole");
    assert_eq!(records, [b"all".to_vec(), b"more".to_vec()]);
}

#[test]
fn hurry_for_nothing_holds_nothing_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(&folder.path().join("journal")).expect("a new one");
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(journal, move |synced| {
        tell.send(synced.expect("there is room")).expect("the test listens");
    })
    .expect("a thread");
    for number in 1..=200 {
        assert_eq!(writer.append_with(number % 2 == 0, |bytes| bytes.push(1)), number);
        let safe = told.recv_timeout(std::time::Duration::from_secs(20));
        assert_eq!(safe, Ok(number), "it is written although nothing was there to hurry for");
        // The thread has nothing to do, or is about to.
        (0..100).for_each(|_| writer.hurry());
    }
}

#[test]
fn full_disk_is_an_error_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    three_batches(&path);
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    // A batch of which only the beginning could be written, as a full disk leaves it.
    let end = file.metadata().expect("it is there").len();
    file.write_all_at(b"\xf5SJ\n\x10\0\0\x01", end).expect("there is room");
    let (mut journal, records) = open(&path).expect("it is cut off");
    assert_eq!((records.len(), journal.torn()), (6, 8));
    journal.append(b"next");
    journal.commit().expect("there is room");
    drop(journal);
    assert_eq!(open(&path).expect("it is whole").1.len(), 7);
    assert!(Journal::open(Path::new("/dev/full"), KIND, |_| ()).is_err());
}

#[test]
fn journal_that_cannot_be_written_anew_goes_on_unless_it_is_of_no_use_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    // Where the new file would be.
    std::fs::create_dir(folder.path().join("journal.new")).expect("there is room");
    let (journal, _) = open(&path).expect("a new one");
    let (tell, told) = mpsc::channel();
    let synced = move |synced: Result<u64, JournalError>| tell.send(synced.ok()).expect("the test listens");
    let writer = Writer::start(journal, synced).expect("a thread");
    writer.append(b"first");
    writer.compact(vec![b"all".to_vec()]);
    let second = writer.append(b"second");
    assert!(told.iter().any(|safe| safe == Some(second)));
    writer.replace(vec![b"all".to_vec()]);
    assert_eq!(told.recv().expect("the thread tells"), None);
    writer.append(b"third");
    assert_eq!(writer.pending_bytes(), 0, "nothing gathers that nobody will write");
    drop(writer);
    let (_, records) = open(&path).expect("it is whole");
    assert_eq!(records, [b"first".to_vec(), b"second".to_vec()]);
}
