//! The log of one app: lines of all its workers in one file, in the order in which they came.
//!
//! Nobody who gives lines ever waits for the disk: a thread per journal writes, whole lines only, many at once. What
//! cannot be written (a full disk, a directory that is gone, a disk that does not answer) is dropped and counted, said
//! once, and said again when it is over.
//!
//! | file | holds |
//! |---|---|
//! | `files.rs` | the names of the files, in which order they are, and which go first |
//! | `writer.rs` | the file that is written to, and when the next one begins |
//! | `compress.rs` | what is done to finished files |

mod compress;
pub(crate) mod files;
#[cfg(test)]
mod tests;
mod writer;

pub use files::flush;

use crate::line::Encoder;
use crate::source::{Chunk, Sink, Source, Stream, Written};
use crate::time::stamp;
use crate::{Query, Record};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;
use writer::Writer;

/// Pieces of text that may wait to be written; each tap has one at most.
const WAITING_MAX: usize = 4096;
/// Bytes that are written at once.
const WRITE_BYTES_MAX: usize = 1024 * 1024;
/// A disk that takes longer is not waited for.
const STALL: Duration = Duration::from_secs(2);
/// So long nothing is dropped before it is said to be over: on a disk that is nearly full, short lines still fit.
const CALM: Duration = Duration::from_secs(10);
/// Buffers that are kept to be used again, and how large they may be.
const SPARE_BUFFERS_MAX: usize = 4;
const SPARE_BYTES_MAX: usize = 1024 * 1024;
/// The end of the log that is looked through for the last lines of a worker.
const LAST_LINES_BYTES_MAX: u64 = 1024 * 1024;
/// The least that a line may be limited to.
const LINE_BYTES_MIN: usize = 64;

/// What a journal is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// Where its files are. Made if it is not there.
    pub directory: PathBuf,
    /// JSON lines in place of text.
    pub json: bool,
    /// Lines come in a form of their own ([`Journal::give`]), and nothing else is put between them.
    pub foreign: bool,
    /// A file this large is followed by a new one. Never more than a quarter of `total_bytes_max`.
    pub rotate_bytes: u64,
    /// A file whose first line is this old is followed by a new one.
    pub rotate_age: Option<Duration>,
    /// All files together, except crash reports.
    pub total_bytes_max: u64,
    /// Finished files are compressed.
    pub compress: bool,
    /// Longer lines are written in pieces.
    pub line_bytes_max: usize,
}

/// How much a journal was given since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines that were written.
    pub lines: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Lines that were not.
    pub dropped_lines: u64,
}

/// What somebody should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Lines are dropped from now on.
    Dropping {
        /// Where they belong.
        directory: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// Lines are written again.
    Recovered {
        /// Where.
        directory: PathBuf,
        /// How many were dropped meanwhile.
        dropped_lines: u64,
    },
}

/// Whom a journal tells. Called on the journal's thread or on the one that gives lines; it must not block.
pub type Tell = Box<dyn Fn(Notice) + Send + Sync>;

/// The log of one app. Lines are given with [`Sink::take`]; what was taken before it is dropped is still written.
pub struct Journal {
    settings: JournalSettings,
    app: String,
    queue: SyncSender<Batch>,
    shared: Arc<Shared>,
}

struct Batch {
    text: Vec<u8>,
    lines: u64,
    done: oneshot::Sender<()>,
}

/// Why lines are dropped.
struct Trouble {
    reason: String,
    /// When the last one was.
    last: Instant,
}

/// What the journal and its thread both know.
struct Shared {
    directory: PathBuf,
    tell: Tell,
    lines: AtomicU64,
    bytes: AtomicU64,
    dropped_lines: AtomicU64,
    /// Dropped since somebody was told.
    dropped_now: AtomicU64,
    /// Why lines are dropped at present.
    trouble: Mutex<Option<Trouble>>,
    calm: Duration,
    opened: Instant,
    /// Milliseconds after `opened` at which the thread began to write; 0 while it waits.
    writing_since: AtomicU64,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Journal {
    /// Opens the log of an app and starts its thread. A directory that cannot be written to is no error but what
    /// [`Notice::Dropping`] is for: an app runs without logs rather than not at all.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(app: &str, settings: JournalSettings, tell: Tell) -> io::Result<Arc<Journal>> {
        let shared = Shared::new(settings.directory.clone(), tell, CALM);
        Journal::with(app, settings, Arc::new(shared))
    }

