//! The workers behind one listener, shared by all lanes: the driver of `schedule.rs`.
//!
//! A [`Lease`] is the right to send one try to one worker. It is given back by being dropped, wherever that happens: an
//! answer, a failure, a client that went away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};

use crate::by_number::ByNumber;
use crate::endpoint::{Death, Endpoint, EndpointId, Road};
use crate::schedule::{Answer, Ask, Grant, Schedule, Ticket};
use crate::shards::{Place, Shard};
use crate::stats::{EndpointSnapshot, PoisonRecord, PoolSnapshot, Stats, Totals};
use crate::{Config, Counters};

/// What a pool tells its owner.
#[derive(Debug)]
pub enum PoolEvent {
    /// A draining worker has nothing in flight any more.
    Drained(EndpointId),
    /// A worker has not taken a request for longer than the limit.
    Wedged(EndpointId),
    /// Workers died of a request; it was given up.
    Poisoned(PoisonRecord),
}

/// The workers behind one listener.
pub struct Pool {
    pub(crate) config: Config,
    connections: AtomicUsize,
    state: Mutex<State>,
    events: mpsc::UnboundedSender<PoolEvent>,
}

struct State {
    schedule: Schedule,
    endpoints: ByNumber<Arc<Endpoint>>,
    waiters: ByNumber<oneshot::Sender<Grant>>,
    stats: Stats,
}

/// Why no worker was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoWorker {
    /// Too many requests wait already.
    Full,
    /// None was free in time.
    Late,
    /// None was free before the client's time was over.
    Expired,
    /// None would be free in time.
    Overloaded,
}

impl Pool {
    /// An empty pool: requests are held until a worker is added.
    pub fn new(config: Config, events: mpsc::UnboundedSender<PoolEvent>) -> Arc<Self> {
        let state = State {
            schedule: Schedule::new(&config),
            endpoints: ByNumber::default(),
            waiters: ByNumber::default(),
            stats: Stats::new(),
        };
        Arc::new(Self { config, connections: AtomicUsize::new(0), state: Mutex::new(state), events })
    }

    /// Requests may go to this worker from now on.
    pub fn add(self: &Arc<Self>, endpoint: Endpoint) {
        let endpoint = endpoint.speaking_http2(self.config.upstream_http2);
        let (id, slot) = (endpoint.id, endpoint.slot);
        self.change(|state| {
            state.schedule.add(Instant::now(), id, slot);
            let (requests, failed) = endpoint.before;
            state.endpoints.insert(id, Arc::new(endpoint));
            let counts = EndpointSnapshot { id, requests, failed, ..EndpointSnapshot::default() };
            state.stats.endpoints.insert(id, counts);
        });
    }

    /// A draining worker that lives gets requests again, as one that joins. `false`: there is none of this name that is reached
    /// in this way; add it.
    pub fn restore(&self, id: EndpointId, road: &Road) -> bool {
        self.change(|state| match state.endpoints.get(&id) {
            Some(endpoint) if endpoint.road.is(road) => {
                endpoint.accept_again();
                state.schedule.restore(Instant::now(), id)
            }
            _ => false,
        })
    }

    /// No new request goes to this worker; [`PoolEvent::Drained`] tells when it has none left.
    pub fn drain(&self, id: EndpointId) {
        let empty = self.leave(|state| {
            if let Some(endpoint) = state.endpoints.get(&id) {
                endpoint.stop_accepting();
            }
            state.schedule.drain(id)
        });
        if empty {
            self.tell(PoolEvent::Drained(id));
        }
    }

    /// Ends tunnels and streams of this worker: its grace period is over.
    pub fn cut(&self, id: EndpointId) {
        if let Some(endpoint) = self.lock().endpoints.get(&id) {
            endpoint.cut();
        }
    }

    /// Ends tunnels and streams of all workers: the grace period of this process is over.
    pub(crate) fn cut_all(&self) {
        self.lock().endpoints.values().for_each(|endpoint| endpoint.cut());
    }

    /// The worker is dead; what it had in flight is judged by how it died.
    pub fn remove(&self, id: EndpointId, death: Death) {
        self.leave(|state| {
            state.schedule.remove(id);
            state.stats.endpoints.remove(&id);
            if let Some(endpoint) = state.endpoints.remove(&id) {
                endpoint.die(death);
            }
        });
    }

    /// These slots will have workers; all others give their share of the keys away.
    pub fn retain_slots(&self, slots: &[u32]) {
        self.change(|state| state.schedule.retain_slots(slots));
    }

    /// These slots have had workers, which another process knew: what belongs to them waits for them.
    pub fn expect_slots(&self, slots: &[u32]) {
        self.change(|state| slots.iter().for_each(|slot| state.schedule.join(*slot)));
    }

