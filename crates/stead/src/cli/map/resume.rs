//! The journal of a batch: which tasks have ended and with what, so that another run goes on where this one was killed.
//!
//! A result is on the disk here before it goes to the output. So what the output holds is always a beginning of what the journal would
//! write there, to the byte: a run that resumes looks how long the output is and writes what is missing of that, the rest of a half-written
//! line included. An output that was emptied meanwhile, or is no file, gets all of it. Nothing that has ended is computed again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use stead_jobs::Key;
use stead_jobs::journal::{Journal, JournalError};

use super::failures::Failure;
use super::protocol::Format;
use super::results::Piece;
use crate::cli::Report;
use crate::cli::exit_code::ExitCode;

/// What the file says it is.
const KIND: &str = "map 1";

/// A run began: 1 byte whether in order, 8 bytes where its output began.
const BEGUN: u8 = 1;
/// A task is done: its number, the mark of its input, its bytes in the output.
const DONE: u8 = 2;
/// A task has failed: its number, the mark of its input, 4 bytes attempts, the error.
const FAILED: u8 = 3;
/// What the lines are, as soon as that is known: 1 byte whether JSON.
const FORMAT: u8 = 4;
/// What to do where the input is not that of the journal.
pub(super) const OTHER_INPUT: &str =
    "give the input of the run that is resumed (it may have grown at its end), or begin with another journal";

/// Kind, number, mark.
const HEAD_BYTES: usize = 17;

/// A task that ended in an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) task: u64,
    /// What tells its input from another.
    mark: u64,
    how: How,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    Done { offset: u64, length: usize },
    Failed(Failure),
}

/// What a journal tells of earlier runs.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// In the order in which they ended.
    ended: Vec<Ended>,
    /// Of the last run.
    ordered: Option<bool>,
    /// What the lines are.
    pub(super) format: Option<Format>,
    base: u64,
}

/// Where the output is, if it is a file that can be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutputEnd(pub(super) u64);

impl OutputEnd {
    /// Where the next byte will be written: the end of a file that is appended to, the position in any other; 0 where it is no file.
    pub(super) fn of(output: &File) -> io::Result<OutputEnd> {
        let metadata = output.metadata()?;
        if !metadata.is_file() {
            return Ok(OutputEnd(0));
        }
        let appends = rustix::fs::fcntl_getfl(output)?.contains(rustix::fs::OFlags::APPEND);
        let end = if appends { metadata.len() } else { rustix::fs::tell(output)? };
        Ok(OutputEnd(end))
    }
}

/// What is to be done before the first task.
#[derive(Debug)]
pub(super) struct Resumption {
    /// Tasks that have ended, by number.
    pub(super) ended: Vec<Ended>,
    /// Bytes in the journal that the output lacks.
    pub(super) missing: Vec<Piece>,
    /// All tasks before this one are in the output, where order matters.
    pub(super) next: u64,
    /// Where the results of all runs begin in the output.
    base: u64,
}

impl Earlier {
    /// Opens a journal, or begins one.
    pub(super) fn open(path: &Path) -> Result<(Journal, Earlier), Report> {
        let mut earlier = Earlier::default();
        let mut bad = false;
        let journal =
            Journal::open(path, KIND, |entry| bad |= earlier.add(entry.offset, entry.record).is_none());
        let journal = journal.map_err(|error| cannot_open(path, &error))?;
        if bad {
            return Err(Report::new(
                ExitCode::Usage,
                format!("failed to understand journal `{}`", path.display()),
            )
            .hint("another version of stead may have written it"));
        }
        Ok((journal, earlier))
    }

    fn add(&mut self, offset: u64, record: &[u8]) -> Option<()> {
        let kind = *record.first()?;
        if kind == BEGUN {
            self.ordered = Some(*record.get(1)? != 0);
            self.base = number(record.get(2..10)?);
            return Some(());
        }
        if kind == FORMAT {
            self.format = Some(if *record.get(1)? != 0 { Format::Json } else { Format::Text });
            return Some(());
        }
        let (task, mark) = (number(record.get(1..9)?), number(record.get(9..HEAD_BYTES)?));
        let rest = record.get(HEAD_BYTES..)?;
        let how = match kind {
            DONE => How::Done { offset: offset + HEAD_BYTES as u64, length: rest.len() },
            FAILED => How::Failed(Failure {
                attempts: u32::from_le_bytes(rest.get(..4)?.try_into().ok()?),
                error: rest[4..].to_vec(),
            }),
            _ => return None,
        };
        self.ended.push(Ended { task, mark, how });
        Some(())
    }

