//! The public listeners of an app: bound once, kept while workers come and go, each with the pool of workers behind it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use serde_json::Value;
use stead_balancer::{
    AccessTo, Address, Config, Death, Endpoint, EndpointId, Lanes, Pool, PoolEvent, Road, Route, StickyKey,
};
use stead_process::keeper::Keeper;
use stead_supervisor::WorkerId;
use tokio::sync::mpsc;

use super::certificates::Certificates;
use super::datagrams::Datagrams;
use super::listeners::{Entry, Leave, Listeners, Place};
use super::message::Message;
use super::state::SavedPort;
use crate::config::{AppSettings, Conflict, Listen, ListenAddress, Mode, RouteSettings, Scheme};

/// The port of `https`, which nobody writes.
const HTTPS: u16 = 443;

/// Names a port within its app.
pub(super) type PortId = usize;

/// One or more public addresses with one pool behind them.
pub(super) struct Port {
    /// What workers ask for, as Node.js spells it; `None` for the addresses in the configuration.
    key: Option<String>,
    places: Vec<Place>,
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
    /// The first worker's `data` in the cluster protocol, which all others get.
    pub(super) data: Option<Value>,
    /// The last one is current; a worker has more only if it was reached in another way before.
    endpoints: HashMap<WorkerId, Vec<EndpointId>>,
}

