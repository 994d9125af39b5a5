//! How the daemon finds its keeper: an inherited socket, and the first message on it.
//!
//! Everything here happens once, before the daemon does anything else, and waits instead of being asynchronous: what it
//! waits for was sent before the daemon was started.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::frame::{Fill, Incoming};
use super::protocol::{FD_VARIABLE, Role, ToDaemon, VERSION, VERSION_VARIABLE};

/// How long the keeper's first message, which was sent before the daemon began, may take.
const WELCOME_WAIT: Duration = Duration::from_secs(5);

/// What the keeper says first.
#[derive(Debug, Clone, Copy)]
pub struct Welcome {
    /// 1 for the first daemon of this keeper; more if earlier ones died or were replaced.
    pub daemon_starts: u32,
    /// The process to signal from outside.
    pub keeper_pid: u32,
    /// Why this daemon was started.
    pub role: Role,
}

/// Why there is no connection to a keeper.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// This process was not started by a keeper.
    #[error("not started by a keeper ({FD_VARIABLE} is not set)")]
    NoKeeper,
    /// The keeper is of another release.
    #[error("the keeper speaks version {theirs} of the protocol, not {VERSION}")]
    Version {
        /// What the environment says.
        theirs: String,
    },
    /// The socket is not what it should be, or said something else than expected.
    #[error("the connection to the keeper does not work")]
    Socket(#[source] io::Error),
}

pub(super) fn inherited_socket() -> Result<OwnedFd, ConnectError> {
    let number = std::env::var_os(FD_VARIABLE).ok_or(ConnectError::NoKeeper)?;
    let version = std::env::var_os(VERSION_VARIABLE).unwrap_or_default();
    // SAFETY: the daemon calls this before anything could be reading the environment in another thread.
    #[expect(unsafe_code, reason = "workers must not see these, and nothing else can take them away")]
    unsafe {
        std::env::remove_var(FD_VARIABLE);
        std::env::remove_var(VERSION_VARIABLE);
    }
    if version != OsStr::new(&VERSION.to_string()) {
        return Err(ConnectError::Version { theirs: version.to_string_lossy().into_owned() });
    }
    let number = number.to_str().and_then(|number| number.parse().ok()).filter(|&number: &i32| number > 2);
    let number = number.ok_or_else(|| ConnectError::Socket(io::ErrorKind::InvalidInput.into()))?;
    // SAFETY: the keeper left this descriptor to us alone, which is what the variable says; it can be said only once.
    #[expect(unsafe_code, reason = "an inherited descriptor is a number")]
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)
        .and_then(|()| rustix::net::sockopt::socket_type(&socket))
        .and_then(|_stream| rustix::io::ioctl_fionbio(&socket, true))
        .map_err(|error| ConnectError::Socket(error.into()))?;
    Ok(socket)
}

pub(super) fn read_welcome(socket: &OwnedFd, incoming: &mut Incoming) -> io::Result<Welcome> {
    let deadline = Instant::now() + WELCOME_WAIT;
    let frame = loop {
        if let Some(frame) = incoming.next().map_err(io::Error::other)? {
            break frame;
        }
        match incoming.fill(socket).map_err(io::Error::other)? {
            Fill::Data => (),
            Fill::Nothing => wait_for(socket, PollFlags::IN, deadline)?,
            Fill::End => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    let message = serde_json::from_slice(&frame.body)?;
    let ToDaemon::Welcome { daemon_starts, keeper_pid, role } = message else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(Welcome { daemon_starts, keeper_pid, role })
}

/// Waits until the socket is readable or writable, or the time is over.
pub(super) fn wait_for(socket: impl AsFd, what: PollFlags, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).unwrap_or_default();
    match poll(&mut [PollFd::new(&socket, what)], Some(&left)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
