//! The keeper's loop: waits for signals and daemons, asks `policy.rs` and `upgrade.rs` what to do, and does it.
//!
//! Nothing here waits but the one `poll`; starting a child waits for its `exec`, which takes a moment. What daemons ask
//! for is in `requests.rs`, how one follows another in `succession.rs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

use super::children::{Children, Reaped};
use super::connection::Request;
use super::daemon::{Daemon, DaemonCommand};
use super::exit::Exit;
use super::footprint::Footprint;
use super::name::name_process;
use super::policy::{Action, Input, Policy};
use super::protocol::{Role, ToDaemon};
use super::renewal::{Saved, SavedDaemon, reclaim_held, unblock_signals};
use super::say::say;
use super::signals::Signals;
use super::systemd::{self, Manager};
use super::upgrade::{self, Upgrade};
use super::watchdog::{Bark, Watchdog};

/// The exit code when the keeper itself cannot begin.
const EXIT_NO_KEEPER: u8 = 1;

/// Descriptors that are neither held nor children's: for starting daemons and children, and for signals.
const OWN_DESCRIPTORS: usize = 40;

/// Runs the keeper until its daemon has finished, and returns the exit code for the whole.
///
/// To be called first thing by a process without any other thread: children are killed when the *thread* that started
/// them ends.
pub fn run(daemon: DaemonCommand) -> u8 {
    name_process();
    let server = match Saved::find() {
        None => Server::new(daemon),
        Some(saved) => saved.and_then(|saved| Server::resume(daemon, saved)),
    };
    match server {
        Ok(server) => server.run(),
        Err(error) => {
            say(&format!("error: failed to start\n  caused by: {error}"));
            EXIT_NO_KEEPER
        }
    }
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) command: DaemonCommand,
    pub(super) policy: Policy,
    pub(super) upgrade: Upgrade,
    pub(super) signals: Signals,
    pub(super) children: Children,
    pub(super) daemon: Option<Daemon>,
    pub(super) successor: Option<Daemon>,
    /// Daemons that have handed over and end by themselves, by age.
    pub(super) lingering: Vec<Daemon>,
    /// The new binary while there is an upgrade.
    pub(super) candidate: Option<OwnedFd>,
    /// One end of the connection between two daemons, for the successor.
    pub(super) peer: Option<Arc<OwnedFd>>,
    /// The binary is to be executed in place.
    pub(super) renewing: bool,
    /// How the last daemon ended.
    daemon_exit: Option<Exit>,
    pub(super) daemon_starts: u32,
    /// Set once everything is over.
    exit: Option<u8>,
    pub(super) held: BTreeMap<String, Arc<OwnedFd>>,
    pub(super) null: OwnedFd,
    pub(super) manager: Manager,
    pub(super) watchdog: Watchdog,
    /// As the keeper was started with; workers get it unless they ask for another.
    pub(super) open_files: Option<u64>,
}

impl Server {
    fn new(command: DaemonCommand) -> io::Result<Self> {
        // First, before any number could be taken by something else.
        let sockets = systemd::inherited_sockets();
        let open_files = raise_open_files();
        let now = Instant::now();
        Ok(Self {
            command,
            policy: Policy::new(now),
            upgrade: Upgrade::new(),
            signals: Signals::listen(None)?,
            children: Children::new(),
            daemon: None,
            successor: None,
            lingering: Vec::new(),
            candidate: None,
            peer: None,
            renewing: false,
            daemon_exit: None,
            daemon_starts: 0,
            exit: None,
            held: sockets.into_iter().map(|(name, socket)| (name, Arc::new(socket))).collect(),
            null: File::options().read(true).write(true).open("/dev/null")?.into(),
            manager: Manager::from_environment(),
            watchdog: Watchdog::new(now, systemd::watchdog_time()),
            open_files,
        })
    }

    /// Goes on where this process was when it was another binary.
    fn resume(command: DaemonCommand, saved: Saved) -> io::Result<Self> {
        let now = Instant::now();
        let lingering = saved.lingering.into_iter().map(SavedDaemon::restore);
        raise_open_files();
        let server = Self {
            command,
            policy: Policy::resume(now, saved.running, saved.backoff),
            upgrade: Upgrade::new(),
            signals: Signals::listen(Some(saved.had_terminal))?,
            children: Children::restore(saved.children)?,
            daemon: Some(saved.daemon.restore()?),
            successor: None,
            lingering: lingering.collect::<io::Result<_>>()?,
            candidate: None,
            peer: None,
            renewing: false,
            daemon_exit: None,
            daemon_starts: saved.daemon_starts,
            exit: None,
            held: reclaim_held(saved.held)?,
            null: File::options().read(true).write(true).open("/dev/null")?.into(),
            manager: Manager::from_environment(),
            watchdog: Watchdog::new(now, systemd::watchdog_time()),
            open_files: saved.open_files,
        };
        unblock_signals();
        Ok(server)
    }

