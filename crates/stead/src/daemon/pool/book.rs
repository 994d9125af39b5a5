//! The journal of a pool: which of its tasks are on disk, and whose end is not there yet.
//!
//! On disk are tasks that were accepted for good, and all that were set aside. After a daemon's death the next one does what
//! is left of them; in an upgrade every task goes this way.

use std::collections::HashSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_jobs::journal::{BadRecord, Damage, Entry, Journal, JournalError, Ledger, Record, Writer};
use stead_jobs::{Action, Finish, Saved, TaskId};

use super::safety::{News, Safe, Safety};

/// First line of the file: what is in it, in which version.
const KIND: &str = "tasks of a pool 1";
/// A shorter file is not worth the work of compacting it.
const COMPACT_BYTES_MIN: u64 = 16 << 20;
/// It is compacted when it is so many times as long as after the last time.
const COMPACT_FACTOR: u64 = 4;

/// About as long is the record of a task beside its input.
const RECORD_BYTES: u64 = 100;

/// To write everything anew, because the journal is broken or long, is tried again after this if there was no room.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// With more than this on its way to the disk no task is accepted.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// An open journal.
pub(super) struct Book {
    writer: Writer,
    path: PathBuf,
    say: Say,
    safety: Arc<Safety>,
    /// When all was written anew, or that was tried.
    tried: Option<Instant>,
    on_disk: HashSet<TaskId>,
    /// Tasks whose end is kept back.
    held: HashSet<TaskId>,
    /// Number of the last record.
    appended: u64,
    /// How long it was after the last compaction.
    compacted: u64,
}