    fn with(app: &str, mut settings: JournalSettings, shared: Arc<Shared>) -> io::Result<Arc<Journal>> {
        settings.line_bytes_max = settings.line_bytes_max.max(LINE_BYTES_MIN);
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let writer = Writer::new(settings.clone());
        let (of_thread, app_of_thread) = (Arc::clone(&shared), app.to_owned());
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&waiting, writer, &of_thread, &app_of_thread))?;
        Ok(Arc::new(Journal { settings, app: app.to_owned(), queue, shared }))
    }

    /// What it was told.
    pub fn settings(&self) -> &JournalSettings {
        &self.settings
    }

    /// How much it was given.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            lines: read(&self.shared.lines),
            bytes: read(&self.shared.bytes),
            dropped_lines: read(&self.shared.dropped_lines),
        }
    }

    /// Why lines are being dropped, if they are.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble().as_ref().map(|trouble| trouble.reason.clone())
    }

    /// Writes so many lines that are in a form of their own already, each with its line feed.
    pub fn give(&self, text: Vec<u8>, lines: u64) -> Written {
        if let Some(since) = self.shared.stalled() {
            self.shared.dropped(lines, || no_answer(since));
            return Written::Now;
        }
        self.queue(text, lines)
    }

    /// Counts lines that were lost before they came here.
    pub fn lost(&self, lines: u64, reason: &str) {
        self.shared.dropped(lines, || reason.to_owned());
    }

    fn queue(&self, text: Vec<u8>, lines: u64) -> Written {
        let (done, written) = oneshot::channel();
        match self.queue.try_send(Batch { text, lines, done }) {
            Ok(()) => Written::Later(written),
            Err(_full) => {
                self.shared.dropped(lines, || "too many lines wait to be written".to_owned());
                Written::Now
            }
        }
    }

    /// Writes what Stead itself has to say about the app.
    pub fn note(&self, text: &str) {
        let source = Source { app: self.app.clone(), instance: None, stream: Stream::Err };
        // Nobody waits for it; it is counted like all lines.
        let _not_waited_for = self.take(&source, Chunk { text: text.as_bytes(), goes_on: false });
    }

    /// The last lines of a worker, oldest first, from the end of the present file. Reads up to 1 MiB from the disk.
    ///
    /// # Errors
    /// When the file cannot be read. One that is not there has no lines.
    pub fn last_lines(&self, instance: u32, lines: usize) -> io::Result<Vec<Record>> {
        let query = Query { instance: Some(instance), ..Query::default() };
        crate::reader::end_of_file(
            &files::current(&self.settings.directory),
            &query,
            lines,
            LAST_LINES_BYTES_MAX,
        )
    }

    /// Removes all that was logged (`stead flush`). Crash reports stay.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn flush_all(&self) -> io::Result<()> {
        flush(&self.settings.directory)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.settings.directory
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Sink for Journal {
    fn line_bytes_max(&self) -> usize {
        self.settings.line_bytes_max
    }

    fn take(&self, source: &Source, chunk: Chunk<'_>) -> Written {
        if let Some(since) = self.shared.stalled() {
            let lines = chunk.lines().count() as u64;
            self.shared.dropped(lines, || no_answer(since));
            return Written::Now;
        }
        let time = stamp(SystemTime::now());
        let mut text = self.shared.buffer();
        let encoder =
            Encoder { json: self.settings.json, line_bytes_max: self.settings.line_bytes_max, time: &time };
        let lines = encoder.encode(source, chunk, &mut text);
        self.queue(text, lines)
    }
}

fn no_answer(since: Duration) -> String {
    format!("the disk has not answered for {} s", since.as_secs())
}

