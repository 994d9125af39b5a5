//! The keeper's end of the socket to its daemon.
//!
//! It never waits for the daemon: what is not taken is queued up to a limit, and a daemon that does not read beyond that
//! is as good as dead.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::PollFlags;

use super::frame::{Broken, Fill, Incoming, Outgoing};
use super::protocol::{ToDaemon, ToKeeper};
use crate::descriptors::DescriptorsLost;
use crate::socket;

/// What the daemon may leave unread, beyond the socket's own buffer.
const UNREAD_BYTES_MAX: usize = 256 << 10;

/// Reads per turn of the loop, so that signals and deaths are not kept waiting by a busy daemon.
const READS_PER_TURN: usize = 64;

#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    incoming: Incoming,
    outgoing: Outgoing,
}

/// A message from the daemon.
#[derive(Debug)]
pub(super) struct Request {
    /// `None` if it could not be understood.
    pub(super) message: Option<ToKeeper>,
    pub(super) descriptors: Result<Vec<OwnedFd>, DescriptorsLost>,
}

impl Connection {
    /// A new connection, and the end the daemon inherits.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (socket, theirs) = socket::pair()?;
        Ok((Self::resume(socket), theirs))
    }

    /// A connection that another keeper had, with no message on its way.
    pub(super) fn resume(socket: OwnedFd) -> Self {
        Self { socket, incoming: Incoming::default(), outgoing: Outgoing::new(UNREAD_BYTES_MAX) }
    }

    /// No message is half read or half written.
    pub(super) fn is_quiet(&self) -> bool {
        self.incoming.is_empty() && self.outgoing.is_empty()
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    pub(super) fn send(&mut self, message: &ToDaemon, descriptors: Vec<Arc<OwnedFd>>) -> Result<(), Broken> {
        let body = serde_json::to_vec(message).expect("messages have string keys only");
        self.outgoing.push(&body, descriptors)?;
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        self.outgoing.flush(&self.socket)?;
        Ok(())
    }

    /// Whether the daemon has read everything it was sent.
    pub(super) fn is_read(&self) -> bool {
        self.outgoing.is_empty() && socket::unread_bytes(&self.socket).is_ok_and(|unread| unread == 0)
    }

    /// Reads for one turn of the loop. Returns whether there may be more; the end of the stream is an error.
    pub(super) fn read(&mut self, requests: &mut Vec<Request>) -> Result<bool, Broken> {
        for _ in 0..READS_PER_TURN {
            match self.incoming.fill(&self.socket)? {
                Fill::Nothing => return Ok(false),
                Fill::End => return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into())),
                Fill::Data => (),
            }
            while let Some(frame) = self.incoming.next()? {
                let message = serde_json::from_slice(&frame.body).ok();
                requests.push(Request { message, descriptors: frame.descriptors });
            }
        }
        Ok(true)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
