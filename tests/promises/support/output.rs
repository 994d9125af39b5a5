//! What a process printed, and waiting for a line of it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines kept; older ones are forgotten, so that a talkative program does not fill the memory.
const LINES_MAX: usize = 100_000;

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    readers: usize,
}

/// Collects the lines of one or more streams, in the order they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

impl Output {
    /// Reads a stream to its end on a thread of its own.
    pub(crate) fn collect(&self, stream: impl Read + Send + 'static) {
        self.with(|lines| lines.readers += 1);
        let output = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                let line = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                bytes.clear();
                output.with(|lines| {
                    if lines.lines.len() < LINES_MAX {
                        lines.lines.push(line);
                    }
                });
            }
            output.with(|lines| lines.readers -= 1);
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut Lines) -> T) -> T {
        let result = change(&mut self.shared.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.1.notify_all();
        result
    }

    /// Everything so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }

    /// Everything, once every stream has ended; panics after `limit`.
    #[track_caller]
    pub(crate) fn whole(&self, limit: Duration) -> String {
        self.wait(limit, "the output ends", |lines| (lines.readers == 0).then(|| lines.lines.join("\n")))
    }

    /// The first line, past or future, for which `find` finds something; panics after `limit`.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, limit: Duration, find: impl Fn(&str) -> Option<T>) -> T {
        self.wait(limit, what, |lines| lines.lines.iter().find_map(|line| find(line)))
    }

    #[track_caller]
    fn wait<T>(&self, limit: Duration, what: &str, look: impl Fn(&Lines) -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        let mut guard = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = look(&guard) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "within {limit:?} it was not printed that {what}:\n{}",
                guard.lines.join("\n")
            );
            guard = self.shared.1.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
