//! The instance's private files: a folder beside its control socket, with the sockets of workers and the Node.js preload.
//!
//! Removed when the instance ends; if it could not be, the next one that starts removes what it finds without an owner.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stead_control::RuntimeDirectory;

/// Numbers of sockets that each daemon of a keeper has for itself.
const SOCKETS_EACH: u64 = 1 << 24;

/// A private folder; gone when dropped.
pub(super) struct Folder {
    path: PathBuf,
    next_socket: AtomicU64,
    /// Another daemon goes on with it.
    left: AtomicBool,
}

impl Folder {
    /// Makes `parent/<keeper_pid>`, or goes on with that of the daemon before this one, and removes those of keepers that no
    /// longer run. `epoch` is another for each daemon of a keeper.
    pub(super) fn open(parent: &Path, keeper_pid: u32, epoch: u32) -> io::Result<Self> {
        sweep(parent);
        let path = parent.join(keeper_pid.to_string());
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&path)?;
        let first = u64::from(epoch) * SOCKETS_EACH;
        let folder = Self { path, next_socket: AtomicU64::new(first), left: AtomicBool::new(false) };
        folder.write_preload()?;
        Ok(folder)
    }

    /// Whole or not at all, and not again: a worker may be starting, and on a full disk the daemon goes on with what is there.
    fn write_preload(&self) -> io::Result<()> {
        let wanted = stead_process::node::PRELOAD.as_bytes();
        if fs::read(self.preload()).is_ok_and(|there| there == wanted) {
            return Ok(());
        }
        let new = self.path.join("preload.new");
        fs::write(&new, wanted)?;
        fs::rename(&new, self.preload())
    }

    /// Another daemon goes on with it.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// The module that Node.js workers load first.
    pub(super) fn preload(&self) -> PathBuf {
        self.path.join("preload.cjs")
    }

    /// A path for a socket, never given twice. Short, because Unix sockets have names of 107 bytes at most (unix(7)).
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join(self.next_socket.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.left.load(Ordering::Relaxed) {
            return;
        }
        // What cannot be removed now is swept by the next instance.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Removes what is left of this keeper's instance. A daemon that was killed could not; to be called when no daemon runs.
pub fn remove_remains(keeper_pid: u32) {
    let directory = RuntimeDirectory::here();
    // What a daemon removed itself is not there any more.
    drop(fs::remove_file(directory.socket(keeper_pid)));
    drop(fs::remove_file(directory.worker_socket(keeper_pid)));
    drop(fs::remove_dir_all(directory.path().join(keeper_pid.to_string())));
}

fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        // What nobody has waited for has no words any more.
        let runs = |pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty());
        let is_gone = pid.is_some_and(|pid| !runs(pid));
        if is_gone && entry.path().is_dir() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn folder_is_private_and_goes_with_its_owner_or_with_the_next_one() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let abandoned = parent.path().join(u32::MAX.to_string());
        fs::create_dir(&abandoned).expect("writable");
        let folder = Folder::open(parent.path(), std::process::id(), 1).expect("writable");
        let mode = fs::metadata(&folder.path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let inode = |folder: &Folder| fs::metadata(folder.preload()).expect("it is there").ino();
        let first = inode(&folder);
        folder.leave();
        drop(folder);
        let folder = Folder::open(parent.path(), std::process::id(), 2).expect("writable");
        assert_eq!(inode(&folder), first, "the next daemon writes nothing");
        fs::write(folder.preload(), "").expect("writable");
        folder.write_preload().expect("writable");
        assert_eq!(fs::read(folder.preload()).expect("it is there"), stead_process::node::PRELOAD.as_bytes());
        assert!(!abandoned.exists(), "its owner does not run");
        let path = folder.path.clone();
        drop(folder);
        assert!(!path.exists());
    }
}
