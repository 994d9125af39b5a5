//! The files of a journal: what they are called, in which order they are, and which go first.
//!
//! `current.log` is written to. When it is followed by a new one it is renamed to `00000017-2026-11-21T06-01-02Z.log` (the
//! number counts up, the time is that of the renaming) and perhaps compressed to `.log.gz`. Nothing is ever copied and
//! truncated, so no line can fall between the two.

use jiff::Timestamp;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const CURRENT: &str = "current.log";
/// What is being compressed and not finished.
pub(crate) const UNFINISHED: &str = "part";

/// The file that is written to.
pub(crate) fn current(directory: &Path) -> PathBuf {
    directory.join(CURRENT)
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) compressed: bool,
}

impl Finished {
    fn parse(path: PathBuf) -> Option<Finished> {
        let name = path.file_name()?.to_str()?;
        let (number, rest) = name.split_once('-')?;
        let number = number.parse().ok()?;
        let compressed = rest.ends_with(".log.gz");
        (compressed || rest.ends_with(".log")).then_some(Finished { number, path, compressed })
    }

    /// Its size in bytes; 0 if it is gone.
    pub(crate) fn bytes(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// What it is called when it is compressed.
    pub(crate) fn compressed_path(&self) -> PathBuf {
        self.path.with_added_extension("gz")
    }
}

/// All finished files, oldest first, each once.
///
/// # Errors
/// When the directory cannot be read. One that is not there has none.
pub(crate) fn finished(directory: &Path) -> io::Result<Vec<Finished>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        files.extend(Finished::parse(entry?.path()));
    }
    // Between the end of compressing and the removal of the original there are two.
    files.sort_by_key(|file| (file.number, !file.compressed));
    files.dedup_by_key(|file| file.number);
    Ok(files)
}

/// What the present file is called when it is finished.
pub(crate) fn next_name(directory: &Path) -> io::Result<PathBuf> {
    let number = finished(directory)?.last().map_or(0, |last| last.number) + 1;
    let time = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ");
    Ok(directory.join(format!("{number:08}-{time}.log")))
}

/// Removes the oldest files until the others together are no larger than `bytes_max`.
pub(crate) fn shrink(directory: &Path, bytes_max: u64) -> io::Result<()> {
    let mut left = bytes_max;
    for file in finished(directory)?.iter().rev() {
        match left.checked_sub(file.bytes()) {
            Some(less) => left = less,
            None => {
                // Whatever is older goes as well, or there would be a gap.
                left = 0;
                remove(&file.path)?;
            }
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes all that was logged in a directory; whoever writes there goes on in an empty file. Crash reports stay.
///
/// # Errors
/// When a file cannot be removed. A directory that is not there has none.
pub fn flush(directory: &Path) -> io::Result<()> {
    for file in finished(directory)? {
        remove(&file.path)?;
    }
    match fs::OpenOptions::new().write(true).open(current(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Writers append, so the next line stands at the beginning.
        file => file?.set_len(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_numbers_and_the_oldest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let write = |name: &str, bytes: usize| fs::write(directory.join(name), vec![b'x'; bytes]).unwrap();
        write("current.log", 7);
        write("00000009-2026-11-21T06-01-02Z.log.gz", 10);
        write("00000010-2026-11-20T06-01-02Z.log", 20);
        write("00000010-2026-11-20T06-01-02Z.log.gz", 5);
        write("100000000-2026-11-22T06-01-02Z.log", 30);
        for foreign in ["notes.txt", "00000011-x.log.gz.part", "x-y.log"] {
            write(foreign, 1000);
        }
        let numbers = || -> Vec<(u64, bool)> {
            finished(directory).unwrap().iter().map(|file| (file.number, file.compressed)).collect()
        };
        assert_eq!(numbers(), [(9, true), (10, true), (100_000_000, false)]);
        assert!(next_name(directory).unwrap().to_str().unwrap().contains("/100000001-20"));
        shrink(directory, 45).unwrap();
        assert_eq!(numbers().len(), 3, "exactly as much as permitted");
        shrink(directory, 44).unwrap();
        assert_eq!(numbers(), [(10, true), (100_000_000, false)]);
        flush(directory).unwrap();
        flush(directory).unwrap();
        assert_eq!(current(directory).metadata().unwrap().len(), 0);
        assert!(directory.join("notes.txt").exists());
        assert_eq!(finished(&directory.join("nowhere")).unwrap(), []);
        flush(&directory.join("nowhere")).unwrap();
    }
}
