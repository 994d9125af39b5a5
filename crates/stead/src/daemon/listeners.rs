//! The public listeners of this instance: each bound once, whichever apps are behind it, and served while there is one.
//!
//! An app comes to an address in two steps: [`Listeners::open`] makes sure that it may, [`Listeners::enter`] brings its workers.
//! When it leaves, the others go on, and its own clients are told that it is stopped, unless it is gone for good. Which apps go
//! together is decided in `config/sharing.rs`, who gets which request in the balancer.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_balancer::{
    Address, Bound, Front, Lanes, Pool, Route, Serving, Site, Tenant, Tls, TlsSet, Transport,
};
use stead_process::keeper::Keeper;

use super::held;
use crate::config::{AppSettings, Claim, Conflict, Mode, Scheme, conflict};

/// All of them.
pub(super) struct Listeners {
    lanes: Arc<Lanes>,
    keeper: Keeper,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the address, as people write it.
    open: BTreeMap<String, Listener>,
    /// Apps that are stopped, and the addresses that were theirs.
    stopped: BTreeMap<u32, Stopped>,
    /// What the daemon before this one left, until it is asked for.
    inherited: HashMap<String, OwnedFd>,
    /// Apps still come back to their addresses: nobody is accepted before all are there.
    resuming: bool,
}

struct Listener {
    held_as: String,
    bound: Bound,
    /// The file of a Unix socket.
    file: Option<PathBuf>,
    /// By the app's number.
    apps: BTreeMap<u32, Occupant>,
    served: Served,
}

/// An app at an address.
struct Occupant {
    settings: Arc<AppSettings>,
    scheme: Scheme,
    /// `Auto` until a worker tells what it serves.
    mode: Mode,
    begun: bool,
    entered: Option<Entry>,
}

/// What an app brings to an address.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) pool: Arc<Pool>,
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) tls: Option<Arc<Tls>>,
    /// Its clients are sent to https, at this port.
    pub(super) https: Option<u16>,
}

struct Stopped {
    routes: Vec<Arc<Route>>,
    addresses: Vec<String>,
}

/// What is done with the connections of a listener.
enum Served {
    /// They wait, or workers accept them by themselves.
    Not,
    Http {
        site: Arc<Site>,
        tls: Option<Arc<TlsSet>>,
        _serving: Serving,
    },
    Direct {
        _serving: Serving,
    },
}

/// An app's place at an address.
pub(super) struct Place {
    /// The name of the address within this instance.
    pub(super) address: String,
    /// The name under which the keeper holds the listener.
    pub(super) held_as: String,
    pub(super) bound: Bound,
}

/// Whether an app that leaves comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is stopped.
    Stopped,
    /// It does not listen there any more, or is no more.
    Gone,
}

impl Listeners {
    pub(super) fn new(lanes: Arc<Lanes>, keeper: Keeper) -> Self {
        Self { lanes, keeper, state: Mutex::default() }
    }

    /// A place for this app at an address, which is bound if nobody is there yet.
    ///
    /// # Errors
    /// As bind(2); `AddrInUse` with a [`Conflict`] inside if an app is there that does not share it with this one.
    pub(super) fn open(
        &self,
        app: u32,
        address: &Address,
        (settings, scheme, mode): (&Arc<AppSettings>, Scheme, Mode),
    ) -> io::Result<Place> {
        let mut state = self.lock();
        let mut name = address.to_string();
        let occupant = Occupant { settings: Arc::clone(settings), scheme, mode, begun: false, entered: None };
        if let Some(listener) = state.open.get_mut(&name) {
            if listener.apps.contains_key(&app) {
                return Err(rustix::io::Errno::ADDRINUSE.into());
            }
            listener.check(app, &occupant, &name)?;
            let bound = listener.bound.duplicate()?;
            listener.apps.insert(app, occupant);
            let held_as = listener.held_as.clone();
            return Ok(Place { address: name, held_as, bound });
        }
        let bound = Bound::bind(address).map_err(|error| state.explain(error, address))?;
        if let Some(chosen) = bound.address().filter(|_| has_port_zero(address)) {
            name = chosen.to_string();
        }
        let held_as = held::listener(app, &name);
        self.keeper.hold(&held_as, bound.as_fd())?;
        let file = match address {
            Address::Unix(path) => Some(path.clone()),
            Address::Tcp(_) | Address::Any(_) => None,
        };
        let place = Place { address: name.clone(), held_as: held_as.clone(), bound: bound.duplicate()? };
        let apps = BTreeMap::from([(app, occupant)]);
        state.open.insert(name, Listener { held_as, bound, file, apps, served: Served::Not });
        Ok(place)
    }