    /// Refuses what would make results of two kinds.
    pub(super) fn is_for(&self, format: Option<Format>) -> Result<(), Report> {
        let (kind, option) = match (self.format, format) {
            (Some(Format::Json), Some(Format::Text)) => ("JSON", "--json"),
            (Some(Format::Text), Some(Format::Json)) => ("text", "--lines"),
            _ => return Ok(()),
        };
        let message = format!("the journal is of a run whose lines were {kind}");
        Err(Report::new(ExitCode::Usage, message)
            .hint(format!("go on with `{option}`, or begin with another journal")))
    }

    /// What is missing in an output that ends here.
    pub(super) fn resume(mut self, ordered: bool, output: OutputEnd) -> Result<Resumption, Report> {
        if self.ordered.is_some_and(|before| before != ordered) {
            let (word, other) = if ordered { ("--unordered", "with") } else { ("--unordered", "without") };
            return Err(Report::new(
                ExitCode::Usage,
                "the journal is of a run with another order of results",
            )
            .hint(format!("go on {other} `{word}`, or begin with another journal")));
        }
        let next = if ordered {
            self.ended.sort_by_key(|ended| ended.task);
            let contiguous = (0..).zip(&self.ended).take_while(|(task, ended)| *task == ended.task).count();
            contiguous as u64
        } else {
            0
        };
        // In order, what has ended behind a gap was never written.
        let written = if ordered { next as usize } else { self.ended.len() };
        let (base, mut present) = match output.0.checked_sub(self.base) {
            Some(present) if self.ordered.is_some() => (self.base, present),
            // The first run, or an output that was emptied.
            _ => (output.0, 0),
        };
        let mut missing = Vec::new();
        for ended in &self.ended[..written] {
            let How::Done { offset, length } = ended.how else { continue };
            let skipped = present.min(length as u64);
            present -= skipped;
            if skipped < length as u64 {
                missing.push(Piece::Stored { offset: offset + skipped, length: length - skipped as usize });
            }
        }
        if present > 0 {
            return Err(Report::new(ExitCode::Usage, "the output holds more than the journal knows of")
                .hint("append (`>>`) to the output of the run that is resumed, or empty it (`>`): it is filled again"));
        }
        self.ended.sort_by_key(|ended| ended.task);
        Ok(Resumption { ended: self.ended, missing, next, base })
    }
}

impl Resumption {
    /// What is written first in each run.
    pub(super) fn begin_record(&self, ordered: bool) -> Vec<u8> {
        let mut record = vec![BEGUN, u8::from(ordered)];
        record.extend_from_slice(&self.base.to_le_bytes());
        record
    }

    /// Whether a task has ended in an earlier run; asked for each task in turn, from the first on.
    pub(super) fn of(&self, cursor: &mut usize, task: u64) -> Option<&Ended> {
        let ended = self.ended.get(*cursor).filter(|ended| ended.task == task)?;
        *cursor += 1;
        Some(ended)
    }

    /// Whether an input that ended after so many tasks can be that of the earlier runs: not if one of their tasks is missing.
    pub(super) fn is_met(&self, cursor: usize, tasks: u64) -> Result<(), Report> {
        let last = match self.ended.last() {
            Some(last) if cursor < self.ended.len() => last.task + 1,
            Some(_) | None => return Ok(()),
        };
        let message = format!("the input ends after {tasks} tasks, the journal tells of {last}");
        Err(Report::new(ExitCode::Usage, message).hint(OTHER_INPUT))
    }
}

impl Ended {
    /// Whether it was this very input.
    pub(super) fn is_of(&self, input: &[u8]) -> bool {
        self.mark == mark(input)
    }

    pub(super) fn piece(&self) -> Piece {
        match self.how {
            How::Done { offset, length } => Piece::Stored { offset, length },
            How::Failed(_) => Piece::Nothing,
        }
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        match &self.how {
            How::Failed(failure) => Some(failure),
            How::Done { .. } => None,
        }
    }
}

/// The record of what the lines are.
pub(super) fn format(format: Format) -> Vec<u8> {
    vec![FORMAT, u8::from(format == Format::Json)]
}

/// The record of a task that is done with these bytes.
pub(super) fn done(task: u64, input: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut record = head(DONE, task, input);
    record.extend_from_slice(bytes);
    record
}

