//! A process that writes a journal is killed again and again: what it was told is safe is always there.
//!
//! A program of its own, because a lock on a file is inherited for a moment by every process that is started beside it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use stead_jobs::journal::{Journal, Writer};

/// How often the writing process is killed.
const KILLS: u64 = 25;

/// A process that writes is killed again and again; each time all that it was told is safe is there, in order, without gaps.
#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let mut random = 88_172_645_463_325_252_u64;
    let mut safe = 0;
    for round in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "process_that_is_killed", "--nocapture"])
            .env("STEAD_TEST_JOURNAL", &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let told =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("safe ")?.parse::<u64>().ok());
        safe = told.take(1 + usize::try_from(random % 40).expect("small")).last().unwrap_or(safe);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        let numbers = numbers(&path);
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        assert!(last >= safe, "round {round}: {safe} was safe, and {last} is the last");
        assert!(numbers.iter().copied().eq(first..=last), "round {round}: there are gaps");
    }
}

fn record(number: u64) -> Vec<u8> {
    let mut record = number.to_le_bytes().to_vec();
    record.resize(8 + usize::try_from(number * 31 % 3000).expect("small"), number.to_le_bytes()[0]);
    record
}

/// Opens it and reads it. A crash is no damage.
fn open(path: &Path) -> (Journal, Vec<Vec<u8>>) {
    let mut records = Vec::new();
    let journal = Journal::open(path, "tests 1", |entry| records.push(entry.record.to_vec()));
    (journal.expect("a crash is no damage"), records)
}

fn numbers(path: &Path) -> Vec<u64> {
    let (_, records) = open(path);
    let number = |bytes: &Vec<u8>| {
        let number = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        assert_eq!(*bytes, record(number), "a record is as it was written");
        number
    };
    records.iter().map(number).collect()
}

/// Not a test by itself: writes for ever, if it is started by the one above.
#[test]
fn process_that_is_killed() {
    let Some(path) = std::env::var_os("STEAD_TEST_JOURNAL") else { return };
    let (journal, records) = open(Path::new(&path));
    let mut next =
        records.last().map_or(0, |last| u64::from_le_bytes(last[..8].try_into().expect("eight bytes")) + 1);
    let base = next;
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(journal, move |synced| {
        let safe = base + synced.expect("there is room") - 1;
        // A line of its own in one write, because nothing may be told that is not safe, and nothing in part.
        std::io::stdout().write_all(format!("safe {safe}\n").as_bytes()).expect("somebody reads");
        tell.send(()).expect("the test listens");
    })
    .expect("a thread");
    loop {
        for _ in 0..next % 50 + 1 {
            writer.append(&record(next));
            next += 1;
        }
        if next % 7 == 0 {
            writer.compact((next.saturating_sub(20).max(base)..next).map(record).collect());
        }
        told.recv().expect("the writer lives");
    }
}
