//! The keeper becomes another binary without anybody noticing: same process, same children, same connections.
//!
//! What it knows goes through a file in memory, what it holds stays open across `exec`. It waits for a moment at which no
//! message is half read or half written, so that nothing of one is to be kept; and signals that arrive meanwhile are
//! blocked, which makes the kernel keep them. The new binary has been asked for its formats before, so it understands
//! what it finds.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::children::SavedChildren;
use super::connection::Connection;
use super::daemon::{Daemon, Stage};
use super::protocol::VERSION;
use super::say::say;
use super::server::Server;

/// Environment variable with the number of the file in memory.
pub(super) const STATE_VARIABLE: &str = "STEAD_KEEPER_STATE";

/// Whether this process was a keeper already before it became this binary. Then nothing is to be prepared for
/// [`run`](super::run): what is there is in use.
#[must_use]
pub fn is_renewed() -> bool {
    env::var_os(STATE_VARIABLE).is_some()
}

/// Everything a keeper leaves to itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    pub(super) children: SavedChildren,
    pub(super) held: Vec<(String, RawFd)>,
    pub(super) daemon: SavedDaemon,
    pub(super) lingering: Vec<SavedDaemon>,
    pub(super) daemon_starts: u32,
    pub(super) open_files: Option<u64>,
    pub(super) had_terminal: bool,
    /// How long the daemon has run.
    pub(super) running: Duration,
    pub(super) backoff: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedDaemon {
    pid: i32,
    pidfd: RawFd,
    connection: Option<RawFd>,
}

impl Saved {
    /// What the keeper that this process was has left, if it was one.
    pub(super) fn find() -> Option<io::Result<Self>> {
        let number = env::var_os(STATE_VARIABLE)?;
        let number = number.to_str().and_then(|number| number.parse().ok());
        Some(number.ok_or_else(|| io::ErrorKind::InvalidInput.into()).and_then(Self::read))
    }

    fn read(number: RawFd) -> io::Result<Self> {
        let mut file = File::from(reclaim(number)?);
        file.rewind()?;
        let saved: Self = serde_json::from_reader(io::BufReader::new(file))?;
        if saved.format != VERSION {
            return Err(io::Error::other(format!("its state has format {}, not {VERSION}", saved.format)));
        }
        Ok(saved)
    }
}

impl SavedDaemon {
    pub(super) fn restore(self) -> io::Result<Daemon> {
        let connection = self.connection.map(reclaim).transpose()?.map(Connection::resume);
        Ok(Daemon {
            pid: Pid::from_raw(self.pid).ok_or(io::ErrorKind::InvalidData)?,
            pidfd: reclaim(self.pidfd)?,
            connection,
            stage: Stage::Begun,
            dead: false,
        })
    }
}

impl Server {
    /// Executes the new binary if this is a moment for it; otherwise there will be another. Returns only if it was not, or
    /// if the binary cannot be executed.
    pub(super) fn renew(&mut self) {
        if !self.is_quiet() {
            return;
        }
        let mask = set_signal_mask(&all_signals());
        if self.signals.any() {
            // They are handled first, which may change everything.
            set_signal_mask(&mask);
            return;
        }
        let failed = self.execute();
        set_signal_mask(&mask);
        (self.renewing, self.candidate) = (false, None);
        say(&format!("stead: the keeper stays what it is: {failed}"));
    }

    fn is_quiet(&self) -> bool {
        let all_quiet = self
            .all_daemons()
            .all(|daemon| !daemon.dead && daemon.connection.as_ref().is_none_or(Connection::is_quiet));
        let begun = self.daemon.as_ref().is_some_and(Daemon::has_begun);
        all_quiet && begun && self.successor.is_none() && self.policy.is_steady()
    }

    fn execute(&self) -> io::Error {
        let Some(candidate) = &self.candidate else { return io::ErrorKind::NotFound.into() };
        let program = format!("/proc/self/fd/{}", candidate.as_raw_fd());
        let executed = self.save().and_then(|(file, kept)| {
            let failed = execute(&program, file.as_raw_fd());
            // Back to what children must not inherit.
            kept.iter().for_each(|number| drop(close_on_exec(*number, true)));
            failed
        });
        executed.err().unwrap_or_else(|| io::ErrorKind::Other.into())
    }

