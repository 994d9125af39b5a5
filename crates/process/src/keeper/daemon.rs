//! A daemon as the keeper sees it: how it is started, and the process it became.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::Pid;
use rustix::stdio;

use super::connection::Connection;
use super::frame::Broken;
use super::protocol::{ChildId, FD_VARIABLE, ToDaemon, VERSION, VERSION_VARIABLE};
use super::renewal::STATE_VARIABLE;
use super::systemd;
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
    pub(super) pidfd: OwnedFd,
    /// `None` once it is of no use any more.
    pub(super) connection: Option<Connection>,
    pub(super) stage: Stage,
    /// It is being reaped; what it said before still counts.
    pub(super) dead: bool,
}

/// How far it has taken over.
#[derive(Debug)]
pub(super) enum Stage {
    /// It has not said that it is prepared.
    New,
    /// It waits for the old daemon to hand over.
    Prepared,
    /// It is given what there is, a part at a time.
    Taking(Giving),
    /// It has everything, and is told what happens.
    Begun,
}

/// What a daemon has not been given yet.
#[derive(Debug, Default)]
pub(super) struct Giving {
    /// The next one is the last.
    pub(super) children: Vec<ChildId>,
    /// The next one is the last.
    pub(super) names: Vec<String>,
    pub(super) peer: Option<Arc<OwnedFd>>,
}

impl Daemon {
    /// Starts it with the keeper's own standard streams, directory and environment.
    pub(super) fn launch(
        command: &DaemonCommand,
        program: &Path,
        null: BorrowedFd<'_>,
    ) -> Result<Self, SpawnFailure> {
        let (connection, theirs) = Connection::pair().map_err(|error| SpawnFailure::preparing(&error))?;
        let spec = SpawnSpec {
            program: program.into(),
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
        let (pid, pidfd) = (started.pid, started.pidfd);
        Ok(Self { pid, pidfd, connection: Some(connection), stage: Stage::New, dead: false })
    }

    /// Through its pidfd, so that it can never hit anybody else. Nothing it said is listened to any more.
    pub(super) fn kill(&mut self) {
        self.connection = None;
        // ESRCH: it is dead already, and about to be reaped.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
    }

    /// Queues a message. An end of the stream is no error: what it has said before is still to be read, and reading then
    /// finds the end.
    pub(super) fn tell(&mut self, message: &ToDaemon, descriptors: Vec<Arc<OwnedFd>>) -> Result<(), Broken> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection
            .send(message, descriptors)
            .or_else(|broken| if broken.is_end() { Ok(()) } else { Err(broken) })
    }

    pub(super) fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Begun)
    }
}

fn environment() -> Vec<(OsString, OsString)> {
    let ours = [(FD_VARIABLE, DAEMON_SOCKET.to_string()), (VERSION_VARIABLE, VERSION.to_string())];
    let kept = std::env::vars_os().filter(|(key, _)| {
        let for_the_keeper = key == STATE_VARIABLE || systemd::is_variable(key);
        !for_the_keeper && !ours.iter().any(|(name, _)| key == OsStr::new(name))
    });
    kept.chain(ours.iter().map(|(key, value)| (key.into(), value.into()))).collect()
}
