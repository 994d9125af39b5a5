//! How one worker is started: its environment, its descriptors, the road to it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stead_balancer::Road;
use stead_process::cgroup::CgroupError;
use stead_process::keeper::{Child, Keeper};
use stead_process::node::{Continuation, environment};
use stead_process::spawn::{SpawnError, SpawnSpec};
use stead_supervisor::WorkerId;

use super::folder::Folder;
use super::notify::NotifySocket;
use super::worker::Belongings;
use crate::config::{AppSettings, HealthCheck, Placeholder, Serialization, Upstream};

/// The first descriptor after the standard streams: the channel of a Node.js program, or a listening socket (`LISTEN_FDS`).
const FIRST_DESCRIPTOR: i32 = 3;
/// In `LISTEN_FDNAMES`: a socket that listens.
const STREAM: &str = "stead";
/// In `LISTEN_FDNAMES`: a socket of UDP.
const DATAGRAMS: &str = "udp";

/// What an instance tells its processes, and not theirs that of another app.
const GIVEN: [&str; 10] = [
    "STEAD_APP",
    "STEAD_DUE",
    "STEAD_HOOK",
    "STEAD_INSTANCE",
    "STEAD_INSTANCES",
    "STEAD_POOL",
    "STEAD_SCHEDULE",
    "STEAD_SHARED",
    "STEAD_SOCKET",
    "STEAD_WORKER",
];

/// What is started, and as which worker.
pub(super) struct Launch<'a> {
    pub(super) settings: &'a AppSettings,
    pub(super) folder: &'a Arc<Folder>,
    pub(super) worker: WorkerId,
    pub(super) slot: u32,
    /// The public sockets, if workers accept from them by themselves.
    pub(super) shared: Vec<OwnedFd>,
    /// The public sockets of UDP, which they read themselves in any case.
    pub(super) datagrams: Vec<OwnedFd>,
    /// Where it asks for what is its to ask for.
    pub(super) worker_socket: &'a Path,
}

/// A process that was started, and our ends of what it was given.
pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) ends: Ends,
    /// How it is reached, if it does not ask for its connections.
    pub(super) road: Option<Road>,
    pub(super) belongings: Belongings,
}

/// Our ends of what a process was given.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    /// Its IPC channel, if it is a Node.js program, and where another daemon stopped speaking over it.
    pub(super) channel: Option<(OwnedFd, Serialization, Continuation)>,
    /// Where a Node.js process somewhere below it (behind npx, nodemon, a script) comes for its channel when it listens.
    pub(super) join: Option<UnixListener>,
    /// Where it can say `READY=1`.
    pub(super) notify: Option<NotifySocket>,
}

/// Why a worker was not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("its descriptors could not be made")]
    Descriptors(#[from] io::Error),
}

impl LaunchError {
    /// Trying again without a change is pointless.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            LaunchError::Cgroup(error) => error.is_fatal(),
            LaunchError::Spawn(error) => matches!(
                error,
                SpawnError::NotFound { .. }
                    | SpawnError::NotExecutable { .. }
                    | SpawnError::InterpreterNotFound { .. }
                    | SpawnError::Directory { .. }
            ),
            LaunchError::Descriptors(_) => false,
        }
    }
}

/// A process being put together.
struct Parts {
    environment: environment::Environment,
    values: Vec<(Placeholder, OsString)>,
    numbers: Vec<i32>,
    descriptors: Vec<OwnedFd>,
    /// What it is to accept from or to read, and by which name it finds each.
    sockets: Vec<(OwnedFd, &'static str)>,
    listen_pid: bool,
    road: Option<Road>,
    belongings: Belongings,
}

impl Launch<'_> {
    /// Starts it, in this control group if it has one of its own.
    pub(super) async fn start(
        &self,
        keeper: &Keeper,
        open_files_max: u64,
        cgroup: Option<PathBuf>,
    ) -> Result<Launched, LaunchError> {
        let mut parts = Parts {
            environment: self.environment(),
            values: Vec::new(),
            numbers: Vec::new(),
            descriptors: Vec::new(),
            sockets: Vec::new(),
            listen_pid: false,
            road: None,
            belongings: Belongings::default(),
        };
        let speaks_by_lines = self.settings.pool.is_some() && !self.settings.program.is_node;
        let stdout = if speaks_by_lines { None } else { Some(parts.stream(1)?) };
        let mut ends = Ends { stdout, stderr: Some(parts.stream(2)?), ..Ends::default() };
        if self.settings.pool.is_some() {
            let (channel, serialization) = self.add_tasks(&mut parts)?;
            ends.channel = Some((channel, serialization, Continuation::default()));
            if speaks_by_lines {
                ends.notify = Some(self.add_notify(&mut parts)?);
            }
        } else if self.settings.program.is_node {
            let channel = self.add_channel(&mut parts)?;
            ends.channel = Some((channel, self.settings.serialization, Continuation::default()));
        } else {
            if !self.shared.is_empty() {
                parts.sockets.extend(named(&self.shared, STREAM)?);
            } else if !self.settings.listen.is_empty() {
                self.add_road(&mut parts)?;
            } else if self.datagrams.is_empty() {
                ends.join = Some(self.add_join(&mut parts)?);
            }
            parts.sockets.extend(named(&self.datagrams, DATAGRAMS)?);
            self.give_sockets(&mut parts);
            ends.notify = Some(self.add_notify(&mut parts)?);
        }
        let spec = SpawnSpec { cgroup, ..self.spec(&parts, open_files_max) };
        let child = keeper.spawn(spec, parts.descriptors).await?;
        let (road, belongings) = (parts.road, parts.belongings);
        Ok(Launched { child, ends, road, belongings })
    }