/// Says what is wrong with the journal.
pub(super) type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum BookError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Record(#[from] BadRecord),
    #[error("there is no room for it")]
    Room(#[from] std::io::Error),
}

impl Book {
    /// Opens it, and gives the pool back what it tells of; nothing if that fails. `say` is told why, and when the disk no longer
    /// takes anything.
    pub(super) fn open(path: &Path, pool: &mut stead_jobs::Pool, say: &Say) -> Option<Book> {
        Self::read(path, pool, say).inspect_err(|error| cannot_keep(say, error)).ok()
    }

    fn read(path: &Path, pool: &mut stead_jobs::Pool, say: &Say) -> Result<Book, BookError> {
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let (mut ledger, mut bad) = (Ledger::default(), None);
        let each = |entry: Entry<'_>| bad = bad.or(ledger.add(entry.record).err());
        let (journal, damage) = Journal::open_or_repair(path, KIND, each)?;
        if let Some(bad) = bad {
            return Err(bad.into());
        }
        if let Some(damage) = damage {
            tell_damage(say, &damage);
        }
        let safety = Arc::new(Safety::default());
        let writer = start(journal, &safety, say)?;
        pool.begin_after(ledger.last());
        let (mut on_disk, mut compacted) = (HashSet::new(), 0);
        for saved in ledger.into_tasks() {
            on_disk.insert(saved.id);
            // What it would be after a compaction, so that one that has become long is made short soon.
            compacted += saved.task.input.len() as u64 + RECORD_BYTES;
            pool.restore(Instant::now(), saved);
        }
        let (path, say, tried) = (path.to_owned(), Arc::clone(say), None);
        Ok(Book { writer, path, say, safety, tried, on_disk, held: HashSet::new(), appended: 0, compacted })
    }

    /// Whether the disk takes nothing.
    pub(super) fn is_broken(&self) -> bool {
        self.safety.is_broken()
    }

    /// Begins the journal again that could not be written.
    fn mend(&mut self, last: TaskId, all: impl Iterator<Item = Saved>) -> Result<(), BookError> {
        let journal = Journal::open_unread(&self.path, KIND)?;
        self.writer = start(journal, &self.safety, &self.say)?;
        self.safety.begin_again();
        let records = self.records(last, all);
        self.writer.replace(records);
        // Of no task. Once it is on disk, so is all before it.
        self.write(&Record::Dropped(0));
        self.writer.hurry();
        Ok(())
    }

    /// Writes down a task.
    pub(super) fn accept(&mut self, task: Saved) {
        self.on_disk.insert(task.id);
        self.write(&Record::Task(Box::new(task)));
    }

    /// Tells when all that was written down until now is safe.
    pub(super) fn when_safe(&self) -> Safe {
        self.writer.hurry();
        self.safety.when(self.appended)
    }

    /// By which it is told that ends can be told.
    pub(super) fn safety(&self) -> &Arc<Safety> {
        &self.safety
    }

    /// Writes down what has become of a task, if it is a matter of the journal. `saved` tells of one that is set aside. An end comes
    /// back later, by [`Self::ends`].
    pub(super) fn note(
        &mut self,
        action: Action,
        saved: impl FnOnce(TaskId) -> Option<Saved>,
    ) -> Option<Action> {
        match action {
            Action::Finish(finish) if self.has(finish.task) => {
                self.write(&Record::from(&finish));
                self.hold(finish);
                return None;
            }
            Action::Finish(finish) if finish.set_aside => {
                if let Some(saved) = saved(finish.task) {
                    self.accept(saved);
                    self.hold(finish);
                    return None;
                }
                return Some(Action::Finish(finish));
            }
            Action::Retry(retry) if self.has(retry.task) => self.write(&Record::Retry(retry)),
            Action::Forget { task } if self.on_disk.remove(&task) => self.write(&Record::Dropped(task)),
            _ => (),
        }
        Some(action)
    }

    fn write(&mut self, record: &Record) {
        let is_end = matches!(record, Record::Finished { .. });
        self.appended = self.writer.append_with(is_end, |bytes| record.encode_to(bytes));
    }

    fn hold(&mut self, finish: Finish) {
        self.held.insert(finish.task);
        self.safety.hold(self.appended, finish);
    }

    /// The ends that are on disk now, and were not told.
    pub(super) fn ends(&mut self) -> Vec<Finish> {
        let ends = self.safety.take_ends();
        for finish in &ends {
            self.held.remove(&finish.task);
        }
        ends
    }

    /// Whether a task has ended, and nobody is told yet.
    pub(super) fn holds(&self, task: TaskId) -> bool {
        self.held.contains(&task)
    }

    /// A task that was set aside is tried again.
    pub(super) fn revived(&mut self, task: TaskId) {
        self.write(&Record::Revived(task));
    }

    /// Whether a task is on disk, or on its way there.
    pub(super) fn has(&self, task: TaskId) -> bool {
        self.on_disk.contains(&task)
    }

    /// Makes the file short again, if it has become long, and whole again, if the disk takes it now. `last`: the number of the last task of
    /// all, which is never given again.
    pub(super) fn tidy(&mut self, last: TaskId, all: impl Iterator<Item = Saved>) {
        let is_long =
            self.writer.length() >= COMPACT_BYTES_MIN.max(self.compacted.saturating_mul(COMPACT_FACTOR));
        if !self.is_broken() && !is_long || self.tried.is_some_and(|tried| tried.elapsed() < RETRY_AFTER) {
            return;
        }
        self.tried = Some(Instant::now());
        if self.is_broken() {
            // Why not was told when it broke.
            drop(self.mend(last, all));
        } else {
            let records = self.records(last, all);
            self.writer.compact(records);
        }
    }

    /// All that is to be on disk.
    fn records(&mut self, last: TaskId, all: impl Iterator<Item = Saved>) -> Vec<Vec<u8>> {
        let kept = all.filter(|saved| self.has(saved.id));
        let records = kept.map(|saved| Record::Task(Box::new(saved)));
        let records = [Record::Dropped(last)].into_iter().chain(records);
        let records: Vec<Vec<u8>> = records.map(|record| record.encode()).collect();
        self.compacted = records.iter().map(|record| record.len() as u64).sum();
        records
    }

    /// So much waits for the disk that nothing more is to be accepted.
    pub(super) fn is_behind(&self) -> bool {
        self.writer.pending_bytes() > PENDING_BYTES_MAX
    }

    /// Nothing of it is wanted any more. Gives the ends that were kept back.
    pub(super) fn remove(self) -> Vec<Finish> {
        let (path, safety) = (self.path.clone(), Arc::clone(&self.safety));
        drop(self);
        // What is left of it would only be tried again.
        drop(std::fs::remove_file(path));
        safety.take_ends()
    }
}

/// The thread of a journal.
fn start(journal: Journal, safety: &Arc<Safety>, say: &Say) -> std::io::Result<Writer> {
    let (safety, say) = (Arc::clone(safety), Arc::clone(say));
    Writer::start(journal, move |synced| match safety.hear(synced) {
        Some(News::Broken(error)) => cannot_keep(&say, &error),
        Some(News::Mended) => say("accepted tasks are kept on disk again"),
        None => (),
    })
}

impl Drop for Book {
    fn drop(&mut self) {
        self.safety.ring();
    }
}

fn cannot_keep(say: &Say, error: &dyn std::error::Error) {
    say(&format!("accepted tasks cannot be kept on disk: {}", crate::cli::in_one_line(error)));
}

fn tell_damage(say: &Say, damage: &Damage) {
    say(&format!("{damage}; a task that was accepted there is lost, and one that ended there is done again"));
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use bytes::Bytes;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use stead_jobs::{NewTask, Outcome, PoolConfig};

    use super::*;

    const QUEUE_MAX: usize = 3;

    fn pool() -> stead_jobs::Pool {
        let second = Duration::from_secs(1);
        let config = PoolConfig {
            workers_min: 1,
            workers_max: 1,
            queue_max: QUEUE_MAX,
            queue_bytes_max: 1 << 20,
            timeout: None,
            abort_grace: second,
            retries: 0,
            backoff_first: second,
            backoff_max: second,
            deaths_max: 2,
            kills_max: 10,
            settled_after: second,
            ahead: second,
            kept_max: 3,
            kept_bytes_max: 1 << 20,
            kept_for: second * 60,
            dead_max: 10,
            set_aside_failed: false,
            scale_up_after: second,
            scale_down_after: second,
        };
        stead_jobs::Pool::new(Instant::now(), config, 1)
    }

    fn open(path: &Path) -> (Book, stead_jobs::Pool) {
        let mut pool = pool();
        let say: Say = Arc::new(|text| panic!("{text}"));
        let book = Book::open(path, &mut pool, &say).expect("it is whole");
        while pool.poll_action().is_some() {}
        (book, pool)
    }

    /// A journal of many tasks that have ended, and of more that wait than the queue takes.
    fn long_journal(path: &Path, waiting: u64) {
        let mut journal = Journal::open(path, KIND, |_| ()).expect("a new one");
        let input = Bytes::from(vec![b'1'; 1 << 20]);
        let ended = COMPACT_BYTES_MIN / input.len() as u64 + 1;
        for id in 1..=ended + waiting {
            let task = NewTask { durable: true, ..NewTask::new(input.clone()) };
            let (attempts, failures, deaths) = (0, 0, 0);
            let saved = Saved { id, task, attempts, failures, deaths, outcome: None, set_aside: false };
            let waits = id > ended;
            let task = if waits {
                NewTask { durable: true, ..NewTask::new("1".into()) }
            } else {
                saved.task.clone()
            };
            journal.append(&Record::Task(Box::new(Saved { task, ..saved })).encode());
            if !waits {
                let outcome = Outcome::Done("1".into());
                journal.append(&Record::Finished { task: id, outcome, set_aside: false }.encode());
            }
            journal.commit().expect("there is room");
        }
    }

    #[test]
    fn a_journal_that_was_long_at_the_start_becomes_short_and_keeps_all_that_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let waiting = QUEUE_MAX as u64 * 5;
        long_journal(&path, waiting);
        let (mut book, pool) = open(&path);
        let last = pool.last();
        book.tidy(last, pool.saved_all());
        drop(book);
        assert!(std::fs::metadata(&path).expect("it is there").len() < COMPACT_BYTES_MIN / 100);
        let (_, pool) = open(&path);
        assert_eq!((pool.counts().waiting as u64, pool.last()), (waiting, last));
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told_once_and_used_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        // A file that cannot grow, until another is put in its place.
        let stuck = memfd_create("stuck", MemfdFlags::ALLOW_SEALING).expect("memory");
        rustix::io::write(&stuck, format!("stead journal of {KIND}\n").as_bytes()).expect("its first line");
        fcntl_add_seals(&stuck, SealFlags::GROW).expect("it can be sealed");
        std::os::unix::fs::symlink(format!("/proc/self/fd/{}", stuck.as_raw_fd()), &path).expect("a link");

        let (news, told) = std::sync::mpsc::channel();
        let say: Say = Arc::new(move |text| news.send(text.to_owned()).expect("the test listens"));
        let mut pool = pool();
        let mut book = Book::open(&path, &mut pool, &say).expect("it is whole");
        let mut give = |book: &mut Book| {
            let task = NewTask { durable: true, ..NewTask::new("1".into()) };
            let task = pool.submit(Instant::now(), task).expect("there is room").id();
            book.accept(pool.saved_one(task).expect("it is there"));
            (book.when_safe(), pool.last(), pool.saved_all().collect::<Vec<_>>())
        };
        let (safe, ..) = give(&mut book);
        assert!(safe.blocking_recv().is_err() && book.is_broken(), "nobody is told that it is safe");
        assert!(told.recv().expect("it is told").starts_with("accepted tasks cannot be kept on disk: "));
        let (safe, last, all) = give(&mut book);
        assert!(safe.blocking_recv().is_err() && book.writer.pending_bytes() == 0, "nothing gathers");
        eventually(|| book.mend(last, all.clone().into_iter()).is_ok());
        assert_eq!(told.recv().expect("it is told"), "accepted tasks are kept on disk again");
        assert_eq!(book.when_safe().blocking_recv(), Ok(()), "so is what was there before");
        let (safe, ..) = give(&mut book);
        assert_eq!((safe.blocking_recv(), book.is_broken()), (Ok(()), false));
        drop(book);
        let (_, pool) = open(&path);
        assert_eq!(pool.counts().waiting, 3, "those that were there before, and the new one");
    }

    /// The thread of the broken journal lets go of the file when it ends.
    fn eventually(mut happens: impl FnMut() -> bool) {
        while !happens() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_damaged_journal_is_told_and_all_that_is_whole_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        long_journal(&path, 3);
        let mut bytes = std::fs::read(&path).expect("it is there");
        // The input of the first task.
        bytes[1000] ^= 1;
        std::fs::write(&path, bytes).expect("there is room");
        let (tell, told) = std::sync::mpsc::channel();
        let say: Say = Arc::new(move |text| drop(tell.send(text.to_owned())));
        let mut pool = pool();
        let book = Book::open(&path, &mut pool, &say);
        assert!(book.is_some());
        let told = told.try_recv().expect("it is told");
        assert!(told.contains("was damaged at byte") && told.contains("journal.damaged-1"), "{told}");
        assert_eq!(pool.counts().waiting, 3);
    }

    #[test]
    fn the_number_of_a_forgotten_task_is_not_given_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        long_journal(&path, 0);
        let (mut book, pool) = open(&path);
        book.tidy(pool.last(), std::iter::empty());
        drop(book);
        assert_eq!(open(&path).1.last(), pool.last());
    }
}
