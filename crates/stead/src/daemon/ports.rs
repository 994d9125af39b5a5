//! The public listeners of an app: bound once, kept while workers come and go, each with the pool of workers behind it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use stead_balancer::{
    Address, Bound, Death, Endpoint, EndpointId, Front, Lanes, Pool, PoolEvent, Road, Serving, Transport,
};
use stead_process::keeper::Keeper;
use stead_supervisor::WorkerId;
use tokio::sync::mpsc;

use super::certificates::Certificates;
use super::held::{self, Held};
use super::message::Message;
use super::state::SavedPort;
use crate::config::{AppSettings, Listen, ListenAddress, Mode, Scheme};

/// The port of `https`, which nobody writes.
const HTTPS: u16 = 443;

/// Names a port within its app.
pub(super) type PortId = usize;

/// One or more public addresses with one pool behind them.
pub(super) struct Port {
    /// What workers ask for, as Node.js spells it; `None` for the addresses in the configuration.
    key: Option<String>,
    listeners: Vec<Bound>,
    /// How clients speak to each of them, unless they are given to workers whole.
    schemes: Vec<Scheme>,
    /// Those without TLS send their clients to those with it.
    redirects: bool,
    /// The public addresses, for people.
    pub(super) names: Vec<String>,
    /// `Auto` until a worker tells what it serves.
    pub(super) mode: Mode,
    pub(super) pool: Arc<Pool>,
    /// Connections are taken, by the balancer or by workers.
    begun: bool,
    serving: Vec<Serving>,
    /// The first worker's `data` in the cluster protocol, which all others get.
    pub(super) data: Option<Value>,
    /// The names under which the keeper holds the listeners.
    held_as: Vec<String>,
    /// The files of Unix sockets.
    files: Vec<PathBuf>,
    /// The last one is current; a worker has more only if it was reached in another way before.
    endpoints: HashMap<WorkerId, Vec<EndpointId>>,
}

/// All ports of an app.
pub(super) struct Ports {
    app: u32,
    lanes: Arc<Lanes>,
    keeper: Keeper,
    inbox: mpsc::UnboundedSender<Message>,
    ports: BTreeMap<PortId, Port>,
    udp: HashMap<String, OwnedFd>,
    pub(super) certificates: Certificates,
    next_port: PortId,
}

/// An address could not be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address}")]
pub(super) struct ListenError {
    pub(super) address: String,
    #[source]
    pub(super) source: io::Error,
}

