//! What a Node.js worker asks of its parent, and the answers: the primary's half of Node's cluster protocol.
//!
//! Nothing is ever bound for one worker alone. The first that wants a port has it bound; all get the same answer, and their
//! connections over the channel.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use stead_balancer::{Address, Road};
use stead_process::node::{
    AddressType, ClusterMessage, FromWorker, Query, Received, SendError, ServerKind, socket_name,
};
use stead_supervisor::{Input, WorkerId};

use super::app::AppTask;
use super::message::Message;
use super::ports::{ListenError, PortId};
use super::settings::Shown;
use super::worker::{NodeHand, NodeLink};
use crate::config::{Mode, Ready, UpstreamProtocol};

/// How long a worker may take to listen on all ports of the one before it, once it listens on one.
const SETTLE: std::time::Duration = std::time::Duration::from_millis(1000);

/// Linux error numbers, as Node.js reports them.
const EIO: i32 = 5;
const EINVAL: i32 = 22;
const EADDRINUSE: i32 = 98;

impl AppTask {
    pub(super) fn hear_node(&mut self, worker: WorkerId, received: Received) {
        match received {
            Received::Cluster(message) => self.hear_cluster(worker, message),
            Received::Message(Value::String(word)) if word == "ready" => {
                if matches!(self.settings.ready, Ready::Auto | Ready::Message) {
                    self.found_ready(worker);
                }
            }
            Received::Message(Value::String(word)) if word == "watchdog" => self.hear_alive(worker),
            Received::Malformed(error) => {
                self.say(&format!("a message of worker {worker} could not be read: {error}"));
            }
            // Nobody listens to the program's own messages yet; a descriptor among them is closed.
            Received::Message(_) | Received::Handle { .. } | Received::Undelivered(_) => (),
        }
    }

    fn hear_cluster(&mut self, worker: WorkerId, message: FromWorker) {
        match message {
            FromWorker::Online => {
                if let Some(link) = self.link(worker) {
                    link.online = true;
                }
            }
            FromWorker::QueryServer(query) => self.answer_query(worker, &query),
            FromWorker::Listening(query) => self.listening(worker, &query),
            FromWorker::Close { key } => self.closed(worker, &key),
            FromWorker::ExitedAfterDisconnect { seq } => {
                if let Some(link) = self.link(worker) {
                    // A worker that is gone meanwhile needs no answer.
                    drop(link.channel.cluster(ClusterMessage::Acknowledge { ack: seq }, None));
                }
            }
            FromWorker::Accepted { ack, accepted } => {
                if let Some(link) = self.link(worker) {
                    link.unaccepted.answer(ack, accepted);
                }
            }
            FromWorker::Unknown(_) => (),
        }
    }

    fn answer_query(&mut self, worker: WorkerId, query: &Query) {
        let key = query.key();
        let answer = match query.address_type {
            AddressType::Udp4 | AddressType::Udp6 => self.answer_udp(query),
            AddressType::Fd => Err(EINVAL),
            _ => self.answer_stream(worker, query),
        };
        let Some(link) = self.link(worker) else { return };
        let (errno, data, sockname, descriptor) = match answer {
            Ok(answer) => (None, answer.data, answer.sockname, answer.descriptor),
            Err(errno) => (Some(errno), query.data.clone(), None, None),
        };
        let message = ClusterMessage::Answer { ack: query.seq, key, errno, data, sockname };
        if let Err(error @ SendError::Descriptor(_)) = link.channel.cluster(message, descriptor) {
            self.say(&format!("worker {worker} could not be given a socket: {error}"));
        }
    }