/// The record of a task that failed.
pub(super) fn failed(task: u64, input: &[u8], failure: &Failure) -> Vec<u8> {
    let mut record = head(FAILED, task, input);
    record.extend_from_slice(&failure.attempts.to_le_bytes());
    record.extend_from_slice(&failure.error);
    record
}

fn head(kind: u8, task: u64, input: &[u8]) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend_from_slice(&task.to_le_bytes());
    record.extend_from_slice(&mark(input).to_le_bytes());
    record
}

fn mark(input: &[u8]) -> u64 {
    Key::new(input).number()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes were taken"))
}

/// Why a journal cannot be opened, for people.
fn cannot_open(path: &Path, error: &JournalError) -> Report {
    let report = Report::of(ExitCode::Usage, error);
    match error {
        JournalError::InUse { .. } => report.hint("another `stead map` is at work with it"),
        JournalError::NotOne { .. } => {
            let message =
                format!("`{}` is no journal of `stead map`, or one of another version", path.display());
            Report::new(ExitCode::Usage, message)
                .hint("name a file that does not exist yet, or the journal of an earlier run")
        }
        JournalError::Damaged { .. } => {
            report.hint(format!("begin anew without `{}`: something has changed the file", path.display()))
        }
        JournalError::Io { .. } => report.hint("name a file in a folder that you may write to"),
    }
}

fn unreadable(path: &Path, source: io::Error) -> Report {
    Report::of(ExitCode::Failure, &JournalError::Io { path: path.to_owned(), source })
}

/// Reads results back.
#[derive(Debug)]
pub(super) struct Stored {
    path: PathBuf,
    file: File,
}

impl Stored {
    pub(super) fn open(path: &Path) -> Result<Stored, Report> {
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        Ok(Stored { path: path.to_owned(), file })
    }

    pub(super) fn read(&self, offset: u64, length: usize, to: &mut Vec<u8>) -> Result<(), Report> {
        let start = to.len();
        to.resize(start + length, 0);
        let read = self.file.read_exact_at(&mut to[start..], offset);
        read.map_err(|error| unreadable(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Journal of tasks with results of ten bytes each (nothing: failed), and an output of this length, begun at 100: how much is missing,
    /// piece by piece, and which task is next.
    #[track_caller]
    fn check(ordered: bool, ended: &[(u64, bool)], output: u64, expected: Option<(&[usize], u64)>) {
        let mut earlier = Earlier { ordered: Some(ordered), base: 100, ..Earlier::default() };
        for (index, (task, is_done)) in (0..).zip(ended) {
            let record = match is_done {
                true => done(*task, b"in", &[b'x'; 10]),
                false => failed(*task, b"in", &Failure { error: b"{}".to_vec(), attempts: 1 }),
            };
            earlier.add(index * 1000, &record).expect("it was written here");
        }
        let resumed = earlier.resume(ordered, OutputEnd(output)).ok();
        let resumed = resumed.map(|resumption| {
            let lengths: Vec<usize> = resumption
                .missing
                .iter()
                .map(|piece| match piece {
                    Piece::Stored { length, .. } => *length,
                    Piece::Nothing | Piece::Bytes(_) => 0,
                })
                .collect();
            (lengths, resumption.next)
        });
        assert_eq!(resumed, expected.map(|(lengths, next)| (lengths.to_vec(), next)));
    }

    #[test]
    fn output_gets_what_it_lacks_to_the_byte() {
        let all = [(0, true), (1, true), (2, true)];
        check(true, &all, 130, Some((&[], 3)));
        check(true, &all, 120, Some((&[10], 3)));
        check(true, &all, 117, Some((&[3, 10], 3)));
        check(true, &all, 100, Some((&[10, 10, 10], 3)));
        check(false, &[(5, true), (0, true)], 115, Some((&[5], 0)));
    }

    #[test]
    fn emptied_output_gets_everything_and_a_longer_one_is_refused() {
        check(true, &[(0, true), (1, true)], 0, Some((&[10, 10], 2)));
        check(true, &[(0, true), (1, true)], 121, None);
    }

    #[test]
    fn in_order_nothing_behind_a_gap_was_written() {
        check(true, &[(3, true), (0, true), (1, false)], 100, Some((&[10], 2)));
        check(true, &[(3, true)], 100, Some((&[], 0)));
        check(true, &[(3, true), (0, true)], 115, None);
    }
}