    fn spec(&self, parts: &Parts, open_files_max: u64) -> SpawnSpec {
        let values: Vec<(Placeholder, &OsStr)> =
            parts.values.iter().map(|(placeholder, value)| (*placeholder, value.as_os_str())).collect();
        let mut arguments = self.settings.program.arguments_with(&values).into_iter();
        SpawnSpec {
            program: arguments.next().unwrap_or_default(),
            arguments: arguments.collect(),
            directory: Some(self.settings.directory.clone()),
            environment: parts.environment.clone(),
            descriptors: parts.numbers.clone(),
            listen_pid: parts.listen_pid,
            open_files_max: Some(open_files_max),
            tag: format!("{}.{} worker {}", self.settings.name, self.slot, self.worker),
            identity: super::settings::for_system(&self.settings.identity),
            cgroup: None,
        }
    }

    fn environment(&self) -> environment::Environment {
        let slot = self.slot.to_string();
        let own = [
            ("STEAD_WORKER", format!("{}.{slot}", self.settings.name)),
            ("STEAD_INSTANCE", slot.clone()),
            ("NODE_APP_INSTANCE", slot),
        ];
        environment(self.settings, self.worker_socket, &own)
    }

    /// The worker of a pool: a Node.js program is forked and has a channel, any other has its tasks as lines on its standard
    /// input and output. Neither listens anywhere for others.
    fn add_tasks(&self, parts: &mut Parts) -> io::Result<(OwnedFd, Serialization)> {
        parts.set("STEAD_POOL", self.settings.name.clone());
        if !self.settings.program.is_node {
            // Blocking, because simple programs wait for their next line by reading it.
            let (ours, theirs) = UnixStream::pair()?;
            parts.give(0, theirs.try_clone()?.into());
            parts.give(1, theirs.into());
            return Ok((ours.into(), Serialization::Json));
        }
        let (ours, theirs) = stead_process::socket::pair()?;
        parts.give(FIRST_DESCRIPTOR, theirs);
        let serialization = self.settings.serialization;
        let written = super::settings::for_channel(serialization);
        environment::add_channel(&mut parts.environment, FIRST_DESCRIPTOR, written);
        Ok((ours, serialization))
    }

    /// Node.js: a channel, and the environment of a cluster worker.
    fn add_channel(&self, parts: &mut Parts) -> io::Result<OwnedFd> {
        let (ours, theirs) = stead_process::socket::pair()?;
        parts.give(FIRST_DESCRIPTOR, theirs);
        let preload = self.folder.preload();
        let worker = environment::Worker { id: self.worker, preload: &preload };
        let serialization = super::settings::for_channel(self.settings.serialization);
        if self.settings.remote_address {
            environment::add_worker(&mut parts.environment, FIRST_DESCRIPTOR, serialization, worker);
        } else {
            environment::add_channel(&mut parts.environment, FIRST_DESCRIPTOR, serialization);
            parts.set("NODE_UNIQUE_ID", self.worker.to_string());
        }
        let port = self.settings.listen.first().and_then(|listen| listen.address.port());
        if let Some(port) = port
            && !parts.environment.iter().any(|(name, _)| name == "PORT")
        {
            parts.set("PORT", port.to_string());
        }
        Ok(ours)
    }

