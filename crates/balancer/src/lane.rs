//! The threads that carry traffic.
//!
//! Each lane is one thread with one event loop; a client connection stays on the lane that accepted it, and its
//! connections to workers with it, so the hot path takes no step between threads. What all lanes share is the pool.
//!
//! When another process takes over, the lanes are retired: they accept no more, and each client leaves as soon as nothing of it
//! is under way (`moved.rs`). What is under way ends here.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, LocalSet};

use crate::carried::{Carried, Carrying};
use crate::connection::Arrival;
use crate::endpoint::EndpointId;
use crate::ids::Ids;
use crate::listener::{self, Bound};
use crate::moved::{Moved, WayOut};
use crate::pool::Pool;
use crate::site::Site;
use crate::tls::TlsSet;
use crate::upstream::Upstreams;

/// How often kept connections are looked through for ones past their time.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is done with the connections of a listener.
#[derive(Clone)]
pub enum Front {
    /// HTTP: each request goes to a worker of the app that it is for.
    Http(Arc<Site>),
    /// Anything: each connection goes to a worker, whole.
    Direct(Arc<Pool>),
}

/// How clients of an HTTP listener speak; those of [`Front::Direct`] speak to the worker.
#[derive(Clone)]
pub enum Transport {
    /// As it is.
    Plain,
    /// Through TLS, which ends here.
    Tls(Arc<TlsSet>),
}

/// One listener's traffic on one lane.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) front: Front,
    pub(crate) transport: Transport,
    /// Bounds the client connections of this listener over all lanes.
    pub(crate) connections: Arc<Semaphore>,
    /// The listener closes: answers end their connections.
    pub(crate) closing: Arc<AtomicBool>,
}

/// What a lane's tasks share.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) upstreams: Upstreams,
    pub(crate) ids: Ids,
    pub(crate) way_out: Rc<WayOut>,
}

enum Command {
    Serve { listener: Bound, service: Service, stop: watch::Receiver<bool>, carrying: Carrying },
    Adopt { arrival: Moved, service: Service, carrying: Carrying },
    Retire(mpsc::UnboundedSender<Moved>, Carrying),
    Forget(EndpointId),
}

/// The lanes of this process. Dropped, they end with all that they carry.
pub struct Lanes {
    lanes: Vec<mpsc::UnboundedSender<Command>>,
    /// The lane that adopts the next connection.
    next: AtomicUsize,
    carried: Carried,
    register: Arc<Mutex<Register>>,
}

/// What is served, for connections that come from elsewhere.
#[derive(Default)]
struct Register {
    services: HashMap<Arc<str>, Service>,
    /// All that ever were, as long as they have connections.
    pools: Vec<Weak<Pool>>,
    sites: Vec<Weak<Site>>,
    retired: bool,
}

/// A listener that is served. Dropped, it accepts no more; open connections end after their next answer, or are moved if the
/// lanes are retired.
pub struct Serving {
    stop: watch::Sender<bool>,
    closing: Arc<AtomicBool>,
    name: Arc<str>,
    register: Arc<Mutex<Register>>,
}

impl Lanes {
    /// Starts `count` lanes.
    ///
    /// # Errors
    /// If a thread or its event loop cannot be made.
    pub fn start(count: usize) -> io::Result<Self> {
        let lanes = (0..count.max(1)).map(start).collect::<io::Result<_>>()?;
        Ok(Self { lanes, next: AtomicUsize::new(0), carried: Carried::default(), register: Arc::default() })
    }

    /// Serves a listener on all lanes. Its name is what a connection that is moved to or from another process is known by.
    ///
    /// # Errors
    /// If its descriptor cannot be duplicated, or the lanes are retired.
    pub fn serve(
        &self,
        name: &str,
        listener: &Bound,
        (front, transport): (&Front, Transport),
    ) -> io::Result<Serving> {
        let (stop, stopped) = watch::channel(false);
        let closing = Arc::new(AtomicBool::new(false));
        let service = Service {
            name: name.into(),
            front: front.clone(),
            transport,
            connections: Arc::new(Semaphore::new(front.connections_max())),
            closing: Arc::clone(&closing),
        };
        // Held to the end: a lane is told to serve before it is told to retire, or not at all.
        let mut register = lock(&self.register);
        if register.retired {
            return Err(io::Error::other("the lanes are retired"));
        }
        let duplicates: Vec<Bound> =
            self.lanes.iter().map(|_| listener.duplicate()).collect::<io::Result<_>>()?;
        for (lane, listener) in self.lanes.iter().zip(duplicates) {
            let (service, stop, carrying) = (service.clone(), stopped.clone(), self.carried.carry());
            lane.send(Command::Serve { listener, service, stop, carrying }).map_err(|_| ended())?;
        }
        register.note(front);
        let name = Arc::clone(&service.name);
        register.services.insert(Arc::clone(&name), service);
        Ok(Serving { stop, closing, name, register: Arc::clone(&self.register) })
    }

    /// Closes the kept connections to a worker that is to end.
    pub fn forget(&self, endpoint: EndpointId) {
        for lane in &self.lanes {
            // A lane that has ended keeps no connections.
            drop(lane.send(Command::Forget(endpoint)));
        }
    }

