//! Which workers get requests, and how one that is to leave gets rid of those it has.

use std::collections::HashSet;
use std::time::Instant;

use stead_balancer::PoolEvent;
use stead_process::keeper::Signal;
use stead_process::node::ClusterMessage;
use stead_supervisor::{Input, WorkerId};

use super::app::AppTask;
use super::ports::PortId;
use super::worker::Link;

impl AppTask {
    pub(super) fn route(&mut self, worker: WorkerId) {
        self.shared.exchange.set_ready(self.member(worker), true);
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.routed = true;
        process.draining = None;
        if let Some(pool) = &self.pool {
            return pool.route(worker);
        }
        let slot = process.slot;
        for (port, road) in process.roads.clone() {
            self.ports.add(port, (worker, slot), road);
        }
        self.close_deserted_ports();
    }

    pub(super) fn drain(&mut self, worker: WorkerId) {
        self.shared.exchange.leave(self.member(worker));
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.routed = false;
        let ports: HashSet<PortId> =
            self.ports.iter().filter(|(_, port)| port.is_served_by(worker)).map(|(id, _)| id).collect();
        process.draining = Some(ports.clone());
        if self.pool.is_some() {
            return self.drain_tasks(worker);
        }
        for port in ports {
            self.ports.drain(port, worker);
        }
        self.check_drained(worker);
    }

    /// No more requests for now; what is in flight goes on.
    pub(super) fn suspend(&mut self, worker: WorkerId) {
        self.shared.exchange.set_ready(self.member(worker), false);
        if let Some(process) = self.workers.get_mut(&worker) {
            process.routed = false;
            if let Some(pool) = &self.pool {
                pool.drain(worker);
            }
            self.ports.iter().for_each(|(port, _)| self.ports.drain(port, worker));
        }
    }

    /// Requests that belong to a slot wait for it as long as it will have a worker again.
    pub(super) fn settle_slots(&self) {
        if self.settings.choosing.binds() && !self.ports.is_empty() {
            let slots = self.machine.snapshot(Instant::now()).slots.into_iter();
            let returning: Vec<u32> = slots.filter(|slot| slot.returns).map(|slot| slot.slot).collect();
            self.ports.retain_slots(&returning);
        }
    }

    fn check_drained(&mut self, worker: WorkerId) {
        let holds_connections = self.holds_connections(worker);
        let Some(process) = self.workers.get_mut(&worker) else { return };
        if !process.draining.as_ref().is_some_and(HashSet::is_empty) {
            return;
        }
        if !holds_connections {
            process.draining = None;
            return self.input(Input::Drained { worker });
        }
        // Whole connections are the worker's: it ends them itself, and its channel when the last is gone.
        self.disconnect(worker);
    }

    /// Whether it was given whole connections, whose end only the worker sees.
    fn holds_connections(&self, worker: WorkerId) -> bool {
        let whole = |port: &PortId| self.ports.get(*port).is_some_and(|port| port.mode.is_whole());
        self.workers.get(&worker).is_some_and(|process| match &process.link {
            Link::Node(link) => link.open && process.roads.keys().any(whole),
            Link::Signals => false,
        })
    }

    pub(super) fn stop_politely(&mut self, worker: WorkerId) {
        if self.pool.is_some() {
            return self.dismiss(worker);
        }
        self.ports.cut(worker);
        let polite = self.polite_signal();
        let node = self.link(worker).is_some_and(|link| link.open && link.online);
        // Who names a signal has a program that listens to it, and perhaps to nothing else.
        if node && polite == Signal::TERM { self.disconnect(worker) } else { self.signal(worker, polite) }
    }

    fn polite_signal(&self) -> Signal {
        Signal::from_number(self.settings.stop.stop_signal).unwrap_or(Signal::TERM)
    }

