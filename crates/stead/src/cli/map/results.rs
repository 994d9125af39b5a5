//! The order of results, and the thread that writes them.
//!
//! In order, a result waits until all before it are there, so that line n of the output belongs to task n; otherwise it goes out at once.
//! A reader that is slow makes results wait here; whoever gives tasks looks at how much waits, and stops.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc;

/// What a task leaves in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing: it failed.
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes of the journal.
    Stored { offset: u64, length: usize },
}

/// Results on their way out.
#[derive(Debug)]
pub(super) struct Results {
    /// From the next task on, those that wait for earlier ones, with gaps where those are; nothing if order does not matter.
    waiting: Option<VecDeque<Option<Piece>>>,
    next: u64,
    waiting_count: usize,
    waiting_bytes: usize,
}

impl Results {
    pub(super) fn new(ordered: bool) -> Results {
        Results { waiting: ordered.then(VecDeque::new), next: 0, waiting_count: 0, waiting_bytes: 0 }
    }

    /// All before this task are in the output already.
    pub(super) fn begin_at(&mut self, task: u64) {
        self.next = task;
    }

    /// A task has ended with this; whatever may go out now is given to `write`, in order.
    pub(super) fn end(&mut self, task: u64, piece: Piece, mut write: impl FnMut(&Piece)) {
        let Some(waiting) = &mut self.waiting else { return write(&piece) };
        // One that ended before the process was started again is out already.
        let Some(place) = task.checked_sub(self.next).map(|place| place as usize) else { return };
        if place >= waiting.len() {
            waiting.resize_with(place + 1, || None);
        }
        self.waiting_count += 1;
        self.waiting_bytes += size(&piece);
        waiting[place] = Some(piece);
        while let Some(piece) = waiting.front_mut().and_then(Option::take) {
            waiting.pop_front();
            self.waiting_count -= 1;
            self.waiting_bytes -= size(&piece);
            write(&piece);
            self.next += 1;
        }
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.waiting.is_some()
    }

    /// How many wait for others, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting_count, self.waiting_bytes)
    }
}

fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Bytes(bytes) => bytes.len(),
        Piece::Nothing | Piece::Stored { .. } => 0,
    }
}

/// A thread that writes what it is given. How much it has written it tells each time; an error once.
#[derive(Debug)]
pub(super) struct Writer {
    sender: mpsc::Sender<Vec<u8>>,
    pending_bytes: usize,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no room for another thread.
    pub(super) fn start(
        mut to: File,
        mut tell: impl FnMut(io::Result<usize>) + Send + 'static,
    ) -> io::Result<Writer> {
        let (sender, batches) = mpsc::channel::<Vec<u8>>();
        let write = move || {
            for batch in batches {
                let written = to.write_all(&batch).map(|()| batch.len());
                let failed = written.is_err();
                tell(written);
                if failed {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("output".to_owned()).spawn(write)?;
        Ok(Writer { sender, pending_bytes: 0 })
    }

    pub(super) fn write(&mut self, batch: Vec<u8>) {
        if !batch.is_empty() {
            self.pending_bytes += batch.len();
            // The thread has told why it has ended.
            let _ = self.sender.send(batch);
        }
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.pending_bytes -= bytes;
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks in the order in which they end, and what is out after each.
    #[track_caller]
    fn check(ordered: bool, begin: u64, steps: &[(u64, &str, &str)]) {
        let mut results = Results::new(ordered);
        results.begin_at(begin);
        let mut out = String::new();
        for (task, text, expected) in steps {
            let piece = if text.is_empty() { Piece::Nothing } else { Piece::Bytes((*text).into()) };
            results.end(*task, piece, |piece| {
                if let Piece::Bytes(bytes) = piece {
                    out.push_str(std::str::from_utf8(bytes).expect("ASCII"));
                }
            });
            assert_eq!(out, *expected, "after task {task}");
        }
        assert_eq!(results.waiting(), (0, 0));
    }

    #[test]
    fn results_wait_for_earlier_ones_if_order_matters() {
        check(true, 0, &[(1, "b", ""), (2, "c", ""), (0, "a", "abc"), (3, "d", "abcd")]);
        check(true, 0, &[(1, "b", ""), (0, "", "b")]);
        check(true, 5, &[(3, "x", ""), (6, "b", ""), (5, "a", "ab")]);
        check(false, 0, &[(1, "b", "b"), (2, "", "b"), (0, "a", "ba")]);
    }
}
