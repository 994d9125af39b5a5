//! Who printed something, and what takes what was printed.

use std::fmt;
use tokio::sync::oneshot;

/// Where a worker printed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Its name in log files of text: `out`, `err`.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
        }
    }

    /// Its name in JSON: `stdout`, `stderr`.
    pub fn json_name(self) -> &'static str {
        match self {
            Stream::Out => "stdout",
            Stream::Err => "stderr",
        }
    }
}

/// Who printed a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The app.
    pub app: String,
    /// The number of its worker; none for what Stead itself says about the app.
    pub instance: Option<u32>,
    /// Where.
    pub stream: Stream,
}

/// The name a line carries: `shop.0`, or `shop.stead` for what Stead itself says.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Some(instance) => write!(f, "{}.{instance}", self.app),
            None => write!(f, "{}.stead", self.app),
        }
    }
}

/// What was read from a worker in one piece.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Whole lines, each with its line feed; the last one has none if it is the last of all, or `goes_on`.
    pub text: &'a [u8],
    /// The last line was cut for its length, and its rest is in the next chunk.
    pub goes_on: bool,
}

impl<'a> Chunk<'a> {
    /// The lines without their line feeds, each with whether it goes on in the next chunk.
    pub fn lines(&self) -> impl Iterator<Item = (&'a [u8], bool)> {
        let mut rest = self.text;
        let goes_on = self.goes_on;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    let line = &rest[..end];
                    rest = &rest[end + 1..];
                    Some((line, false))
                }
                None => Some((std::mem::take(&mut rest), goes_on)),
            }
        })
    }
}

/// When what a [`Sink`] was given is safe.
#[derive(Debug)]
pub enum Written {
    /// It is written, or it was dropped and counted: nobody has to keep it.
    Now,
    /// When the other end answers, or is gone.
    Later(oneshot::Receiver<()>),
}

/// Takes what workers print. It must not block: it is called where all workers are read.
pub trait Sink: Send + Sync {
    /// Takes lines. They are kept in the worker's pipe until the answer says that they are written.
    fn take(&self, source: &Source, chunk: Chunk<'_>) -> Written;

    /// A line that is longer and not finished is given in pieces.
    fn line_bytes_max(&self) -> usize;
}

/// Several at once, for example a journal and a terminal. It is the first one's answer that counts.
impl Sink for Vec<std::sync::Arc<dyn Sink>> {
    fn take(&self, source: &Source, chunk: Chunk<'_>) -> Written {
        let mut sinks = self.iter();
        let first = sinks.next().map_or(Written::Now, |sink| sink.take(source, chunk));
        for sink in sinks {
            // Only what is kept has to be waited for.
            let _not_waited_for = sink.take(source, chunk);
        }
        first
    }

    fn line_bytes_max(&self) -> usize {
        self.iter().map(|sink| sink.line_bytes_max()).min().unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_cut_into_lines() {
        let check = |text: &str, goes_on: bool, expected: &[(&str, bool)]| {
            let chunk = Chunk { text: text.as_bytes(), goes_on };
            let lines: Vec<(&str, bool)> =
                chunk.lines().map(|(line, more)| (std::str::from_utf8(line).unwrap(), more)).collect();
            assert_eq!(lines, expected, "{text:?}");
        };
        check("", false, &[]);
        check("\n", false, &[("", false)]);
        check("a\nb\n", false, &[("a", false), ("b", false)]);
        check("a\nb", false, &[("a", false), ("b", false)]);
        check("a\nb", true, &[("a", false), ("b", true)]);
    }
}
