//! A listener with workers whose connections the test holds in its own hands.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use stead_balancer::http::Limits;
use stead_balancer::{
    Address, Affinity, Bound, Config, Death, Ejection, Endpoint, EndpointId, Front, Hand, Lanes, Moved,
    Policy, Pool, PoolEvent, Road, Serving, Site, Terms, Transport,
};
use tokio::sync::oneshot;

/// The name of every stand's listener.
pub(crate) const LISTENER: &str = "app 127.0.0.1:0";
/// Longest wait for anything that has to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The limits of a stand, unless a test changes them.
pub(crate) fn config() -> Config {
    Config {
        head: Limits { head_bytes_max: 16 * 1024, header_count_max: 64, target_bytes_max: 8 * 1024 },
        body_bytes_max: 1 << 30,
        replay_body_bytes_max: 256 * 1024,
        small_answer_bytes_max: 64 * 1024,
        http2_streams_max: 100,
        upstream_http2: false,
        header_timeout: Duration::from_secs(60),
        body_timeout: PATIENCE,
        idle_timeout: Duration::from_secs(60),
        answer_timeout: PATIENCE,
        connections_max: 1000,
        held_requests_max: 1000,
        hold_timeout: PATIENCE,
        queue_wait_max: Duration::from_secs(10),
        in_flight_max: 1000,
        upstream_idle: PATIENCE,
        untaken_max: 8,
        taken_within: Duration::from_millis(4),
        move_after: Duration::from_millis(100),
        wedged_after: Duration::from_millis(600),
        poison_deaths_max: 3,
        replays_max: 8,
        trust_forwarded: false,
        proxy_from: stead_balancer::ProxyFrom::Nobody,
        send_proxy: None,
        request_id: false,
        starts_traces: false,
        access: None,
        slow_start: None,
        policy: Policy::LeastLoaded,
        terms: Terms::default(),
        affinity: Affinity::default(),
        ejection: Ejection::default(),
    }
}

/// A worker that is given connections; the test answers for it.
struct Hands {
    worker: EndpointId,
    given: mpsc::Sender<(EndpointId, UnixStream)>,
}

impl Hand for Hands {
    fn give(
        &self,
        connection: OwnedFd,
        _client: Option<SocketAddr>,
    ) -> std::io::Result<oneshot::Receiver<bool>> {
        let stream = UnixStream::from(connection);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (accepted, answer) = oneshot::channel();
        let _heard = accepted.send(true);
        self.given.send((self.worker, stream)).map_err(|_| ErrorKind::BrokenPipe)?;
        Ok(answer)
    }
}

/// One listener, one pool, as many workers as were added.
pub(crate) struct Stand {
    pub(crate) pool: Arc<Pool>,
    pub(crate) site: Arc<Site>,
    pub(crate) serving: Option<Serving>,
    pub(crate) lanes: Lanes,
    pub(crate) bound: Option<Bound>,
    pub(crate) address: SocketAddr,
    sender: mpsc::Sender<(EndpointId, UnixStream)>,
    given: Mutex<Given>,
    events: Mutex<tokio::sync::mpsc::UnboundedReceiver<PoolEvent>>,
    /// What the pool calls each worker.
    endpoints: Mutex<HashMap<EndpointId, EndpointId>>,
}

