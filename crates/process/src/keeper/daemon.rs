//! The daemon as the keeper sees it: how it is started, and the process it became.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::process::Pid;
use rustix::stdio;

use super::connection::Connection;
use super::protocol::{FD_VARIABLE, VERSION, VERSION_VARIABLE};
use crate::spawn::{Kind, Launch, SpawnFailure, SpawnSpec, start};

/// The number at which the daemon finds its end of the socket.
const DAEMON_SOCKET: i32 = 3;

/// How to start the daemon, which is the same program called differently.
#[derive(Debug, Clone)]
pub struct DaemonCommand {
    /// `/proc/self/exe`, so that a replaced file does not change what is restarted.
    pub program: PathBuf,
    /// What follows the program's name.
    pub arguments: Vec<OsString>,
}

#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) pid: Pid,
    pidfd: OwnedFd,
    /// `None` once it is of no use any more.
    pub(super) connection: Option<Connection>,
}

impl Daemon {
    /// Starts it with the keeper's own standard streams, directory and environment.
    pub(super) fn launch(command: &DaemonCommand, null: BorrowedFd<'_>) -> Result<Self, SpawnFailure> {
        let (connection, theirs) = Connection::pair().map_err(|error| SpawnFailure::preparing(&error))?;
        let spec = SpawnSpec {
            program: command.program.clone().into(),
            arguments: command.arguments.clone(),
            environment: environment(),
            descriptors: vec![0, 1, 2, DAEMON_SOCKET],
            open_files_max: Some(u64::MAX),
            ..SpawnSpec::default()
        };
        let (stdin, stdout, stderr) = (stdio::stdin(), stdio::stdout(), stdio::stderr());
        let name = std::env::args_os().next();
        let started = start(&Launch {
            spec: &spec,
            descriptors: &[stdin, stdout, stderr, theirs.as_fd()],
            null,
            kind: Kind::Daemon,
            argument_zero: name.as_deref(),
            open_files_default: None,
        })?;
        Ok(Self { pid: started.pid, pidfd: started.pidfd, connection: Some(connection) })
    }

    /// Through its pidfd, so that it can never hit anybody else. Nothing it said is listened to any more.
    pub(super) fn kill(&mut self) {
        self.connection = None;
        // ESRCH: it is dead already, and about to be reaped.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
    }
}

fn environment() -> Vec<(OsString, OsString)> {
    let ours = [(FD_VARIABLE, DAEMON_SOCKET.to_string()), (VERSION_VARIABLE, VERSION.to_string())];
    let kept = std::env::vars_os().filter(|(key, _)| !ours.iter().any(|(name, _)| key == OsStr::new(name)));
    kept.chain(ours.iter().map(|(key, value)| (key.into(), value.into()))).collect()
}
