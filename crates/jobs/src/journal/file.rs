//! One file of records: written at the end, in batches, and read once, when it is opened.
//!
//! Who opens it has it alone. A batch that a crash cut off is dropped, as it was never acknowledged; anything else that is not whole is an
//! error, because records that were acknowledged are gone then, and nobody else would ever say so.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::batch::{self, Batch};

/// Batches of a compaction are about so long.
const COMPACTED_BATCH_BYTES: usize = 1 << 20;

/// So much is searched at a time for whole batches behind a broken one.
const SEARCH_BYTES: usize = 1 << 16;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("failed to use journal `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else has it open.
    #[error("journal `{}` is in use by another process", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It is a file of another kind.
    #[error("`{}` is not a journal of {kind}", path.display())]
    NotOne {
        /// Which.
        path: PathBuf,
        /// What was expected in it.
        kind: String,
    },
    /// What was acknowledged is not there any more.
    #[error("journal `{}` is damaged at byte {offset}, with whole records behind that", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where the first broken batch begins.
        offset: u64,
    },
}

/// A record as it was found.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where its bytes begin in the file, for [`Journal::read_at`].
    pub offset: u64,
    /// What was appended.
    pub record: &'a [u8],
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    heading: Vec<u8>,
    file: File,
    length: u64,
    /// Bytes at its end that a crash had cut off, when it was opened.
    torn: u64,
    batch: Batch,
}

impl Journal {
    /// Opens the journal at `path`, or begins one, and shows each record that is in it to `each`. `kind` says what is in it, and in which
    /// version; it is the first line of the file.
    ///
    /// # Errors
    ///
    /// The file cannot be used, is in use, of another kind, or damaged.
    pub fn open(path: &Path, kind: &str, each: impl FnMut(Entry<'_>)) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        lock(&file, path)?;
        let heading = format!("stead journal of {kind}\n").into_bytes();
        let mut journal =
            Self { path: path.to_owned(), heading, file, length: 0, torn: 0, batch: Batch::default() };
        if !journal.has_heading(kind)? {
            journal.begin().map_err(failed)?;
        }
        journal.recover(each)?;
        Ok(journal)
    }

    /// How many bytes at its end a crash had cut off, when it was opened. They were never acknowledged.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// How long the file is, with what was committed.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds a record to the batch that the next [`commit`](Self::commit) writes. Tells where its bytes will be in the file.
    pub fn append(&mut self, record: &[u8]) -> u64 {
        self.batch.add(|bytes| bytes.extend_from_slice(record));
        self.length + (self.batch.len() - record.len()) as u64
    }

    /// Writes all that was appended and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// It may or may not be there. The journal is to be opened again, which finds out.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        let mut batch = std::mem::take(&mut self.batch);
        let written = self.write(&mut batch);
        batch.clear();
        self.batch = batch;
        written
    }

    pub(crate) fn write(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        if batch.is_empty() {
            return Ok(());
        }
        let bytes = batch.seal();
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        self.length += bytes.len() as u64;
        written.map_err(|source| self.failed(source))
    }

