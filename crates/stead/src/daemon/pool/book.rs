//! The journal of a pool: which of its tasks are on disk, and who waits until one is.
//!
//! On disk are tasks that were accepted for good, and all that were set aside. After a daemon's death the next one does what
//! is left of them; in an upgrade every task goes this way.

use std::collections::{HashSet, VecDeque};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use stead_jobs::journal::{BadRecord, Journal, JournalError, Ledger, Record, Synced, Writer};
use stead_jobs::{Action, Saved, TaskId};
use tokio::sync::oneshot;

/// First line of the file: what is in it, in which version.
const KIND: &str = "tasks of a pool 1";
/// A shorter file is not worth the work of compacting it.
const COMPACT_BYTES_MIN: u64 = 16 << 20;
/// It is compacted when it is so many times as long as after the last time.
const COMPACT_FACTOR: u64 = 4;

/// An open journal.
pub(super) struct Book {
    writer: Writer,
    path: PathBuf,
    waiting: Arc<Mutex<Unsafe>>,
    on_disk: HashSet<TaskId>,
    /// How long it was after the last compaction.
    compacted: u64,
}

/// Says why tasks cannot be kept.
pub(super) type Say = Arc<dyn Fn(&dyn std::error::Error) + Send + Sync>;

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

/// Those who wait until their record is safe, in order.
#[derive(Default)]
struct Unsafe {
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    safe: u64,
    /// Nothing will be safe any more.
    failed: bool,
}

impl Book {
    /// Opens it, and gives the pool back what it tells of; nothing if that fails. `say` is told why, and when the disk no longer
    /// takes anything.
    pub(super) fn open(path: &Path, pool: &mut stead_jobs::Pool, say: &Say) -> Option<Book> {
        Self::read(path, pool, say).inspect_err(|error| say(error)).ok()
    }

    fn read(path: &Path, pool: &mut stead_jobs::Pool, say: &Say) -> Result<Book, BookError> {
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let (mut ledger, mut bad) = (Ledger::default(), None);
        let journal = Journal::open(path, KIND, |entry| bad = bad.or(ledger.add(entry.record).err()))?;
        if let Some(bad) = bad {
            return Err(bad.into());
        }
        let compacted = journal.length();
        let waiting = Arc::new(Mutex::new(Unsafe::default()));
        let (theirs, say) = (Arc::clone(&waiting), Arc::clone(say));
        let writer = Writer::start(journal, move |synced| told(&theirs, synced, &say))?;
        pool.begin_after(ledger.last());
        let mut on_disk = HashSet::new();
        for saved in ledger.into_tasks() {
            on_disk.insert(saved.id);
            pool.restore(Instant::now(), saved);
        }
        Ok(Book { writer, path: path.to_owned(), waiting, on_disk, compacted })
    }

    /// Writes down a task; tells when that is safe. A sender that is dropped says that it never will be.
    pub(super) fn accept(&mut self, task: Saved) -> oneshot::Receiver<()> {
        let (safe, told) = oneshot::channel();
        self.on_disk.insert(task.id);
        let number = self.writer.append(&Record::Task(Box::new(task)).encode());
        let mut waiting = self.lock();
        if waiting.safe >= number {
            // Whoever asked may have gone.
            let _unheard = safe.send(());
        } else if !waiting.failed {
            waiting.waiting.push_back((number, safe));
        }
        told
    }

    /// Writes down what has become of a task, if it is a matter of the journal. `saved` tells of one that is set aside.
    pub(super) fn note(&mut self, action: &Action, saved: impl FnOnce(TaskId) -> Option<Saved>) {
        let known = |task: &TaskId| self.on_disk.contains(task);
        let record = match action {
            Action::Finish(finish) if known(&finish.task) => Record::from(finish),
            Action::Finish(finish) if finish.set_aside => match saved(finish.task) {
                Some(saved) => return drop(self.accept(saved)),
                None => return,
            },
            Action::Retry(retry) if known(&retry.task) => Record::Retry(*retry),
            Action::Forget { task } if known(task) => {
                self.on_disk.remove(task);
                Record::Dropped(*task)
            }
            _ => return,
        };
        self.writer.append(&record.encode());
    }

    /// A task that was set aside is tried again.
    pub(super) fn revived(&mut self, task: TaskId) {
        self.writer.append(&Record::Revived(task).encode());
    }

    /// Whether a task is on disk, or on its way there.
    pub(super) fn has(&self, task: TaskId) -> bool {
        self.on_disk.contains(&task)
    }

    /// Makes the file short again, if it has become long.
    pub(super) fn tidy(&mut self, all: impl Iterator<Item = Saved>) {
        if self.writer.length() < COMPACT_BYTES_MIN.max(self.compacted.saturating_mul(COMPACT_FACTOR)) {
            return;
        }
        let kept = all.filter(|saved| self.has(saved.id));
        let records: Vec<Vec<u8>> = kept.map(|saved| Record::Task(Box::new(saved)).encode()).collect();
        self.compacted = records.iter().map(|record| record.len() as u64).sum();
        self.writer.compact(records);
    }

    /// Nothing of it is wanted any more.
    pub(super) fn remove(self) {
        let path = self.path.clone();
        drop(self);
        // What is left of it would only be tried again.
        drop(std::fs::remove_file(path));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Unsafe> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's thread tells how far it is.
fn told(waiting: &Mutex<Unsafe>, synced: Synced, say: &Say) {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    match synced {
        Ok(number) => {
            waiting.safe = number;
            while waiting.waiting.front().is_some_and(|(waits_for, _)| *waits_for <= number) {
                if let Some((_, safe)) = waiting.waiting.pop_front() {
                    // Whoever asked may have gone.
                    let _unheard = safe.send(());
                }
            }
        }
        Err(error) => {
            waiting.failed = true;
            waiting.waiting.clear();
            say(&error);
        }
    }
}
