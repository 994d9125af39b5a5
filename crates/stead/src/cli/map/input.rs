//! The tasks: lines of standard input, read only as far as they are wanted.
//!
//! A thread reads whole lines in large chunks and waits until somebody takes them, so ten gigabytes of tasks take a megabyte of memory.
//! Empty lines are no tasks, and a byte order mark at the beginning is no part of the first.

use std::fs::File;
use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc::{Receiver, channel};

/// So much is read at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// Chunks that wait to be taken.
const CHUNKS_MAX: usize = 2;

/// A longer line is a mistake: it would have to be in memory as a whole.
pub(super) const LINE_BYTES_MAX: usize = 64 << 20;

/// What some programs of Windows write before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One task as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1, empty ones too.
    pub(super) number: u64,
    pub(super) text: Bytes,
}

/// The lines that have been read and not been taken.
#[derive(Debug)]
pub(super) struct Lines {
    chunks: Receiver<io::Result<Bytes>>,
    current: Bytes,
    number: u64,
    taken_bytes: u64,
    ended: bool,
}

impl Lines {
    /// Begins to read.
    ///
    /// # Errors
    /// The system has no room for another thread.
    pub(super) fn of(source: File) -> io::Result<Lines> {
        let (sender, chunks) = channel(CHUNKS_MAX);
        let read = move || {
            let told = read_chunks(source, |chunk| sender.blocking_send(Ok(chunk)).is_ok());
            if let Err(error) = told {
                // Nobody listens any more if the batch has ended before its input.
                let _ = sender.blocking_send(Err(error));
            }
        };
        std::thread::Builder::new().name("input".to_owned()).spawn(read)?;
        Ok(Lines { chunks, current: Bytes::new(), number: 0, taken_bytes: 0, ended: false })
    }

    /// Waits until there are lines, or the input has ended.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(super) async fn more(&mut self) -> io::Result<()> {
        match self.chunks.recv().await.transpose()? {
            Some(chunk) => self.current = chunk,
            None => self.ended = true,
        }
        Ok(())
    }

    /// There is nothing to take before `more`.
    pub(super) fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// There will never be another.
    pub(super) fn has_ended(&self) -> bool {
        self.ended && self.current.is_empty()
    }

    /// How much of the input was taken.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// The next line that is not empty, of those that are there.
    pub(super) fn take(&mut self) -> Option<Line> {
        while !self.current.is_empty() {
            let end = memchr::memchr(b'\n', &self.current).unwrap_or(self.current.len());
            let line = self.current.split_to(end);
            self.current.advance(self.current.len().min(1));
            self.number += 1;
            self.taken_bytes += end as u64 + 1;
            let text = match self.number {
                1 => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line),
                _ => &line,
            };
            let trimmed = text.trim_ascii();
            if !trimmed.is_empty() {
                return Some(Line { number: self.number, text: line.slice_ref(trimmed) });
            }
        }
        None
    }
}

/// Gives whole lines on, until there are no more or nobody wants them.
fn read_chunks(mut source: impl Read, mut give: impl FnMut(Bytes) -> bool) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        let before = buffer.len();
        buffer.resize(before + CHUNK_BYTES, 0);
        let count = match source.read(&mut buffer[before..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Ok(0) => {
                buffer.truncate(before);
                if before > 0 {
                    give(buffer.freeze());
                }
                return Ok(());
            }
            count => count?,
        };
        buffer.truncate(before + count);
        if let Some(end) = memchr::memrchr(b'\n', &buffer[before..])
            && !give(buffer.split_to(before + end + 1).freeze())
        {
            return Ok(());
        }
        if buffer.len() > LINE_BYTES_MAX {
            let message = format!("a line is longer than {} MiB, which is the most", LINE_BYTES_MAX >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &'static str, expected: &[(u64, &str)]) {
        let mut chunks = Vec::new();
        read_chunks(text.as_bytes(), |chunk| {
            chunks.push(chunk);
            true
        })
        .expect("memory can be read");
        let (_, receiver) = channel(1);
        let mut lines =
            Lines { chunks: receiver, current: Bytes::new(), number: 0, taken_bytes: 0, ended: false };
        let mut found = Vec::new();
        for chunk in chunks {
            lines.current = chunk;
            found.extend(std::iter::from_fn(|| lines.take()));
        }
        let found: Vec<(u64, &str)> =
            found.iter().map(|line| (line.number, std::str::from_utf8(&line.text).expect("ASCII"))).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn lines_are_counted_and_empty_ones_passed_over() {
        check("", &[]);
        check("\n\n", &[]);
        check("a\nb\n", &[(1, "a"), (2, "b")]);
        check("a\r\n\n  b c \nlast", &[(1, "a"), (3, "b c"), (4, "last")]);
    }

    #[test]
    fn byte_order_mark_is_no_part_of_the_first_line() {
        check("\u{feff}{}\n\u{feff}b\n", &[(1, "{}"), (2, "\u{feff}b")]);
        check("\u{feff}\n\u{feff}", &[(2, "\u{feff}")]);
    }
}
