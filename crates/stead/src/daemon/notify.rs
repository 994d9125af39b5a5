//! `NOTIFY_SOCKET`: a worker says `READY=1` by a datagram (sd_notify(3)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use tokio::net::UnixDatagram;

/// A datagram is a few short lines.
const DATAGRAM_BYTES_MAX: usize = 4096;

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

    /// Waits until the worker says that it is ready; for ever if it never does.
    pub(super) async fn ready(&self) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            match self.0.recv(&mut buffer).await {
                Ok(length) if says_ready(&buffer[..length]) => return,
                Ok(_) => (),
                Err(_) => std::future::pending::<()>().await,
            }
        }
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn says_ready(datagram: &[u8]) -> bool {
    datagram.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_one_line_among_others() {
        for (datagram, expected) in [
            ("READY=1", true),
            ("STATUS=up\nREADY=1\n", true),
            ("READY=0", false),
            ("STATUS=READY=1", false),
            ("", false),
        ] {
            assert_eq!(says_ready(datagram.as_bytes()), expected, "{datagram:?}");
        }
    }
}
