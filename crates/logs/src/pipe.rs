//! What is done to a worker's pipe: look without taking, and take without looking.
//!
//! `tee` copies what is in the pipe into a private one and leaves it there; `splice` to `/dev/null` takes it out without
//! copying it. What the daemon has not written to a file is therefore still in the worker's pipe if the daemon dies. One
//! gap remains: a kill between two steps of one `splice` leaves the end of a line behind that was written as a whole
//! already.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice, tee};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What a worker's pipe is enlarged to when it has been full: at 64 KiB a busy worker would wait more often. Not before,
/// because a user's pipes have a common share of memory, and most workers say little.
const PIPE_BYTES: usize = 256 * 1024;

/// A private pipe to look through, and the bin for what was taken.
#[derive(Debug)]
pub(crate) struct Glass {
    into: OwnedFd,
    out: OwnedFd,
    bin: OwnedFd,
    bytes: usize,
}

/// What can be seen in a worker's pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes that are there now.
    pub(crate) bytes: usize,
    /// No further byte fits in: the worker waits, or soon will.
    pub(crate) full: bool,
}

impl Glass {
    /// Makes one.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn new() -> io::Result<Glass> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let bin = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        let bytes = fcntl_getpipe_size(&into)?;
        Ok(Glass { into, out, bin, bytes })
    }

    /// Copies what is in the pipe into `buffer` and leaves it in the pipe. `pipe_bytes` is what the pipe can hold.
    ///
    /// # Errors
    /// When the pipe cannot be looked into.
    pub(crate) fn look(
        &mut self,
        pipe: impl AsFd,
        buffer: &mut Vec<u8>,
        pipe_bytes: usize,
    ) -> io::Result<Seen> {
        buffer.clear();
        let same_size = self.fit(pipe_bytes);
        let bytes = match retry_on_intr(|| tee(&pipe, &self.into, pipe_bytes, SpliceFlags::NONBLOCK)) {
            Ok(bytes) => bytes,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        // Piece by piece the private pipe holds exactly what the other one does, and there are as many pieces in both.
        let full = if same_size { !self.has_room()? } else { bytes >= self.bytes.min(pipe_bytes) / 2 };
        buffer.resize(bytes, 0);
        let mut read_bytes = 0;
        while read_bytes < bytes {
            match retry_on_intr(|| read(&self.out, &mut buffer[read_bytes..]))? {
                0 => break,
                more => read_bytes += more,
            }
        }
        buffer.truncate(read_bytes);
        Ok(Seen { bytes: read_bytes, full })
    }

    /// Makes the private pipe as large as the other one; says whether it is.
    fn fit(&mut self, pipe_bytes: usize) -> bool {
        if self.bytes != pipe_bytes
            && let Ok(bytes) = fcntl_setpipe_size(&self.into, pipe_bytes)
        {
            self.bytes = bytes;
        }
        self.bytes == pipe_bytes
    }

    /// Takes what was seen out of the pipe.
    ///
    /// # Errors
    /// When there is less in it: somebody else reads from it.
    pub(crate) fn take(&self, pipe: impl AsFd, bytes: usize) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let took = retry_on_intr(|| splice(&pipe, None, &self.bin, None, left, SpliceFlags::NONBLOCK))?;
            if took == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            left -= took;
        }
        Ok(())
    }

    fn has_room(&self) -> io::Result<bool> {
        ready(&self.into, PollFlags::OUT).map(|ready| ready.contains(PollFlags::OUT))
    }
}

/// What a pipe can hold, in bytes.
///
/// # Errors
/// When it is not a pipe.
pub(crate) fn size(pipe: impl AsFd) -> io::Result<usize> {
    Ok(fcntl_getpipe_size(pipe)?)
}

/// Enlarges a pipe, if it is smaller than it may be; says what it can hold now.
///
/// # Errors
/// When it is not a pipe.
pub(crate) fn enlarge(pipe: impl AsFd) -> io::Result<usize> {
    let bytes = size(&pipe)?;
    // Not permitted above a user's share; the usual size works as well.
    Ok(if bytes < PIPE_BYTES { fcntl_setpipe_size(&pipe, PIPE_BYTES).unwrap_or(bytes) } else { bytes })
}

fn ready(fd: &impl AsFd, interest: PollFlags) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(fd, interest)];
    retry_on_intr(|| poll(&mut fds, Some(&Timespec::default())))?;
    Ok(fds[0].revents())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::write;

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap()
    }

    #[test]
    fn looking_leaves_everything_where_it_is() {
        let (out, into) = pipe();
        let mut glass = Glass::new().unwrap();
        let bytes = size(&out).unwrap();
        let mut buffer = Vec::new();
        assert_eq!(glass.look(&out, &mut buffer, bytes).unwrap(), Seen { bytes: 0, full: false });
        write(&into, b"one\ntwo\n").unwrap();
        for _ in 0..3 {
            assert_eq!(glass.look(&out, &mut buffer, bytes).unwrap(), Seen { bytes: 8, full: false });
            assert_eq!(buffer, b"one\ntwo\n");
        }
        glass.take(&out, 4).unwrap();
        glass.look(&out, &mut buffer, bytes).unwrap();
        assert_eq!(buffer, b"two\n");
        assert!(glass.take(&out, 5).is_err(), "more than there is cannot be taken");
    }

    #[test]
    fn a_full_pipe_is_seen_to_be_full_however_little_is_in_it() {
        let mut glass = Glass::new().unwrap();
        for piece in [1, 3000, 4096, 10_000] {
            let (out, into) = pipe();
            let bytes = if piece == 1 { enlarge(&out).unwrap() } else { size(&out).unwrap() };
            let mut buffer = Vec::new();
            let mut written = 0;
            loop {
                // Pieces that were not written whole fill the pipe as well.
                match write(&into, &vec![b'x'; piece]) {
                    Ok(bytes) => written += bytes,
                    Err(error) => break assert_eq!(error, Errno::AGAIN),
                }
            }
            let seen = glass.look(&out, &mut buffer, bytes).unwrap();
            assert_eq!(seen, Seen { bytes: written, full: true }, "{piece}");
            glass.take(&out, written).unwrap();
            assert_eq!(glass.look(&out, &mut buffer, bytes).unwrap(), Seen { bytes: 0, full: false });
        }
    }
}