    /// Reads the bytes of a committed record, or a part of them.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.file.read_exact_at(bytes, offset).map_err(|source| self.failed(source))
    }

    /// Puts these records in the place of all that was committed: whole, or not at all if it fails or the process dies.
    ///
    /// # Errors
    ///
    /// The disk is full or broken; the journal is as it was.
    pub fn compact<R: AsRef<[u8]>>(&mut self, records: impl Iterator<Item = R>) -> Result<(), JournalError> {
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        let path = PathBuf::from(path);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        // Left behind by a process that died in the middle; this one has the journal alone.
        drop(std::fs::remove_file(&path));
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path).map_err(failed)?;
        lock(&file, &path)?;
        let length = self.fill(&file, records).map_err(failed)?;
        std::fs::rename(&path, &self.path).map_err(failed)?;
        sync_folder(&self.path).map_err(failed)?;
        (self.file, self.length) = (file, length);
        Ok(())
    }

    fn fill<R: AsRef<[u8]>>(&self, mut file: &File, records: impl Iterator<Item = R>) -> io::Result<u64> {
        let mut batch = Batch::default();
        let mut length = self.heading.len() as u64;
        file.write_all(&self.heading)?;
        let mut flush = |batch: &mut Batch| -> io::Result<()> {
            length += batch.len() as u64;
            file.write_all(batch.seal())?;
            batch.clear();
            Ok(())
        };
        for record in records {
            batch.add(|bytes| bytes.extend_from_slice(record.as_ref()));
            if batch.len() >= COMPACTED_BATCH_BYTES {
                flush(&mut batch)?;
            }
        }
        flush(&mut batch)?;
        file.sync_data()?;
        Ok(length)
    }

    /// Whether the file has its first line; not if it is new, or its writer died before that was on the disk.
    fn has_heading(&self, kind: &str) -> Result<bool, JournalError> {
        let mut found = Vec::new();
        let read = (&self.file).take(self.heading.len() as u64).read_to_end(&mut found);
        read.map_err(|source| self.failed(source))?;
        if found == self.heading {
            return Ok(true);
        }
        if found.len() < self.heading.len() && self.heading.starts_with(&found) {
            return Ok(false);
        }
        Err(JournalError::NotOne { path: self.path.clone(), kind: kind.to_owned() })
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(&self.heading)?;
        self.file.sync_data()?;
        sync_folder(&self.path)
    }

    fn recover(&mut self, mut each: impl FnMut(Entry<'_>)) -> Result<(), JournalError> {
        let end = self.file.metadata().map_err(|source| self.failed(source))?.len();
        self.length = self.heading.len() as u64;
        self.length = self.read_batches(end, &mut each).map_err(|source| self.failed(source))?;
        self.torn = end - self.length;
        if self.torn == 0 {
            return Ok(());
        }
        if self.is_damaged(end).map_err(|source| self.failed(source))? {
            return Err(JournalError::Damaged { path: self.path.clone(), offset: self.length });
        }
        let cut = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
        cut.map_err(|source| self.failed(source))
    }

    /// Tells where the last whole batch ends.
    fn read_batches(&self, end: u64, each: &mut impl FnMut(Entry<'_>)) -> io::Result<u64> {
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        let mut length = reader.seek(SeekFrom::Start(self.length))?;
        let mut records = Vec::new();
        while batch::read(&mut reader, end - length, &mut records)? {
            let start = length + batch::HEAD_BYTES as u64;
            batch::records(&records)
                .for_each(|(at, record)| each(Entry { offset: start + at as u64, record }));
            length = start + records.len() as u64;
        }
        Ok(length)
    }

    /// Whether there is a whole batch somewhere behind the last one that could be read.
    fn is_damaged(&self, end: u64) -> io::Result<bool> {
        let mut chunk = vec![0; SEARCH_BYTES];
        let mut records = Vec::new();
        let mut start = self.length + 1;
        while start + batch::HEAD_BYTES as u64 <= end {
            let length = SEARCH_BYTES.min(usize::try_from(end - start).unwrap_or(usize::MAX));
            self.file.read_exact_at(&mut chunk[..length], start)?;
            for at in batch::marks(&chunk[..length]) {
                let offset = start + at as u64;
                (&self.file).seek(SeekFrom::Start(offset))?;
                if batch::read(&mut &self.file, end - offset, &mut records)? {
                    return Ok(true);
                }
            }
            // The next chunk begins a little earlier, so that no mark is cut in two.
            start += (length - length.min(batch::HEAD_BYTES)).max(1) as u64;
        }
        Ok(false)
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::InUse { path: path.to_owned() },
        TryLockError::Error(source) => JournalError::Io { path: path.to_owned(), source },
    })
}

/// A file that was made or renamed stays so after a crash of the machine.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