    fn disconnect(&mut self, worker: WorkerId) {
        self.shared.exchange.leave(self.member(worker));
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.asked_to_end = true;
        if let Some(link) = process.node()
            && !link.disconnecting
        {
            link.disconnecting = true;
            // A channel that is closed already needs no goodbye.
            drop(link.channel.cluster(ClusterMessage::Disconnect, None));
        }
    }

    pub(super) fn signal(&mut self, worker: WorkerId, signal: Signal) {
        self.shared.exchange.leave(self.member(worker));
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.asked_to_end = true;
        // A worker that stands still (SIGSTOP) cannot act on a signal.
        self.shared.keeper.signal(process.child.id, signal);
        if signal != Signal::KILL {
            self.shared.keeper.signal(process.child.id, Signal::CONT);
        }
    }

    /// It is killed; whoever has waited for it is told what it did not listen to.
    pub(super) fn kill(&mut self, worker: WorkerId) {
        let asked = self.workers.get(&worker).filter(|process| process.asked_to_end);
        if let Some(slot) = asked.map(|process| process.slot) {
            let name = format!("{}.{slot}", self.settings.name);
            let polite = self.polite_signal();
            let signals = if polite == Signal::TERM { "SIGTERM" } else { "`stop_signal` and SIGTERM" };
            self.say(&format!(
                "{name} has not ended after {signals} and is killed; `stop_signal` names a signal that it listens to, `kill_after` gives it \
                 more time"
            ));
        }
        self.signal(worker, Signal::KILL);
    }

    pub(super) fn channel_ended(&mut self, worker: WorkerId) {
        let Some(link) = self.link(worker) else { return };
        link.open = false;
        link.unaccepted.clear();
        let disconnected = link.disconnecting;
        if self.workers.get(&worker).is_some_and(|process| process.draining.is_some()) {
            self.check_drained(worker);
        } else if !disconnected && self.workers.get(&worker).is_some_and(|process| process.routed) {
            // It left of its own accord and can be given nothing any more.
            self.input(Input::Unready { worker });
        }
        if disconnected {
            // It has closed everything; what still holds its event loop (a timer, a database) is of no use to anybody.
            self.signal(worker, Signal::TERM);
        }
    }

    pub(super) fn hear_pool(&mut self, port: PortId, event: PoolEvent) {
        match event {
            PoolEvent::Drained(endpoint) => {
                let Some(worker) = self.ports.worker_of(port, endpoint) else { return };
                let is_current =
                    self.ports.get(port).and_then(|port| port.endpoint_of(worker)) == Some(endpoint);
                if let Some(process) = self.workers.get_mut(&worker)
                    && let Some(draining) = &mut process.draining
                    && is_current
                {
                    draining.remove(&port);
                    self.check_drained(worker);
                }
            }
            PoolEvent::Wedged(endpoint) => {
                if let Some(worker) = self.ports.worker_of(port, endpoint) {
                    if let Some(process) = self.workers.get_mut(&worker) {
                        process.wedged = true;
                    }
                    self.input(Input::Wedged { worker });
                }
            }
            PoolEvent::Poisoned(record) => self.tell_poisoned(port, &record),
        }
    }

    /// Ports of code that no longer runs: no worker listens there, while others serve elsewhere.
    fn close_deserted_ports(&mut self) {
        let deserted: Vec<PortId> = self
            .ports
            .iter()
            .filter(|(id, port)| {
                !port.is_from_configuration() && !self.workers.values().any(|worker| worker.wants(*id))
            })
            .map(|(id, _)| id)
            .collect();
        if self.workers.values().any(|worker| worker.routed && !worker.roads.is_empty()) {
            deserted.into_iter().for_each(|port| self.ports.close(port));
        }
    }

    /// Programs that do not ask for their connections get those of the addresses in the configuration.
    pub(super) fn serve_configured(&mut self) {
        let Some(port) = self.ports.configured() else { return };
        match self.ports.serve(port, self.settings.mode) {
            Ok(_) => self.announce_port(port),
            Err(error) => self.say(&format!("a listener cannot be served: {error}")),
        }
    }
}