impl Shared {
    fn new(directory: PathBuf, tell: Tell, calm: Duration) -> Shared {
        Shared {
            directory,
            tell,
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped_lines: AtomicU64::new(0),
            dropped_now: AtomicU64::new(0),
            trouble: Mutex::new(None),
            calm,
            opened: Instant::now(),
            writing_since: AtomicU64::new(0),
            spare: Mutex::new(Vec::new()),
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the journal was opened, never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).map_or(u64::MAX, |millis| millis + 1)
    }

    /// How long the disk has not answered, if that is too long.
    fn stalled(&self) -> Option<Duration> {
        let since = self.writing_since.load(Ordering::Relaxed);
        let waited = Duration::from_millis(self.now().saturating_sub(since));
        (since != 0 && waited > STALL).then_some(waited)
    }

    /// How long to wait for lines before it is looked whether trouble is over.
    fn patience(&self) -> Option<Duration> {
        self.trouble().as_ref().map(|trouble| self.calm.saturating_sub(trouble.last.elapsed()))
    }

    /// Trouble, if it seems to be over.
    fn past_trouble(&self) -> Option<Trouble> {
        self.trouble().take_if(|trouble| trouble.last.elapsed() >= self.calm)
    }

    /// Counts lines that are lost; says so if they are the first.
    fn dropped(&self, lines: u64, reason: impl FnOnce() -> String) {
        self.dropped_lines.fetch_add(lines, Ordering::Relaxed);
        self.dropped_now.fetch_add(lines, Ordering::Relaxed);
        let last = Instant::now();
        let mut trouble = self.trouble();
        if let Some(trouble) = &mut *trouble {
            trouble.last = last;
            return;
        }
        let reason = reason();
        *trouble = Some(Trouble { reason: reason.clone(), last });
        drop(trouble);
        (self.tell)(Notice::Dropping { directory: self.directory.clone(), reason });
    }

    fn buffer(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

/// The journal's thread.
fn write_all(waiting: &Receiver<Batch>, mut writer: Writer, shared: &Shared, app: &str) {
    loop {
        let next = match shared.patience() {
            Some(patience) => waiting.recv_timeout(patience),
            None => waiting.recv().map_err(RecvTimeoutError::from),
        };
        let Batch { mut text, mut lines, done } = match next {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => {
                recovered(&mut writer, shared, app);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut all_done = vec![done];
        while text.len() < WRITE_BYTES_MAX
            && let Ok(more) = waiting.try_recv()
        {
            text.extend_from_slice(&more.text);
            lines += more.lines;
            all_done.push(more.done);
            shared.give_back(more.text);
        }
        shared.writing_since.store(shared.now(), Ordering::Relaxed);
        let result = writer.write(&text);
        match result {
            Ok(()) => {
                shared.lines.fetch_add(lines, Ordering::Relaxed);
                shared.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
                recovered(&mut writer, shared, app);
            }
            Err(error) => shared.dropped(lines, || error.to_string()),
        }
        shared.writing_since.store(0, Ordering::Relaxed);
        for done in all_done {
            // Who does not wait any more does not need to know.
            let _gone = done.send(());
        }
        shared.give_back(text);
    }
}

/// Says how many lines are missing, in the log itself as well, once there is room for that again.
fn recovered(writer: &mut Writer, shared: &Shared, app: &str) {
    let Some(Trouble { reason, .. }) = shared.past_trouble() else { return };
    let dropped_lines = shared.dropped_now.swap(0, Ordering::Relaxed);
    let source = Source { app: app.to_owned(), instance: None, stream: Stream::Err };
    let text = format!("{dropped_lines} lines are missing here: {reason}");
    let mut line = Vec::new();
    let time = stamp(SystemTime::now());
    let encoder = Encoder { json: writer.is_json(), line_bytes_max: usize::MAX, time: &time };
    if !writer.is_foreign() {
        encoder.encode(&source, Chunk { text: text.as_bytes(), goes_on: false }, &mut line);
    }
    match writer.write(&line) {
        Ok(()) => (shared.tell)(Notice::Recovered { directory: shared.directory.clone(), dropped_lines }),
        Err(_still) => {
            // Not over yet: the same trouble goes on, and nobody has to be told again.
            shared.dropped_now.fetch_add(dropped_lines, Ordering::Relaxed);
            *shared.trouble() = Some(Trouble { reason, last: Instant::now() });
        }
    }
}
