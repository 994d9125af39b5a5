//! `NOTIFY_SOCKET`: a worker says `READY=1` and `WATCHDOG=1` by datagrams (sd_notify(3)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use tokio::net::UnixDatagram;

/// A datagram is a few short lines.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// What one datagram says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    /// `READY=1`
    pub(super) ready: bool,
    /// `WATCHDOG=1`
    pub(super) alive: bool,
}

/// The socket a worker may speak to.
pub(super) struct NotifySocket(UnixDatagram);

impl NotifySocket {
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        UnixDatagram::bind(path).map(Self)
    }

    /// One that the daemon before this one has bound.
    pub(super) fn adopt(socket: OwnedFd) -> io::Result<Self> {
        UnixDatagram::from_std(socket.into()).map(Self)
    }

    /// What the worker says next; waits for ever if it says nothing any more.
    pub(super) async fn next(&self) -> Said {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        match self.0.recv(&mut buffer).await {
            Ok(length) => Said::read(&buffer[..length]),
            Err(_) => std::future::pending().await,
        }
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Said {
    fn read(datagram: &[u8]) -> Self {
        let has = |wanted: &[u8]| datagram.split(|byte| *byte == b'\n').any(|line| line == wanted);
        Self { ready: has(b"READY=1"), alive: has(b"WATCHDOG=1") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_line_among_others() {
        for (datagram, ready, alive) in [
            ("READY=1", true, false),
            ("STATUS=up\nREADY=1\n", true, false),
            ("READY=0", false, false),
            ("STATUS=READY=1", false, false),
            ("WATCHDOG=1", false, true),
            ("READY=1\nWATCHDOG=1", true, true),
            ("WATCHDOG=trigger", false, false),
            ("", false, false),
        ] {
            assert_eq!(Said::read(datagram.as_bytes()), Said { ready, alive }, "{datagram:?}");
        }
    }
}
