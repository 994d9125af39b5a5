//! What a daemon that is being relieved passes on to the one that takes over: clients' connections, as each comes to the end
//! of a request, and connections for workers, whose channels are the successor's by then.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use stead_balancer::Moved;
use stead_process::keeper::{PeerReceiver, PeerSender};
use stead_supervisor::WorkerId;
use tokio::sync::{mpsc, oneshot};

/// Something that is passed on.
pub(super) enum Handed {
    /// A client's connection between two requests.
    Client(Moved),
    /// A connection for the worker behind this key.
    Connect { app: u32, worker: WorkerId, key: String, connection: OwnedFd },
}

/// What waits to be passed on.
enum Waiting {
    Handed(Handed),
    /// Answered when everything before it is on its way.
    Flush(oneshot::Sender<()>),
}

/// The same on its way; the descriptor travels beside it.
#[derive(Serialize, Deserialize)]
enum Message {
    Client { listener: String, address: Option<SocketAddr>, input: Vec<u8> },
    Connect { app: u32, worker: WorkerId, key: String },
}

/// The way to the successor, once there is one. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Successor(Arc<OnceLock<Way>>);

/// Where what is passed on waits to be sent.
#[derive(Clone)]
pub(super) struct Way(mpsc::UnboundedSender<Waiting>);

impl Successor {
    pub(super) fn get(&self) -> Option<&Way> {
        self.0.get()
    }

    /// From now on everything goes to the successor behind `sender`.
    pub(super) fn begin(&self, mut sender: PeerSender) -> Way {
        let (queue, mut waiting) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(next) = waiting.recv().await {
                let handed = match next {
                    Waiting::Handed(handed) => handed,
                    Waiting::Flush(done) => {
                        // Whoever waited may have given up.
                        let _unheard = done.send(());
                        continue;
                    }
                };
                let (message, descriptor) = split(handed);
                let body = serde_json::to_vec(&message).unwrap_or_default();
                if sender.send(&body, vec![descriptor]).await.is_err() {
                    // The successor died. What is still here finishes what it has begun.
                    return;
                }
            }
        });
        let way = Way(queue);
        // Relieved once; a second time would be the keeper's mistake and changes nothing.
        let _already = self.0.set(way.clone());
        way
    }
}

impl Way {
    pub(super) fn send(&self, handed: Handed) -> io::Result<()> {
        self.0.send(Waiting::Handed(handed)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until everything so far is on its way.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        // A successor that is gone gets nothing more.
        drop(self.0.send(Waiting::Flush(done)));
        drop(flushed.await);
    }
}

/// Takes what comes from the daemon that leaves, until it has left.
pub(super) async fn receive(mut receiver: PeerReceiver, mut each: impl FnMut(Handed)) -> io::Result<()> {
    while let Some((body, mut descriptors)) = receiver.next().await? {
        let (Ok(message), Some(descriptor)) = (serde_json::from_slice(&body), descriptors.pop()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        each(join(message, descriptor));
    }
    Ok(())
}

fn split(handed: Handed) -> (Message, OwnedFd) {
    match handed {
        Handed::Client(Moved { listener, client, address, input }) => {
            (Message::Client { listener: listener.to_string(), address, input }, client)
        }
        Handed::Connect { app, worker, key, connection } => {
            (Message::Connect { app, worker, key }, connection)
        }
    }
}

fn join(message: Message, descriptor: OwnedFd) -> Handed {
    match message {
        Message::Client { listener, address, input } => {
            Handed::Client(Moved { listener: listener.into(), client: descriptor, address, input })
        }
        Message::Connect { app, worker, key } => Handed::Connect { app, worker, key, connection: descriptor },
    }
}