    fn answer_udp(&mut self, query: &Query) -> Result<Answer, i32> {
        let unspecified = match query.address_type {
            AddressType::Udp6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let address = tcp_address(query, unspecified)?;
        let socket = self.ports.datagrams.ask(&query.key(), address).map_err(|error| errno(&error))?;
        Ok(Answer { data: query.data.clone(), sockname: None, descriptor: Some(socket) })
    }

    fn answer_stream(&mut self, worker: WorkerId, query: &Query) -> Result<Answer, i32> {
        let key = query.key();
        let port = match self.port_for(worker, query) {
            Ok(port) => port,
            Err(Refused::Invalid) => return Err(EINVAL),
            Err(Refused::Listen(error)) => {
                let errno = errno(&error.source);
                self.refused_to_listen(error);
                return Err(errno);
            }
        };
        let mode = match self.ports.get(port).map(|port| port.mode) {
            Some(Mode::Auto) | None => {
                mode_by_kind(query, self.settings.balancer.upstream_protocol == UpstreamProtocol::Http2)
            }
            Some(mode) => mode,
        };
        match self.ports.serve(port, mode) {
            Ok(true) => {
                self.announce_port(port);
                if mode.is_whole() && self.settings.tls.is_some() {
                    self.say("the program takes whole connections, so `tls` is not for them: what is encrypted is up to it");
                }
            }
            Ok(false) => (),
            Err(error) => {
                let errno = errno(&error);
                let address = self.ports.get(port).map_or(key, |port| port.names.join(", "));
                self.refused_to_listen(ListenError { address, source: error });
                return Err(errno);
            }
        }
        if let Some(link) = self.link(worker) {
            link.keys.insert(key, port);
        }
        let Some(port) = self.ports.get_mut(port) else { return Err(EIO) };
        let data = port.data.get_or_insert_with(|| query.data.clone()).clone();
        if port.mode == Mode::Shared {
            let socket = port.sockets().map_err(|error| errno(&error))?.into_iter().next();
            return Ok(Answer { data, sockname: None, descriptor: socket });
        }
        let sockname = if query.is_tcp() {
            port_name(query, port.address(), port.is_from_configuration())
        } else {
            None
        };
        Ok(Answer { data, sockname, descriptor: None })
    }

    /// The port behind what a worker asks for: of the configuration, known from other workers, or new.
    fn port_for(&mut self, worker: WorkerId, query: &Query) -> Result<PortId, Refused> {
        let key = query.key();
        if let Some(port) = self.ports.by_key(&key) {
            return Ok(port);
        }
        if query.is_tcp()
            && let Some(configured) = self.ports.configured()
            && !self.link(worker).is_some_and(|link| link.keys.values().any(|port| *port == configured))
        {
            return Ok(configured);
        }
        let address = match query.address_type {
            AddressType::Unix => {
                let path = query.address.as_ref().ok_or(Refused::Invalid)?;
                Address::Unix(PathBuf::from(path))
            }
            _ if query.address.is_none() => Address::Any(port_number(query)?),
            _ => Address::Tcp(
                tcp_address(query, IpAddr::V4(Ipv4Addr::UNSPECIFIED)).map_err(|_| Refused::Invalid)?,
            ),
        };
        let settings = Arc::clone(&self.settings);
        let port = self.ports.bind_key(&key, &address, &settings).map_err(Refused::Listen)?;
        if let Address::Unix(path) = &address {
            self.open_to_others(query, path);
        }
        Ok(port)
    }

    /// `readableAll` and `writableAll` of Node's `listen()`.
    fn open_to_others(&self, query: &Query, path: &Path) {
        let bits = [(query.readable_all, 0o444), (query.writable_all, 0o222)];
        let wanted = bits.iter().filter(|(wanted, _)| *wanted).fold(0, |all, (_, bits)| all | bits);
        let opened = std::fs::metadata(path).and_then(|metadata| {
            let mode = metadata.permissions().mode() | wanted;
            std::fs::set_permissions(path, Permissions::from_mode(mode))
        });
        if let Err(error) = opened {
            self.say(&format!("{} cannot be opened to other users: {error}", path.display()));
        }
    }

    fn listening(&mut self, worker: WorkerId, query: &Query) {
        // The message repeats the query, but for the port, which is the real one: the key is that of a query we answered.
        let key = query.key();
        let Some(link) = self.link(worker) else { return };
        let known = link.keys.get(&key).copied().map(|port| (key.clone(), port));
        let found = known.or_else(|| match_key(link, query));
        let Some((key, port)) = found else {
            return self.input_ready_by_listening(worker);
        };
        let Some(road) = self.handed(worker, port, &key) else { return };
        if let Some(process) = self.workers.get_mut(&worker) {
            process.roads.insert(port, road.clone());
            if process.routed {
                self.ports.add(port, (worker, process.slot), road);
            }
        }
        self.has_shown(Shown { serves: true, ..self.shown });
        self.input_ready_by_listening(worker);
    }

    /// The road over a worker's channel.
    pub(super) fn handed(&mut self, worker: WorkerId, port: PortId, key: &str) -> Option<Road> {
        let whole = self.ports.get(port).is_some_and(|port| port.mode == Mode::Direct);
        let (app, successor) = (self.id, self.shared.successor.clone());
        let link = self.link(worker)?;
        let hand = NodeHand {
            channel: link.channel.clone(),
            app,
            worker,
            key: key.to_owned(),
            successor,
            unaccepted: link.unaccepted.clone(),
            whole,
        };
        Some(Road::Handed(Arc::new(hand)))
    }

    /// A worker is ready when it listens where its predecessors do. One that listens elsewhere gets a moment for the rest, and is
    /// then taken as it is.
    fn input_ready_by_listening(&mut self, worker: WorkerId) {
        if !matches!(self.settings.ready, Ready::Auto | Ready::Listen) {
            return;
        }
        let complete = self.workers.get(&worker).is_some_and(|process| {
            self.ports
                .iter()
                .all(|(id, port)| port.pool.snapshot().accepting == 0 || process.roads.contains_key(&id))
        });
        if complete {
            return self.found_ready(worker);
        }
        let inbox = self.inbox.clone();
        let Some(link) = self.link(worker) else { return };
        if !link.settling {
            link.settling = true;
            tokio::spawn(async move {
                tokio::time::sleep(SETTLE).await;
                // An app that has ended meanwhile does not mind.
                drop(inbox.send(Message::Ready { worker }));
            });
        }
    }

    fn closed(&mut self, worker: WorkerId, key: &str) {
        let Some(port) = self.link(worker).and_then(|link| link.keys.remove(key)) else { return };
        self.ports.drain(port, worker);
        let Some(process) = self.workers.get_mut(&worker) else { return };
        process.roads.remove(&port);
        if process.roads.is_empty() && process.routed {
            self.input(Input::Unready { worker });
        }
    }

    pub(super) fn link(&mut self, worker: WorkerId) -> Option<&mut NodeLink> {
        self.workers.get_mut(&worker)?.node()
    }
}

struct Answer {
    data: Value,
    sockname: Option<Value>,
    descriptor: Option<std::os::fd::OwnedFd>,
}

enum Refused {
    Invalid,
    Listen(ListenError),
}

/// The class of the server tells, by way of the preload. Without it, TLS shows by its ticket keys and all else is taken for HTTP.
/// `http2`: servers of HTTP/2 are spoken to, and not given their connections.
fn mode_by_kind(query: &Query, http2: bool) -> Mode {
    match query.kind {
        Some(ServerKind::Http) => Mode::Http,
        Some(ServerKind::Http2) if http2 => Mode::Http,
        Some(_) => Mode::Direct,
        None if query.data.is_null() => Mode::Http,
        None => Mode::Direct,
    }
}

/// What `server.address()` shall say: the public address; but to a worker whose port the configuration maps to another, what it
/// asked for, since frameworks compare.
fn port_name(query: &Query, bound: Option<SocketAddr>, mapped: bool) -> Option<Value> {
    let bound = bound?;
    if !mapped {
        return Some(socket_name(bound));
    }
    let asked = query.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let ip = query.address.as_ref().and_then(|address| address.parse().ok()).unwrap_or(bound.ip());
    Some(socket_name(SocketAddr::new(ip, asked.unwrap_or(bound.port()))))
}

/// `listen(0)` is answered with a port the query did not name.
fn match_key(link: &NodeLink, query: &Query) -> Option<(String, PortId)> {
    let zero = Query { port: Some(0), ..query.clone() }.key();
    link.keys.get(&zero).map(|port| (zero, *port))
}

fn port_number(query: &Query) -> Result<u16, Refused> {
    query.port.and_then(|port| u16::try_from(port).ok()).ok_or(Refused::Invalid)
}

fn tcp_address(query: &Query, unspecified: IpAddr) -> Result<SocketAddr, i32> {
    let port = query.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    let ip = match &query.address {
        None => unspecified,
        Some(address) => address.parse().map_err(|_| EINVAL)?,
    };
    Ok(SocketAddr::new(ip, port))
}

fn errno(error: &io::Error) -> i32 {
    match error.kind() {
        io::ErrorKind::AddrInUse => EADDRINUSE,
        _ => error.raw_os_error().unwrap_or(EIO),
    }
}