impl Stand {
    /// One lane and the workers 1 to `workers`.
    pub(crate) fn new(config: Config, workers: EndpointId) -> Stand {
        let bound = Bound::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).expect("some port is free");
        let stand = Self::serving(config, bound, Transport::Plain);
        (1..=workers).for_each(|worker| stand.add(worker));
        stand
    }

    /// One lane and one worker, for clients that speak so.
    pub(crate) fn spoken_to(config: Config, transport: Transport) -> Stand {
        let bound = Bound::bind(&Address::Tcp(([127, 0, 0, 1], 0).into())).expect("some port is free");
        let stand = Self::serving(config, bound, transport);
        stand.add(1);
        stand
    }

    /// Another process that serves the same listener, with workers of its own.
    pub(crate) fn successor(&self, config: Config, workers: EndpointId) -> Stand {
        let bound = self.bound.as_ref().expect("it listens");
        let stand =
            Self::serving(config, bound.duplicate().expect("a socket can be duplicated"), Transport::Plain);
        (1..=workers).for_each(|worker| stand.add(worker));
        stand
    }

    fn serving(config: Config, bound: Bound, transport: Transport) -> Stand {
        let (events, heard) = tokio::sync::mpsc::unbounded_channel();
        let pool = Pool::new(config, events);
        let site = Site::alone(Arc::clone(&pool));
        let lanes = Lanes::start(1).expect("a thread can be started");
        let address = bound.address().expect("TCP has an address");
        let serving = lanes
            .serve(LISTENER, &bound, (&Front::Http(Arc::clone(&site)), transport))
            .expect("the lane lives");
        let (sender, given) = mpsc::channel();
        Stand {
            pool,
            site,
            serving: Some(serving),
            lanes,
            bound: Some(bound),
            address,
            sender,
            given: Mutex::new((given, VecDeque::new())),
            events: Mutex::new(heard),
            endpoints: Mutex::default(),
        }
    }

    /// Adds a worker that is reached by this road.
    pub(crate) fn add_road(&self, road: &Road) -> EndpointId {
        let endpoint = Endpoint::new(road.clone(), 0);
        let id = endpoint.id();
        self.pool.add(endpoint);
        id
    }

    /// Retires the lanes. What is moved is the caller's.
    pub(crate) fn retire(&self) -> tokio::sync::mpsc::UnboundedReceiver<Moved> {
        let (sender, moves) = tokio::sync::mpsc::unbounded_channel();
        self.lanes.retire(&sender);
        moves
    }

    /// Retires the lanes; the successor gets the clients.
    pub(crate) fn hand_over(&self, successor: &Arc<Stand>) {
        let (mut moves, successor) = (self.retire(), Arc::clone(successor));
        std::thread::spawn(move || {
            while let Some(moved) = moves.blocking_recv() {
                successor.lanes.adopt(moved).expect("it serves the same listener");
            }
        });
    }

    /// Waits until nothing is left to do.
    #[track_caller]
    pub(crate) fn idle(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("an event loop can be made");
        let idle = async { tokio::time::timeout(PATIENCE, self.lanes.idle()).await };
        runtime.block_on(idle).expect("what is under way ends");
    }

    /// One more worker.
    pub(crate) fn add(&self, worker: EndpointId) {
        let hands = Hands { worker, given: self.sender.clone() };
        let endpoint = Endpoint::new(Road::Handed(Arc::new(hands)), worker as u32);
        self.endpoints.lock().expect("no test panics while it waits").insert(worker, endpoint.id());
        self.pool.add(endpoint);
    }

    /// The worker dies of itself.
    pub(crate) fn die(&self, worker: EndpointId) {
        self.pool.remove(self.endpoint(worker), Death { outside: false });
    }

    /// What the pool calls a worker.
    pub(crate) fn endpoint(&self, worker: EndpointId) -> EndpointId {
        self.endpoints.lock().expect("no test panics while it waits")[&worker]
    }

    /// Whether a worker that drains was reported to have nothing left.
    pub(crate) fn drained(&self) -> bool {
        let mut events = self.events.lock().expect("no test panics while it waits");
        std::iter::from_fn(|| events.try_recv().ok()).any(|event| matches!(event, PoolEvent::Drained(_)))
    }

    /// A client's connection.
    pub(crate) fn client(&self) -> Peer<TcpStream> {
        let stream = TcpStream::connect(self.address).expect("the listener accepts");
        stream.set_nodelay(true).expect("a socket takes the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes the option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes the option");
        Peer::new(stream)
    }

    /// Whether new connections are refused.
    pub(crate) fn refuses(&self) -> bool {
        let connected = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
        connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }

    /// The next connection that any worker is given.
    #[track_caller]
    pub(crate) fn given(&self) -> (EndpointId, Peer<UnixStream>) {
        let given = self.given.lock().expect("no test panics while it waits");
        let (worker, stream) = given.0.recv_timeout(PATIENCE).expect("a worker is given a connection");
        (worker, Peer::new(stream))
    }

    /// Whether no worker is given anything for this long.
    pub(crate) fn gives_nothing(&self, duration: Duration) -> bool {
        self.given.lock().expect("no test panics while it waits").0.recv_timeout(duration).is_err()
    }

    /// Workers that were reported as wedged so far.
    pub(crate) fn wedged(&self) -> usize {
        self.pool.look_at_workers();
        let mut events = self.events.lock().expect("no test panics while it waits");
        std::iter::from_fn(|| events.try_recv().ok())
            .filter(|event| matches!(event, PoolEvent::Wedged(_)))
            .count()
    }
}

/// What workers are given, as it comes, and what has come already.
type Given = (mpsc::Receiver<(EndpointId, UnixStream)>, VecDeque<UnixStream>);

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The test's end of a connection.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

impl<S: Read + Write> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the other side reads");
        self
    }

    /// The text up to and with `mark`; what follows it is left.
    #[track_caller]
    pub(crate) fn read_until(&mut self, mark: &str) -> String {
        loop {
            let found = self.unread.windows(mark.len()).position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                return String::from_utf8_lossy(&self.take(at + mark.len())).into_owned();
            }
            let read = self.fill();
            assert!(read > 0, "the end came before {mark:?}: {}", self.unread.escape_ascii());
        }
    }

    /// Exactly so many bytes.
    #[track_caller]
    pub(crate) fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            let read = self.fill();
            assert!(read > 0, "the end came after {} of {count} bytes", self.unread.len());
        }
        self.take(count)
    }

    /// Reads once, at most so much; it is there for the other ways to read.
    #[track_caller]
    pub(crate) fn read_some(&mut self, bytes_max: usize) {
        let mut piece = vec![0; bytes_max];
        let count = self.stream.read(&mut piece).expect("the other side sends");
        self.unread.extend_from_slice(&piece[..count]);
    }

    /// Everything to the end, which may be a reset.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.unread)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.unread.drain(..count).collect()
    }

    #[track_caller]
    fn fill(&mut self) -> usize {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(count) => {
                self.unread.extend_from_slice(&piece[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}; unread: {}", self.unread.escape_ascii()),
        }
    }
}

impl Peer<TcpStream> {
    /// Sends nothing more, but reads on.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// Another hand on the same connection.
    pub(crate) fn clone(&self) -> Peer<TcpStream> {
        Peer { stream: self.stream.try_clone().expect("a socket can be duplicated"), unread: Vec::new() }
    }
}
