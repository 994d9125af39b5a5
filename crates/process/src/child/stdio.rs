//! What a child's standard streams, and other descriptors, are connected to.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use super::streams::{ChildStderr, ChildStdin, ChildStdout};

/// What one descriptor of a child is.
///
/// Made from a file, a socket, one end of a pipe, or a stream of another child by [`From`]. What is given in this way
/// belongs to the one child that is started next, and is closed here once that runs: a reader at the other end of a pipe
/// then sees the end when the child is done, and not when this process is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// A pipe to this process. For a number above 2 it is a socket pair, which carries both ways.
    Piped,
    /// The same as this process has. For 0, 1 and 2 only; give any other descriptor itself.
    Inherit,
    /// `/dev/null`: nothing to read, and what is written is gone.
    #[default]
    Null,
    /// This very descriptor.
    Descriptor(OwnedFd),
    /// What is left of a descriptor that a child was given: to start another one with it is an error (`EBADF`).
    Used,
}

impl From<ChildStdin> for Stdio {
    /// What the child writes, goes to the other child.
    fn from(stream: ChildStdin) -> Self {
        stream.into_stdio()
    }
}

impl From<ChildStdout> for Stdio {
    /// The child reads what the other child writes.
    fn from(stream: ChildStdout) -> Self {
        stream.into_stdio()
    }
}

impl From<ChildStderr> for Stdio {
    /// The child reads what the other child complains about.
    fn from(stream: ChildStderr) -> Self {
        stream.into_stdio()
    }
}

macro_rules! from_descriptor {
    ($($name:ty),+) => { $(
        impl From<$name> for Stdio {
            fn from(descriptor: $name) -> Self {
                Self::Descriptor(descriptor.into())
            }
        }
    )+ };
}

from_descriptor!(File, PipeReader, PipeWriter, TcpListener, TcpStream, UdpSocket);
from_descriptor!(UnixDatagram, UnixListener, UnixStream, OwnedFd);
