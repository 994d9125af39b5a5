//! The socket files of the API: bound so that only their owner can open them, or anybody, replaced when stale, removed at the end.

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to, connect, listen, socket_with,
};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Connections the kernel keeps while the daemon is busy, or is started again.
const BACKLOG: i32 = 1024;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another instance listens on `{}`", path.display())]
    InUse {
        /// The socket file.
        path: PathBuf,
    },
    /// The kernel refuses the path (108 bytes at most), its directory, or the socket.
    #[error("failed to listen on `{}`", path.display())]
    Refused {
        /// The socket file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Binds a listening socket, mode 0600, in place of a stale one.
///
/// # Errors
/// When somebody answers there already, or the kernel refuses.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    if answers(path) {
        return Err(SocketError::InUse { path: path.to_owned() });
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SocketError::Refused { path: path.to_owned(), source: error });
        }
        _ => (),
    }
    open(path).map_err(|errno| SocketError::Refused { path: path.to_owned(), source: errno.into() })
}

/// The same with mode 0666, for workers that run as other users: who may ask is decided by who they are.
///
/// # Errors
/// As [`bind`].
pub fn bind_for_workers(path: &Path) -> Result<UnixListener, SocketError> {
    let listener = bind(path)?;
    // Not before the bind: that takes the mask of the process from the mode.
    let opened = std::fs::set_permissions(path, PermissionsExt::from_mode(0o666));
    opened.map_err(|source| SocketError::Refused { path: path.to_owned(), source })?;
    Ok(listener)
}

fn open(path: &Path) -> Result<UnixListener, Errno> {
    let socket = new_socket()?;
    // Before the bind: the file is created with the mode of the socket, so there is no moment when others can open it.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind_to(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Whether somebody listens there. Never blocks: a full backlog is an answer too.
pub(crate) fn answers(path: &Path) -> bool {
    let attempt = || connect(&new_socket()?, &SocketAddrUnix::new(path)?);
    matches!(attempt(), Ok(()) | Err(Errno::AGAIN))
}

fn new_socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// Removes the socket file when dropped, unless somebody else listens there by now.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
}

impl SocketFile {
    /// To be dropped after the listener.
    pub(crate) fn new(path: PathBuf) -> SocketFile {
        SocketFile { path }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !answers(&self.path) {
            // It may be gone with its directory; then there is nothing to do.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_can_open_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let _listener = bind(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(answers(&path));
        let path = folder.path().join("b.sock");
        let _listener = bind_for_workers(&path).unwrap();
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            0o666,
            "that of workers is open to all"
        );
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(bind(&path).unwrap());
        assert!(path.exists() && !answers(&path));
        let _listener = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(SocketError::InUse { .. })));
    }

    #[test]
    fn a_path_that_is_too_long_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = bind(&folder.path().join("x".repeat(120))).unwrap_err();
        assert!(matches!(error, SocketError::Refused { .. }), "{error:?}");
    }

    #[test]
    fn the_file_is_removed_unless_it_is_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let file = SocketFile::new(path.clone());
        let other = bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
        drop(other);
        drop(SocketFile::new(path.clone()));
        assert!(!path.exists());
    }
}
