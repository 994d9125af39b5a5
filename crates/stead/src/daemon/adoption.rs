//! Takes a started process under the app's care: its output is read, its channel heard, its readiness watched for.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_balancer::Road;
use stead_process::node::{Channel, Receiver};
use stead_supervisor::{Input, WorkerId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::app::AppTask;
use super::console::{Source, Stream};
use super::launch::{Launch, Launched};
use super::message::Message;
use super::notify::NotifySocket;
use super::probe::{self, Check};
use super::pump::pump;
use super::settings::for_channel;
use super::worker::{Link, NodeLink, Worker};
use crate::config::Ready;

/// How soon after the end of its channel a process has usually ended.
const EXIT_FOLLOWS: Duration = Duration::from_millis(100);

impl AppTask {
    pub(super) async fn spawn(&mut self, worker: WorkerId, slot: u32) {
        let settings = Arc::clone(&self.settings);
        let launch = Launch { settings: &settings, folder: &self.shared.folder, worker, slot };
        match launch.start(&self.shared.keeper, self.shared.open_files_max).await {
            Ok(launched) => self.adopt(worker, slot, launched),
            Err(error) => {
                let fatal = error.is_fatal();
                let reason = crate::cli::in_one_line(&error);
                self.input(Input::SpawnFailed { worker, reason, fatal });
            }
        }
    }

    fn adopt(&mut self, worker: WorkerId, slot: u32, launched: Launched) {
        let Launched { child, stdout, stderr, channel, join, road, notify, mut belongings } = launched;
        for (stream, descriptor) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            let source = Source { app: self.settings.name.clone(), slot, stream };
            // It ends with the stream, which may outlive the worker, and loses nothing that was written.
            tokio::spawn(pump(descriptor, Arc::clone(&self.shared.console), source));
        }
        let pid = child.pid;
        self.shared.children.claim(child.id, self.inbox.clone(), worker);
        let link = match channel.map(|channel| Channel::open(channel, for_channel(&self.settings))) {
            None => Link::Signals,
            Some(Ok((channel, receiver))) => {
                tokio::spawn(listen_to(worker, receiver, self.inbox.clone()));
                Link::Node(NodeLink::new(channel))
            }
            Some(Err(error)) => {
                self.say(&format!("the channel of worker {worker} cannot be used: {error}"));
                Link::Signals
            }
        };
        let mut roads = BTreeMap::new();
        if let Some(road) = road {
            roads.extend(self.ports.configured().map(|port| (port, road)));
        }
        if let Some(join) = join {
            belongings.tasks.push(tokio::spawn(await_join(worker, join, self.inbox.clone())));
        }
        if matches!(link, Link::Signals) {
            let road = roads.values().next().cloned();
            belongings.tasks.extend(self.watch_readiness(worker, road, notify));
        }
        let process = Worker {
            slot,
            child,
            started: Instant::now(),
            link,
            roads,
            routed: false,
            draining: None,
            wedged: false,
            asked_to_end: false,
            belongings,
        };
        self.workers.insert(worker, process);
        self.input(Input::Started { worker, pid });
    }

    /// A Node.js process below the worker has come for its channel: from now on the worker is a Node.js one.
    pub(super) fn joined(&mut self, worker: WorkerId, channel: OwnedFd) {
        let Some(process) = self.workers.get_mut(&worker) else { return };
        if let Ok((channel, receiver)) = Channel::open(channel, stead_process::node::Serialization::Json) {
            tokio::spawn(listen_to(worker, receiver, self.inbox.clone()));
            process.link = Link::Node(NodeLink { online: true, ..NodeLink::new(channel) });
        }
    }

    /// Waits for the first sign of readiness that the configuration accepts.
    fn watch_readiness(
        &self,
        worker: WorkerId,
        road: Option<Road>,
        notify: Option<NotifySocket>,
    ) -> Option<JoinHandle<()>> {
        let check = match &self.settings.ready {
            Ready::Http { path } => Some(Check::Answers(path.clone())),
            Ready::Auto | Ready::Tcp | Ready::Listen => Some(Check::Accepts),
            Ready::Notify | Ready::Message => None,
        };
        let hears_notify = matches!(self.settings.ready, Ready::Auto | Ready::Notify);
        let notify = notify.filter(|_| hears_notify);
        let (inbox, interval) = (self.inbox.clone(), self.settings.ready_interval);
        Some(tokio::spawn(async move {
            let checked = async {
                match (&road, &check) {
                    (Some(road), Some(check)) => probe::until_ready(road, check, interval).await,
                    _ => std::future::pending().await,
                }
            };
            let notified = async {
                match &notify {
                    Some(socket) => socket.ready().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = checked => (),
                () = notified => (),
            }
            // An app that has ended meanwhile does not mind.
            drop(inbox.send(Message::Ready { worker }));
        }))
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

async fn listen_to(worker: WorkerId, mut receiver: Receiver, inbox: mpsc::UnboundedSender<Message>) {
    while let Some(received) = receiver.next().await {
        if inbox.send(Message::Node { worker, received }).is_err() {
            return;
        }
    }
    // Nearly always the process ends in the same moment; its exit then says more than this.
    tokio::time::sleep(EXIT_FOLLOWS).await;
    // An app that has ended meanwhile does not mind.
    drop(inbox.send(Message::ChannelEnded { worker }));
}