    /// The app's workers are to get their requests; those that come before it serves wait for it.
    pub(super) fn enter(&self, app: u32, address: &str, entry: Entry) {
        let mut state = self.lock();
        state.forget(app);
        if let Some(occupant) = state.open.get_mut(address).and_then(|listener| listener.apps.get_mut(&app)) {
            occupant.entered = Some(entry);
        }
        state.arrange(address);
    }

    /// Begins to accept for this app, now that it is known what it serves.
    ///
    /// # Errors
    /// It takes whole connections where it is not alone; or descriptors are exhausted.
    pub(super) fn serve(&self, app: u32, address: &str, mode: Mode) -> io::Result<()> {
        let mut state = self.lock();
        let resuming = state.resuming;
        let Some(listener) = state.open.get_mut(address) else { return Ok(()) };
        let Some(occupant) = listener.apps.get(&app) else { return Ok(()) };
        let occupant = Occupant { mode, begun: true, ..occupant.with(&occupant.settings) };
        listener.check(app, &occupant, address)?;
        listener.apps.insert(app, occupant);
        if resuming { Ok(()) } else { state.begin(address, &self.lanes) }
    }

    /// Other routes for an app, at all of its addresses.
    ///
    /// # Errors
    /// Another app has one of them; nothing has changed then.
    pub(super) fn reroute(
        &self,
        app: u32,
        settings: &Arc<AppSettings>,
        routes: &[Arc<Route>],
    ) -> Result<(), Conflict> {
        let mut state = self.lock();
        let mut addresses = Vec::new();
        for (name, listener) in &state.open {
            if let Some(occupant) = listener.apps.get(&app) {
                listener.conflict(app, &occupant.with(settings), name).map_or(Ok(()), Err)?;
                addresses.push(name.clone());
            }
        }
        for name in addresses {
            if let Some(occupant) = state.open.get_mut(&name).and_then(|listener| listener.apps.get_mut(&app))
            {
                *occupant = occupant.with(settings);
                if let Some(entry) = &mut occupant.entered {
                    entry.routes = routes.to_vec();
                }
            }
            state.arrange(&name);
        }
        Ok(())
    }

    /// An app leaves an address. The last one closes it.
    pub(super) fn leave(&self, app: u32, address: &str, leave: Leave) {
        let mut state = self.lock();
        let Some(listener) = state.open.get_mut(address) else { return };
        let left = listener.apps.remove(&app).and_then(|occupant| occupant.entered);
        if listener.apps.is_empty() {
            let listener = state.open.remove(address).expect("it was found just now");
            self.keeper.release(&listener.held_as);
            if let Some(file) = listener.file {
                // Somebody may have removed it before us.
                drop(std::fs::remove_file(file));
            }
        }
        if let Some(entry) = left.filter(|_| leave == Leave::Stopped) {
            state.stop(app, entry.routes, address.to_owned());
        }
        state.arrange(address);
    }

    /// An app is known and stopped: its clients are told so at the addresses that others keep open.
    pub(super) fn stopped(&self, app: u32, routes: &[Arc<Route>], addresses: Vec<String>) {
        let mut state = self.lock();
        for address in addresses {
            state.stop(app, routes.to_vec(), address.clone());
            state.arrange(&address);
        }
    }

    /// The addresses of an app that is stopped.
    pub(super) fn was_at(&self, app: u32) -> Vec<String> {
        self.lock().stopped.get(&app).map(|stopped| stopped.addresses.clone()).unwrap_or_default()
    }

