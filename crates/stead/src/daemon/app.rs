//! The task of one app: performs what its supervisor decides and tells it what happens. No policy in here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_balancer::{Death, PoolEvent};
use stead_control::{Event as Heard, Progress};
use stead_process::keeper::{Exit, Signal};
use stead_process::node::ClusterMessage;
use stead_supervisor::{Action, App, ExitKind, Input, WorkerId};
use tokio::sync::mpsc;

use super::message::Message;
use super::ports::{ListenError, PortId, Ports};
use super::settings::{Shown, for_supervisor};
use super::shared::Shared;
use super::worker::{Link, Worker};
use crate::config::{AppSettings, Mode};

/// How often pools look for workers that take nothing.
const WEDGE_LOOK: Duration = Duration::from_millis(250);

/// One app and everything that runs for it.
pub(super) struct AppTask {
    pub(super) id: u32,
    pub(super) settings: Arc<AppSettings>,
    pub(super) shared: Arc<Shared>,
    pub(super) machine: App,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) ports: Ports,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    /// Reloads under way, by id, and who wants to know how they go.
    pub(super) reloads: HashMap<u64, mpsc::Sender<Progress>>,
    pub(super) next_reload: u64,
    pub(super) shown: Shown,
    /// An address was refused; the reason why nothing gets ready, if it comes to that.
    pub(super) refusal: Option<ListenError>,
    /// How the last worker of each slot ended, that nobody asked to.
    pub(super) last_exits: HashMap<u32, Exit>,
    /// Exits of workers that a request may have killed.
    pub(super) exits: super::report::Exits,
    /// Nothing of it runs, because it was stopped or has finished.
    pub(super) rests: bool,
    /// It is to be forgotten once it rests.
    pub(super) leaving: bool,
}

