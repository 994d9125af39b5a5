//! What appears on the terminal: lines of workers, and what Stead says about them.
//!
//! A thread of its own prints, so that a terminal that stands still (Ctrl-S) stops neither workers nor requests. What it
//! cannot keep up with is dropped and counted, in so many words.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use stead_logs::{Source, Stream};

use crate::cli::output::{self, To};

/// Lines that may wait to be printed.
const WAITING_MAX: usize = 8 * 1024;
/// For the last lines to be printed.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Colours for the names of apps, in turn: cyan, yellow, green, magenta, blue.
const COLOURS: [u8; 5] = [36, 33, 32, 35, 34];

/// What is to be printed, and where.
type Text = (To, Vec<u8>);

/// Prints in order, without ever making anybody wait.
pub(super) struct Console {
    lines: Mutex<Option<SyncSender<Text>>>,
    dropped: AtomicU64,
    json: bool,
    colours: bool,
    /// Names of apps, for a colour each and a common width.
    apps: Mutex<Vec<String>>,
    /// Rung when everything is printed.
    printed: Mutex<Receiver<()>>,
}

impl Console {
    pub(super) fn start(json: bool) -> Self {
        let (lines, waiting) = sync_channel(WAITING_MAX);
        let (done, printed) = sync_channel(1);
        let print = move || {
            print(&waiting);
            // Nobody waits when it has taken too long.
            let _late = done.send(());
        };
        // Without a thread nothing is printed, and everything else goes on.
        drop(thread::Builder::new().name("console".to_owned()).spawn(print));
        let colours = !json && output::is_coloured();
        Self {
            lines: Mutex::new(Some(lines)),
            dropped: AtomicU64::new(0),
            json,
            colours,
            apps: Mutex::default(),
            printed: Mutex::new(printed),
        }
    }

    /// There is one more app.
    pub(super) fn know(&self, app: &str) {
        let mut apps = self.apps();
        if !apps.iter().any(|known| known == app) {
            apps.push(app.to_owned());
        }
    }

    /// A worker printed a line.
    pub(super) fn line(&self, source: &Source, line: &[u8]) {
        let to = match source.stream {
            Stream::Out => To::Stdout,
            Stream::Err => To::Stderr,
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.json {
            let stream = source.stream.json_name();
            let line = String::from_utf8_lossy(line);
            let value = json!({ "type": "line", "time": now(), "app": source.app, "instance": source.instance,
                "stream": stream, "line": line });
            return self.put(To::Stdout, format!("{value}\n").into_bytes());
        }
        let mut text = self.prefix(&source.to_string(), &source.app).into_bytes();
        text.extend_from_slice(line);
        text.push(b'\n');
        self.put(to, text);
    }

    /// A line about an app that is JSON already.
    pub(super) fn json_line(&self, source: &Source, line: &[u8]) {
        if !self.json {
            return self.line(source, line);
        }
        self.put(To::Stdout, [line, b"\n"].concat());
    }

    /// Stead says something about an app, or about itself.
    pub(super) fn say(&self, app: Option<&str>, text: &str) {
        if self.json {
            let value = json!({ "type": "message", "time": now(), "app": app, "message": text });
            return self.put(To::Stdout, format!("{value}\n").into_bytes());
        }
        let prefix = self.prefix("stead", "");
        let about = app
            .filter(|app| {
                let apps = self.apps();
                apps.len() > 1 || !apps.iter().any(|known| known == app)
            })
            .map(|app| format!("{app}: "))
            .unwrap_or_default();
        self.put(To::Stderr, format!("{prefix}{about}{text}\n").into_bytes());
    }

    /// Something happened, as a JSON line for programs that read along; people get [`Console::say`].
    pub(super) fn event(&self, event: &stead_control::Event) {
        if self.json {
            let Ok(mut value) = serde_json::to_value(event) else { return };
            value["time"] = json!(now());
            self.put(To::Stdout, format!("{value}\n").into_bytes());
        }
    }

    /// Prints what still waits, and nothing after it; gives up on a terminal that stands still.
    pub(super) fn end(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        // Late or not, the process ends now.
        let _late = printed.recv_timeout(LAST_LINES);
    }

    fn prefix(&self, name: &str, app: &str) -> String {
        let apps = self.apps();
        let width = apps.iter().map(|app| app.len() + 2).max().unwrap_or(0).max("stead".len());
        let position = apps.iter().position(|other| other == app);
        match position {
            Some(position) if self.colours => {
                format!("\x1b[{}m{name:width$} |\x1b[0m ", COLOURS[position % COLOURS.len()])
            }
            None if self.colours => format!("\x1b[1m{name:width$} |\x1b[0m "),
            _ => format!("{name:width$} | "),
        }
    }

    fn apps(&self) -> MutexGuard<'_, Vec<String>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, to: To, text: Vec<u8>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = lines.as_ref() else { return };
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            let note = format!(
                "{}{dropped} lines were dropped: they came faster than they could be printed\n",
                self.prefix("stead", "")
            );
            if lines.try_send((To::Stderr, note.into_bytes())).is_ok() {
                self.dropped.fetch_sub(dropped, Ordering::Relaxed);
            }
        }
        if let Err(TrySendError::Full(_)) = lines.try_send((to, text)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn print(waiting: &Receiver<Text>) {
    while let Ok((to, text)) = waiting.recv() {
        output::raw(to, &text);
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}