impl Ports {
    pub(super) fn new(
        app: u32,
        lanes: Arc<Lanes>,
        keeper: Keeper,
        inbox: mpsc::UnboundedSender<Message>,
    ) -> Self {
        Self {
            app,
            lanes,
            keeper,
            inbox,
            ports: BTreeMap::new(),
            udp: HashMap::new(),
            certificates: Certificates::default(),
            next_port: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PortId, &Port)> {
        self.ports.iter().map(|(id, port)| (*id, port))
    }

    pub(super) fn get_mut(&mut self, id: PortId) -> Option<&mut Port> {
        self.ports.get_mut(&id)
    }

    pub(super) fn get(&self, id: PortId) -> Option<&Port> {
        self.ports.get(&id)
    }

    /// The port whose addresses stand in the configuration.
    pub(super) fn configured(&self) -> Option<PortId> {
        self.ports.iter().find(|(_, port)| port.key.is_none()).map(|(id, _)| *id)
    }

    pub(super) fn by_key(&self, key: &str) -> Option<PortId> {
        self.ports.iter().find(|(_, port)| port.key.as_deref() == Some(key)).map(|(id, _)| *id)
    }

    /// Binds the addresses of the configuration.
    pub(super) fn bind_configured(&mut self, settings: &AppSettings) -> Result<(), ListenError> {
        self.certificates = Certificates::of(settings);
        let mut addresses = Vec::new();
        for listen in &settings.listen {
            let scheme = settings.scheme_of(listen);
            addresses.extend(addresses_of(listen, settings)?.into_iter().map(|address| (address, scheme)));
        }
        if !addresses.is_empty() {
            let mode = settings.mode_of(settings.listen.first().and_then(|listen| listen.address.port()));
            self.bind(None, &addresses, (mode, settings))?;
        }
        Ok(())
    }

    /// Binds an address that a worker asked for.
    pub(super) fn bind_key(
        &mut self,
        key: &str,
        address: &Address,
        settings: &AppSettings,
    ) -> Result<PortId, ListenError> {
        let port = match address {
            Address::Tcp(address) => Some(address.port()),
            Address::Any(port) => Some(*port),
            Address::Unix(_) => None,
        };
        let secure = self.certificates.tls().is_some();
        let addresses = [(address.clone(), if secure { Scheme::Https } else { Scheme::Http })];
        self.bind(Some(key.to_owned()), &addresses, (settings.mode_of(port), settings))
    }

    fn bind(
        &mut self,
        key: Option<String>,
        addresses: &[(Address, Scheme)],
        (mode, settings): (Mode, &AppSettings),
    ) -> Result<PortId, ListenError> {
        let mut listeners = Vec::new();
        let mut names = Vec::new();
        let held_as: Vec<_> =
            addresses.iter().map(|(address, _)| held::listener(self.app, &address.to_string())).collect();
        for ((address, _), name) in addresses.iter().zip(&held_as) {
            let bound = self
                .listen(address, name)
                .map_err(|source| ListenError { address: address.to_string(), source })?;
            if mode == Mode::Shared && !settings.program.is_node {
                // As systemd passes it: simple programs wait in accept(). Whoever wants it otherwise says so itself.
                rustix::io::ioctl_fionbio(&bound, false)
                    .map_err(|error| ListenError { address: address.to_string(), source: error.into() })?;
            }
            names.push(bound.address().map_or_else(|| address.to_string(), |address| address.to_string()));
            listeners.push(bound);
        }
        let id = self.next_port;
        self.next_port += 1;
        let pool = Pool::new(super::settings::for_balancer(settings), self.pool_events(id));
        let port = Port {
            key,
            listeners,
            schemes: addresses.iter().map(|(_, scheme)| *scheme).collect(),
            redirects: settings.redirect_https,
            names,
            mode,
            pool,
            begun: false,
            serving: Vec::new(),
            data: None,
            held_as,
            files: addresses.iter().filter_map(|(address, _)| file_of(address)).collect(),
            endpoints: HashMap::new(),
        };
        self.ports.insert(id, port);
        Ok(id)
    }

    fn listen(&self, address: &Address, name: &str) -> io::Result<Bound> {
        let bound = Bound::bind(address)?;
        self.keeper.hold(name, bound.as_fd())?;
        Ok(bound)
    }

    /// Takes over a port of the daemon before this one, with the clients that wait there.
    pub(super) fn resume(
        &mut self,
        saved: SavedPort,
        held: &mut Held,
        settings: &AppSettings,
    ) -> io::Result<()> {
        let listeners = saved.held_as.iter().map(|name| {
            let socket = held.take(name).ok_or(io::ErrorKind::NotFound)?;
            if saved.mode == Mode::Shared { Bound::adopt_shared(socket) } else { Bound::adopt(socket) }
        });
        let listeners = listeners.collect::<io::Result<_>>()?;
        let pool = Pool::new(super::settings::for_balancer(settings), self.pool_events(saved.id));
        pool.import(&saved.totals);
        let port = Port {
            key: saved.key,
            listeners,
            schemes: saved.schemes,
            redirects: saved.redirects,
            names: saved.names,
            mode: saved.mode,
            pool,
            begun: false,
            serving: Vec::new(),
            data: saved.data,
            held_as: saved.held_as,
            files: saved.files,
            endpoints: HashMap::new(),
        };
        self.ports.insert(saved.id, port);
        self.next_port = self.next_port.max(saved.id + 1);
        if saved.serving {
            self.serve(saved.id, saved.mode)?;
        }
        Ok(())
    }

    /// What the next daemon has to know.
    pub(super) fn saved(&self) -> Vec<SavedPort> {
        let save = |(id, port): (&PortId, &Port)| SavedPort {
            id: *id,
            key: port.key.clone(),
            names: port.names.clone(),
            mode: port.mode,
            schemes: port.schemes.clone(),
            redirects: port.redirects,
            serving: port.begun,
            data: port.data.clone(),
            held_as: port.held_as.clone(),
            files: port.files.clone(),
            totals: port.pool.export(),
        };
        self.ports.iter().map(save).collect()
    }

    pub(super) fn next_port(&self) -> PortId {
        self.next_port
    }

    /// Numbers of ports go on where the daemon before this one was.
    pub(super) fn skip_to(&mut self, next_port: PortId) {
        self.next_port = self.next_port.max(next_port);
    }

    /// A pool tells the app's task, marked with its port.
    fn pool_events(&self, port: PortId) -> mpsc::UnboundedSender<PoolEvent> {
        let (sender, mut events) = mpsc::unbounded_channel();
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if inbox.send(Message::Pool { port, event }).is_err() {
                    return;
                }
            }
        });
        sender
    }

    /// Begins to accept, now that it is known what is served; once.
    pub(super) fn serve(&mut self, id: PortId, mode: Mode) -> io::Result<bool> {
        let Some(port) = self.ports.get_mut(&id) else { return Ok(false) };
        if port.begun {
            return Ok(false);
        }
        port.mode = mode;
        port.begun = true;
        let front = match mode {
            Mode::Shared => return Ok(true),
            Mode::Direct => Front::Direct(Arc::clone(&port.pool)),
            Mode::Http | Mode::Auto => Front::Http(Arc::clone(&port.pool)),
        };
        for (index, (name, listener)) in port.held_as.iter().zip(&port.listeners).enumerate() {
            let transport = port.transport(index, &self.certificates)?;
            port.serving.push(self.lanes.serve(name, listener, (&front, transport))?);
        }
        Ok(true)
    }

    /// The worker gets this port's requests.
    pub(super) fn add(&mut self, id: PortId, worker: WorkerId, road: Road) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.endpoint_of(worker).is_some_and(|known| port.pool.restore(known, &road)) {
            return;
        }
        let endpoint = Endpoint::new(road);
        port.endpoints.entry(worker).or_default().push(endpoint.id());
        port.pool.add(endpoint);
    }

    /// The worker gets no more requests of this port.
    pub(super) fn drain(&self, id: PortId, worker: WorkerId) {
        if let Some((port, endpoint)) = self.endpoint(id, worker) {
            port.pool.drain(endpoint);
            self.lanes.forget(endpoint);
        }
    }

    /// Ends what is still open on the worker.
    pub(super) fn cut(&self, worker: WorkerId) {
        for port in self.ports.values() {
            for endpoint in port.endpoints.get(&worker).into_iter().flatten() {
                port.pool.cut(*endpoint);
            }
        }
    }

    /// The worker is dead.
    pub(super) fn remove(&mut self, worker: WorkerId, death: Death) {
        for port in self.ports.values_mut() {
            for endpoint in port.endpoints.remove(&worker).into_iter().flatten() {
                port.pool.remove(endpoint, death);
                self.lanes.forget(endpoint);
            }
        }
    }

    /// Which worker an endpoint is.
    pub(super) fn worker_of(&self, id: PortId, endpoint: EndpointId) -> Option<WorkerId> {
        let port = self.ports.get(&id)?;
        let mut workers = port.endpoints.iter();
        workers.find(|(_, endpoints)| endpoints.contains(&endpoint)).map(|(worker, _)| *worker)
    }

    /// Closes a port that no worker serves any more, because newer code listens elsewhere.
    pub(super) fn close(&mut self, id: PortId) {
        let Some(port) = self.ports.remove(&id) else { return };
        port.held_as.iter().for_each(|name| self.keeper.release(name));
        for file in &port.files {
            // Somebody may have removed it before us.
            drop(std::fs::remove_file(file));
        }
    }

    /// Closes all of them: the app has ended.
    pub(super) fn close_all(&mut self) {
        let all: Vec<PortId> = self.ports.keys().copied().collect();
        all.into_iter().for_each(|port| self.close(port));
        for (key, _) in self.udp.drain() {
            self.keeper.release(&held::udp(self.app, &key));
        }
    }

    /// The UDP socket that all workers share.
    pub(super) fn udp(&mut self, key: &str, address: SocketAddr) -> io::Result<OwnedFd> {
        if !self.udp.contains_key(key) {
            let socket = std::net::UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            self.keeper.hold(&held::udp(self.app, key), socket.as_fd())?;
            self.udp.insert(key.to_owned(), socket.into());
        }
        self.udp[key].try_clone()
    }

    fn endpoint(&self, id: PortId, worker: WorkerId) -> Option<(&Port, EndpointId)> {
        let port = self.ports.get(&id)?;
        port.endpoint_of(worker).map(|endpoint| (port, endpoint))
    }
}