    fn run(mut self) -> u8 {
        // What died while this process became another binary has woken nobody.
        self.reap();
        let footprint = Footprint::find();
        loop {
            self.handle_timeouts();
            if self.daemon.is_none() && self.lingering.is_empty() && !self.children.any_alive() {
                self.handle(Input::NothingLeft);
            }
            if let Some(code) = self.exit {
                return code;
            }
            footprint.shrink();
            let ready = self.wait();
            for (pid, flags) in ready.daemons {
                self.handle_daemon(pid, flags);
            }
            if ready.signals {
                self.handle_signals();
                self.reap();
            }
            if self.renewing {
                self.renew();
            }
        }
    }

    /// Asks the policy, and does what it says before anything else happens.
    pub(super) fn handle(&mut self, input: Input) {
        self.policy.handle(Instant::now(), input);
        while let Some(action) = self.policy.poll_action() {
            self.perform(action);
        }
    }

    fn handle_timeouts(&mut self) {
        let now = Instant::now();
        self.children.kill_overdue(now);
        self.handle(Input::Timeout);
        self.handle_upgrade(upgrade::Input::Timeout);
        let asked = self.daemon.is_some();
        for bark in self.watchdog.handle_timeout(now, asked) {
            match bark {
                Bark::Ping => self.tell(&ToDaemon::Ping, Vec::new()),
                Bark::Feed => self.manager.notify("WATCHDOG=1"),
                Bark::Stuck => {
                    say("stead: the daemon does not answer and is replaced");
                    self.handle(Input::Mute);
                }
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start => self.start_daemon(),
            Action::Forward(signal) => self.tell(&ToDaemon::Signal { signal }, Vec::new()),
            Action::KillDaemon => self.kill_daemon(),
            Action::EndWorkers => {
                self.end_lingering();
                self.children.end_all(Instant::now());
            }
            Action::KillWorkers => {
                self.end_lingering();
                self.children.kill_all();
            }
            Action::Restarting(delay) => {
                let exit =
                    self.daemon_exit.take().map_or_else(String::new, |exit| format!(" died ({exit}) and"));
                say(&format!("stead: the daemon{exit} is started again in {delay:?}"));
            }
            Action::Exit(code) => self.exit = Some(code),
        }
    }

    fn wait(&self) -> Ready {
        let (pids, connections): (Vec<Pid>, Vec<_>) =
            self.all_daemons().filter_map(|daemon| Some((daemon.pid, daemon.connection.as_ref()?))).unzip();
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        polled
            .extend(connections.into_iter().map(|connection| PollFd::new(connection, connection.interest())));
        let due = [self.policy.poll_timeout(), self.children.poll_timeout(), self.upgrade.poll_timeout()];
        let due = due.into_iter().flatten().chain([self.watchdog.poll_timeout()]).min();
        let timeout = due.map(|due| {
            let wait = due.saturating_duration_since(Instant::now());
            // Never longer than the machines say, which is seconds.
            Timespec::try_from(wait).unwrap_or_default()
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {
                let mut flags = polled.iter().map(PollFd::revents);
                let signals = flags.next().is_some_and(|flags| !flags.is_empty());
                Ready { signals, daemons: pids.into_iter().zip(flags).collect() }
            }
            // Only EINTR can happen here, and ENOMEM, which is worth another try; the signal is in its pipe.
            Err(_) => Ready { signals: true, daemons: Vec::new() },
        }
    }

    // ## The daemon

    fn start_daemon(&mut self) {
        let role = if self.daemon_starts == 0 { Role::First } else { Role::Resume };
        self.daemon_starts += 1;
        match Daemon::launch(&self.command, &self.command.program, self.null.as_fd()) {
            Ok(daemon) => {
                self.daemon = Some(daemon);
                self.begin_daemon();
                let message = self.welcome(role);
                self.tell(&message, Vec::new());
                self.handle(Input::Started);
            }
            Err(failure) => {
                let program = self.command.program.display().to_string();
                let error = failure.into_error(program, crate::spawn::Context::default());
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                say(&format!(
                    "error: failed to start the daemon\n  caused by: {error}{}",
                    cause.unwrap_or_default()
                ));
                self.handle(Input::NotStarted);
            }
        }
    }

    /// Nothing is known to the daemon there is now.
    pub(super) fn begin_daemon(&mut self) {
        self.children.tell_again();
        self.watchdog.renewed();
    }

    pub(super) fn welcome(&self, role: Role) -> ToDaemon {
        ToDaemon::Welcome { daemon_starts: self.daemon_starts, keeper_pid: std::process::id(), role }
    }

    pub(super) fn kill_daemon(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill();
        }
    }

    fn end_lingering(&mut self) {
        self.lingering.iter_mut().chain(&mut self.successor).for_each(Daemon::kill);
    }

    fn handle_daemon(&mut self, pid: Pid, ready: PollFlags) {
        if ready.contains(PollFlags::OUT) {
            let daemon = self.all_daemons_mut().find(|daemon| daemon.pid == pid);
            let connection = daemon.and_then(|daemon| daemon.connection.as_mut());
            if let Some(Err(broken)) = connection.map(|connection| connection.flush()) {
                self.lose(pid, &broken);
            }
        }
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.read(pid);
        }
    }