/// Runs an app until it is deleted.
pub(super) async fn run(mut task: AppTask, mut messages: mpsc::UnboundedReceiver<Message>) {
    let mut look = tokio::time::interval(WEDGE_LOOK);
    task.begin();
    loop {
        while let Some(action) = task.machine.poll_action() {
            task.perform(action).await;
        }
        if task.rests && task.leaving {
            break;
        }
        let timeout = task.machine.poll_timeout();
        tokio::select! {
            message = messages.recv() => match message {
                Some(message) => task.hear(message),
                None => break,
            },
            () = sleep_until(timeout) => task.input(Input::Timeout),
            _ = look.tick() => task.ports.iter().for_each(|(_, port)| port.pool.look_for_wedged()),
        }
    }
    task.ports.close_all();
    task.shared.registry.remove(task.id);
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

impl AppTask {
    pub(super) fn input(&mut self, input: Input) {
        self.machine.handle(Instant::now(), input);
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Exited { worker, exit } => self.exited(worker, exit),
            Message::Node { worker, received } => self.hear_node(worker, received),
            Message::ChannelEnded { worker } => self.channel_ended(worker),
            Message::Joined { worker, channel } => self.joined(worker, channel),
            Message::Pool { port, event } => self.hear_pool(port, event),
            Message::Ready { worker } => self.input(Input::Ready { worker }),
            Message::Reload { progress } => self.reload(progress),
            Message::Reconfigure(settings) => self.reconfigure(*settings),
            Message::Scale(instances) => self.scale(instances),
            Message::Start { answer } => drop(answer.send(self.start_again())),
            Message::Stop { now } => self.stop(now),
            Message::Delete { now } => {
                self.leaving = true;
                self.stop(now);
            }
            Message::Send { message, answer } => {
                let sent = |worker: &mut Worker| match worker.node() {
                    Some(link) => link.open && link.channel.send(&message).is_ok(),
                    None => false,
                };
                let count = self.workers.values_mut().map(sent).filter(|sent| *sent).count();
                // Whoever asked may have gone.
                let _unheard = answer.send(count as u32);
            }
            Message::Status { answer } => drop(answer.send(self.status())),
            Message::Poisoned { answer } => drop(answer.send(self.poisoned())),
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { worker, slot } => self.spawn(worker, slot).await,
            Action::Route { worker } => self.route(worker),
            Action::Drain { worker } => self.drain(worker),
            Action::Suspend { worker } => self.suspend(worker),
            Action::StopPolitely { worker } => self.stop_politely(worker),
            Action::Terminate { worker } => self.signal(worker, Signal::TERM),
            Action::Kill { worker } => self.signal(worker, Signal::KILL),
            Action::Tell(event) => self.tell(event),
        }
    }

    fn route(&mut self, worker: WorkerId) {
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.routed = true;
        process.draining = None;
        for (port, road) in process.roads.clone() {
            self.ports.add(port, worker, road);
        }
        self.close_deserted_ports();
    }

    fn drain(&mut self, worker: WorkerId) {
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.routed = false;
        let ports: HashSet<PortId> =
            self.ports.iter().filter(|(_, port)| port.is_served_by(worker)).map(|(id, _)| id).collect();
        process.draining = Some(ports.clone());
        for port in ports {
            self.ports.drain(port, worker);
        }
        self.check_drained(worker);
    }

    /// It gets no more requests for now; nobody waits until it has finished those that it has.
    fn suspend(&mut self, worker: WorkerId) {
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.routed = false;
        let ports = self.ports.iter().filter(|(_, port)| port.is_served_by(worker));
        ports.for_each(|(port, _)| self.ports.drain(port, worker));
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
        let direct = |port: &PortId| self.ports.get(*port).is_some_and(|port| port.mode == Mode::Direct);
        self.workers.get(&worker).is_some_and(|process| match &process.link {
            Link::Node(link) => link.open && process.roads.keys().any(direct),
            Link::Signals => false,
        })
    }

    fn stop_politely(&mut self, worker: WorkerId) {
        self.ports.cut(worker);
        let node = self.link(worker).is_some_and(|link| link.open && link.online);
        if node { self.disconnect(worker) } else { self.signal(worker, Signal::TERM) }
    }

    fn disconnect(&mut self, worker: WorkerId) {
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

    fn signal(&mut self, worker: WorkerId, signal: Signal) {
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.asked_to_end = true;
        // A worker that stands still (SIGSTOP) cannot act on SIGTERM.
        self.shared.keeper.signal(process.child.id, signal);
        if signal == Signal::TERM {
            self.shared.keeper.signal(process.child.id, Signal::CONT);
        }
    }

    fn channel_ended(&mut self, worker: WorkerId) {
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

    fn hear_pool(&mut self, port: PortId, event: PoolEvent) {
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

    fn exited(&mut self, worker: WorkerId, exit: Exit) {
        let Some(process) = self.workers.remove(&worker) else { return };
        if let Link::Node(link) = &process.link {
            link.unaccepted.clear();
        }
        let mut kind = ExitKind {
            code: exit.code,
            signal: exit.signal,
            core_dumped: exit.core_dumped,
            out_of_memory: exit.out_of_memory,
            outside: false,
        };
        let killed = matches!(exit.signal, Some(9 | 15)) && !exit.out_of_memory;
        kind.outside = killed && !process.asked_to_end;
        if !process.asked_to_end {
            self.last_exits.insert(process.slot, exit);
        }
        self.exits.note(&self.ports, worker, (process.child.pid, exit));
        // To a request it matters whether it may be to blame. It is not if Stead ended the worker for another reason.
        let blameless = kind.outside || (process.asked_to_end && !process.wedged);
        self.ports.remove(worker, Death { outside: blameless });
        if !self.shown.was_ready
            && let Some(error) = self.refusal.take()
        {
            // It died of the refused address and would again.
            self.give_up("it could not listen", Some(error));
        }
        self.input(Input::Exited { worker, exit: kind });
    }

    fn reload(&mut self, progress: Option<mpsc::Sender<Progress>>) {
        let id = self.next_reload;
        self.next_reload += 1;
        if let Some(progress) = progress {
            self.reloads.insert(id, progress);
        }
        self.input(Input::Reload { id });
    }

    fn reconfigure(&mut self, settings: AppSettings) {
        let old = &self.settings;
        if (&old.listen, old.mode, &old.ports, old.balancer)
            != (&settings.listen, settings.mode, &settings.ports, settings.balancer)
        {
            self.say("changes of addresses, modes and limits of requests take effect with the next start");
        }
        self.settings = Arc::new(settings);
        let config = for_supervisor(&self.settings, self.shown);
        self.input(Input::Reconfigure(config));
    }

    fn scale(&mut self, instances: u32) {
        self.settings = Arc::new(AppSettings { instances, ..(*self.settings).clone() });
        self.input(Input::Scale(instances));
        self.hear_all(&Heard::Scaled { app: self.settings.name.clone(), instances });
    }

    /// The app has shown more of itself, which is judged by.
    pub(super) fn has_shown(&mut self, shown: Shown) {
        if shown.serves != self.shown.serves || shown.was_ready != self.shown.was_ready {
            self.shown = shown;
            self.input(Input::Reconfigure(for_supervisor(&self.settings, shown)));
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

    pub(super) fn refused_to_listen(&mut self, error: ListenError) {
        if self.shown.was_ready {
            self.say(&crate::cli::in_one_line(&error));
        }
        self.refusal = Some(error);
    }

    /// The app never got ready and will not.
    pub(super) fn give_up(&mut self, reason: &str, refusal: Option<ListenError>) {
        self.shared.app_failed(&self.settings.name, reason, refusal);
        self.input(Input::StopNow);
    }

    pub(super) fn say(&self, text: &str) {
        self.shared.console.say(Some(&self.settings.name), text);
    }

    pub(super) fn hear_all(&self, event: &Heard) {
        self.shared.console.event(event);
        // Without a listener nobody has to know.
        drop(self.shared.events.send(event.clone()));
    }

    fn begin(&mut self) {
        if !self.settings.program.is_node {
            self.serve_configured();
        }
        self.input(Input::Start);
    }

    /// Starts what rests; what runs and has failed is tried again at once.
    fn start_again(&mut self) -> Result<(), ListenError> {
        if self.rests {
            self.ports.bind_configured(&self.settings)?;
            self.shown = Shown { serves: !self.ports.is_empty(), was_ready: false };
            self.rests = false;
            self.shared.registry.set_rests(self.id, false);
            self.input(Input::Reconfigure(for_supervisor(&self.settings, self.shown)));
        }
        self.begin();
        Ok(())
    }

    fn stop(&mut self, now: bool) {
        if self.rests {
            return self.hear_all(&Heard::AppStopped { app: self.settings.name.clone() });
        }
        self.input(if now { Input::StopNow } else { Input::Stop });
    }

    /// Nothing of it runs any more; its addresses are free for others.
    pub(super) fn rest(&mut self) {
        self.ports.close_all();
        self.rests = true;
        self.shared.registry.set_rests(self.id, true);
    }
}
