//! Takes a started process under the app's care: its output is read, its channel heard, its readiness watched for.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stead_balancer::Road;
use stead_logs::{Sink, Source, Stream};
use stead_messages::Member;
use stead_process::node::{Channel, Continuation, Receiver};
use stead_supervisor::{Input, WorkerId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::app::AppTask;
use super::exchange::Exchange;
use super::held::{self, Part};
use super::launch::{Ends, Launch, Launched};
use super::message::Message;
use super::notify::NotifySocket;
use super::pool::Ear;
use super::probe::{self, Check};
use super::settings::{for_channel, for_kernel};
use super::shared::Shared;
use super::worker::{Leader, Link, NodeLink, Worker};
use crate::config::{Mode, Ready, Serialization};

/// How soon after the end of its channel a process has usually ended.
const EXIT_FOLLOWS: Duration = Duration::from_millis(100);
/// What was left in a control group and is killed takes a moment to go.
/// Messages of a worker that are taken at once.
const BATCH_MAX: usize = 64;
const REMOVALS_MAX: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

impl AppTask {
    pub(super) async fn spawn(&mut self, worker: WorkerId, slot: u32) {
        let settings = Arc::clone(&self.settings);
        let shared = match self.ports.configured().and_then(|port| self.ports.get(port)) {
            Some(port) if port.mode == Mode::Shared => port.sockets(),
            _ => Ok(Vec::new()),
        };
        let datagrams = self.ports.datagrams.sockets();
        let sockets = shared.and_then(|shared| Ok((shared, datagrams?)));
        let Shared { folder, worker_socket, .. } = self.shared.as_ref();
        let launch = sockets.map(|(shared, datagrams)| Launch {
            settings: &settings,
            folder,
            worker,
            slot,
            shared,
            datagrams,
            worker_socket,
        });
        let launched = match self.shared.cgroups.make(&self.cgroup(worker), &for_kernel(settings.cgroup)) {
            Ok(cgroup) => match launch {
                Ok(launch) => launch.start(&self.shared.keeper, self.shared.open_files_max, cgroup).await,
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        };
        match launched {
            Ok(launched) => self.adopt(worker, slot, launched),
            Err(error) => {
                self.leave_cgroup(worker);
                let fatal = error.is_fatal();
                let reason = crate::cli::in_one_line(&error);
                self.input(Input::SpawnFailed { worker, reason, fatal });
            }
        }
    }

    /// What the control group of a worker is called, if it has one.
    fn cgroup(&self, worker: WorkerId) -> String {
        format!("{}.{worker}", self.id)
    }

    /// Removes the control group of a worker that is gone.
    pub(super) fn leave_cgroup(&self, worker: WorkerId) {
        let (cgroups, name) = (Arc::clone(&self.shared.cgroups), self.cgroup(worker));
        if cgroups.remove(&name) {
            return;
        }
        tokio::spawn(async move {
            for _ in 0..REMOVALS_MAX {
                tokio::time::sleep(REMOVAL_PAUSE).await;
                if cgroups.remove(&name) {
                    return;
                }
            }
        });
    }

    fn adopt(&mut self, worker: WorkerId, slot: u32, launched: Launched) {
        let Launched { child, ends, road, belongings } = launched;
        self.hold(worker, &ends);
        let pid = child.pid;
        let roads = road.and_then(|road| Some((self.ports.configured()?, road))).into_iter().collect();
        let process = Worker {
            slot,
            child: Leader { id: child.id, pid },
            started: Instant::now(),
            link: Link::Signals,
            roads,
            routed: false,
            draining: None,
            healthy: None,
            checkup: None,
            wedged: false,
            asked_to_end: false,
            taps: Vec::new(),
            belongings,
        };
        self.attend(worker, process, ends);
        self.input(Input::Started { worker, pid });
        if self.pool.is_some() {
            self.join_pool(worker);
        }
    }

    /// Has the keeper keep what must outlive this daemon.
    fn hold(&self, worker: WorkerId, ends: &Ends) {
        let parts = [
            (Part::Stdout, ends.stdout.as_ref().map(AsFd::as_fd)),
            (Part::Stderr, ends.stderr.as_ref().map(AsFd::as_fd)),
            (Part::Channel, ends.channel.as_ref().map(|(channel, ..)| channel.as_fd())),
            (Part::Join, ends.join.as_ref().map(AsFd::as_fd)),
            (Part::Notify, ends.notify.as_ref().map(AsFd::as_fd)),
        ];
        for (part, descriptor) in parts {
            let Some(descriptor) = descriptor else { continue };
            if let Err(error) = self.shared.keeper.hold(&held::worker(self.id, worker, part), descriptor) {
                self.say(&format!("worker {worker} would not survive a crash of the daemon: {error}"));
            }
        }
    }

    /// Listens to a process in all the ways it can speak.
    pub(super) fn attend(&mut self, worker: WorkerId, mut process: Worker, ends: Ends) {
        let Ends { stdout, stderr, channel, join, notify } = ends;
        for (stream, descriptor) in [(Stream::Out, stdout), (Stream::Err, stderr)] {
            let app = self.settings.name.clone();
            let source = Source { app, instance: Some(process.slot), stream };
            let Some(descriptor) = descriptor else { continue };
            let sink: Arc<dyn Sink> = Arc::clone(&self.outlet) as _;
            process.taps.push(self.shared.taps.tap(descriptor, source, sink));
        }
        self.shared.children.claim(process.child.id, self.inbox.clone(), worker);
        self.shared.exchange.join(self.member(worker), process.slot, process.child.pid);
        if let Some((channel, serialization, from)) = channel {
            match self.link_over(worker, (channel, serialization), from) {
                Ok(link) => process.link = Link::Node(Box::new(link)),
                Err(error) => {
                    self.say(&format!("the channel of worker {worker} cannot be used: {error}"));
                }
            }
        }
        if let Some(join) = join {
            process.belongings.tasks.push(tokio::spawn(await_join(worker, join, self.inbox.clone())));
        }
        if matches!(process.link, Link::Signals) || self.pool.is_some() {
            let road = process.roads.values().next().cloned();
            process.belongings.tasks.extend(self.watch_readiness(worker, road, notify));
        }
        self.workers.insert(worker, process);
    }

    /// A Node.js process below the worker has come for its channel: from now on the worker is a Node.js one.
    pub(super) fn joined(&mut self, worker: WorkerId, channel: OwnedFd) {
        let name = held::worker(self.id, worker, Part::Channel);
        if let Err(error) = self.shared.keeper.hold(&name, channel.as_fd()) {
            self.say(&format!("worker {worker} would not survive a crash of the daemon: {error}"));
        }
        let link = self.link_over(worker, (channel, Serialization::Json), Continuation::default());
        if let (Some(process), Ok(mut link)) = (self.workers.get_mut(&worker), link) {
            link.online = true;
            process.link = Link::Node(Box::new(link));
        }
    }

    fn link_over(
        &self,
        worker: WorkerId,
        (channel, serialization): (OwnedFd, Serialization),
        from: Continuation,
    ) -> std::io::Result<NodeLink> {
        let (channel, receiver) = Channel::resume(channel, for_channel(serialization), from)?;
        let released = Arc::new(AtomicBool::new(false));
        let (member, exchange) = (self.member(worker), Arc::clone(&self.shared.exchange));
        // A worker of a pool may know of nothing but tasks; its ear hears whether it knows more.
        if self.pool.is_none() {
            exchange.connect(member, channel.clone());
        }
        let hearing = (self.ear(worker, &channel), member, exchange);
        let listening = listen_to(hearing, receiver, self.inbox.clone(), Arc::clone(&released));
        Ok(NodeLink::new((channel, serialization), (tokio::spawn(listening), released)))
    }

    /// Waits for the first sign of readiness that the configuration accepts, and listens to what the worker says of itself.
    fn watch_readiness(
        &self,
        worker: WorkerId,
        road: Option<Road>,
        notify: Option<NotifySocket>,
    ) -> Vec<JoinHandle<()>> {
        let check = match &self.settings.ready {
            Ready::Http { path } => Some(Check::Answers(path.clone())),
            Ready::Auto | Ready::Tcp | Ready::Listen => Some(Check::Accepts),
            Ready::Notify | Ready::Message => None,
        };
        let mut tasks = Vec::new();
        if let (Some(road), Some(check)) = (road, check) {
            let (inbox, interval) = (self.inbox.clone(), self.settings.ready_interval);
            tasks.push(tokio::spawn(async move {
                probe::until_ready(&road, &check, interval).await;
                // An app that has ended meanwhile does not mind.
                drop(inbox.send(Message::Ready { worker }));
            }));
        }
        if let Some(notify) = notify {
            let counts = matches!(self.settings.ready, Ready::Auto | Ready::Notify);
            tasks.push(tokio::spawn(hear_notes(worker, notify, self.inbox.clone(), counts)));
        }
        tasks
    }
}

/// `READY=1` once, if it counts, and every `WATCHDOG=1`.
async fn hear_notes(
    worker: WorkerId,
    notify: NotifySocket,
    inbox: mpsc::UnboundedSender<Message>,
    mut counts: bool,
) {
    while !inbox.is_closed() {
        let said = notify.next().await;
        if said.ready && std::mem::take(&mut counts) {
            // An app that has ended meanwhile does not mind.
            drop(inbox.send(Message::Ready { worker }));
        }
        if said.alive {
            drop(inbox.send(Message::Alive { worker }));
        }
    }
}

/// The first process that comes is the server; others find nobody and listen by themselves.
async fn await_join(worker: WorkerId, join: UnixListener, inbox: mpsc::UnboundedSender<Message>) {
    let Ok(listener) = tokio::net::UnixListener::from_std(join) else { return };
    if let Ok((stream, _)) = listener.accept().await
        && let Ok(stream) = stream.into_std()
    {
        // An app that has ended meanwhile does not mind.
        drop(inbox.send(Message::Joined { worker, channel: stream.into() }));
    }
}

/// Envelopes go their own way: whoever sends many waits for itself, and not in the app's inbox.
async fn listen_to(
    (ear, member, exchange): (Ear, Member, Arc<Exchange>),
    mut receiver: Receiver,
    inbox: mpsc::UnboundedSender<Message>,
    released: Arc<AtomicBool>,
) {
    let (worker, mut batch) = (member.worker, Vec::new());
    while receiver.next_many(&mut batch, BATCH_MAX).await > 0 {
        for received in batch.drain(..) {
            let Some(received) = ear.hear(received) else { continue };
            ear.end_turn();
            let Some(received) = exchange.hear(member, received.into_value()).await else { continue };
            if inbox.send(Message::Node { worker, received }).is_err() {
                return;
            }
        }
        ear.end_turn();
    }
    if released.load(Ordering::Relaxed) {
        // It goes on elsewhere.
        return;
    }
    exchange.disconnect(member);
    ear.ended(receiver.ended_unread());
    // Nearly always the process ends in the same moment; its exit then says more than this.
    tokio::time::sleep(EXIT_FOLLOWS).await;
    // An app that has ended meanwhile does not mind.
    drop(inbox.send(Message::ChannelEnded { worker }));
}
