//! Writes a journal on a thread of its own: whatever has come while the disk was busy goes to it at once.
//!
//! Nobody waits for the disk who does not want to: records are numbered as they come, and the thread tells up to which number all is
//! safe. What waits is bounded by its givers, who acknowledge nothing before it is safe; `pending_bytes` tells how much it is.
//!
//! To wait for the disk costs this process as much as dozens of records. So the thread lets records gather for a moment while nobody waits
//! for them, or many do; one for which somebody waits alone is written at once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::batch::Batch;
use super::file::{Journal, JournalError};

/// No batch grows beyond this, whatever comes while the disk is busy.
const BATCH_BYTES: usize = 4 << 20;

/// So long records gather, or until they are so many: then they are worth a wait for the disk, and whoever waits for them must not stand still.
const GATHER: Duration = Duration::from_micros(500);
const GATHERED: u64 = 64;

/// After a batch of more records the next one gathers too, although somebody waits.
const ALONE_MAX: u64 = 8;

/// What the thread tells: all records up to this number are on the disk; or nothing more ever will be.
pub type Synced = Result<u64, JournalError>;

/// A journal that is written by a thread. Dropping it writes what has come and ends the thread.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    steps: VecDeque<Step>,
    /// Records that were ever appended.
    appended: u64,
    pending_bytes: usize,
    /// Length of the file.
    length: u64,
    closed: bool,
    thread: Activity,
    /// Records of the last batch.
    together: u64,
    /// Somebody waits for what is there.
    urgent: bool,
    /// The disk has taken something not: nothing more is taken, as nobody would write it.
    failed: bool,
}

/// What the thread does. To wake it is a system call, also if it is awake.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// Writes, or is about to.
    #[default]
    Works,
    /// Waits for something to do.
    Idles,
    /// Has something to do, and waits for more of it.
    Gathers,
}

#[derive(Debug)]
enum Step {
    Write(Pending),
    /// What everything before comes to.
    Compact {
        records: Vec<Vec<u8>>,
        is_needed: bool,
    },
}

/// Records that go to the disk together.
#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    /// How many they are, and the number of the last.
    count: u64,
    last: u64,
    /// Length of all of them.
    bytes: usize,
}

impl Writer {
    /// Starts the thread. `synced` is called on it, after each batch; after an error it is not called again, and nothing is written or
    /// gathered.
    ///
    /// # Errors
    ///
    /// The system has no room for another thread.
    pub fn start(journal: Journal, synced: impl FnMut(Synced) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.lock().length = journal.length();
        let theirs = Arc::clone(&shared);
        let thread = Builder::new().name("journal".to_owned()).spawn(move || theirs.run(journal, synced))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Adds a record for which somebody waits. Tells its number: it is safe once `synced` was called with that or more.
    pub fn append(&self, record: &[u8]) -> u64 {
        self.append_with(true, |bytes| bytes.extend_from_slice(record))
    }

    /// The same with a record that is written by `write`; nobody may wait for it yet.
    pub fn append_with(&self, is_waited_for: bool, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let mut queue = self.shared.lock();
        queue.appended += 1;
        let number = queue.appended;
        if queue.failed {
            return number;
        }
        if !matches!(queue.steps.back(), Some(Step::Write(open)) if open.batch.len() < BATCH_BYTES) {
            queue.steps.push_back(Step::Write(Pending::default()));
        }
        if let Some(Step::Write(open)) = queue.steps.back_mut() {
            let length = open.batch.add(write);
            (open.last, open.count, open.bytes) = (number, open.count + 1, open.bytes + length);
            queue.pending_bytes += length;
        }
        queue.urgent |= is_waited_for;
        self.shared.wake(queue);
        number
    }

    /// Somebody waits for what was appended.
    pub fn hurry(&self) {
        let mut queue = self.shared.lock();
        queue.urgent |= !queue.steps.is_empty();
        self.shared.wake(queue);
    }

    /// Puts these records in the place of all that was appended until now, if the disk has room for both.
    pub fn compact(&self, records: Vec<Vec<u8>>) {
        self.put(records, false);
    }

    /// The same for a journal that is of no use as it is: without room for them nothing is written any more.
    pub fn replace(&self, records: Vec<Vec<u8>>) {
        self.put(records, true);
    }

    fn put(&self, records: Vec<Vec<u8>>, is_needed: bool) {
        let mut queue = self.shared.lock();
        if queue.failed {
            return;
        }
        queue.steps.push_back(Step::Compact { records, is_needed });
        self.shared.wake(queue);
    }

    /// Bytes that wait for the disk.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.shared.lock().pending_bytes
    }

    /// How long the file is; what its giver decides by when to compact.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.shared.lock().length
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        self.shared.wake(queue);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            drop(thread.join());
        }
    }
}

impl Queue {
    /// Whether there is nothing to do.
    fn idles(&self) -> bool {
        self.steps.is_empty() && !self.closed
    }

    /// Whether what is there is to wait for more.
    fn gathers(&self) -> bool {
        let is_urgent = self.urgent && self.together <= ALONE_MAX;
        let is_small = matches!(self.steps.front(), Some(Step::Write(open)) if open.count < GATHERED);
        is_small && self.steps.len() == 1 && !is_urgent && !self.closed
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nobody panics while holding the queue")
    }

    fn run(&self, mut journal: Journal, mut synced: impl FnMut(Synced)) {
        while let Some(step) = self.next() {
            let done = match step {
                Step::Write(mut pending) => journal.write(&mut pending.batch).map(|()| Some(pending)),
                Step::Compact { records, is_needed } => match journal.compact(records.iter()) {
                    Err(error) if is_needed => Err(error),
                    // A file that stays long is as good as before.
                    Ok(()) | Err(_) => Ok(None),
                },
            };
            match done {
                Ok(pending) => {
                    self.wrote(pending.as_ref().map_or(0, |pending| pending.bytes), journal.length());
                    if let Some(pending) = pending {
                        synced(Ok(pending.last));
                    }
                }
                Err(error) => {
                    self.fail();
                    return synced(Err(error));
                }
            }
        }
    }

    /// Waits for something to do. Nothing once all is done and no more can come.
    fn next(&self) -> Option<Step> {
        let mut queue = self.lock();
        // Said each time that it begins to wait, also after it was woken for nothing.
        let idles = |queue: &mut Queue| {
            queue.thread = Activity::Idles;
            queue.idles()
        };
        queue = self.came.wait_while(queue, idles).expect("nobody panics while holding the queue");
        let gathers = |queue: &mut Queue| {
            queue.thread = Activity::Gathers;
            queue.gathers()
        };
        let gathered = self.came.wait_timeout_while(queue, GATHER, gathers);
        (queue, _) = gathered.expect("nobody panics while holding the queue");
        (queue.thread, queue.urgent) = (Activity::Works, false);
        let step = queue.steps.pop_front();
        if let Some(Step::Write(pending)) = &step {
            queue.together = pending.count;
        }
        step
    }

    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let wakes = match queue.thread {
            Activity::Works => false,
            Activity::Idles => !queue.idles(),
            Activity::Gathers => !queue.gathers(),
        };
        if wakes {
            // Once is enough.
            queue.thread = Activity::Works;
            drop(queue);
            self.came.notify_one();
        }
    }

    fn fail(&self) {
        let mut queue = self.lock();
        queue.steps.clear();
        (queue.failed, queue.pending_bytes) = (true, 0);
    }

    fn wrote(&self, bytes: usize, length: u64) {
        let mut queue = self.lock();
        queue.pending_bytes -= bytes;
        queue.length = length;
    }
}
