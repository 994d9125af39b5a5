//! How one daemon follows another: giving the inheritance, and performing what `upgrade.rs` decides.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::fcntl_dupfd_cloexec;

use super::daemon::{Daemon, Giving, Stage};
use super::policy;
use super::protocol::{BATCH_MAX, Role, ToDaemon};
use super::say::say;
use super::server::Server;
use super::upgrade::{Action, Input};
use crate::socket;
use crate::spawn::{Context, SpawnFailure};

/// The lowest number for the new binary, above those a daemon finds its own descriptors at.
const CANDIDATE_FROM: i32 = 10;

/// Old daemons that may still be finishing their requests; beyond that the oldest is killed.
const LINGERING_MAX: usize = 4;

impl Server {
    // ## The inheritance

    /// The daemon is prepared: gives it everything there is.
    pub(super) fn begin_giving(&mut self, peer: Option<Arc<OwnedFd>>) {
        let mut giving =
            Giving { children: self.children.ids(), names: self.held.keys().cloned().collect(), peer };
        giving.children.reverse();
        giving.names.reverse();
        if let Some(daemon) = &mut self.daemon
            && matches!(daemon.stage, Stage::New | Stage::Prepared)
        {
            daemon.stage = Stage::Taking(giving);
            self.give_more();
        }
    }

    /// One message at a time, so that never more descriptors are on their way than the kernel lets.
    pub(super) fn give_more(&mut self) {
        let Some(Daemon { stage: Stage::Taking(giving), .. }) = &mut self.daemon else { return };
        if !giving.children.is_empty() {
            let ids = split_last(&mut giving.children);
            let records = ids.into_iter().filter_map(|id| self.children.record(id));
            let (children, pidfds) = records.unzip();
            self.tell(&ToDaemon::Children { children }, pidfds);
        } else if !giving.names.is_empty() {
            let names = split_last(&mut giving.names).into_iter();
            let held = names.filter_map(|name| Some((name.clone(), Arc::clone(self.held.get(&name)?))));
            let (names, descriptors) = held.unzip();
            self.tell(&ToDaemon::Held { names }, descriptors);
        } else {
            let peer = giving.peer.take();
            self.begin(peer);
        }
    }

    fn begin(&mut self, peer: Option<Arc<OwnedFd>>) {
        if let Some(daemon) = &mut self.daemon {
            daemon.stage = Stage::Begun;
        }
        self.tell(&ToDaemon::Begin, peer.into_iter().collect());
        // Those that died while it was being told of them.
        for child in self.children.ids() {
            if let Some(exit) = self.children.tell_exit(child) {
                self.tell(&ToDaemon::Exited { child, exit }, Vec::new());
            }
        }
    }

    // ## The upgrade

    /// Asks the machine, and does what it says before anything else happens.
    pub(super) fn handle_upgrade(&mut self, input: Input) {
        self.upgrade.handle(Instant::now(), input);
        while let Some(action) = self.upgrade.poll_action() {
            match action {
                Action::Start => self.start_successor(),
                Action::Offer => self.offer(),
                Action::Promote => self.promote(),
                Action::Abdicate => self.abdicate(),
                Action::KillSuccessor => self.kill_successor(),
                Action::KillDaemon => self.kill_daemon(),
                Action::Fail(reason) => {
                    self.candidate = None;
                    self.refuse_upgrade(reason);
                }
                Action::Refuse => self.refuse_upgrade("an upgrade is going on already".to_owned()),
                Action::Renew => self.renewing = true,
            }
        }
    }

    pub(super) fn ask_upgrade(&mut self, program: &str) {
        if !self.upgrade.is_idle() {
            return self.handle_upgrade(Input::Asked);
        }
        if self.renewing || !self.policy.is_steady() {
            return self.refuse_upgrade("the keeper is busy with the daemon".to_owned());
        }
        // Opened once, so that successor and keeper become the very same file.
        let opened = openat(CWD, program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        match opened.and_then(|candidate| fcntl_dupfd_cloexec(candidate, CANDIDATE_FROM)) {
            Ok(candidate) => {
                self.candidate = Some(candidate);
                self.handle_upgrade(Input::Asked);
            }
            Err(error) => self.refuse_upgrade(format!("`{program}` cannot be opened: {error}")),
        }
    }

    fn refuse_upgrade(&mut self, reason: String) {
        self.tell(&ToDaemon::UpgradeFailed { reason }, Vec::new());
    }

    fn start_successor(&mut self) {
        let started = self.launch_successor();
        match started {
            Ok(successor) => {
                self.daemon_starts += 1;
                let welcome = self.welcome(Role::Successor);
                let successor = self.successor.insert(successor);
                // A first message always fits; that it is dead already is found when it is reaped.
                let _ = successor.tell(&welcome, Vec::new());
                self.handle_upgrade(Input::Started);
            }
            Err(why) => self.handle_upgrade(Input::NotStarted(why)),
        }
    }

    fn launch_successor(&self) -> Result<Daemon, String> {
        let candidate = self.candidate.as_ref().ok_or("there is no new program")?;
        let program = PathBuf::from(format!("/proc/self/fd/{}", candidate.as_raw_fd()));
        Daemon::launch(&self.command, &program, self.null.as_fd()).map_err(|failure: SpawnFailure| {
            let error = failure.into_error("the new program".to_owned(), Context::default());
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })
    }

    /// Connects both daemons and has the old one hand over.
    fn offer(&mut self) {
        match socket::pair() {
            Ok((ours, theirs)) => {
                self.peer = Some(Arc::new(theirs));
                self.tell(&ToDaemon::HandOver, vec![Arc::new(ours)]);
            }
            Err(error) => {
                self.kill_successor();
                self.handle_upgrade(Input::SuccessorGone(format!("no connection to it: {error}")));
            }
        }
    }

    /// From here on the successor is the daemon.
    fn promote(&mut self) {
        self.linger();
        self.daemon = self.successor.take();
        self.begin_daemon();
        self.handle(policy::Input::HandedOver { successor: true });
        let peer = self.peer.take();
        self.begin_giving(peer);
    }

    fn abdicate(&mut self) {
        self.linger();
        self.candidate = None;
        say("stead: the daemon has handed over and its successor is gone; another is started");
        self.handle(policy::Input::HandedOver { successor: false });
    }

    /// The daemon there is ends by itself.
    fn linger(&mut self) {
        self.lingering.extend(self.daemon.take());
        let surplus = self.lingering.len().saturating_sub(LINGERING_MAX);
        self.lingering.iter_mut().take(surplus).for_each(Daemon::kill);
    }

    /// It stays known until it is reaped.
    pub(super) fn kill_successor(&mut self) {
        self.candidate = None;
        self.peer = None;
        if let Some(mut successor) = self.successor.take() {
            successor.kill();
            self.lingering.push(successor);
        }
    }
}

fn split_last<T>(list: &mut Vec<T>) -> Vec<T> {
    let mut last = list.split_off(list.len().saturating_sub(BATCH_MAX));
    last.reverse();
    last
}