    /// The app is no more.
    pub(super) fn forget(&self, app: u32) {
        self.lock().forget(app);
    }

    /// From now on apps come back to the listeners of the daemon before this one; until [`Listeners::resumed`].
    pub(super) fn resume(&self, inherited: HashMap<String, OwnedFd>) {
        let mut state = self.lock();
        state.inherited = inherited;
        state.resuming = true;
    }

    /// The place that an app had.
    ///
    /// # Errors
    /// The listener was lost.
    pub(super) fn adopt(
        &self,
        app: u32,
        held_as: &str,
        (settings, scheme, mode): (&Arc<AppSettings>, Scheme, Mode),
    ) -> io::Result<Place> {
        let mut state = self.lock();
        let name = held::address(held_as).to_owned();
        let occupant = Occupant { settings: Arc::clone(settings), scheme, mode, begun: false, entered: None };
        if let Some(socket) = state.inherited.remove(held_as) {
            let bound =
                if mode == Mode::Shared { Bound::adopt_shared(socket) } else { Bound::adopt(socket) }?;
            let file = name.strip_prefix("unix:").map(PathBuf::from);
            let listener = Listener {
                held_as: held_as.to_owned(),
                bound,
                file,
                apps: BTreeMap::new(),
                served: Served::Not,
            };
            state.open.insert(name.clone(), listener);
        }
        let listener = state.open.get_mut(&name).ok_or(io::ErrorKind::NotFound)?;
        listener.apps.insert(app, occupant);
        Ok(Place { address: name, held_as: held_as.to_owned(), bound: listener.bound.duplicate()? })
    }