/// All ports of an app.
pub(super) struct Ports {
    app: u32,
    lanes: Arc<Lanes>,
    listeners: Arc<Listeners>,
    inbox: mpsc::UnboundedSender<Message>,
    /// As they are written, and as they are used: what clients have asked for is counted in them.
    routes: Vec<(RouteSettings, Arc<Route>)>,
    ports: BTreeMap<PortId, Port>,
    pub(super) datagrams: Datagrams,
    pub(super) certificates: Certificates,
    /// Who is told about requests.
    pub(super) access: Option<AccessTo>,
    /// Signs the cookies of sticky clients; goes from one daemon to the next.
    pub(super) sticky_key: StickyKey,
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
        (lanes, listeners): (&Arc<Lanes>, &Arc<Listeners>),
        keeper: Keeper,
        inbox: mpsc::UnboundedSender<Message>,
    ) -> Self {
        Self {
            app,
            lanes: Arc::clone(lanes),
            listeners: Arc::clone(listeners),
            inbox,
            routes: Vec::new(),
            ports: BTreeMap::new(),
            datagrams: Datagrams::new(app, keeper),
            certificates: Certificates::default(),
            access: None,
            sticky_key: StickyKey::generate(),
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
    pub(super) fn bind_configured(&mut self, settings: &Arc<AppSettings>) -> Result<(), ListenError> {
        self.prepare(settings);
        let mut addresses = Vec::new();
        for listen in &settings.listen {
            let scheme = settings.scheme_of(listen);
            addresses.extend(addresses_of(listen, settings)?.into_iter().map(|address| (address, scheme)));
        }
        self.bind_datagrams(settings)?;
        if !addresses.is_empty() {
            let bound = self.bind(None, &addresses, (settings.listen_mode(), settings));
            bound.inspect_err(|_| self.datagrams.close())?;
        }
        Ok(())
    }

    fn bind_datagrams(&mut self, settings: &AppSettings) -> Result<(), ListenError> {
        for listen in &settings.datagrams {
            if let Err(source) = self.datagrams.bind(listen) {
                self.datagrams.close();
                return Err(ListenError { address: listen.to_string(), source });
            }
        }
        Ok(())
    }

    /// Binds an address that a worker asked for.
    pub(super) fn bind_key(
        &mut self,
        key: &str,
        address: &Address,
        settings: &Arc<AppSettings>,
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
        (mode, settings): (Mode, &Arc<AppSettings>),
    ) -> Result<PortId, ListenError> {
        let mut places: Vec<Place> = Vec::new();
        for (address, scheme) in addresses {
            let opened = self.listeners.open(self.app, address, (settings, *scheme, mode));
            let opened = opened.and_then(|place| {
                if mode == Mode::Shared && !settings.program.is_node {
                    // As systemd passes it: simple programs wait in accept(). Whoever wants it otherwise says so itself.
                    rustix::io::ioctl_fionbio(&place.bound, false)?;
                }
                Ok(place)
            });
            match opened {
                Ok(place) => places.push(place),
                Err(source) => {
                    places
                        .iter()
                        .for_each(|place| self.listeners.leave(self.app, &place.address, Leave::Gone));
                    return Err(ListenError { address: address.to_string(), source });
                }
            }
        }
        let id = self.next_port;
        self.next_port += 1;
        let pool = self.new_pool(id, settings);
        let name = |place: &Place| {
            place.bound.address().map_or_else(|| place.address.clone(), |address| address.to_string())
        };
        let port = Port {
            key,
            names: places.iter().map(name).collect(),
            places,
            schemes: addresses.iter().map(|(_, scheme)| *scheme).collect(),
            redirects: settings.redirect_https,
            mode,
            pool,
            begun: false,
            data: None,
            endpoints: HashMap::new(),
        };
        self.enter(&port);
        self.ports.insert(id, port);
        Ok(id)
    }

    /// From now on the requests of its addresses come to this port.
    fn enter(&self, port: &Port) {
        for (index, place) in port.places.iter().enumerate() {
            let entry = Entry {
                pool: Arc::clone(&port.pool),
                routes: self.routes.iter().map(|(_, route)| Arc::clone(route)).collect(),
                tls: self.certificates.tls(),
                https: port.https(index),
            };
            self.listeners.enter(self.app, &place.address, entry);
        }
    }

    /// What all ports of the app have in common.
    pub(super) fn prepare(&mut self, settings: &AppSettings) {
        self.certificates = Certificates::of(settings);
        self.routes = self.routes_of(settings);
    }

    /// Routes that are as they were go on counting.
    fn routes_of(&self, settings: &AppSettings) -> Vec<(RouteSettings, Arc<Route>)> {
        let known = |route: &RouteSettings| {
            let found = self.routes.iter().find(|(written, _)| written == route);
            found.map_or_else(|| route.for_balancer(), |(_, used)| Arc::clone(used))
        };
        settings.routes.iter().map(|route| (route.clone(), known(route))).collect()
    }

    /// Takes over the routes of changed settings.
    ///
    /// # Errors
    /// Another app has one of them; nothing has changed then.
    pub(super) fn reroute(&mut self, settings: &Arc<AppSettings>) -> Result<(), Conflict> {
        let routes = self.routes_of(settings);
        let used: Vec<_> = routes.iter().map(|(_, route)| Arc::clone(route)).collect();
        self.listeners.reroute(self.app, settings, &used)?;
        self.routes = routes;
        Ok(())
    }

    /// The app is known and stopped: whoever asks for it where others are, or where it was itself, is told so.
    pub(super) fn stand_by(&mut self, settings: &AppSettings, was_at: Vec<String>) {
        self.routes = self.routes_of(settings);
        let routes: Vec<_> = self.routes.iter().map(|(_, route)| Arc::clone(route)).collect();
        // A name that nobody knows has no address either.
        let addresses =
            settings.listen.iter().flat_map(|listen| addresses_of(listen, settings).unwrap_or_default());
        let addresses = addresses.map(|address| address.to_string()).chain(was_at);
        self.listeners.stopped(self.app, &routes, addresses.collect());
    }

    /// Where it was before it was stopped, as it told itself or the configuration does.
    pub(super) fn was_at(&self) -> Vec<String> {
        self.listeners.was_at(self.app)
    }

    /// Takes over a port of the daemon before this one, with the clients that wait there.
    pub(super) fn resume(&mut self, saved: SavedPort, settings: &Arc<AppSettings>) -> io::Result<()> {
        let adopt = |(name, scheme): (&String, &Scheme)| {
            self.listeners.adopt(self.app, name, (settings, *scheme, saved.mode))
        };
        let places = saved.held_as.iter().zip(&saved.schemes).map(adopt).collect::<io::Result<_>>()?;
        let pool = self.new_pool(saved.id, settings);
        pool.import(&saved.totals);
        pool.expect_slots(&saved.slots);
        let port = Port {
            key: saved.key,
            places,
            schemes: saved.schemes,
            redirects: saved.redirects,
            names: saved.names,
            mode: saved.mode,
            pool,
            begun: false,
            data: saved.data,
            endpoints: HashMap::new(),
        };
        self.enter(&port);
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
            held_as: port.places.iter().map(|place| place.held_as.clone()).collect(),
            totals: port.pool.export(),
            slots: port.pool.shards(None).0.iter().map(|shard| shard.slot).collect(),
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

    fn new_pool(&self, id: PortId, settings: &AppSettings) -> Arc<Pool> {
        let config = super::settings::for_balancer(settings, &self.sticky_key);
        Pool::new(Config { access: self.access.clone(), ..config }, self.pool_events(id))
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
        for place in &port.places {
            self.listeners.serve(self.app, &place.address, mode)?;
        }
        port.mode = mode;
        port.begun = true;
        Ok(true)
    }

    /// The worker gets this port's requests.
    pub(super) fn add(&mut self, id: PortId, (worker, slot): (WorkerId, u32), road: Road) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if port.endpoint_of(worker).is_some_and(|known| port.pool.restore(known, &road)) {
            return;
        }
        let endpoint = Endpoint::new(road, slot);
        port.endpoints.entry(worker).or_default().push(endpoint.id());
        port.pool.add(endpoint);
    }

    /// Only these slots will have workers that requests can belong to.
    pub(super) fn retain_slots(&self, slots: &[u32]) {
        self.ports.values().for_each(|port| port.pool.retain_slots(slots));
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

    /// Leaves a port that no worker serves any more, because newer code listens elsewhere.
    pub(super) fn close(&mut self, id: PortId) {
        self.leave(id, Leave::Gone);
    }

    fn leave(&mut self, id: PortId, leave: Leave) {
        let Some(port) = self.ports.remove(&id) else { return };
        port.places.iter().for_each(|place| self.listeners.leave(self.app, &place.address, leave));
    }

    /// Leaves all of them: the app is stopped.
    pub(super) fn close_all(&mut self) {
        let all: Vec<PortId> = self.ports.keys().copied().collect();
        all.into_iter().for_each(|port| self.leave(port, Leave::Stopped));
        self.datagrams.close();
    }

    /// The app is no more.
    pub(super) fn forget(&mut self) {
        self.close_all();
        self.listeners.forget(self.app);
    }

    fn endpoint(&self, id: PortId, worker: WorkerId) -> Option<(&Port, EndpointId)> {
        let port = self.ports.get(&id)?;
        port.endpoint_of(worker).map(|endpoint| (port, endpoint))
    }
}

impl Port {
    /// Its listening sockets, for those who accept by themselves.
    pub(super) fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.places.iter().map(|place| place.bound.as_fd().try_clone_to_owned()).collect()
    }

    /// The address of the first listener, if it is TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.places.first().and_then(|place| place.bound.address())
    }

    /// The public addresses, and whether TLS ends there.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&String, bool)> {
        let ends_tls = |scheme: &Scheme| *scheme == Scheme::Https && !self.mode.is_whole();
        self.names.iter().zip(self.schemes.iter().map(ends_tls))
    }

    /// The port of https that clients of a plain listener are sent to.
    fn https(&self, index: usize) -> Option<u16> {
        if !self.redirects || self.schemes.get(index) != Some(&Scheme::Http) {
            return None;
        }
        let secure = self.schemes.iter().position(|scheme| *scheme == Scheme::Https);
        let secure = secure.and_then(|index| self.places[index].bound.address());
        Some(secure.map_or(HTTPS, |address| address.port()))
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