    /// Each slot's share of the keys, and who owns this one.
    pub fn shards(&self, key: Option<&str>) -> (Vec<Shard>, Option<u32>) {
        let state = self.lock();
        let hash = self.config.affinity.shard.as_ref().zip(key).map(|(shard, key)| shard.hash_of(key));
        (state.schedule.shards(), hash.and_then(|hash| state.schedule.slot_of(Place::Key(hash))))
    }

    /// Whether this worker is in the pool.
    pub fn contains(&self, id: EndpointId) -> bool {
        self.lock().endpoints.contains_key(&id)
    }

    /// Counts, loads and latencies now.
    pub fn snapshot(&self) -> PoolSnapshot {
        let state = self.lock();
        let endpoint = |(id, endpoint): (&EndpointId, &EndpointSnapshot)| EndpointSnapshot {
            in_flight: state.schedule.in_flight(*id),
            latency: state.schedule.latency(*id),
            ..*endpoint
        };
        PoolSnapshot {
            counters: state.stats.counters,
            waiting: state.schedule.waiting(),
            accepting: state.schedule.accepting(),
            connections: self.connections.load(Ordering::Relaxed),
            latency: state.stats.latency.clone(),
            endpoints: state.stats.endpoints.iter().map(endpoint).collect(),
            poisoned: state.stats.poisoned.iter().cloned().collect(),
        }
    }

    /// What was counted so far, for the next process.
    pub fn export(&self) -> Totals {
        self.lock().stats.totals()
    }

    /// Goes on counting from what another process has counted; adds it to what this one has already.
    pub fn import(&self, totals: &Totals) {
        self.lock().stats.add(totals);
    }

    /// Counts from zero.
    pub fn reset(&self) {
        self.lock().stats.reset();
    }

    /// Reports workers that do not take their requests, and lets those in whose time out is over. To be called a few times per
    /// `wedged_after`.
    pub fn look_at_workers(&self) {
        let now = Instant::now();
        let wedged = self.change(|state| {
            state.schedule.let_in(now);
            state.schedule.wedged(now)
        });
        wedged.into_iter().for_each(|id| self.tell(PoolEvent::Wedged(id)));
    }

