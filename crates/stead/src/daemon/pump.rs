//! Reads what a worker prints, line by line, as fast as it comes: a worker is never blocked by its own output.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::console::{Console, Source};

/// A longer line is passed on in pieces.
const LINE_BYTES_MAX: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// Reads until the worker and everybody who inherited its stream have closed it.
pub(super) async fn pump(stream: OwnedFd, console: Arc<Console>, source: Source) -> io::Result<()> {
    let mut pipe = pipe::Receiver::from_owned_fd(stream)?;
    let mut lines = Lines::default();
    let mut buffer = Vec::with_capacity(READ_BYTES);
    while pipe.read_buf(&mut buffer).await? > 0 {
        lines.push(&buffer, |line| console.line(&source, line));
        buffer.clear();
    }
    lines.end(|line| console.line(&source, line));
    Ok(())
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") || self.begun.len() >= LINE_BYTES_MAX {
                let line = self.begun.strip_suffix(b"\n").unwrap_or(&self.begun);
                each(line.strip_suffix(b"\r").unwrap_or(line));
                self.begun.clear();
            }
        }
    }

    fn end(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            each(&self.begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[&str], expected: &[&str]) {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for part in parts {
            lines.push(part.as_bytes(), |line| got.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines.end(|line| got.push(String::from_utf8_lossy(line).into_owned()));
        assert_eq!(got, expected, "{parts:?}");
    }

    #[test]
    fn bytes_become_lines_however_they_come() {
        check(&["a\nb\n"], &["a", "b"]);
        check(&["a", "b\r\n", "\n"], &["ab", ""]);
        check(&["no end"], &["no end"]);
        check(&[], &[]);
    }

    #[test]
    fn endless_line_is_passed_on_in_pieces() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        check(&[&long[..LINE_BYTES_MAX], &long[LINE_BYTES_MAX..]], &[&long[..LINE_BYTES_MAX], "x"]);
    }
}
