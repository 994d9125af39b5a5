//! What daemons ask the keeper for.
//!
//! Only *the* daemon may ask for anything. A successor may say that it is prepared; one that has handed over is not
//! listened to, because everything it still knows is another's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::Pid;

use super::children::Spawned;
use super::connection::Request;
use super::daemon::Stage;
use super::policy::Input;
use super::protocol::{HELD_MAX, NAME_BYTES_MAX, ToDaemon, ToKeeper};
use super::say::say;
use super::server::Server;
use super::upgrade;
use crate::descriptors::DescriptorsLost;
use crate::spawn::{Kind, Launch, SpawnFailure, SpawnSpec};

type Descriptors = Result<Vec<OwnedFd>, DescriptorsLost>;

impl Server {
    pub(super) fn handle_request(&mut self, pid: Pid, request: Request) {
        let Some(message) = request.message else {
            return say("stead: a message of the daemon was not understood and is skipped");
        };
        if self.is_daemon(pid) {
            self.handle_daemons(message, request.descriptors);
        } else if self.is_successor(pid) {
            self.handle_successors(&message);
        }
    }

    fn handle_daemons(&mut self, message: ToKeeper, descriptors: Descriptors) {
        match message {
            ToKeeper::Spawn { request, spec } => self.handle_spawn(request, &spec, descriptors),
            ToKeeper::Signal { child, signal } => self.children.signal(child, signal),
            ToKeeper::Bury { child } => self.children.bury(child),
            ToKeeper::Hold { name } => match descriptors {
                Ok(descriptors) => self.hold(name, descriptors),
                Err(lost) => say(&format!("stead: `{name}` is not held: {lost}")),
            },
            ToKeeper::Release { name } => drop(self.held.remove(&name)),
            ToKeeper::Prepared => self.begin_giving(None),
            ToKeeper::More => self.give_more(),
            ToKeeper::Serving => {
                self.handle(Input::Serving);
                self.handle_upgrade(upgrade::Input::Serving);
            }
            ToKeeper::Upgrade { program } => self.ask_upgrade(&program),
            ToKeeper::HandedOver => self.handle_upgrade(upgrade::Input::HandedOver),
            ToKeeper::Notify { state } => self.manager.notify(&state),
            ToKeeper::Pong => self.watchdog.answered(),
            ToKeeper::Finish { code } => {
                self.handle_upgrade(upgrade::Input::Stop);
                self.handle(Input::Finish(code));
            }
        }
    }

    fn handle_successors(&mut self, message: &ToKeeper) {
        match message {
            ToKeeper::Prepared => {
                if let Some(successor) = &mut self.successor {
                    successor.stage = Stage::Prepared;
                }
                self.handle_upgrade(upgrade::Input::Prepared);
            }
            ToKeeper::Finish { code } => {
                self.kill_successor();
                self.handle_upgrade(upgrade::Input::SuccessorGone(format!("declined with exit code {code}")));
            }
            // It does not look after anything yet.
            _ => (),
        }
    }

    fn handle_spawn(&mut self, request: u64, spec: &SpawnSpec, descriptors: Descriptors) {
        // Nobody would look after such a child.
        if self.daemon.as_ref().is_none_or(|daemon| daemon.dead) {
            return;
        }
        let spawned = descriptors
            .map_err(|_lost| SpawnFailure::preparing(&Errno::MFILE.into()))
            .and_then(|descriptors| self.spawn(spec, &descriptors));
        match spawned {
            Ok(Spawned { id: child, pid, pidfd, start_time }) => {
                let pid = pid.as_raw_pid().unsigned_abs();
                self.tell(&ToDaemon::Spawned { request, child, pid, start_time }, vec![pidfd]);
            }
            Err(failure) => self.tell(&ToDaemon::NotSpawned { request, failure }, Vec::new()),
        }
    }

    fn spawn(&mut self, spec: &SpawnSpec, descriptors: &[OwnedFd]) -> Result<Spawned, SpawnFailure> {
        if !self.has_room() {
            return Err(SpawnFailure::preparing(&Errno::MFILE.into()));
        }
        if spec.tag.len() > NAME_BYTES_MAX {
            return Err(SpawnFailure::preparing(&Errno::INVAL.into()));
        }
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        self.children.spawn(&Launch {
            spec,
            descriptors: &descriptors,
            null: self.null.as_fd(),
            kind: Kind::Worker,
            argument_zero: None,
            open_files_default: self.open_files,
        })
    }

    fn hold(&mut self, name: String, descriptors: Vec<OwnedFd>) {
        let room = self.held.contains_key(&name) || (self.held.len() < HELD_MAX && self.has_room());
        match descriptors.into_iter().next() {
            Some(descriptor) if room && name.len() <= NAME_BYTES_MAX => {
                self.held.insert(name, Arc::new(descriptor));
            }
            // The daemon's side refuses most of these before they are sent.
            _ => say(&format!("stead: `{name}` is not held: there is no room for it")),
        }
    }
}