    /// Ends the service of this process, for another that serves the same listeners: nothing more is accepted, and each HTTP
    /// client is sent to `moves` as soon as nothing of it is under way. A client under TLS stays, because its keys cannot be handed
    /// over; its next answer asks it to come again. So does one of HTTP/2, which is told at once. Requests that have been read whole are answered here,
    /// those that wait for a worker too; so are tunnels carried to their end. [`Lanes::idle`] tells when nothing is left.
    ///
    /// Where nobody receives any more, the clients are served here, each for one more request.
    pub fn retire(&self, moves: &mpsc::UnboundedSender<Moved>) {
        let mut register = lock(&self.register);
        register.retired = true;
        for lane in &self.lanes {
            // A lane that has ended has no clients.
            drop(lane.send(Command::Retire(moves.clone(), self.carried.carry())));
        }
    }

    /// Serves a client that another process has moved, as if it had been accepted here.
    ///
    /// # Errors
    /// Gives it back if no listener of its name is served here, or not as HTTP.
    pub fn adopt(&self, moved: Moved) -> Result<(), Moved> {
        let register = lock(&self.register);
        let service = match register.services.get(&moved.listener) {
            Some(service) if !register.retired && matches!(service.front, Front::Http(_)) => service.clone(),
            _ => return Err(moved),
        };
        let lane = &self.lanes[self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len()];
        let command = Command::Adopt { arrival: moved, service, carrying: self.carried.carry() };
        lane.send(command).map_err(|returned| match returned.0 {
            Command::Adopt { arrival, .. } => arrival,
            _ => unreachable!("what was sent is returned"),
        })
    }

    /// What is carried: listeners, by lane, and client connections. Retired lanes have no listeners.
    pub fn load(&self) -> usize {
        self.carried.count()
    }

    /// Waits until nothing is carried any more. To be asked once the lanes are retired.
    pub fn idle(&self) -> impl Future<Output = ()> + Send + use<> {
        self.carried.clone().gone()
    }

    /// Ends tunnels and streams on all workers: the grace period of this process is over. Clients with a WebSocket are told.
    pub fn cut(&self) {
        let register = lock(&self.register);
        register.pools.iter().filter_map(Weak::upgrade).for_each(|pool| pool.cut_all());
        register.sites.iter().filter_map(Weak::upgrade).for_each(|site| site.cut_all());
    }
}

impl Front {
    /// Client connections at a time. Of several apps it is the one that stands for all.
    fn connections_max(&self) -> usize {
        match self {
            Front::Http(site) => site.current().front.config.connections_max,
            Front::Direct(pool) => pool.config.connections_max,
        }
    }
}

impl Register {
    fn note(&mut self, front: &Front) {
        self.pools.retain(|pool| pool.strong_count() > 0);
        self.sites.retain(|site| site.strong_count() > 0);
        match front {
            Front::Http(site) => self.sites.push(Arc::downgrade(site)),
            Front::Direct(pool) => self.pools.push(Arc::downgrade(pool)),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut register = lock(&self.register);
        // Clients of retired lanes are not asked to come again: they are moved.
        self.closing.store(!register.retired, Ordering::Relaxed);
        let is_this = |service: &&mut Service| Arc::ptr_eq(&service.closing, &self.closing);
        if register.services.get_mut(&self.name).filter(is_this).is_some() {
            register.services.remove(&self.name);
        }
        self.stop.send_replace(true);
    }
}

fn lock(register: &Mutex<Register>) -> MutexGuard<'_, Register> {
    register.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ended() -> io::Error {
    io::Error::other("the lane has ended")
}

fn start(index: usize) -> io::Result<mpsc::UnboundedSender<Command>> {
    let (sender, commands) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || LocalSet::new().block_on(&runtime, run(commands));
    thread::Builder::new().name(format!("lane-{index}")).stack_size(512 * 1024).spawn(run)?;
    Ok(sender)
}

async fn run(mut commands: mpsc::UnboundedReceiver<Command>) {
    let lane = Rc::new(Lane::default());
    let mut accepting: Vec<AbortHandle> = Vec::new();
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::Forget(endpoint)) => lane.upstreams.forget(endpoint),
                Some(Command::Serve { listener, service, stop, carrying }) => {
                    let accept = listener::accept(Rc::clone(&lane), (listener, stop), service, carrying);
                    accepting.retain(|task| !task.is_finished());
                    accepting.push(tokio::task::spawn_local(accept).abort_handle());
                }
                Some(Command::Adopt { arrival, service, carrying }) => {
                    // A client that the event loop does not take can only be closed.
                    if let Ok(arrival) = Arrival::moved(arrival) {
                        listener::adopt(&lane, arrival, service, carrying);
                    }
                }
                Some(Command::Retire(moves, carrying)) => {
                    // They hold nothing that could be lost: what they accept is a task of its own at once.
                    accepting.drain(..).for_each(|task| task.abort());
                    lane.way_out.open(moves);
                    drop(carrying);
                }
            },
            _ = sweep.tick() => lane.upstreams.sweep(Instant::now()),
        }
    }
}
