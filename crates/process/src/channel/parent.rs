//! The child's side: finds the channel to whoever started this process with one.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::{Channel, Serialization, blocking};
use crate::node::environment::{CHANNEL, CHANNEL_SERIALIZATION};

/// The channel to the parent. See [`Channel::from_env`].
pub type Parent = Channel;

/// There is no channel to the parent, or it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// The process was not started with one: `NODE_CHANNEL_FD` is not set.
    #[error("this process was started without a message channel (NODE_CHANNEL_FD is not set)")]
    NoChannel,
    /// The variable names something else, most often because a process in between has passed it on.
    #[error("NODE_CHANNEL_FD={value} does not name a message channel; start the program with fork")]
    NotAChannel {
        /// What the variable says.
        value: String,
    },
    /// Somebody in this process has it already.
    #[error("the channel to the parent was taken before")]
    Taken,
    /// The runtime cannot watch it.
    #[error("the channel to the parent cannot be used")]
    Io(#[source] io::Error),
}

impl Channel {
    /// The channel to the process that started this one by `fork`, be it a Rust or a Node.js program. It can be taken once.
    /// Must be called inside a tokio runtime.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use stead_process::channel::Parent;
    ///
    /// let mut parent = Parent::from_env()?;
    /// while let Some(message) = parent.recv().await {
    ///     let number: u64 = message?.parse()?;
    ///     parent.send(&(number * 2)).await?;
    /// }
    /// // The parent has gone, or wants no more.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Children that this process starts by [`Command`](crate::Command) never see the variables. Whoever starts them by
    /// other means should remove [`SCRUBBED`](crate::node::environment::SCRUBBED).
    ///
    /// # Errors
    /// [`ParentError`].
    pub fn from_env() -> Result<Self, ParentError> {
        let (socket, serialization) = take()?;
        Self::open(socket, serialization).map_err(ParentError::Io)
    }
}

impl blocking::Channel {
    /// The channel to the process that started this one by `fork`. See [`Channel::from_env`].
    ///
    /// # Errors
    /// [`ParentError`].
    pub fn from_env() -> Result<Self, ParentError> {
        let (socket, serialization) = take()?;
        Self::open(socket, serialization).map_err(ParentError::Io)
    }
}

/// Whether the channel has an owner.
static TAKEN: AtomicBool = AtomicBool::new(false);

fn take() -> Result<(OwnedFd, Serialization), ParentError> {
    let value = std::env::var_os(CHANNEL).ok_or(ParentError::NoChannel)?;
    let serialization = match std::env::var_os(CHANNEL_SERIALIZATION) {
        Some(mode) if mode == Serialization::Advanced.name() => Serialization::Advanced,
        _ => Serialization::Json,
    };
    let not_a_channel = || ParentError::NotAChannel { value: value.to_string_lossy().into_owned() };
    let number: RawFd =
        value.to_str().and_then(|text| text.parse().ok()).filter(|n| *n > 2).ok_or_else(not_a_channel)?;
    if !is_channel(number) {
        return Err(not_a_channel());
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(ParentError::Taken);
    }
    // SAFETY: the number is that of a connected Unix socket, our parent gave it to us to have it, and the flag above makes
    // that nobody gets it here a second time.
    #[expect(unsafe_code, reason = "a descriptor that was inherited is known by its number alone")]
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)
        .map_err(|error| ParentError::Io(error.into()))?;
    Ok((socket, serialization))
}

fn is_channel(number: RawFd) -> bool {
    // SAFETY: the descriptor is only asked what it is, and a number that is not open is an error and not a danger.
    #[expect(unsafe_code, reason = "a descriptor that was inherited is known by its number alone")]
    let socket = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    sockopt::socket_domain(socket.as_fd()) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(socket) == Ok(SocketType::STREAM)
}
