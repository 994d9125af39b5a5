//! Reads what was logged: the last lines, or all of them, of one app or of several by time.
//!
//! Works on the files alone: the app does not have to run, and no daemon is asked. What is written meanwhile is left to
//! `follow.rs`, which goes on exactly where this one ended.

use crate::journal::files::{self, Finished};
use crate::line::Record;
use crate::query::Query;
use flate2::read::MultiGzDecoder;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::iter::Peekable;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The end of a file that is looked at first; then eight times as much, and so on.
const WINDOW_BYTES: u64 = 64 * 1024;
/// A longer line in a file is not ours; it is not read whole.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The logs of one or several apps.
#[derive(Debug)]
pub struct Reader {
    pub(crate) logs: Vec<Log>,
}

/// The log of one app, as it stood when it was opened.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) directory: PathBuf,
    pub(crate) query: Query,
    finished: Vec<Finished>,
    pub(crate) present: Option<Present>,
}

/// The file that is written to.
#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) file: File,
    /// As much of it is there.
    pub(crate) bytes: u64,
    /// The number of the last file that was finished before it.
    pub(crate) after: u64,
}

impl Reader {
    /// Opens logs, each with what is wanted of it.
    ///
    /// # Errors
    /// When a directory cannot be read. One that is not there is an empty log.
    pub fn new(logs: impl IntoIterator<Item = (PathBuf, Query)>) -> io::Result<Reader> {
        let logs = logs.into_iter().map(|(directory, query)| Log::open(directory, query));
        Ok(Reader { logs: logs.collect::<io::Result<_>>()? })
    }

    /// The last lines of all logs together, oldest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn last(&self, lines: usize) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for log in &self.logs {
            records.extend(log.last(lines)?);
        }
        // Stable: lines of one log stay in their order even if a clock was set back.
        records.sort_by(|a, b| a.time.cmp(&b.time));
        records.drain(..records.len().saturating_sub(lines));
        Ok(records)
    }

    /// Gives all lines, oldest first, until `each` says that it is enough.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn all(&self, mut each: impl FnMut(Record) -> bool) -> io::Result<()> {
        let mut logs: Vec<Peekable<Records<'_>>> =
            self.logs.iter().map(|log| log.records().peekable()).collect();
        loop {
            let next = logs.iter_mut().enumerate().filter_map(|(index, log)| match log.peek()? {
                Ok(record) => Some((record.time.clone(), index)),
                Err(_first) => Some((String::new(), index)),
            });
            let Some((_, index)) = next.min() else { return Ok(()) };
            if let Some(record) = logs[index].next()
                && !each(record?)
            {
                return Ok(());
            }
        }
    }
}

impl Log {
    pub(crate) fn open(directory: PathBuf, query: Query) -> io::Result<Log> {
        loop {
            let present = match File::open(files::current(&directory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                file => Some(file?),
            };
            let finished = files::finished(&directory)?;
            // If another file has taken its place, the list may have this one in it as well: once more.
            if let Some(file) = &present
                && !is_present(&directory, file)?
            {
                continue;
            }
            let after = finished.last().map_or(0, |file| file.number);
            let present = match present {
                Some(file) => Some(Present { bytes: file.metadata()?.len(), file, after }),
                None => None,
            };
            return Ok(Log { directory, query, finished, present });
        }
    }

    fn last(&self, lines: usize) -> io::Result<Vec<Record>> {
        let mut last = match &self.present {
            Some(Present { file, bytes, .. }) => {
                End { file, bytes: *bytes, bytes_max: *bytes }.last(&self.query, lines)?
            }
            None => Vec::new(),
        };
        for file in self.wanted_files().rev() {
            if last.len() >= lines {
                break;
            }
            let mut earlier = last_of_finished(file, &self.query, lines - last.len())?;
            earlier.append(&mut last);
            last = earlier;
        }
        Ok(last)
    }

    fn records(&self) -> Records<'_> {
        let present = self.present.as_ref().map(|present| -> Box<dyn BufRead + '_> {
            Box::new(BufReader::new(At { file: &present.file, offset: 0 }.take(present.bytes)))
        });
        Records {
            query: &self.query,
            files: self.wanted_files().collect::<Vec<_>>().into_iter(),
            present,
            open: None,
            line: Vec::new(),
        }
    }

    /// Finished files that can have a line that is wanted.
    fn wanted_files(&self) -> impl DoubleEndedIterator<Item = &Finished> {
        self.finished.iter().filter(|file| match &self.query.since {
            // A file is not written to after its last line.
            Some(since) => modified(&file.path).is_none_or(|time| crate::stamp(time) >= *since),
            None => true,
        })
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Whether a file is the one that is written to.
pub(crate) fn is_present(directory: &Path, file: &File) -> io::Result<bool> {
    let own = file.metadata()?;
    match files::current(directory).metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => there.map(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())),
    }
}

