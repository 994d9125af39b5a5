//! The keeper as the main process of a systemd service.
//!
//! Only the main process may speak to the service manager, so the keeper passes on what the daemon says, answers for it
//! to the watchdog as long as the daemon is not stuck, and holds the sockets it was started with. Nothing of this reaches
//! the daemon's environment, because the daemon is not who is meant.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, getsockname, sendto,
    socket_with,
};

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_MICROSECONDS: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";
const LISTEN_FDS: &str = "LISTEN_FDS";
const LISTEN_PID: &str = "LISTEN_PID";
const LISTEN_NAMES: &str = "LISTEN_FDNAMES";

/// The first socket a service manager passes.
const LISTEN_FIRST: i32 = 3;
const LISTEN_MAX: i32 = 1024;

/// Whether a variable is meant for the keeper alone.
pub(super) fn is_variable(key: &OsStr) -> bool {
    [NOTIFY_SOCKET, WATCHDOG_MICROSECONDS, WATCHDOG_PID, LISTEN_FDS, LISTEN_PID, LISTEN_NAMES]
        .iter()
        .any(|name| key == *name)
}

/// The way to the service manager; does nothing if there is none.
#[derive(Debug)]
pub(super) struct Manager {
    address: Option<OsString>,
    socket: Option<OwnedFd>,
}

impl Manager {
    pub(super) fn from_environment() -> Self {
        Self { address: env::var_os(NOTIFY_SOCKET).filter(|address| !address.is_empty()), socket: None }
    }

    /// Says one thing, or drops it if that would wait.
    pub(super) fn notify(&mut self, state: &str) {
        let Some(address) = self.address.as_ref().and_then(|address| unix_address(address)) else { return };
        if self.socket.is_none() {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            self.socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok();
        }
        if let Some(socket) = &self.socket {
            // A manager that is gone or busy is not our concern.
            let _ = sendto(socket, state.as_bytes(), SendFlags::NOSIGNAL, &address);
        }
    }
}

/// A path, or a name in the abstract namespace behind `@`.
fn unix_address(address: &OsStr) -> Option<SocketAddrUnix> {
    match address.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name).ok(),
        path => SocketAddrUnix::new(path).ok(),
    }
}

/// How long the service manager waits for a word before it takes this process for stuck; `None`: for ever.
pub(super) fn watchdog_time() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let ours = number(WATCHDOG_PID).is_none_or(|pid| pid == u64::from(std::process::id()));
    number(WATCHDOG_MICROSECONDS).filter(|&time| ours && time > 1).map(Duration::from_micros)
}

/// The sockets this process was started with, named `systemd <address>`.
pub(super) fn inherited_sockets() -> Vec<(String, OwnedFd)> {
    let number = |name| env::var(name).ok()?.parse::<i32>().ok();
    if number(LISTEN_PID).map(i32::cast_unsigned) != Some(std::process::id()) {
        return Vec::new();
    }
    let count = number(LISTEN_FDS).unwrap_or(0).clamp(0, LISTEN_MAX);
    let mut named: Vec<(String, OwnedFd)> = Vec::new();
    for number in LISTEN_FIRST..LISTEN_FIRST + count {
        let Some(socket) = take(number) else { continue };
        let name = format!("systemd {}", address_of(&socket));
        let name =
            if named.iter().any(|(taken, _)| *taken == name) { format!("{name} {number}") } else { name };
        named.push((name, socket));
    }
    named
}

#[expect(unsafe_code, reason = "an inherited descriptor is a number")]
fn take(number: i32) -> Option<OwnedFd> {
    // SAFETY: only looked at; a number that is not open is an error here.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    fcntl_getfd(borrowed).ok()?;
    // SAFETY: it is open, and the service manager left it to this process; this is called once, before anything else
    // could have opened a descriptor of that number and kept it.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&socket, FdFlags::CLOEXEC).ok()?;
    Some(socket)
}

fn address_of(socket: impl AsFd) -> String {
    let Ok(address) = getsockname(socket) else { return "unknown".to_owned() };
    if let Ok(address) = std::net::SocketAddr::try_from(address.clone()) {
        return address.to_string();
    }
    let unix = SocketAddrUnix::try_from(address as SocketAddrAny).ok();
    let path = unix.as_ref().and_then(SocketAddrUnix::path_bytes);
    path.map_or_else(|| "unknown".to_owned(), |path| String::from_utf8_lossy(path).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_abstract() {
        let check = |address: &str, name: Option<&[u8]>, path: Option<&[u8]>| {
            let address = unix_address(OsStr::new(address)).unwrap();
            assert_eq!((address.abstract_name(), address.path_bytes()), (name, path));
        };
        check("@/run/x", Some(b"/run/x"), None);
        check("/run/x", None, Some(b"/run/x"));
    }
}
