//! The keeper's loop: waits for signals and the daemon, asks `policy.rs` what to do, and does it.
//!
//! Nothing here waits but the one `poll`; starting a child waits for its `exec`, which takes a moment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::children::{Children, Reaped, Spawned};
use super::connection::{Connection, Request};
use super::daemon::{Daemon, DaemonCommand};
use super::frame::Broken;
use super::policy::{Action, Input, Policy};
use super::protocol::{Exit, HELD_MAX, NAME_BYTES_MAX, ToDaemon, ToKeeper};
use super::say::say;
use super::signals::Signals;
use crate::spawn::{Kind, Launch, SpawnFailure, SpawnSpec};

/// The exit code when the keeper itself cannot begin.
const EXIT_NO_KEEPER: u8 = 1;

/// Runs the keeper until its daemon has finished, and returns the exit code for the whole.
///
/// To be called first thing by a process without any other thread: children are killed when the *thread* that started
/// them ends.
pub fn run(daemon: DaemonCommand) -> u8 {
    match Server::new(daemon) {
        Ok(server) => server.run(),
        Err(error) => {
            say(&format!("error: failed to start\n  caused by: {error}"));
            EXIT_NO_KEEPER
        }
    }
}

#[derive(Debug)]
struct Server {
    command: DaemonCommand,
    policy: Policy,
    signals: Signals,
    children: Children,
    daemon: Option<Daemon>,
    /// How the last one ended.
    daemon_exit: Option<Exit>,
    daemon_starts: u32,
    /// Set once everything is over.
    exit: Option<u8>,
    held: BTreeMap<String, Arc<OwnedFd>>,
    null: OwnedFd,
    /// As the keeper was started with; workers get it unless they ask for another.
    open_files: Option<u64>,
}

impl Server {
    fn new(command: DaemonCommand) -> io::Result<Self> {
        Ok(Self {
            command,
            policy: Policy::new(Instant::now()),
            signals: Signals::listen()?,
            children: Children::new(),
            daemon: None,
            daemon_exit: None,
            daemon_starts: 0,
            exit: None,
            held: BTreeMap::new(),
            null: File::options().read(true).write(true).open("/dev/null")?.into(),
            open_files: raise_open_files(),
        })
    }

    fn run(mut self) -> u8 {
        loop {
            self.children.kill_overdue(Instant::now());
            self.handle(Input::Timeout);
            if self.daemon.is_none() && self.children.is_empty() {
                self.handle(Input::NothingLeft);
            }
            if let Some(code) = self.exit {
                return code;
            }
            let ready = self.wait();
            self.handle_daemon(ready.daemon);
            if ready.signals {
                self.handle_signals();
                while let Some(reaped) = self.children.reap(self.daemon.as_ref().map(|daemon| daemon.pid)) {
                    self.handle_reaped(reaped);
                }
            }
        }
    }

