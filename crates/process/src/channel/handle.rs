//! The sockets that can go along with a message, by what they are.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::net::{AddressFamily, SocketType, sockopt};

/// A socket that goes along with a message, or came with one. Sockets that came are non-blocking if a program of Node.js or
/// this library sent them.
///
/// ```
/// use stead_process::channel::Handle;
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// assert!(matches!(Handle::from(std::os::fd::OwnedFd::from(listener)), Handle::TcpListener(_)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub enum Handle {
    /// A connection over TCP.
    TcpStream(TcpStream),
    /// A listening TCP socket.
    TcpListener(TcpListener),
    /// UDP. (To Node.js: bound.)
    UdpSocket(UdpSocket),
    /// A connection over a Unix socket.
    UnixStream(UnixStream),
    /// A listening Unix socket.
    UnixListener(UnixListener),
    /// A Unix datagram socket; Node.js has none.
    UnixDatagram(UnixDatagram),
    /// Anything else. [`SendError::Descriptor`](crate::channel::SendError::Descriptor) if it is no socket.
    Other(OwnedFd),
}

impl From<OwnedFd> for Handle {
    fn from(descriptor: OwnedFd) -> Self {
        let kind = sockopt::socket_type(descriptor.as_fd());
        let listens = sockopt::socket_acceptconn(descriptor.as_fd()).unwrap_or(false);
        let unix = sockopt::socket_domain(descriptor.as_fd()) == Ok(AddressFamily::UNIX);
        match (kind, unix, listens) {
            (Ok(SocketType::STREAM), false, false) => Self::TcpStream(descriptor.into()),
            (Ok(SocketType::STREAM), false, true) => Self::TcpListener(descriptor.into()),
            (Ok(SocketType::STREAM), true, false) => Self::UnixStream(descriptor.into()),
            (Ok(SocketType::STREAM), true, true) => Self::UnixListener(descriptor.into()),
            (Ok(SocketType::DGRAM), false, _) => Self::UdpSocket(descriptor.into()),
            (Ok(SocketType::DGRAM), true, _) => Self::UnixDatagram(descriptor.into()),
            _ => Self::Other(descriptor),
        }
    }
}

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> Self {
        match handle {
            Handle::TcpStream(socket) => socket.into(),
            Handle::TcpListener(socket) => socket.into(),
            Handle::UdpSocket(socket) => socket.into(),
            Handle::UnixStream(socket) => socket.into(),
            Handle::UnixListener(socket) => socket.into(),
            Handle::UnixDatagram(socket) => socket.into(),
            Handle::Other(descriptor) => descriptor,
        }
    }
}

impl From<TcpStream> for Handle {
    fn from(socket: TcpStream) -> Self {
        Self::TcpStream(socket)
    }
}

impl From<TcpListener> for Handle {
    fn from(socket: TcpListener) -> Self {
        Self::TcpListener(socket)
    }
}

impl From<UdpSocket> for Handle {
    fn from(socket: UdpSocket) -> Self {
        Self::UdpSocket(socket)
    }
}

impl From<UnixStream> for Handle {
    fn from(socket: UnixStream) -> Self {
        Self::UnixStream(socket)
    }
}

impl From<UnixListener> for Handle {
    fn from(socket: UnixListener) -> Self {
        Self::UnixListener(socket)
    }
}

impl From<UnixDatagram> for Handle {
    fn from(socket: UnixDatagram) -> Self {
        Self::UnixDatagram(socket)
    }
}