    /// Writes down everything. Also returns the descriptors that will stay open.
    fn save(&self) -> io::Result<(File, Vec<RawFd>)> {
        let mut keep = Keep::default();
        let daemon = self.daemon.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let saved = Saved {
            format: VERSION,
            children: self.children.save(&mut |pidfd| keep.open(pidfd)),
            held: self.held.iter().map(|(name, descriptor)| (name.clone(), keep.open(descriptor))).collect(),
            daemon: keep.daemon(daemon),
            lingering: self.lingering.iter().map(|daemon| keep.daemon(daemon)).collect(),
            daemon_starts: self.daemon_starts,
            open_files: self.open_files,
            had_terminal: self.signals.had_terminal,
            running: self.policy.running(std::time::Instant::now()),
            backoff: self.policy.backoff(),
        };
        let mut file = File::from(memfd_create("stead keeper", MemfdFlags::CLOEXEC)?);
        serde_json::to_writer(io::BufWriter::new(&mut file), &saved)?;
        file.flush()?;
        keep.open(&file);
        keep.numbers.iter().try_for_each(|number| close_on_exec(*number, false))?;
        Ok((file, keep.numbers))
    }
}

/// Notes which descriptors are to stay open.
#[derive(Debug, Default)]
struct Keep {
    numbers: Vec<RawFd>,
}

impl Keep {
    fn open(&mut self, descriptor: &impl AsFd) -> RawFd {
        let number = descriptor.as_fd().as_raw_fd();
        self.numbers.push(number);
        number
    }

    fn daemon(&mut self, daemon: &Daemon) -> SavedDaemon {
        SavedDaemon {
            pid: daemon.pid.as_raw_pid(),
            pidfd: self.open(&daemon.pidfd),
            connection: daemon.connection.as_ref().map(|connection| self.open(connection)),
        }
    }
}

/// Takes a descriptor that the keeper before left open at this number.
#[expect(unsafe_code, reason = "an inherited descriptor is a number")]
pub(super) fn reclaim(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    close_on_exec(number, true)?;
    // SAFETY: it is open, as the call before shows, and what was saved names each number once and for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[expect(unsafe_code, reason = "works on numbers, open or not")]
fn close_on_exec(number: RawFd, closes: bool) -> io::Result<()> {
    // SAFETY: only borrowed for one call, for which a number that is not open is an error.
    let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    Ok(fcntl_setfd(descriptor, if closes { FdFlags::CLOEXEC } else { FdFlags::empty() })?)
}

/// Not by `std`, which would empty the signal mask first. Returns only if it fails.
#[expect(unsafe_code, reason = "no library executes with signals blocked")]
fn execute(program: &str, state: RawFd) -> io::Result<()> {
    let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::other);
    let program = text(OsStr::new(program))?;
    let arguments = env::args_os().map(|argument| text(&argument)).collect::<io::Result<Vec<_>>>()?;
    let others = env::vars_os().filter(|(key, _)| key != STATE_VARIABLE);
    let state = (OsString::from(STATE_VARIABLE), OsString::from(state.to_string()));
    let variables = others
        .chain([state])
        .map(|(key, value)| text(&OsString::from_vec([key.as_bytes(), b"=", value.as_bytes()].concat())));
    let variables = variables.collect::<io::Result<Vec<_>>>()?;
    let pointers = |texts: &[CString]| -> Vec<_> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    // SAFETY: null-terminated lists of C strings that we own.
    unsafe { libc::execve(program.as_ptr(), pointers(&arguments).as_ptr(), pointers(&variables).as_ptr()) };
    Err(io::Error::last_os_error())
}

/// What the binary before has blocked arrives now.
pub(super) fn unblock_signals() {
    set_signal_mask(&no_signals());
}

#[expect(unsafe_code, reason = "no library sets the signal mask")]
fn set_signal_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = no_signals();
    // SAFETY: reads and writes sets we own.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::from_ref(mask), &raw mut before) };
    before
}

#[expect(unsafe_code, reason = "no library makes a signal set")]
fn all_signals() -> libc::sigset_t {
    let mut set = no_signals();
    // SAFETY: writes to a set we own.
    unsafe { libc::sigfillset(&raw mut set) };
    set
}

#[expect(unsafe_code, reason = "no library makes a signal set")]
fn no_signals() -> libc::sigset_t {
    // SAFETY: a plain bit set for which all zeros is valid, and is the empty set.
    unsafe { mem::zeroed() }
}

/// Restores what was held.
pub(super) fn reclaim_held(
    held: Vec<(String, RawFd)>,
) -> io::Result<std::collections::BTreeMap<String, Arc<OwnedFd>>> {
    held.into_iter().map(|(name, number)| Ok((name, Arc::new(reclaim(number)?)))).collect()
}