/// All wanted lines of a log in turn.
struct Records<'a> {
    query: &'a Query,
    files: std::vec::IntoIter<&'a Finished>,
    present: Option<Box<dyn BufRead + 'a>>,
    open: Option<Box<dyn BufRead + 'a>>,
    line: Vec<u8>,
}

impl Iterator for Records<'_> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<io::Result<Record>> {
        loop {
            if self.open.is_none() {
                self.open = match self.files.next() {
                    Some(file) => match open(file) {
                        Ok(file) => file,
                        Err(error) => return Some(Err(error)),
                    },
                    None => Some(self.present.take()?),
                };
            }
            let Some(open) = &mut self.open else { continue };
            match next_record(open, &mut self.line) {
                Ok(Some(Some(record))) if self.query.wants(&record) => return Some(Ok(record)),
                Ok(Some(_unwanted)) => (),
                Ok(None) => self.open = None,
                Err(error) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The next line; the inner nothing is a line that is not ours, the outer one the end.
fn next_record(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Option<Record>>> {
    line.clear();
    match file.take(LINE_BYTES_MAX).read_until(b'\n', line) {
        Ok(0) => Ok(None),
        Ok(_bytes) => Ok(Some(Record::parse(line))),
        // A file that was not compressed to its end, because the machine went down: what is there, is there.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a finished file; nothing if it was removed meanwhile.
fn open(file: &Finished) -> io::Result<Option<Box<dyn BufRead>>> {
    let compressed = |file| -> Box<dyn BufRead> { Box::new(BufReader::new(MultiGzDecoder::new(file))) };
    if file.compressed {
        return Ok(found(File::open(&file.path))?.map(compressed));
    }
    match found(File::open(&file.path))? {
        Some(plain) => Ok(Some(Box::new(BufReader::new(plain)))),
        // It may have been compressed since it was listed.
        None => Ok(found(File::open(file.compressed_path()))?.map(compressed)),
    }
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn last_of_finished(file: &Finished, query: &Query, lines: usize) -> io::Result<Vec<Record>> {
    if !file.compressed
        && let Some(plain) = found(File::open(&file.path))?
    {
        let bytes = plain.metadata()?.len();
        return End { file: &plain, bytes, bytes_max: bytes }.last(query, lines);
    }
    let Some(mut open) = open(file)? else { return Ok(Vec::new()) };
    last_of(&mut open, query, lines)
}

/// Reads to the end and keeps the last.
fn last_of(open: &mut impl BufRead, query: &Query, lines: usize) -> io::Result<Vec<Record>> {
    let (mut last, mut line) = (VecDeque::new(), Vec::new());
    while let Some(record) = next_record(open, &mut line)? {
        if let Some(record) = record.filter(|record| query.wants(record)) {
            if last.len() == lines {
                last.pop_front();
            }
            if lines > 0 {
                last.push_back(record);
            }
        }
    }
    Ok(last.into())
}

/// The end of a file.
struct End<'a> {
    file: &'a File,
    /// Where it ends.
    bytes: u64,
    /// How much of it may be read.
    bytes_max: u64,
}

impl End<'_> {
    /// The last wanted lines.
    fn last(&self, query: &Query, lines: usize) -> io::Result<Vec<Record>> {
        let bytes_max = self.bytes_max.min(self.bytes);
        let mut window = WINDOW_BYTES.min(bytes_max);
        loop {
            let mut end = BufReader::new(At { file: self.file, offset: self.bytes - window }.take(window));
            if window < self.bytes {
                // Half a line, most likely.
                end.skip_until(b'\n')?;
            }
            let last = last_of(&mut end, query, lines)?;
            if last.len() >= lines || window == bytes_max {
                return Ok(last);
            }
            window = window.saturating_mul(8).min(bytes_max);
        }
    }
}

/// The last wanted lines of the file that is written to. One that is not there has none.
pub(crate) fn end_of_file(
    path: &Path,
    query: &Query,
    lines: usize,
    bytes_max: u64,
) -> io::Result<Vec<Record>> {
    match found(File::open(path))? {
        Some(file) => End { bytes: file.metadata()?.len(), file: &file, bytes_max }.last(query, lines),
        None => Ok(Vec::new()),
    }
}

/// Reads a file without moving anybody's place in it.
pub(crate) struct At<'a> {
    pub(crate) file: &'a File,
    pub(crate) offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(buffer, self.offset)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}

/// Gives all wanted lines of files that were finished after one and before another.
pub(crate) fn between(
    directory: &Path,
    query: &Query,
    numbers: (u64, u64),
    records: &mut Vec<Record>,
) -> io::Result<()> {
    for file in files::finished(directory)? {
        if file.number > numbers.0 && file.number <= numbers.1 {
            let Some(mut open) = open(&file)? else { continue };
            records.extend(last_of(&mut open, query, usize::MAX)?);
        }
    }
    Ok(())
}