    /// Asks the policy, and does what it says before anything else happens.
    fn handle(&mut self, input: Input) {
        self.policy.handle(Instant::now(), input);
        while let Some(action) = self.policy.poll_action() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start => self.start_daemon(),
            Action::Forward(signal) => self.tell(&ToDaemon::Signal { signal }, Vec::new()),
            Action::KillDaemon => self.kill_daemon(),
            Action::EndWorkers => self.children.end_all(Instant::now()),
            Action::KillWorkers => self.children.kill_all(),
            Action::Restarting(delay) => {
                let exit =
                    self.daemon_exit.take().map_or_else(String::new, |exit| format!(" died ({exit}) and"));
                say(&format!("stead: the daemon{exit} is started again in {delay:?}"));
            }
            Action::Exit(code) => self.exit = Some(code),
        }
    }

    fn wait(&self) -> Ready {
        let connection = self.daemon.as_ref().and_then(|daemon| daemon.connection.as_ref());
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        polled.extend(connection.map(|connection| PollFd::new(connection, connection.interest())));
        let due = self.policy.poll_timeout().into_iter().chain(self.children.poll_timeout()).min();
        let timeout = due.map(|due| {
            let wait = due.saturating_duration_since(Instant::now());
            // Never longer than seconds: `policy.rs` and `children.rs` say how long at most.
            Timespec::try_from(wait).unwrap_or_default()
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => Ready {
                signals: !polled[0].revents().is_empty(),
                daemon: polled.get(1).map_or(PollFlags::empty(), PollFd::revents),
            },
            // Only EINTR can happen here, and ENOMEM, which is worth another try; the signal is in its pipe.
            Err(_) => Ready { signals: true, daemon: PollFlags::empty() },
        }
    }

    // ## The daemon

    fn start_daemon(&mut self) {
        self.daemon_starts += 1;
        match Daemon::launch(&self.command, self.null.as_fd()) {
            Ok(daemon) => {
                self.daemon = Some(daemon);
                let held = self.held.keys().cloned().collect();
                let (daemon_starts, keeper_pid) = (self.daemon_starts, std::process::id());
                let descriptors = self.held.values().cloned().collect();
                self.tell(&ToDaemon::Welcome { daemon_starts, keeper_pid, held }, descriptors);
                self.handle(Input::Started);
            }
            Err(failure) => {
                let program = self.command.program.display().to_string();
                let error = failure.into_error(program, None);
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                say(&format!(
                    "error: failed to start the daemon\n  caused by: {error}{}",
                    cause.unwrap_or_default()
                ));
                self.handle(Input::NotStarted);
            }
        }
    }

    fn kill_daemon(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill();
        }
    }

    fn handle_daemon(&mut self, ready: PollFlags) {
        if ready.contains(PollFlags::OUT)
            && let Some(connection) = self.connection()
            && let Err(broken) = connection.flush()
        {
            self.lose_daemon(&broken);
        }
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.read_daemon();
        }
    }

    fn read_daemon(&mut self) {
        let mut requests = Vec::new();
        let Some(connection) = self.connection() else { return };
        let result = connection.read(&mut requests);
        requests.into_iter().for_each(|request| self.handle_request(request));
        if let Err(broken) = result {
            self.lose_daemon(&broken);
        }
    }

    fn lose_daemon(&mut self, broken: &Broken) {
        if !broken.is_end() {
            say(&format!("stead: the connection to the daemon broke: {broken}"));
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.connection = None;
        }
        self.handle(Input::Mute);
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        self.daemon.as_mut()?.connection.as_mut()
    }

    fn tell(&mut self, message: &ToDaemon, descriptors: Vec<Arc<OwnedFd>>) {
        if let Some(connection) = self.connection()
            && let Err(broken) = connection.send(message, descriptors)
            // What a daemon that just died has said before is still to be read; reading then finds the end.
            && !broken.is_end()
        {
            self.lose_daemon(&broken);
        }
    }

    // ## What happens

    fn handle_request(&mut self, request: Request) {
        let Some(message) = request.message else {
            return say("stead: a message of the daemon was not understood and is skipped");
        };
        match (message, request.descriptors) {
            // Nobody is left to look after such a child.
            (ToKeeper::Spawn { .. }, _) if self.daemon.is_none() => (),
            (ToKeeper::Spawn { request, spec }, descriptors) => {
                let spawned = descriptors
                    .map_err(|_lost| SpawnFailure::preparing(&Errno::MFILE.into()))
                    .and_then(|descriptors| self.spawn(&spec, &descriptors));
                self.answer_spawn(request, spawned);
            }
            (ToKeeper::Signal { child, signal }, _) => self.children.signal(child, signal),
            (ToKeeper::Hold { name }, Ok(descriptors)) => self.hold(name, descriptors),
            (ToKeeper::Hold { name }, Err(lost)) => say(&format!("stead: `{name}` is not held: {lost}")),
            (ToKeeper::Release { name }, _) => drop(self.held.remove(&name)),
            (ToKeeper::Finish { code }, _) => self.handle(Input::Finish(code)),
        }
    }

    fn spawn(&mut self, spec: &SpawnSpec, descriptors: &[OwnedFd]) -> Result<Spawned, SpawnFailure> {
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let launch = Launch {
            spec,
            descriptors: &descriptors,
            null: self.null.as_fd(),
            kind: Kind::Worker,
            argument_zero: None,
            open_files_default: self.open_files,
        };
        self.children.spawn(self.daemon_starts, &launch)
    }

    fn answer_spawn(&mut self, request: u64, result: Result<Spawned, SpawnFailure>) {
        match result {
            Ok(spawned) => {
                let pid = spawned.pid.as_raw_pid().unsigned_abs();
                let message = ToDaemon::Spawned { request, child: spawned.id, pid };
                self.tell(&message, vec![Arc::new(spawned.pidfd)]);
            }
            Err(failure) => self.tell(&ToDaemon::NotSpawned { request, failure }, Vec::new()),
        }
    }

    fn hold(&mut self, name: String, descriptors: Vec<OwnedFd>) {
        let room = self.held.len() < HELD_MAX || self.held.contains_key(&name);
        match descriptors.into_iter().next() {
            Some(descriptor) if room && name.len() <= NAME_BYTES_MAX => {
                self.held.insert(name, Arc::new(descriptor));
            }
            // The daemon's side refuses these before they are sent.
            _ => say(&format!("stead: `{name}` is not held: there is no room for it")),
        }
    }

    fn handle_signals(&mut self) {
        for signal in self.signals.take() {
            let reads = self.connection().is_some_and(|connection| connection.is_read());
            self.handle(Input::Signal { signal, reads });
        }
    }

    fn handle_reaped(&mut self, reaped: Reaped) {
        match reaped {
            Reaped::Child { id, owner, exit } if owner == self.daemon_starts => {
                self.tell(&ToDaemon::Exited { child: id, exit }, Vec::new());
            }
            Reaped::Other { pid, exit } if self.daemon.as_ref().is_some_and(|daemon| daemon.pid == pid) => {
                self.bury_daemon(exit);
            }
            // A child of a daemon that is dead, or an orphan that was given to us.
            Reaped::Child { .. } | Reaped::Other { .. } => (),
        }
    }

    fn bury_daemon(&mut self, exit: Exit) {
        self.daemon_exit = Some(exit);
        let connection = self.daemon.take().and_then(|daemon| daemon.connection);
        // What it said before it died counts, `finish` above all.
        if let Some(mut connection) = connection {
            let mut requests = Vec::new();
            while matches!(connection.read(&mut requests), Ok(true)) {}
            requests.into_iter().for_each(|request| self.handle_request(request));
        }
        self.handle(Input::Gone);
    }
}

struct Ready {
    signals: bool,
    daemon: PollFlags,
}

/// The keeper holds descriptors for everybody. Returns the limit there was.
fn raise_open_files() -> Option<u64> {
    let limits = getrlimit(Resource::Nofile);
    // Refused by nobody: the soft limit may always go up to the hard one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum });
    limits.current
}