    /// All apps are back: everybody is accepted who was before. What nobody wants is closed.
    pub(super) fn resumed(&self) -> Vec<io::Error> {
        let mut state = self.lock();
        state.resuming = false;
        state.inherited.drain().for_each(|(name, _)| self.keeper.release(&name));
        let names: Vec<String> = state.open.keys().cloned().collect();
        names.iter().filter_map(|name| state.begin(name, &self.lanes).err()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Why an address could not be bound, if one of our own is in the way.
    fn explain(&self, error: io::Error, address: &Address) -> io::Error {
        let port = port_of(address).filter(|port| *port != 0);
        let same = |listener: &&Listener| listener.bound.address().map(|address| address.port()) == port;
        let Some(listener) = self.open.values().find(|listener| port.is_some() && same(listener)) else {
            return error;
        };
        let first = listener.apps.values().next();
        match first.filter(|_| error.kind() == io::ErrorKind::AddrInUse) {
            Some(occupant) => in_use(Conflict::Overlap {
                one: occupant.settings.name.clone(),
                address: held::address(&listener.held_as).to_owned(),
            }),
            None => error,
        }
    }

    fn stop(&mut self, app: u32, routes: Vec<Arc<Route>>, address: String) {
        let stopped =
            self.stopped.entry(app).or_insert(Stopped { routes: Vec::new(), addresses: Vec::new() });
        stopped.routes = routes;
        if !stopped.addresses.contains(&address) {
            stopped.addresses.push(address);
        }
    }

    /// An app is not stopped any more.
    fn forget(&mut self, app: u32) {
        let addresses = self.stopped.remove(&app).map(|stopped| stopped.addresses).unwrap_or_default();
        addresses.iter().for_each(|address| self.arrange(address));
    }

    /// Who is behind an address has changed.
    fn arrange(&self, address: &str) {
        let Some(listener) = self.open.get(address) else { return };
        let Served::Http { site, tls, .. } = &listener.served else { return };
        let tenants = self.tenants(address, listener);
        // An app that has come and is not there yet is the only one left: those before it go on until it is.
        if tenants.iter().any(|tenant| tenant.pool.is_some()) {
            site.arrange(&tenants);
        }
        if let Some(tls) = tls {
            tls.set(listener.tls());
        }
    }

    /// The apps behind an address, and then the ones that were and are stopped: another may have taken their place.
    fn tenants(&self, address: &str, listener: &Listener) -> Vec<Tenant> {
        let entered = listener.entries().map(|entry| Tenant {
            pool: Some(Arc::clone(&entry.pool)),
            routes: entry.routes.clone(),
            https: entry.https,
        });
        let stopped =
            self.stopped.values().filter(|stopped| stopped.addresses.iter().any(|own| own == address));
        let stopped =
            stopped.map(|stopped| Tenant { pool: None, routes: stopped.routes.clone(), https: None });
        entered.chain(stopped).collect()
    }

    /// Accepts clients, unless it does already or workers do by themselves.
    fn begin(&mut self, address: &str, lanes: &Lanes) -> io::Result<()> {
        let Some(listener) = self.open.get(address) else { return Ok(()) };
        let begun = listener.apps.values().find(|occupant| occupant.begun);
        let (Served::Not, Some(occupant)) = (&listener.served, begun) else { return Ok(()) };
        let serve =
            |front: &Front, transport| lanes.serve(&listener.held_as, &listener.bound, (front, transport));
        let served = match (occupant.mode, &occupant.entered) {
            (Mode::Shared, _) | (_, None) => return Ok(()),
            (Mode::Direct, Some(entry)) => {
                Served::Direct { _serving: serve(&Front::Direct(Arc::clone(&entry.pool)), Transport::Plain)? }
            }
            (Mode::Http | Mode::Auto, Some(_)) => {
                let site = Site::new(&self.tenants(address, listener));
                let tls = (occupant.scheme == Scheme::Https).then(|| TlsSet::new(listener.tls()));
                let transport = tls.clone().map_or(Transport::Plain, Transport::Tls);
                let serving = serve(&Front::Http(Arc::clone(&site)), transport)?;
                Served::Http { site, tls, _serving: serving }
            }
        };
        if let Some(listener) = self.open.get_mut(address) {
            listener.served = served;
        }
        Ok(())
    }
}

impl Listener {
    fn check(&self, app: u32, occupant: &Occupant, address: &str) -> io::Result<()> {
        self.conflict(app, occupant, address).map_or(Ok(()), |conflict| Err(in_use(conflict)))
    }

    /// What keeps this app from sharing the address with those that are there.
    fn conflict(&self, app: u32, occupant: &Occupant, address: &str) -> Option<Conflict> {
        let others = self.apps.iter().filter(|(other, _)| **other != app);
        others.into_iter().find_map(|(_, other)| conflict(other.claim(), occupant.claim(), address))
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.apps.values().filter_map(|occupant| occupant.entered.as_ref())
    }

    /// The certificates of all, the first for clients that name no host: of the app that gets the rest, if there is one.
    fn tls(&self) -> Vec<Arc<Tls>> {
        let mut apps: Vec<&Occupant> = self.apps.values().collect();
        apps.sort_by_key(|occupant| !occupant.settings.takes_rest());
        let entered = apps.into_iter().filter_map(|occupant| occupant.entered.as_ref());
        entered.filter_map(|entry| entry.tls.clone()).collect()
    }
}

impl Occupant {
    fn claim(&self) -> Claim<'_> {
        Claim { app: &self.settings, scheme: self.scheme, whole: self.mode.is_whole() }
    }

    /// The same with these settings.
    fn with(&self, settings: &Arc<AppSettings>) -> Self {
        Self { settings: Arc::clone(settings), entered: self.entered.clone(), ..*self }
    }
}

fn in_use(conflict: Conflict) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, conflict)
}

/// Why an app could not share an address, if that is what the error says.
pub(super) fn conflict_in(error: &io::Error) -> Option<&Conflict> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn has_port_zero(address: &Address) -> bool {
    port_of(address) == Some(0)
}

fn port_of(address: &Address) -> Option<u16> {
    match address {
        Address::Tcp(address) => Some(SocketAddr::port(address)),
        Address::Any(port) => Some(*port),
        Address::Unix(_) => None,
    }
}
