//! Reads what workers print, and leaves it in their pipes until it is written.
//!
//! A thread of its own with a small runtime: a worker that prints without end costs the requests of the others nothing
//! here. Each turn of a tap takes what fits into one pipe, and then the others have theirs. Whoever does not write fast
//! enough is waited for only so long; the worker itself waits in its pipe meanwhile, and not longer.
//!
//! An unfinished line stays in the pipe until it is finished, too long, or the last thing that was said: the next daemon
//! finds it whole. Bytes which are still there do not hide those which come later: the end of each `write` wakes anyone who
//! has once waited for the pipe with epoll (Linux 5.14 and the stable ones since 2021). One that waits for room in the
//! middle of a `write` wakes nobody unless the pipe was empty, so while an unfinished line is there the tap looks again by
//! itself, soon at first, then ever more rarely.

use crate::line::char_floor;
use crate::pipe::{self, Glass};
use crate::source::{Chunk, Sink, Source, Written};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

/// How long lines wait in a worker's pipe for a disk that does not answer. After that they are dropped from the pipe, so
/// that the worker goes on; whether they are in the file is the disk's secret.
pub const WRITE_WAIT_MAX: Duration = Duration::from_secs(2);

/// When a pipe with an unfinished line is looked at again without a word from the kernel: first, and at last.
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(1);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(10);

/// The thread on which workers are read. It ends when this is dropped, and every tap with it.
#[derive(Debug)]
pub struct Taps {
    handle: Handle,
    glass: Arc<Mutex<Glass>>,
    /// Dropped to end the thread.
    _running: oneshot::Sender<()>,
}

/// Reads one stream of one worker. Ends at once when it is dropped; what was not written yet is then still in the pipe.
#[derive(Debug)]
pub struct Tap {
    reading: JoinHandle<io::Result<()>>,
    stop: Arc<Notify>,
}

impl Taps {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no thread or no descriptor left.
    pub fn start() -> io::Result<Taps> {
        let glass = Arc::new(Mutex::new(Glass::new()?));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        thread::Builder::new().name("logs".to_owned()).spawn(move || {
            // The other side is dropped, never sent on.
            let _dropped: Result<(), _> = runtime.block_on(ended);
        })?;
        Ok(Taps { handle, glass, _running: running })
    }

    /// Begins to read a pipe.
    pub fn tap(&self, pipe: OwnedFd, source: Source, sink: Arc<dyn Sink>) -> Tap {
        let stop = Arc::new(Notify::new());
        let (glass, stopped) = (Arc::clone(&self.glass), Arc::clone(&stop));
        let reading = self.handle.spawn(async move {
            let pipe_bytes = pipe::size(&pipe)?;
            let pipe = watched(pipe)?;
            let reader =
                Reader { pipe, pipe_bytes, glass, source, line_bytes_max: sink.line_bytes_max(), sink };
            reader.run(&stopped).await
        });
        Tap { reading, stop }
    }
}

#[expect(deprecated, reason = "the other form is unsafe; an `OwnedFd` keeps what that asks for")]
fn watched(pipe: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pipe, Interest::READABLE)
}

impl Tap {
    /// Waits until nobody can print any more and all of it is written.
    ///
    /// # Errors
    /// When the pipe could not be read any more.
    pub async fn ended(&mut self) -> io::Result<()> {
        match (&mut self.reading).await {
            Ok(result) => result,
            Err(_stopped) => Ok(()),
        }
    }

    /// Ends the reading after what is being written, so that the next tap of this pipe repeats nothing.
    pub async fn stop(mut self) {
        self.stop.notify_one();
        // A pipe that cannot be read is not this one's any more.
        let _result = self.ended().await;
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

struct Reader {
    pipe: AsyncFd<OwnedFd>,
    pipe_bytes: usize,
    glass: Arc<Mutex<Glass>>,
    source: Source,
    sink: Arc<dyn Sink>,
    line_bytes_max: usize,
}

impl Reader {
    async fn run(mut self, stop: &Notify) -> io::Result<()> {
        let mut buffer = Vec::new();
        // Bytes of an unfinished line that were left in the pipe.
        let mut unfinished = 0;
        let mut look_again = LOOK_AGAIN_FIRST;
        loop {
            let ready = tokio::select! {
                biased;
                () = stop.notified() => return Ok(()),
                guard = self.pipe.readable() => Some(guard?),
                () = sleep(look_again), if unfinished > 0 => None,
            };
            // Asked first: what was printed before the end is then all there.
            let closed = ready.as_ref().is_some_and(|guard| guard.ready().is_read_closed());
            let seen = {
                let mut glass = self.glass.lock().unwrap_or_else(PoisonError::into_inner);
                glass.look(self.pipe.get_ref(), &mut buffer, self.pipe_bytes)?
            };
            if closed && seen.bytes == 0 {
                return Ok(());
            }
            if seen.bytes == unfinished && !seen.full && !closed {
                match ready {
                    Some(mut guard) => guard.clear_ready(),
                    None => look_again = (look_again * 2).min(LOOK_AGAIN_MAX),
                }
                continue;
            }
            look_again = LOOK_AGAIN_FIRST;
            let full = seen.full && !self.enlarged()?;
            let cut = Cut::of(&buffer, full, closed, self.line_bytes_max);
            if cut.bytes > 0 {
                self.write(Chunk { text: &buffer[..cut.bytes], goes_on: cut.goes_on }).await;
                let glass = self.glass.lock().unwrap_or_else(PoisonError::into_inner);
                glass.take(self.pipe.get_ref(), cut.bytes)?;
            }
            unfinished = seen.bytes - cut.bytes;
            // One turn each: many that print little are not kept waiting by one that prints without end.
            yield_now().await;
        }
    }

    /// Makes room in a full pipe, so that its line can be finished.
    fn enlarged(&mut self) -> io::Result<bool> {
        let before = std::mem::replace(&mut self.pipe_bytes, pipe::enlarge(self.pipe.get_ref())?);
        Ok(self.pipe_bytes > before)
    }

    async fn write(&self, chunk: Chunk<'_>) {
        match self.sink.take(&self.source, chunk) {
            Written::Now => (),
            Written::Later(done) => {
                // Too late, or the writer is gone: the worker must not wait for that.
                let _late = timeout(WRITE_WAIT_MAX, done).await;
            }
        }
    }
}

/// How much of what is in the pipe can be written.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    bytes: usize,
    goes_on: bool,
}

impl Cut {
    fn of(text: &[u8], full: bool, closed: bool, line_bytes_max: usize) -> Cut {
        if closed {
            return Cut { bytes: text.len(), goes_on: false };
        }
        match memchr::memrchr(b'\n', text) {
            Some(end) => Cut { bytes: end + 1, goes_on: false },
            // A character is not cut in two.
            None if full || text.len() >= line_bytes_max => {
                Cut { bytes: char_floor(text, text.len()), goes_on: true }
            }
            None => Cut { bytes: 0, goes_on: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_taken_and_the_rest_is_left() {
        let check = |text: &str, full, closed, expected: (usize, bool)| {
            let cut = Cut::of(text.as_bytes(), full, closed, 8);
            assert_eq!((cut.bytes, cut.goes_on), expected, "{text:?}");
        };
        check("", false, false, (0, false));
        check("one", false, false, (0, false));
        check("one\ntwo", false, false, (4, false));
        check("one\ntwo", true, false, (4, false));
        check("one\ntwo\n", false, false, (8, false));
        check("one\ntwo", false, true, (7, false));
        check("one two three", false, false, (13, true));
        check("one", true, false, (3, true));
    }
}