impl Port {
    /// Its listening sockets, for those who accept by themselves.
    pub(super) fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned()).collect()
    }

    /// The address of the first listener, if it is TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listeners.first().and_then(Bound::address)
    }

    /// The public addresses, and whether TLS ends there.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&String, bool)> {
        let ends_tls = |scheme: &Scheme| *scheme == Scheme::Https && !self.mode.is_whole();
        self.names.iter().zip(self.schemes.iter().map(ends_tls))
    }

    /// How clients speak to a listener.
    fn transport(&self, index: usize, certificates: &Certificates) -> io::Result<Transport> {
        let secure = || self.schemes.iter().position(|scheme| *scheme == Scheme::Https);
        Ok(match (self.schemes.get(index), certificates.tls()) {
            (Some(Scheme::Https), Some(tls)) => Transport::Tls(tls),
            // Never without TLS where it was asked for.
            (Some(Scheme::Https), None) => return Err(io::Error::other("there is no certificate")),
            (Some(Scheme::Http), _) if self.redirects => {
                let secure = secure().and_then(|index| self.listeners[index].address());
                Transport::Redirect { port: secure.map_or(HTTPS, |address| address.port()) }
            }
            _ => Transport::Plain,
        })
    }

    pub(super) fn is_served_by(&self, worker: WorkerId) -> bool {
        self.endpoints.contains_key(&worker)
    }

    pub(super) fn is_from_configuration(&self) -> bool {
        self.key.is_none()
    }

    pub(super) fn endpoint_of(&self, worker: WorkerId) -> Option<EndpointId> {
        self.endpoints.get(&worker)?.last().copied()
    }
}

fn file_of(address: &Address) -> Option<PathBuf> {
    match address {
        Address::Unix(path) => Some(path.clone()),
        Address::Tcp(_) | Address::Any(_) => None,
    }
}

fn addresses_of(listen: &Listen, settings: &AppSettings) -> Result<Vec<Address>, ListenError> {
    match &listen.address {
        ListenAddress::Port(port) => Ok(vec![Address::Any(*port)]),
        ListenAddress::Unix(path) => Ok(vec![Address::Unix(settings.directory.join(path))]),
        ListenAddress::Address(_) | ListenAddress::Host { .. } => listen
            .address
            .resolve()
            .map(|addresses| addresses.into_iter().map(Address::Tcp).collect())
            .map_err(|source| ListenError { address: listen.to_string(), source }),
    }
}