    /// Counts a client connection for as long as the guard lives.
    pub(crate) fn connected(this: &Arc<Self>) -> Connected {
        this.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(this))
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.lock().stats.counters);
    }

    pub(crate) fn poisoned(&self, head: &[u8], body_bytes: u64, deaths: Vec<EndpointId>) {
        let head = String::from_utf8_lossy(head).into_owned();
        let record = PoisonRecord { at: SystemTime::now(), head, body_bytes, deaths };
        self.lock().stats.poisoned(record.clone());
        self.tell(PoolEvent::Poisoned(record));
    }

    /// A worker for one try; waits in the fair queue if there is none.
    pub(crate) async fn lease(self: &Arc<Self>, ask: Ask) -> Result<Lease, NoWorker> {
        let (ticket, grant, lone_or_bound) = {
            let now = Instant::now();
            let mut state = self.lock();
            if ask.replay {
                state.stats.counters.replayed += 1;
            } else {
                state.stats.counters.requests += 1;
            }
            match state.schedule.ask(now, ask) {
                Answer::Granted(grant) => {
                    let mut lease = self.leased(&mut state, grant);
                    lease.bound = ask.place != Place::Any;
                    return Ok(lease);
                }
                Answer::Full => return Err(NoWorker::Full),
                Answer::Late => return Err(NoWorker::Overloaded),
                Answer::Queued(ticket) => {
                    let (sender, grant) = oneshot::channel();
                    state.waiters.insert(ticket, sender);
                    if state.schedule.accepting() == 0 {
                        state.stats.counters.held += 1;
                    } else {
                        state.stats.counters.queued += 1;
                    }
                    (ticket, grant, ask.lone || state.schedule.has_bound())
                }
            }
        };
        if lone_or_bound {
            self.change(|_| ());
        }
        let waiter = Waiter { pool: self, ticket, ask, grant };
        tokio::time::timeout(self.config.hold_timeout, waiter.wait()).await.unwrap_or(Err(NoWorker::Late))
    }

    /// How long those who wait for a worker now will have to, if that can be known.
    pub(crate) fn expected_wait(&self) -> Option<Duration> {
        self.lock().schedule.expected_wait()
    }

    /// A worker that has taken everything, at once or not at all.
    pub(crate) fn lease_free(self: &Arc<Self>, not: EndpointId) -> Option<Lease> {
        let mut state = self.lock();
        let grant = state.schedule.ask_free(Instant::now(), not)?;
        state.stats.counters.moved += 1;
        Some(self.leased(&mut state, grant))
    }

    /// Turns a grant into a lease, unless the worker died since.
    fn accept(self: &Arc<Self>, grant: Grant) -> Option<Lease> {
        let mut state = self.lock();
        if state.endpoints.contains_key(&grant.endpoint) {
            return Some(self.leased(&mut state, grant));
        }
        state.schedule.done(grant, None);
        None
    }

    fn leased(self: &Arc<Self>, state: &mut State, grant: Grant) -> Lease {
        state.stats.tried(grant.endpoint);
        let endpoint = Arc::clone(&state.endpoints[&grant.endpoint]);
        Lease {
            pool: Arc::clone(self),
            endpoint,
            grant,
            alone: false,
            bound: false,
            taken: false,
            sent: Instant::now(),
            latency: None,
        }
    }

    /// Takes a worker out. If it was the last, those who wait are held from now on.
    fn leave<T>(&self, leave: impl FnOnce(&mut State) -> T) -> T {
        self.change(|state| {
            let had_workers = state.schedule.accepting() > 0;
            let result = leave(state);
            if had_workers && state.schedule.accepting() == 0 {
                state.stats.counters.held += state.schedule.waiting() as u64;
            }
            result
        })
    }

    /// Changes the schedule and hands out what became possible by it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        self.hand_out(&mut state);
        result
    }

    fn hand_out(&self, state: &mut State) {
        if state.waiters.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(grant) = state.schedule.poll_grant(now) {
            let waiter = state.waiters.remove(&grant.ticket).expect("who waits in the schedule waits here");
            // The other end is gone only between its last poll and its withdrawal; then the grant goes back.
            if waiter.send(grant).is_err() && state.schedule.done(grant, None) {
                self.tell(PoolEvent::Drained(grant.endpoint));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: PoolEvent) {
        // Nobody listens only while the daemon ends.
        drop(self.events.send(event));
    }
}

/// A client connection that is open.
pub(crate) struct Connected(Arc<Pool>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request in the queue; leaves it when dropped.
struct Waiter<'p> {
    pool: &'p Arc<Pool>,
    ticket: Ticket,
    ask: Ask,
    grant: oneshot::Receiver<Grant>,
}

impl Waiter<'_> {
    async fn wait(mut self) -> Result<Lease, NoWorker> {
        let grant = (&mut self.grant).await.map_err(|_| NoWorker::Late)?;
        if let Some(mut lease) = self.pool.accept(grant) {
            lease.alone = self.ask.lone;
            lease.bound = self.ask.place != Place::Any;
            return Ok(lease);
        }
        // The worker died in between.
        Box::pin(self.pool.lease(Ask { replay: true, ..self.ask })).await
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let (pool, ticket) = (self.pool, self.ticket);
        self.grant.close();
        let unused = self.grant.try_recv().ok();
        pool.change(|state| {
            state.waiters.remove(&ticket);
            state.schedule.withdraw(ticket);
            if let Some(grant) = unused
                && state.schedule.done(grant, None)
            {
                pool.tell(PoolEvent::Drained(grant.endpoint));
            }
        });
    }
}

/// The right to send one try to one worker.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    pub(crate) endpoint: Arc<Endpoint>,
    grant: Grant,
    alone: bool,
    bound: bool,
    taken: bool,
    sent: Instant,
    /// Of this try, and of the request with all its tries and waits.
    latency: Option<(Duration, Duration)>,
}

impl Lease {
    pub(crate) fn is_taken(&self) -> bool {
        self.taken
    }

    /// The worker has no other request, and gets none meanwhile.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The request belongs to this worker's slot, and is not moved to another.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound
    }

    /// When the lease was given.
    pub(crate) fn since(&self) -> Instant {
        self.sent
    }

    /// The worker has read the request.
    pub(crate) fn taken(&mut self) {
        if !self.taken {
            self.taken = true;
            self.pool.change(|state| state.schedule.taken(Instant::now(), self.grant));
        }
    }

    /// The worker has answered a request that came at `began`.
    pub(crate) fn answered(&mut self, now: Instant, began: Instant) {
        self.latency = Some((now.saturating_duration_since(self.sent), now.saturating_duration_since(began)));
    }

    /// The worker did its part, where no answer ends what it was given.
    pub(crate) fn served(&self) {
        self.pool.lock().schedule.served(self.grant);
    }

    /// The worker failed this try; `blamed`: it was not just late in saying that it had closed a connection.
    pub(crate) fn failed(&mut self, blamed: bool) {
        self.pool.change(|state| {
            state.stats.try_failed(self.grant.endpoint);
            if blamed {
                state.schedule.failed(Instant::now(), self.grant);
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let empty = self.pool.change(|state| {
            if let Some((this_try, request)) = self.latency {
                state.stats.answered(request);
                state.schedule.compare(self.sent + this_try, self.grant, this_try);
            }
            state.schedule.done(self.grant, self.latency.map(|(this_try, _)| this_try))
        });
        if empty {
            self.pool.tell(PoolEvent::Drained(self.grant.endpoint));
        }
    }
}
