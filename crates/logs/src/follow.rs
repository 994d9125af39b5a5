//! Waits for further lines and gives them, across files that are finished, compressed or emptied meanwhile.

use crate::line::Record;
use crate::query::Query;
use crate::reader::{At, Log, Present, Reader, between, is_present};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::{Errno, read};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lines that are given at once.
const LINES_MAX: usize = 16 * 1024;
const READ_BYTES: usize = 256 * 1024;
/// Without a word from the kernel everything is looked at again after this: a directory may have come into being.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows logs.
#[derive(Debug)]
pub struct Follower {
    logs: Vec<Place>,
    /// Wakes on changes. Where there is none (too many are in use) once a second has to do.
    changes: Option<OwnedFd>,
}

/// Up to where a log was read.
#[derive(Debug)]
struct Place {
    directory: PathBuf,
    query: Query,
    present: Option<Present>,
    /// How much of the present file was read.
    offset: u64,
    /// The beginning of a line that is not finished.
    rest: Vec<u8>,
    watched: bool,
}

impl Reader {
    /// Goes on after what was there when this was opened.
    pub fn follow(self) -> Follower {
        let changes = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).ok();
        let logs = self.logs.into_iter().map(Place::after).collect();
        Follower { logs, changes }
    }
}

impl Follower {
    /// Follows one more log, from its beginning, unless it is followed already.
    pub fn add(&mut self, directory: &Path, query: Query) {
        if !self.logs.iter().any(|place| place.directory == *directory) {
            let directory = directory.to_owned();
            let place =
                Place { directory, query, present: None, offset: 0, rest: Vec::new(), watched: false };
            self.logs.push(place);
        }
    }

    /// Lines that have come since the last call, by time; waits up to a second for some. None is no end.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn further(&mut self) -> io::Result<Vec<Record>> {
        self.watch();
        let mut records = self.read()?;
        if records.is_empty() {
            self.wait()?;
            records = self.read()?;
        }
        records.sort_by(|a, b| a.time.cmp(&b.time));
        Ok(records)
    }

    fn read(&mut self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for place in &mut self.logs {
            place.read(&mut records)?;
        }
        Ok(records)
    }

    fn watch(&mut self) {
        use inotify::WatchFlags;
        let Some(changes) = &self.changes else { return };
        for place in self.logs.iter_mut().filter(|place| !place.watched) {
            let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
            // A directory that is not there yet is tried again.
            place.watched = inotify::add_watch(changes, &place.directory, flags).is_ok();
        }
    }

    fn wait(&self) -> io::Result<()> {
        let timeout = Timespec::try_from(LOOK_EVERY).map_err(io::Error::other)?;
        let mut none = [];
        let Some(changes) = &self.changes else {
            poll(&mut none, Some(&timeout))?;
            return Ok(());
        };
        match poll(&mut [PollFd::new(changes, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
        // That something has changed is all there is to know.
        while read(changes, &mut [0_u8; 4096]).is_ok_and(|bytes| bytes > 0) {}
        Ok(())
    }
}

impl Place {
    fn after(log: Log) -> Place {
        let offset = log.present.as_ref().map_or(0, |present| present.bytes);
        let Log { directory, query, present, .. } = log;
        Place { directory, query, present, offset, rest: Vec::new(), watched: false }
    }

    fn read(&mut self, records: &mut Vec<Record>) -> io::Result<()> {
        if self.present.is_none() {
            self.present = Log::open(self.directory.clone(), Query::default())?.present;
        }
        loop {
            let Some(present) = &self.present else { return Ok(()) };
            // Asked first: what was written before another file took its place is then all there.
            let replaced = !is_present(&self.directory, &present.file)?;
            if present.file.metadata()?.len() < self.offset {
                // Emptied.
                self.offset = 0;
                self.rest.clear();
            }
            if !self.read_present(records)? || !replaced {
                return Ok(());
            }
            let next = Log::open(self.directory.clone(), Query::default())?.present;
            let (Some(next), Some(present)) = (next, &self.present) else {
                // Removed, and nothing is in its place yet.
                return Ok(());
            };
            // The one that was just read to its end is the first that was finished after `after`.
            between(&self.directory, &self.query, (present.after + 1, next.after), records)?;
            (self.present, self.offset) = (Some(next), 0);
            self.rest.clear();
        }
    }

    /// Reads the present file; says whether it was read to its end.
    fn read_present(&mut self, records: &mut Vec<Record>) -> io::Result<bool> {
        let Some(Present { file, .. }) = &self.present else { return Ok(true) };
        let mut buffer = vec![0; READ_BYTES];
        while records.len() < LINES_MAX {
            let bytes = At { file, offset: self.offset }.read(&mut buffer)?;
            if bytes == 0 {
                return Ok(true);
            }
            self.offset += bytes as u64;
            self.rest.extend_from_slice(&buffer[..bytes]);
            let whole = memchr::memrchr(b'\n', &self.rest).map_or(0, |end| end + 1);
            let lines = self.rest[..whole].split(|byte| *byte == b'\n');
            records.extend(lines.filter_map(Record::parse).filter(|record| self.query.wants(record)));
            self.rest.drain(..whole);
        }
        Ok(false)
    }
}
