//! Where running instances leave their sockets, and how they are found there.
//!
//! One directory per user holds `<keeper pid>.sock` for each instance. Its owner and mode are checked, because in `/tmp`
//! anybody could have made it first. The background instance, of which there is one, writes its number into
//! `background.pid` once it listens; whoever starts one holds `background.lock` meanwhile.

use crate::Home;
use crate::socket::answers;
use std::ffi::OsString;
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Linux counts process times in this unit on every machine it runs on, whatever its clock does.
const TICKS_PER_SECOND: u64 = 100;

/// Names of Unix sockets are 107 bytes long at most (unix(7)), and those of workers' are some 30 bytes longer than this.
const HOME_BYTES_MAX: usize = 72;

/// The directory with the sockets of this user's instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeDirectory {
    path: PathBuf,
}

/// A running instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Names the instance.
    pub keeper_pid: u32,
    /// Where its API is. It may refuse for a moment while its daemon is started again.
    pub socket: PathBuf,
}

/// Why the runtime directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirectoryError {
    /// It cannot be made or read.
    #[error("failed to use the runtime directory `{}`", path.display())]
    Refused {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could put sockets there.
    #[error("the runtime directory `{}` belongs to another user or is writable by others", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
    },
}

impl RuntimeDirectory {
    /// `$STEAD_RUNTIME_DIR`, else `$STEAD_HOME/run`, so that whoever has several homes has as many background instances, else
    /// `/run/stead` for root, else `run` in the [home](Home), else `/tmp/stead-<uid>`.
    ///
    /// Not `$XDG_RUNTIME_DIR`: it is another one for cron and sudo than for a login, and goes when the user logs out, while the
    /// apps of `stead start` stay.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> RuntimeDirectory {
        RuntimeDirectory::of_user(rustix::process::geteuid().as_raw(), variable)
    }

    /// [`of`](Self::of) another user, by their number and environment.
    pub fn of_user(user: u32, variable: impl Fn(&str) -> Option<OsString>) -> RuntimeDirectory {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = if let Some(path) = set("STEAD_RUNTIME_DIR") {
            path
        } else if set("STEAD_HOME").is_some() {
            Home::of(&variable).path().join("run")
        } else if user == 0 {
            PathBuf::from("/run/stead")
        } else {
            let known = set("HOME").or_else(|| set("XDG_STATE_HOME")).is_some();
            let home = Home::of(&variable).path().join("run");
            let fits = home.as_os_str().len() <= HOME_BYTES_MAX;
            if known && fits { home } else { PathBuf::from(format!("/tmp/stead-{user}")) }
        };
        RuntimeDirectory { path }
    }

    /// That of this process's environment.
    pub fn here() -> RuntimeDirectory {
        RuntimeDirectory::of(|name| std::env::var_os(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, if it is not there, for this user alone.
    ///
    /// # Errors
    /// When it cannot be made, or others could put files there.
    pub fn create(&self) -> Result<(), RuntimeDirectoryError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|source| self.refused(source))?;
        self.check().map(|_| ())
    }

    /// The socket of an instance.
    pub fn socket(&self, keeper_pid: u32) -> PathBuf {
        self.path.join(format!("{keeper_pid}.sock"))
    }

    /// Where workers of an instance ask for what is theirs to ask for.
    pub fn worker_socket(&self, keeper_pid: u32) -> PathBuf {
        self.path.join(format!("{keeper_pid}.workers"))
    }

    /// Lets other users reach sockets in it that are open to them; they still cannot list or change it.
    ///
    /// # Errors
    /// When its mode cannot be changed.
    pub fn let_through(&self) -> Result<(), RuntimeDirectoryError> {
        let changed = self.path.metadata().and_then(|metadata| {
            let mode = metadata.mode() & 0o777 | 0o011;
            std::fs::set_permissions(&self.path, PermissionsExt::from_mode(mode))
        });
        changed.map_err(|source| self.refused(source))
    }

    /// Held with `flock` by whoever starts the background instance, so that two do not at once.
    pub fn background_lock(&self) -> PathBuf {
        self.path.join("background.lock")
    }

    /// Holds the pid of the background instance's keeper. Written when its control socket listens, and again by each
    /// daemon of it.
    pub fn background_pid(&self) -> PathBuf {
        self.path.join("background.pid")
    }

    /// The background instance, if it runs.
    ///
    /// # Errors
    /// As [`Self::running`].
    pub fn background(&self) -> Result<Option<Found>, RuntimeDirectoryError> {
        if !self.check()? {
            return Ok(None);
        }
        let text = match std::fs::read_to_string(self.background_pid()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.refused(source)),
        };
        // A file without a number is half written or damaged, and says nothing.
        let Ok(keeper_pid) = text.trim().parse() else { return Ok(None) };
        let found = Found { keeper_pid, socket: self.socket(keeper_pid) };
        Ok(Some(found).filter(is_alive))
    }

    /// Makes an instance the background instance: writes its number, whole or not at all, and not twice, so that a daemon that
    /// goes on with one needs no room on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn register_background(&self, keeper_pid: u32) -> Result<(), RuntimeDirectoryError> {
        let text = format!("{keeper_pid}\n");
        if std::fs::read_to_string(self.background_pid()).is_ok_and(|there| there == text) {
            return Ok(());
        }
        let new = self.path.join(format!("background.pid.{keeper_pid}"));
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, self.background_pid()));
        written.map_err(|source| {
            // Half of it is of no use to anybody. If it stays, what is told below is still the reason.
            let _ = std::fs::remove_file(&new);
            self.refused(source)
        })
    }

    /// The instances that run now, by the pid of their keeper.
    ///
    /// # Errors
    /// When the directory is there and cannot be trusted or read.
    pub fn running(&self) -> Result<Vec<Found>, RuntimeDirectoryError> {
        Ok(self.sockets()?.into_iter().filter(is_alive).collect())
    }

    /// Removes sockets whose instance is gone; returns how many.
    ///
    /// # Errors
    /// As [`Self::running`].
    pub fn sweep(&self) -> Result<usize, RuntimeDirectoryError> {
        let stale = self.sockets()?.into_iter().filter(|found| !is_alive(found));
        let removed = stale.filter(|found| {
            // One that ended in order has removed it.
            let _ = std::fs::remove_file(self.worker_socket(found.keeper_pid));
            std::fs::remove_file(&found.socket).is_ok()
        });
        Ok(removed.count())
    }

    fn sockets(&self) -> Result<Vec<Found>, RuntimeDirectoryError> {
        if !self.check()? {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(&self.path).map_err(|source| self.refused(source))?;
        let mut found: Vec<Found> = entries
            .filter_map(|entry| {
                let socket = entry.ok()?.path();
                let name = socket.file_name()?.to_str()?.strip_suffix(".sock")?;
                Some(Found { keeper_pid: name.parse().ok()?, socket })
            })
            .collect();
        found.sort_by_key(|found| found.keeper_pid);
        Ok(found)
    }

    /// False when there is no directory yet.
    fn check(&self) -> Result<bool, RuntimeDirectoryError> {
        match self.path.symlink_metadata() {
            Ok(metadata) if is_safe(&metadata) => Ok(true),
            // A link is followed only if the user asked for it by name; never the one in /tmp.
            Ok(metadata) if metadata.is_symlink() && !self.path.starts_with("/tmp/") => {
                match self.path.metadata() {
                    Ok(metadata) if is_safe(&metadata) => Ok(true),
                    _ => Err(RuntimeDirectoryError::Unsafe { path: self.path.clone() }),
                }
            }
            Ok(_) => Err(RuntimeDirectoryError::Unsafe { path: self.path.clone() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.refused(source)),
        }
    }

    fn refused(&self, source: io::Error) -> RuntimeDirectoryError {
        RuntimeDirectoryError::Refused { path: self.path.clone(), source }
    }
}

fn is_safe(metadata: &Metadata) -> bool {
    let writable_by_others = metadata.mode() & 0o022 != 0;
    metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && !writable_by_others
}

/// A keeper whose daemon died is alive although nobody answers: the daemon is being started again. The pid of a keeper that
/// is gone may be another process's by now; that one is younger than the socket.
fn is_alive(found: &Found) -> bool {
    if answers(&found.socket) {
        return true;
    }
    let Some(started) = start_of(found.keeper_pid) else { return false };
    let made = found.socket.symlink_metadata().and_then(|metadata| metadata.modified());
    // Starts are known to the second only.
    made.is_ok_and(|made| started <= made + Duration::from_secs(1))
}

/// When a process was started; nothing when there is none, or only its remains.
fn start_of(pid: u32) -> Option<SystemTime> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let ticks: u64 = fields.nth(18)?.parse().ok()?;
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(boot + ticks / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind;

    #[test]
    fn the_directory_follows_the_environment() {
        let long = format!("/h/{}", "x".repeat(HOME_BYTES_MAX));
        let check = |user, variables: &[(&str, &str)], expected: &str| {
            let directory = RuntimeDirectory::of_user(user, |name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            });
            assert_eq!(directory.path(), Path::new(expected), "{user} {variables:?}");
        };
        check(7, &[("STEAD_RUNTIME_DIR", "/a"), ("HOME", "/h")], "/a");
        check(7, &[("STEAD_HOME", "/h"), ("STEAD_RUNTIME_DIR", "/a")], "/a");
        check(0, &[("STEAD_HOME", "/h"), ("HOME", "/root")], "/h/run");
        check(0, &[("HOME", "/root")], "/run/stead");
        check(7, &[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/7")], "/h/.local/state/stead/run");
        check(7, &[("HOME", "/h"), ("STEAD_RUNTIME_DIR", "")], "/h/.local/state/stead/run");
        check(7, &[("HOME", &long)], "/tmp/stead-7");
        check(7, &[], "/tmp/stead-7");
    }

    fn directory() -> (tempfile::TempDir, RuntimeDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/stead");
        (folder, RuntimeDirectory { path })
    }

    #[test]
    fn a_directory_that_is_not_there_holds_no_instance() {
        let (_folder, directory) = directory();
        assert_eq!(directory.running().unwrap(), []);
        assert_eq!(directory.sweep().unwrap(), 0);
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let (_folder, directory) = directory();
        directory.create().unwrap();
        assert_eq!(directory.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(matches!(directory.create(), Err(RuntimeDirectoryError::Unsafe { .. })));
        assert!(matches!(directory.running(), Err(RuntimeDirectoryError::Unsafe { .. })));
    }

    #[test]
    fn running_instances_are_found_and_stale_sockets_are_swept() {
        let (_folder, directory) = directory();
        directory.create().unwrap();
        // No process has this number: the largest that Linux allows is 4194304.
        let stale = directory.socket(4_194_305);
        drop(bind(&stale).unwrap());
        let _listener = bind(&directory.socket(4_194_306)).unwrap();
        std::fs::write(directory.path().join("notes.txt"), "").unwrap();
        // Nobody answers there, but the keeper lives: this very process.
        let own = directory.socket(std::process::id());
        drop(bind(&own).unwrap());

        let pids = || directory.running().unwrap().iter().map(|found| found.keeper_pid).collect::<Vec<_>>();
        assert_eq!(pids(), [std::process::id(), 4_194_306]);
        assert_eq!(directory.sweep().unwrap(), 1);
        assert!(!stale.exists() && own.exists());
    }

    #[test]
    fn the_background_instance_is_found_while_it_lives() {
        let (_folder, directory) = directory();
        assert_eq!(directory.background().unwrap(), None);
        directory.create().unwrap();
        assert_eq!(directory.background().unwrap(), None);
        directory.register_background(4_194_305).unwrap();
        assert_eq!(directory.background().unwrap(), None);
        let socket = directory.socket(4_194_305);
        let listener = bind(&socket).unwrap();
        assert_eq!(directory.background().unwrap(), Some(Found { keeper_pid: 4_194_305, socket }));
        let inode = || directory.background_pid().metadata().unwrap().ino();
        let first = inode();
        directory.register_background(4_194_305).unwrap();
        assert_eq!(inode(), first, "nothing is written again");
        drop(listener);
        assert_eq!(directory.background().unwrap(), None);
        std::fs::write(directory.background_pid(), "").unwrap();
        assert_eq!(directory.background().unwrap(), None);
    }

    #[test]
    fn a_socket_older_than_the_process_of_its_number_is_stale() {
        let (_folder, directory) = directory();
        directory.create().unwrap();
        let own = directory.socket(std::process::id());
        drop(bind(&own).unwrap());
        let long_ago = rustix::fs::Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: long_ago, last_modification: long_ago };
        rustix::fs::utimensat(rustix::fs::CWD, &own, &times, rustix::fs::AtFlags::empty()).unwrap();
        assert_eq!(directory.running().unwrap(), []);
    }
}
