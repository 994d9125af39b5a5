//! The names under which the keeper holds this instance's descriptors, and what it gave back of them.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use stead_process::keeper::Keeper;
use stead_supervisor::WorkerId;

/// The socket of the control API.
pub(super) const CONTROL: &str = "control";
/// The socket for workers.
pub(super) const WORKERS: &str = "workers";
/// What is known about messages, see `exchange/journal.rs`.
pub(super) const MESSAGES: &str = "messages";
/// The lock that makes this the only instance in the background.
pub(super) const OWNER: &str = "owner";

/// What a worker's descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Stdout,
    Stderr,
    /// The message channel of a Node.js program.
    Channel,
    /// Where a Node.js program below it comes for its channel.
    Join,
    /// `NOTIFY_SOCKET`.
    Notify,
}

impl Part {
    pub(super) const ALL: [Part; 5] = [Part::Stdout, Part::Stderr, Part::Channel, Part::Join, Part::Notify];

    fn name(self) -> &'static str {
        match self {
            Part::Stdout => "stdout",
            Part::Stderr => "stderr",
            Part::Channel => "channel",
            Part::Join => "join",
            Part::Notify => "notify",
        }
    }
}

/// The state of an app, see `state.rs`.
pub(super) fn state(app: u32) -> String {
    format!("state {app}")
}

/// A public listener, named after the app that came first.
pub(super) fn listener(app: u32, address: &str) -> String {
    format!("listen {app} {address}")
}

/// The address in the name of a listener.
pub(super) fn address(held_as: &str) -> &str {
    held_as.splitn(3, ' ').nth(2).unwrap_or(held_as)
}

/// A UDP socket that the workers share.
pub(super) fn udp(app: u32, key: &str) -> String {
    format!("udp {app} {key}")
}

/// What a run of a schedule prints into.
pub(super) fn schedule(app: u32, schedule: &str) -> String {
    format!("schedule {app} {schedule}")
}

/// A descriptor of a worker.
pub(super) fn worker(app: u32, worker: WorkerId, part: Part) -> String {
    format!("worker {app} {worker} {}", part.name())
}

/// Descriptors that the daemon before this one left.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<String, OwnedFd>);

impl Held {
    pub(super) fn new(held: Vec<(String, OwnedFd)>) -> Self {
        Self(held.into_iter().collect())
    }

    pub(super) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.0.remove(name)
    }

    /// The states of apps, in the order of their numbers.
    pub(super) fn take_states(&mut self) -> Vec<(u32, OwnedFd)> {
        let number = |name: &str| name.strip_prefix("state ")?.parse::<u32>().ok();
        let taken = self.0.extract_if(|name, _| number(name).is_some());
        let mut states: Vec<_> =
            taken.filter_map(|(name, memory)| number(&name).map(|app| (app, memory))).collect();
        states.sort_by_key(|(app, _)| *app);
        states
    }

    /// The public listeners of all apps.
    pub(super) fn take_listeners(&mut self) -> HashMap<String, OwnedFd> {
        self.0.extract_if(|name, _| name.starts_with("listen ")).collect()
    }

    /// The UDP sockets of this app, by their keys.
    pub(super) fn take_udp(&mut self, app: u32) -> Vec<(String, OwnedFd)> {
        let prefix = udp(app, "");
        let taken = self.0.extract_if(|name, _| name.starts_with(&prefix));
        taken.map(|(name, socket)| (name[prefix.len()..].to_owned(), socket)).collect()
    }

    /// What belongs to this app.
    pub(super) fn take_app(&mut self, app: u32) -> Self {
        let prefixes = ["udp", "worker", "schedule"].map(|kind| format!("{kind} {app} "));
        Self(self.0.extract_if(|name, _| prefixes.iter().any(|own| name.starts_with(own))).collect())
    }

    /// What nobody wanted is not kept any longer.
    pub(super) fn release(self, keeper: &Keeper) {
        self.0.keys().for_each(|name| keeper.release(name));
    }
}
