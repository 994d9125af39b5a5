//! The access log of an app: a line for each request, written off the path of requests.
//!
//! Whoever serves a request leaves its line in memory and goes on; a task brings what has gathered to the journal and the
//! terminal. While the disk has not taken what it was given, lines gather up to a limit. What is beyond is dropped, counted
//! and said, and no request ever waits.

mod line;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stead_balancer::{AccessEntry, AccessLog, AccessTo};
use stead_logs::{Journal, Notice, Source, Stream, Written, access_directory};
use tokio::sync::Notify;

use super::console::Console;
use super::outlet;
use crate::config::{AccessForm, AppSettings};

use line::Lines;

/// Lines that wait for the disk are no more than this, in bytes.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long lines gather before they are written together.
const GATHER: Duration = Duration::from_millis(50);
/// How long the last lines of all may take.
const LAST_LINES: Duration = Duration::from_secs(2);

/// All access logs of this process.
#[derive(Default)]
pub(super) struct AccessLogs(Mutex<Vec<Weak<Log>>>);

/// The access log of one app.
struct Log {
    lines: Lines,
    waiting: Mutex<Waiting>,
    bell: Notify,
    /// Held while lines are on their way.
    writing: tokio::sync::Mutex<()>,
    journal: Option<Arc<Journal>>,
    /// Of an instance with a terminal.
    console: Option<Arc<Console>>,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    lines: u64,
    dropped: u64,
}

impl AccessLogs {
    /// Opens the access log of an app, if it is to have one.
    pub(super) fn open(
        &self,
        settings: &AppSettings,
        console: &Arc<Console>,
        background: bool,
    ) -> Option<AccessTo> {
        let form = settings.logs.access?;
        let journal = outlet::directory(settings, background).and_then(|logs| {
            let of_journal = outlet::for_journal(settings, access_directory(&logs), true);
            let journal = Journal::open(&settings.name, of_journal, tell(settings, console));
            let failed = |error| {
                console.say(Some(&settings.name), &format!("requests are not logged: {error}"));
            };
            journal.map_err(failed).ok()
        });
        let log = Arc::new(Log {
            lines: Lines { form, app: settings.name.clone(), query: settings.logs.access_query },
            waiting: Mutex::default(),
            bell: Notify::new(),
            writing: tokio::sync::Mutex::default(),
            journal,
            console: (!background).then(|| Arc::clone(console)),
        });
        let mut logs = self.logs();
        logs.retain(|log| log.strong_count() > 0);
        logs.push(Arc::downgrade(&log));
        tokio::spawn(write_all(Arc::downgrade(&log)));
        Some(AccessTo(log))
    }

    /// Writes what still waits. To be called when no request is served any more.
    pub(super) async fn flush(&self) {
        let logs: Vec<_> = self.logs().iter().filter_map(Weak::upgrade).collect();
        let all = async {
            for log in logs {
                log.write().await;
            }
        };
        // A disk that does not answer is not waited for any longer.
        drop(tokio::time::timeout(LAST_LINES, all).await);
    }

    fn logs(&self) -> MutexGuard<'_, Vec<Weak<Log>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_all(log: Weak<Log>) {
    while let Some(log) = log.upgrade() {
        // Now and then, so that the log of an app that is gone is let go.
        drop(tokio::time::timeout(LAST_LINES, log.bell.notified()).await);
        tokio::time::sleep(GATHER).await;
        log.write().await;
    }
}

impl AccessLog for Log {
    fn log(&self, entry: &AccessEntry<'_>) {
        let mut waiting = self.waiting();
        if waiting.text.len() >= WAITING_BYTES_MAX {
            waiting.dropped += 1;
            return;
        }
        let is_first = waiting.text.is_empty();
        self.lines.write(entry, &mut waiting.text);
        waiting.lines += 1;
        drop(waiting);
        if is_first {
            self.bell.notify_one();
        }
    }
}

impl Log {
    /// Writes what waits, and waits until that is done, so that there is never more under way than this.
    async fn write(&self) {
        let _writing = self.writing.lock().await;
        let Waiting { text, lines, dropped } = std::mem::take(&mut *self.waiting());
        if text.is_empty() {
            return;
        }
        if let Some(console) = &self.console {
            self.print(console, &text);
        }
        if let Some(journal) = &self.journal {
            if dropped > 0 {
                journal.lost(dropped, "they came faster than they could be written");
            }
            if let Written::Later(done) = journal.give(text, lines) {
                // A journal that is gone has counted them.
                drop(done.await);
            }
        }
    }

    fn print(&self, console: &Console, text: &[u8]) {
        let source = Source { app: self.lines.app.clone(), instance: None, stream: Stream::Out };
        let is_json = self.lines.form == AccessForm::Json;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match is_json {
                true => console.json_line(&source, line),
                false => console.line(&source, line),
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(settings: &AppSettings, console: &Arc<Console>) -> stead_logs::Tell {
    let (app, console) = (settings.name.clone(), Arc::clone(console));
    Box::new(move |notice| {
        let text = match notice {
            Notice::Dropping { directory, reason } => {
                format!("requests are not logged: {} cannot be written: {reason}", directory.display())
            }
            Notice::Recovered { dropped_lines, .. } => {
                format!("requests are logged again; {dropped_lines} lines were dropped")
            }
        };
        console.say(Some(&app), &text);
    })
}
