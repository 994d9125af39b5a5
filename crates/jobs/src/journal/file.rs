//! One file of records: written at the end, in batches, and read once, when it is opened.
//!
//! Who opens it has it alone. What a crash left of the last batch is no damage, as it was never acknowledged; anything else that is not
//! whole is an error unless it is to be repaired, because records that were acknowledged are gone then, and nobody else would ever say
//! so. See `repair.rs`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::batch::{self, Batch};
use super::repair::Damage;

/// Batches of a compaction are about so long.
const COMPACTED_BATCH_BYTES: usize = 1 << 20;

/// Zeros that are written ahead. What is written over them changes neither the file's length nor where it lies, so that to wait for the
/// disk is to wait for one write, and not for the journal of the file system as well.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

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
    pub(super) path: PathBuf,
    heading: Vec<u8>,
    pub(super) file: File,
    pub(super) length: u64,
    /// How long the file is with the zeros behind the last batch.
    pub(super) allocated: u64,
    /// Bytes at its end that a crash had left and that are no record.
    pub(super) torn: u64,
    /// It has taken the place of another file, and the folder may not be on the disk.
    is_new: bool,
    batch: Batch,
}

impl Journal {
    /// Opens the journal at `path`, or begins one, and shows each record that is in it to `each`. `kind` says what is in it, and in which
    /// version; it is the first line of the file.
    ///
    /// # Errors
    ///
    /// The file cannot be used, is in use, of another kind, or damaged.
    pub fn open(path: &Path, kind: &str, mut each: impl FnMut(Entry<'_>)) -> Result<Self, JournalError> {
        let mut journal = Self::begin(path, kind, &mut each)?;
        journal.recover(false, &mut each)?;
        Ok(journal)
    }

    /// The same, but from a damaged file each record is taken that is still whole; the file is kept aside. Tells of that.
    ///
    /// # Errors
    ///
    /// The file cannot be used, is in use, or of another kind.
    pub fn open_or_repair(
        path: &Path,
        kind: &str,
        mut each: impl FnMut(Entry<'_>),
    ) -> Result<(Self, Option<Damage>), JournalError> {
        let mut journal = Self::begin(path, kind, &mut each)?;
        let damage = journal.recover(true, &mut each)?;
        Ok((journal, damage))
    }

    /// Opens it to put something else in the place of all that is in it, by [`compact`](Self::compact): reads nothing.
    ///
    /// # Errors
    ///
    /// The file cannot be used, is in use, or of another kind.
    pub fn open_unread(path: &Path, kind: &str) -> Result<Self, JournalError> {
        let mut journal = Self::take(path, kind)?;
        journal.length = journal.file.metadata().map_err(|source| journal.failed(source))?.len();
        journal.allocated = journal.length;
        Ok(journal)
    }

    /// Opens it and reads it up to the first batch that is not whole.
    fn begin(path: &Path, kind: &str, each: &mut impl FnMut(Entry<'_>)) -> Result<Self, JournalError> {
        let mut journal = Self::take(path, kind)?;
        journal.length = journal.read_batches(each).map_err(|source| journal.failed(source))?;
        Ok(journal)
    }

    /// Opens the file, which has its first line then, and locks it.
    fn take(path: &Path, kind: &str) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = options.map_err(failed)?;
        lock(&file, path)?;
        let heading = format!("stead journal of {kind}\n").into_bytes();
        let batch = Batch::default();
        let mut journal = Self {
            path: path.to_owned(),
            heading,
            file,
            length: 0,
            allocated: 0,
            torn: 0,
            is_new: false,
            batch,
        };
        if !journal.has_heading(kind)? {
            journal.write_heading().map_err(failed)?;
        }
        Ok(journal)
    }

    /// How many bytes at its end a crash had left that are no record, when it was opened.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// How long it is, with what was committed.
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
        let end = self.length + bytes.len() as u64;
        let mut written = self.file.write_all_at(bytes, self.length).and_then(|()| {
            if end > self.allocated {
                self.allocate(end);
            }
            self.file.sync_data()
        });
        self.length = end;
        if self.is_new {
            written = written.and_then(|()| sync_folder(&self.path));
            self.is_new = written.is_err();
        }
        written.map_err(|source| self.failed(source))
    }

    fn allocate(&mut self, end: u64) {
        // A disk that has no room for them may have had room for the batch.
        let written = self.file.write_all_at(&ZEROS, end);
        self.allocated = if written.is_ok() { end + ZEROS.len() as u64 } else { end };
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
    /// The disk is full or broken; the journal can be used as before.
    pub fn compact<R: AsRef<[u8]>>(&mut self, records: impl Iterator<Item = R>) -> Result<(), JournalError> {
        let heading = self.heading.clone();
        self.replace(|mut new| {
            new.write_all(&heading)?;
            fill(new, heading.len() as u64, records, |_| ())
        })
    }

    /// Puts another file in the place of this one: `write` writes it, and tells how long it is.
    pub(super) fn replace(
        &mut self,
        write: impl FnOnce(&File) -> io::Result<u64>,
    ) -> Result<(), JournalError> {
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        let path = PathBuf::from(path);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        // Left behind by a process that died in the middle; this one has the journal alone.
        drop(std::fs::remove_file(&path));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        lock(&file, &path)?;
        let length = write(&file).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        std::fs::rename(&path, &self.path).map_err(failed)?;
        (self.file, self.length, self.allocated, self.is_new) = (file, length, length, true);
        sync_folder(&self.path).map_err(failed)?;
        self.is_new = false;
        Ok(())
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

    fn write_heading(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(&self.heading, 0)?;
        self.file.sync_data()?;
        sync_folder(&self.path)
    }

    /// Tells where the last batch ends before the first that is not whole.
    fn read_batches(&self, each: &mut impl FnMut(Entry<'_>)) -> io::Result<u64> {
        let end = self.file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        let mut length = reader.seek(SeekFrom::Start(self.heading.len() as u64))?;
        let mut records = Vec::new();
        while batch::read(&mut reader, end - length, &mut records)? {
            let start = length + batch::HEAD_BYTES as u64;
            batch::records(&records)
                .for_each(|(at, record)| each(Entry { offset: start + at as u64, record }));
            length = start + records.len() as u64;
        }
        Ok(length)
    }

    pub(super) fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }
}

impl Drop for Journal {
    /// The zeros are not left to others.
    fn drop(&mut self) {
        if self.allocated > self.length {
            // They mean nothing to whoever reads it.
            drop(self.file.set_len(self.length));
        }
    }
}

/// Writes records from `start` on, in batches. `place` is told where the bytes of each are; gives back where the last one ends.
pub(super) fn fill<R: AsRef<[u8]>>(
    mut file: &File,
    start: u64,
    records: impl Iterator<Item = R>,
    mut place: impl FnMut(u64),
) -> io::Result<u64> {
    let mut batch = Batch::default();
    let mut length = start;
    let mut flush = |batch: &mut Batch, length: &mut u64| -> io::Result<()> {
        *length += batch.len() as u64;
        file.write_all(batch.seal())?;
        batch.clear();
        Ok(())
    };
    for record in records {
        let bytes = batch.add(|bytes| bytes.extend_from_slice(record.as_ref()));
        place(length + (batch.len() - bytes) as u64);
        if batch.len() >= COMPACTED_BATCH_BYTES {
            flush(&mut batch, &mut length)?;
        }
    }
    flush(&mut batch, &mut length)?;
    Ok(length)
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