    fn read(&mut self, pid: Pid) {
        let mut requests: Vec<Request> = Vec::new();
        let daemon = self.all_daemons_mut().find(|daemon| daemon.pid == pid);
        let Some(connection) = daemon.and_then(|daemon| daemon.connection.as_mut()) else { return };
        let result = connection.read(&mut requests);
        requests.into_iter().for_each(|request| self.handle_request(pid, request));
        if let Err(broken) = result {
            self.lose(pid, &broken);
        }
    }

    /// The connection is of no use any more.
    fn lose(&mut self, pid: Pid, broken: &super::frame::Broken) {
        if !broken.is_end() {
            say(&format!("stead: the connection to the daemon broke: {broken}"));
        }
        if let Some(daemon) = self.all_daemons_mut().find(|daemon| daemon.pid == pid) {
            daemon.connection = None;
        }
        if self.is_daemon(pid) {
            self.handle(Input::Mute);
        } else if !broken.is_end()
            && let Some(successor) = self.successor.as_mut().filter(|successor| successor.pid == pid)
        {
            successor.kill();
        }
    }

    /// Tells the daemon something.
    pub(super) fn tell(&mut self, message: &ToDaemon, descriptors: Vec<Arc<OwnedFd>>) {
        if let Some(daemon) = &mut self.daemon
            && let Err(broken) = daemon.tell(message, descriptors)
        {
            let pid = daemon.pid;
            self.lose(pid, &broken);
        }
    }

    pub(super) fn is_daemon(&self, pid: Pid) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.pid == pid)
    }

    pub(super) fn is_successor(&self, pid: Pid) -> bool {
        self.successor.as_ref().is_some_and(|daemon| daemon.pid == pid)
    }

    pub(super) fn all_daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.daemon.iter().chain(&self.successor).chain(&self.lingering)
    }

    fn all_daemons_mut(&mut self) -> impl Iterator<Item = &mut Daemon> {
        self.daemon.iter_mut().chain(&mut self.successor).chain(&mut self.lingering)
    }

    fn daemons(&self) -> Vec<Pid> {
        self.all_daemons().map(|daemon| daemon.pid).collect()
    }

    // ## What happens

    fn handle_signals(&mut self) {
        for signal in self.signals.take() {
            if signal.asks_to_stop() {
                self.handle_upgrade(upgrade::Input::Stop);
            }
            let connection = self.daemon.as_ref().and_then(|daemon| daemon.connection.as_ref());
            let reads = connection.is_some_and(|connection| connection.is_read());
            self.handle(Input::Signal { signal, reads });
        }
    }

    fn reap(&mut self) {
        while let Some(reaped) = self.children.reap(&self.daemons()) {
            self.handle_reaped(reaped);
        }
    }

    fn handle_reaped(&mut self, reaped: Reaped) {
        match reaped {
            Reaped::Child(child) => {
                if self.daemon.as_ref().is_some_and(Daemon::has_begun)
                    && let Some(exit) = self.children.tell_exit(child)
                {
                    self.tell(&ToDaemon::Exited { child, exit }, Vec::new());
                }
            }
            Reaped::Other { pid, exit } => {
                // What it said before it died counts, `finish` and `handed_over` above all.
                self.read_last_words(pid);
                if self.is_daemon(pid) {
                    self.daemon = None;
                    self.daemon_exit = Some(exit);
                    (self.renewing, self.candidate) = (false, None);
                    self.handle_upgrade(upgrade::Input::DaemonGone);
                    self.handle(Input::Gone);
                } else if self.is_successor(pid) {
                    self.successor = None;
                    self.handle_upgrade(upgrade::Input::SuccessorGone(exit.to_string()));
                } else {
                    self.lingering.retain(|daemon| daemon.pid != pid);
                }
            }
        }
    }

    fn read_last_words(&mut self, pid: Pid) {
        let daemon = self.all_daemons_mut().find(|daemon| daemon.pid == pid);
        let Some(daemon) = daemon else { return };
        daemon.dead = true;
        let Some(mut connection) = daemon.connection.take() else { return };
        let mut requests = Vec::new();
        while matches!(connection.read(&mut requests), Ok(true)) {}
        requests.into_iter().for_each(|request| self.handle_request(pid, request));
    }

    /// Whether one more descriptor may be kept; the rest is for the keeper to work with.
    pub(super) fn has_room(&self) -> bool {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let used = self.held.len() + self.children.len() + OWN_DESCRIPTORS;
        usize::try_from(limit).unwrap_or(usize::MAX) > used
    }
}

struct Ready {
    signals: bool,
    daemons: Vec<(Pid, PollFlags)>,
}

/// The keeper holds descriptors for everybody. Returns the limit there was.
fn raise_open_files() -> Option<u64> {
    let limits = getrlimit(Resource::Nofile);
    // Refused by nobody: the soft limit may always go up to the hard one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum });
    limits.current
}
