//! Where goes what the workers of an app print: to the terminal of a foreground instance, to log files, to both or nowhere;
//! and what is kept of a worker that ended as it should not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stead_control::Home;
use stead_logs::{
    Chunk, CrashReport, CrashReports, Journal, JournalSettings, Notice, Sink, Source, Tap, Written,
};
use stead_process::keeper::Exit;
use tokio::sync::mpsc;

use super::console::Console;
use super::message::Message;
use crate::config::{AppSettings, LogPlace};

/// How soon after a process has ended all it had printed is read.
pub(super) const OUTPUT_FOLLOWS: Duration = Duration::from_secs(2);
/// Lines that are kept of a worker that ended as it should not.
const LAST_LINES: usize = 20;

/// Takes what the workers of an app print.
pub(super) struct Outlet {
    console: Option<Arc<Console>>,
    journal: Option<Arc<Journal>>,
    line_bytes_max: usize,
}

/// A worker that ended as it should not.
pub(super) struct Crash {
    pub(super) app: String,
    pub(super) worker: u64,
    pub(super) slot: u32,
    pub(super) pid: u32,
    pub(super) began: SystemTime,
    pub(super) uptime: Duration,
    pub(super) exit: Exit,
    /// The same in words.
    pub(super) how: String,
}

impl Outlet {
    /// For an app of an instance with this console, which shows the lines unless the instance has no terminal.
    pub(super) fn open(settings: &AppSettings, console: &Arc<Console>, background: bool) -> Arc<Self> {
        let journal = directory(settings, background).and_then(|directory| {
            let journal = Journal::open(
                &settings.name,
                for_journal(settings, directory, false),
                tell(settings, console),
            );
            let failed =
                |error| console.say(Some(&settings.name), &format!("its output is not kept: {error}"));
            journal.map_err(failed).ok()
        });
        let console = (!background).then(|| Arc::clone(console));
        let line_bytes_max = usize::try_from(settings.logs.line_bytes_max).unwrap_or(usize::MAX);
        Arc::new(Self { console, journal, line_bytes_max })
    }

    /// What Stead says about the app, among what the app says itself.
    pub(super) fn note(&self, text: &str) {
        if let Some(journal) = &self.journal {
            journal.note(text);
        }
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.journal.as_ref().map(|journal| journal.directory())
    }

    /// Removes what was kept.
    pub(super) fn flush(&self) -> io::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        journal.flush_all()?;
        stead_logs::flush(&stead_logs::access_directory(journal.directory()))
    }

    /// Of the process that began then, and not of the one that had its slot before.
    fn last_lines(&self, slot: u32, began: SystemTime) -> Vec<String> {
        let lines = self.journal.as_ref().and_then(|journal| journal.last_lines(slot, LAST_LINES).ok());
        let began = stead_logs::stamp(began);
        let own = lines.unwrap_or_default().into_iter().filter(|record| record.time >= began);
        own.map(|record| record.text).collect()
    }

    /// Writes down a crash, once everything the worker printed is there; returns its last lines.
    fn report(&self, crash: &Crash) -> Vec<String> {
        let lines = self.last_lines(crash.slot, crash.began);
        // One that left politely has only its last lines.
        if let Some(directory) = self.directory().filter(|_| crash.exit.code != Some(0)) {
            let report = CrashReport::new(&crash.app, crash.slot, crash.pid, &crash.how);
            let used = crash.exit.rusage;
            let report = CrashReport {
                uptime_seconds: crash.uptime.as_secs_f64(),
                code: crash.exit.code,
                signal: crash.exit.signal,
                memory_bytes_peak: used.map(|used| used.memory_bytes_max),
                cpu_seconds: used.map(|used| (used.user + used.system).as_secs_f64()),
                last_lines: lines.clone(),
                ..report
            };
            // A full disk loses the report; the exit itself is told anyway.
            drop(CrashReports::of(directory).write(report));
        }
        lines
    }
}

impl Sink for Outlet {
    fn line_bytes_max(&self) -> usize {
        self.line_bytes_max
    }

    fn take(&self, source: &Source, chunk: Chunk<'_>) -> Written {
        if let Some(console) = &self.console {
            chunk.lines().for_each(|(line, _)| console.line(source, line));
        }
        match &self.journal {
            Some(journal) => journal.take(source, chunk),
            None => Written::Now,
        }
    }
}

/// Reads on what a worker that has ended, or its children, had printed. Its last lines are told if it crashed.
pub(super) async fn outlive(
    mut taps: Vec<Tap>,
    outlet: Arc<Outlet>,
    crash: Option<Crash>,
    inbox: mpsc::UnboundedSender<Message>,
) {
    let all = async {
        for tap in &mut taps {
            // A stream that cannot be read has nothing more to say.
            drop(tap.ended().await);
        }
    };
    let ended = tokio::time::timeout(OUTPUT_FOLLOWS, all).await.is_ok();
    if let Some(crash) = crash {
        let worker = crash.worker;
        let lines = tokio::task::spawn_blocking(move || outlet.report(&crash)).await.unwrap_or_default();
        // An app that is gone has nobody who asks.
        drop(inbox.send(Message::LastLines { worker, lines }));
    }
    for tap in taps.iter_mut().filter(|_| !ended) {
        drop(tap.ended().await);
    }
}

/// Where the log of an app is, if it has one.
pub(super) fn directory(settings: &AppSettings, background: bool) -> Option<PathBuf> {
    match &settings.logs.place {
        LogPlace::Off => None,
        LogPlace::Auto => background.then(|| Home::here().logs(&settings.name)),
        LogPlace::Directory(directory) => Some(directory.clone()),
    }
}

/// `foreign`: lines come in a form of their own.
pub(super) fn for_journal(settings: &AppSettings, directory: PathBuf, foreign: bool) -> JournalSettings {
    let from = &settings.logs;
    JournalSettings {
        directory,
        json: from.json,
        foreign,
        rotate_bytes: from.rotate_bytes,
        rotate_age: Some(from.rotate_age),
        total_bytes_max: from.total_bytes_max,
        compress: from.compress,
        line_bytes_max: usize::try_from(from.line_bytes_max).unwrap_or(usize::MAX),
    }
}

fn tell(settings: &AppSettings, console: &Arc<Console>) -> stead_logs::Tell {
    let (app, console) = (settings.name.clone(), Arc::clone(console));
    Box::new(move |notice| {
        let text = match notice {
            Notice::Dropping { directory, reason } => {
                format!("what it prints is dropped: {} cannot be written: {reason}", directory.display())
            }
            Notice::Recovered { dropped_lines, .. } => {
                format!("what it prints is kept again; {dropped_lines} lines were dropped")
            }
        };
        console.say(Some(&app), &text);
    })
}
