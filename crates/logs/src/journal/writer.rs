//! The file that is written to, and when the next one begins.
//!
//! Others may remove, rename or empty it: once a second it is asked whether it is still the one that stands in the
//! directory. Writes are appended in one piece, so that two processes (during an upgrade) do not tear each other's lines.

use super::compress::Compressor;
use super::{JournalSettings, files};
use crate::Record;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant, SystemTime};

/// Logs may hold what is nobody else's business; a group may be let in, for programs that collect logs.
pub(super) const MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;
/// How long somebody else's doing may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// No file is smaller when the next one begins, however little may be kept.
const ROTATE_BYTES_MIN: u64 = 4096;
/// A first line that is longer does not say when the file began.
const FIRST_LINE_BYTES_MAX: u64 = 64 * 1024;

/// Appends to a journal's files.
#[derive(Debug)]
pub(super) struct Writer {
    settings: JournalSettings,
    rotate_bytes: u64,
    open: Option<Open>,
    compressor: Compressor,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    began: SystemTime,
    looked: Instant,
}

impl Writer {
    pub(super) fn new(settings: JournalSettings) -> Writer {
        let rotate_bytes = settings.rotate_bytes.min(settings.total_bytes_max / 4).max(ROTATE_BYTES_MIN);
        Writer { settings, rotate_bytes, open: None, compressor: Compressor::default() }
    }

    pub(super) fn is_json(&self) -> bool {
        self.settings.json
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.settings.foreign
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// When there is no room or no file. Then no line is there in part, but some may be there whole.
    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(self.fitting(rest));
            self.write_piece(piece)?;
            rest = others;
        }
        Ok(())
    }

    /// How much of it may stand in one file: all, or as many lines as fit, but at least one.
    fn fitting(&self, text: &[u8]) -> usize {
        let bytes_max = usize::try_from(self.rotate_bytes).unwrap_or(usize::MAX);
        if text.len() <= bytes_max {
            return text.len();
        }
        let end = memchr::memrchr(b'\n', &text[..bytes_max]);
        end.or_else(|| memchr::memchr(b'\n', text)).map_or(text.len(), |end| end + 1)
    }

    fn write_piece(&mut self, text: &[u8]) -> io::Result<()> {
        let (rotate_bytes, rotate_age) = (self.rotate_bytes, self.settings.rotate_age);
        if self.present()?.is_due(text.len() as u64, rotate_bytes, rotate_age) {
            self.rotate()?;
        }
        let result = self.present()?.append(text);
        if result.is_err() {
            // The next attempt begins with a look at what is there.
            self.open = None;
        }
        result
    }

    /// The file that stands in the directory.
    fn present(&mut self) -> io::Result<&mut Open> {
        let is_right = match &mut self.open {
            Some(open) if open.looked.elapsed() < LOOK_EVERY => true,
            Some(open) => open.look(&self.settings)?,
            None => false,
        };
        if !is_right {
            self.open = None;
        }
        match &mut self.open {
            Some(open) => Ok(open),
            closed => {
                let open = Open::new(&self.settings)?;
                let bytes_max = finished_bytes_max(&self.settings, self.rotate_bytes);
                files::shrink(&self.settings.directory, bytes_max)?;
                if self.settings.compress {
                    // What an earlier daemon left, if it did.
                    self.compressor.start(&self.settings.directory);
                }
                Ok(closed.insert(open))
            }
        }
    }

    /// Begins a new file. If that fails nothing more is written: it would have no limit.
    fn rotate(&mut self) -> io::Result<()> {
        let directory = &self.settings.directory;
        fs::rename(files::current(directory), files::next_name(directory)?)?;
        // Opening the next one removes what is too much.
        self.open = None;
        Ok(())
    }
}

/// What is left for finished files: the present one has its place, and one that is being compressed.
fn finished_bytes_max(settings: &JournalSettings, rotate_bytes: u64) -> u64 {
    let present = if settings.compress { 2 * rotate_bytes } else { rotate_bytes };
    settings.total_bytes_max.saturating_sub(present)
}

impl Open {
    fn new(settings: &JournalSettings) -> io::Result<Open> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&settings.directory)?;
        let path = files::current(&settings.directory);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let bytes = file.metadata()?.len();
        let mut open = Open {
            began: began(&file, bytes).unwrap_or_else(SystemTime::now),
            file,
            bytes,
            looked: Instant::now(),
        };
        if bytes > 0 {
            // A machine that went down may have left half a line.
            let mut last = [0];
            file = open.file.try_clone()?;
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                open.append(b"\n")?;
            }
        }
        Ok(open)
    }

    /// Whether it is still the one that stands in the directory.
    fn look(&mut self, settings: &JournalSettings) -> io::Result<bool> {
        let own = self.file.metadata()?;
        let there = match files::current(&settings.directory).metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        if own.len() < self.bytes {
            // Emptied: it begins again.
            self.began = SystemTime::now();
        }
        self.bytes = own.len();
        self.looked = Instant::now();
        Ok((own.dev(), own.ino()) == (there.dev(), there.ino()))
    }

    fn is_due(&self, more_bytes: u64, rotate_bytes: u64, rotate_age: Option<Duration>) -> bool {
        let is_old =
            || rotate_age.is_some_and(|age| self.began.elapsed().is_ok_and(|elapsed| elapsed >= age));
        self.bytes > 0 && (self.bytes + more_bytes > rotate_bytes || is_old())
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        match self.file.write_all(text) {
            Ok(()) => {
                self.bytes += text.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half of it is worse than nothing. Where it cannot be taken back, the next opening ends the line.
                let _torn = self.file.set_len(self.bytes);
                Err(error)
            }
        }
    }
}

/// When the first line was printed.
fn began(file: &File, bytes: u64) -> Option<SystemTime> {
    if bytes == 0 {
        return None;
    }
    let mut line = Vec::new();
    BufReader::new(file).take(FIRST_LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
    let record = Record::parse(&line)?;
    Some(record.time.parse::<jiff::Timestamp>().ok()?.into())
}