    /// Any other program: a private address of its own, by the convention it understands.
    fn add_road(&self, parts: &mut Parts) -> io::Result<()> {
        let program = &self.settings.program;
        let upstream = match self.settings.upstream {
            Upstream::Auto if program.uses(Placeholder::Socket) => Upstream::Socket,
            Upstream::Auto if program.uses(Placeholder::Fd) => Upstream::ListenFds,
            Upstream::Auto => Upstream::Port,
            chosen => chosen,
        };
        let path = self.folder.socket();
        match upstream {
            Upstream::Auto | Upstream::Port => {
                let address = free_port()?;
                let port = address.port().to_string();
                parts.set("PORT", port.clone());
                parts.values.push((Placeholder::Port, port.into()));
                parts.road = Some(Road::Tcp(address));
            }
            Upstream::Socket => {
                parts.values.push((Placeholder::Socket, path.clone().into()));
                parts.belongings.files.push(path.clone());
                parts.road = Some(Road::Unix(path));
            }
            Upstream::ListenFds => {
                // Blocking, as systemd passes it: simple programs wait in accept().
                parts.sockets.push((UnixListener::bind(&path)?.into(), STREAM));
                parts.belongings.files.push(path.clone());
                parts.road = Some(Road::Unix(path));
            }
        }
        Ok(())
    }

    /// Passes them as sd_listen_fds(3) has it.
    fn give_sockets(&self, parts: &mut Parts) {
        let sockets = std::mem::take(&mut parts.sockets);
        if sockets.is_empty() {
            return;
        }
        if !self.settings.program.uses(Placeholder::Fd) {
            // One that is told the number must not find the socket a second time.
            let names: Vec<&str> = sockets.iter().map(|(_, name)| *name).collect();
            parts.set("LISTEN_FDS", names.len().to_string());
            parts.set("LISTEN_FDNAMES", names.join(":"));
            parts.listen_pid = true;
        }
        parts.values.push((Placeholder::Fd, FIRST_DESCRIPTOR.to_string().into()));
        for (number, (socket, _)) in (FIRST_DESCRIPTOR..).zip(sockets) {
            parts.give(number, socket);
        }
    }

    /// A program that tells nothing about itself may have a Node.js server somewhere inside.
    fn add_join(&self, parts: &mut Parts) -> io::Result<UnixListener> {
        let path = self.folder.socket();
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let preload = self.folder.preload();
        let worker = environment::Worker { id: self.worker, preload: &preload };
        environment::add_late_worker(&mut parts.environment, &path, worker);
        parts.belongings.files.push(path);
        Ok(listener)
    }

    fn add_notify(&self, parts: &mut Parts) -> io::Result<NotifySocket> {
        let path = self.folder.socket();
        let socket = NotifySocket::bind(&path)?;
        parts.set("NOTIFY_SOCKET", path.clone());
        if self.settings.health.check == Some(HealthCheck::Watchdog) {
            parts.set("WATCHDOG_USEC", self.settings.health.interval.as_micros().to_string());
        }
        parts.belongings.files.push(path);
        Ok(socket)
    }
}

impl Parts {
    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.into(), value.into()));
    }

    fn give(&mut self, number: i32, descriptor: OwnedFd) {
        self.numbers.push(number);
        self.descriptors.push(descriptor);
    }

    /// A pipe whose writing end the child gets.
    fn stream(&mut self, number: i32) -> io::Result<OwnedFd> {
        let (reader, writer) = io::pipe()?;
        self.give(number, writer.into());
        Ok(reader.into())
    }
}

/// What an app's processes find in their environment, with some of their own.
pub(super) fn environment(
    settings: &AppSettings,
    worker_socket: &Path,
    own: &[(&str, String)],
) -> environment::Environment {
    let mut all: environment::Environment =
        settings.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    environment::scrub(&mut all);
    let common = [("STEAD_APP", settings.name.clone()), ("STEAD_INSTANCES", settings.instances.to_string())];
    let foreign =
        ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
    let own = || common.iter().chain(own);
    let foreign = || foreign.iter().chain(&GIVEN);
    all.retain(|(name, _)| !own().any(|(own, _)| name == own) && !foreign().any(|own| name == own));
    all.push(("STEAD_SOCKET".into(), worker_socket.into()));
    all.extend(own().map(|(name, value)| (name.into(), value.into())));
    all
}

fn named(sockets: &[OwnedFd], name: &'static str) -> io::Result<Vec<(OwnedFd, &'static str)>> {
    sockets.iter().map(|socket| Ok((socket.try_clone()?, name))).collect()
}

/// A loopback port that is free now. Somebody else could take it before the worker does; then the worker fails to start
/// and its next try gets another.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
