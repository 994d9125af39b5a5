//! One process of an app, from its start to its exit: what the app's task keeps of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use stead_balancer::{Hand, Road};
use stead_logs::Tap;
use stead_process::keeper::ChildId;
use stead_process::node::{Channel, ClusterMessage, Released};
use stead_supervisor::WorkerId;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::health::Checkup;
use super::ports::PortId;
use super::successor::{Handed, Successor};
use crate::config::Serialization;

/// A running process.
pub(super) struct Worker {
    pub(super) slot: u32,
    pub(super) child: Leader,
    pub(super) started: Instant,
    pub(super) link: Link,
    /// Where it takes connections, by port.
    pub(super) roads: BTreeMap<PortId, Road>,
    /// Its supervisor wants it to have requests.
    pub(super) routed: bool,
    /// Ports that still have requests of it in flight, while it drains.
    pub(super) draining: Option<HashSet<PortId>>,
    /// What its health check last came to, if it has one.
    pub(super) healthy: Option<bool>,
    /// Its health checks, if it has any.
    pub(super) checkup: Option<Checkup>,
    /// Stead gave up on it: what it had taken is to blame.
    pub(super) wedged: bool,
    /// Stead sent it a signal that ends it, or asked it to end.
    pub(super) asked_to_end: bool,
    /// They read what it prints, until its streams end, which may outlive it.
    pub(super) taps: Vec<Tap>,
    /// Files and tasks of its own, which end with it.
    pub(super) belongings: Belongings,
}

/// The process itself, which leads a group of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leader {
    pub(super) id: ChildId,
    pub(super) pid: u32,
}

/// How Stead talks to it.
pub(super) enum Link {
    /// A Node.js program, over its IPC channel.
    Node(Box<NodeLink>),
    /// Any other: by signals.
    Signals,
}

/// The channel, and what is known over it.
pub(super) struct NodeLink {
    pub(super) channel: Channel,
    pub(super) serialization: Serialization,
    /// Passes on what it says; ends with the channel.
    listening: JoinHandle<()>,
    /// The channel goes on in another process.
    released: Arc<AtomicBool>,
    /// Where this process stopped speaking over it.
    pub(super) left: Option<Released>,
    pub(super) open: bool,
    /// It ran as far as Node.js itself.
    pub(super) online: bool,
    /// The port behind each key it asked for.
    pub(super) keys: HashMap<String, PortId>,
    /// Connections it has not accepted yet, by the number of the message.
    pub(super) unaccepted: Unaccepted,
    /// It was told to disconnect.
    pub(super) disconnecting: bool,
    /// It has listened, and has a moment to listen on its other ports.
    pub(super) settling: bool,
}

/// What ends with the worker.
#[derive(Default)]
pub(super) struct Belongings {
    pub(super) files: Vec<PathBuf>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Drop for Belongings {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        for file in &self.files {
            // Most programs remove their sockets themselves.
            drop(std::fs::remove_file(file));
        }
    }
}

/// Whole connections handed over, waiting for their answer.
#[derive(Clone, Default)]
pub(super) struct Unaccepted(Arc<Mutex<HashMap<u64, oneshot::Sender<bool>>>>);

impl Unaccepted {
    pub(super) fn answer(&self, number: u64, accepted: bool) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        if let Some(waiting) = waiting {
            // A hand-over nobody waits for needs no answer.
            let _unheard = waiting.send(accepted);
        }
    }

    /// The worker is gone: whoever waits learns it by the closed channel.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Hands connections to one listener of a Node.js worker.
pub(super) struct NodeHand {
    pub(super) channel: Channel,
    pub(super) app: u32,
    pub(super) worker: WorkerId,
    pub(super) key: String,
    /// Who speaks to the workers once this daemon has been relieved.
    pub(super) successor: Successor,
    pub(super) unaccepted: Unaccepted,
    /// Whole connections are waited for; socket pairs tell by themselves.
    pub(super) whole: bool,
}

impl Hand for NodeHand {
    fn give(&self, connection: OwnedFd, _client: Option<SocketAddr>) -> io::Result<oneshot::Receiver<bool>> {
        let (sender, answer) = oneshot::channel();
        if let Some(successor) = self.successor.get() {
            let (app, worker, key) = (self.app, self.worker, self.key.clone());
            successor.send(Handed::Connect { app, worker, key, connection })?;
            // It reaches the worker if the worker lives; a socket pair tells if not.
            let _unheard = sender.send(true);
            return Ok(answer);
        }
        let message = ClusterMessage::NewConnection { key: self.key.clone(), remote: None };
        if !self.whole {
            self.channel.cluster(message, Some(connection)).map_err(io::Error::other)?;
            return Ok(answer);
        }
        // Locked before it is sent, so that the answer cannot come before somebody waits for it.
        let mut unaccepted = self.unaccepted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.channel.cluster(message, Some(connection)).map_err(io::Error::other)?;
        unaccepted.insert(number, sender);
        Ok(answer)
    }
}

impl Worker {
    /// It listens on this port, or has asked for it.
    pub(super) fn wants(&self, port: PortId) -> bool {
        let asked = match &self.link {
            Link::Node(link) => link.keys.values().any(|asked| *asked == port),
            Link::Signals => false,
        };
        asked || self.roads.contains_key(&port)
    }

    /// Neither reads from it nor writes to it any more; both go on elsewhere. What it has said is in the inbox then.
    pub(super) async fn let_go(&mut self) {
        self.belongings.tasks.iter().for_each(JoinHandle::abort);
        for tap in self.taps.drain(..) {
            tap.stop().await;
        }
        if let Link::Node(link) = &mut self.link
            && link.open
        {
            link.released.store(true, Ordering::Relaxed);
            link.left = Some(link.channel.release().await);
            drop((&mut link.listening).await);
        }
    }

    pub(super) fn node(&mut self) -> Option<&mut NodeLink> {
        match &mut self.link {
            Link::Node(link) => Some(link),
            Link::Signals => None,
        }
    }
}

impl NodeLink {
    pub(super) fn new(
        (channel, serialization): (Channel, Serialization),
        (listening, released): (JoinHandle<()>, Arc<AtomicBool>),
    ) -> Self {
        Self {
            channel,
            serialization,
            listening,
            released,
            left: None,
            open: true,
            online: false,
            keys: HashMap::new(),
            unaccepted: Unaccepted::default(),
            disconnecting: false,
            settling: false,
        }
    }
}
