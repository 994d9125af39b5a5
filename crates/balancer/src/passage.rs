//! Takes a long body from one socket to the other without copying it: the kernel moves its pages through a pipe (splice(2)).
//!
//! Only between plain sockets, because TLS wants the bytes, and only for a length known before, because nothing looks into it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::socket::Socket;

/// Shorter rests are not worth a pipe.
const BYTES_MIN: u64 = 256 * 1024;
/// What the pipe may hold; the kernel's own choice is a quarter of it.
const PIPE_BYTES: usize = 256 * 1024;
/// Nobody waits in a pipe, and pages change hands where they can.
const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// A body on its way.
pub(crate) struct Passage {
    entrance: OwnedFd,
    exit: OwnedFd,
    held: usize,
    rest: u64,
}

impl Passage {
    /// For the next `rest` bytes; nothing if they are few, or there are no more pipes to be had.
    pub(crate) fn new(rest: u64) -> Option<Self> {
        if rest < BYTES_MIN {
            return None;
        }
        let (exit, entrance) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Somebody without privileges may have used up what a user may have; a smaller one only takes longer.
        let _smaller = fcntl_setpipe_size(&entrance, PIPE_BYTES);
        Some(Self { entrance, exit, held: 0, rest })
    }

    /// Whether all has come and gone.
    pub(crate) fn is_over(&self) -> bool {
        self.rest == 0 && self.held == 0
    }

    /// Bytes that have come and not gone.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes what has come; `Ok(0)` is the end of the connection, `WouldBlock` nothing yet. To be asked when nothing is held.
    pub(crate) fn fill(&mut self, from: &Socket) -> io::Result<usize> {
        let length = usize::try_from(self.rest).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let count = from.try_read_by(|| Ok(splice(from, None, &self.entrance, None, length, FLAGS)?))?;
        self.held += count;
        self.rest -= count as u64;
        Ok(count)
    }

    /// Passes on what is held; `WouldBlock` if not all of it is taken yet.
    pub(crate) fn drain(&mut self, to: &Socket) -> io::Result<()> {
        while self.held > 0 {
            self.held -= to.try_write_by(|| Ok(splice(&self.exit, None, to, None, self.held, FLAGS)?))?;
        }
        Ok(())
    }
}
