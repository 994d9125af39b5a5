//! What `stead run` has decided to run, complete: plain data without defaults, which the rest of the binary is built on.
//!
//! Every value comes from `defaults.toml`, the configuration file or the command line, in this order of strength, and
//! has been checked. Nothing here is optional because "nobody set it": an `Option` means that the setting can be off.

mod care;
mod choosing;
mod confinement;
mod logs;
mod messages;
mod pool;
mod program;
mod routes;
mod schedule;
pub(super) mod text;
mod tls;

pub use care::{
    Dependency, DependencyCondition, Group, GroupStrategy, HealthCheck, HealthSettings, HookSettings,
    RecycleSettings, WatchSettings,
};
pub use choosing::ChoosingSettings;
pub use confinement::{CgroupSettings, Identity, ResourceName};
pub use logs::{AccessForm, LogPlace, LogSettings};
pub use messages::{MessageSettings, SharedCommand};
pub use pool::PoolSettings;
pub use program::{Placeholder, Program};
pub use routes::{RateLimit, RouteSettings};
pub use schedule::{CatchUp, Overlap, ScheduleSettings, ScheduledWork};
pub use tls::{Acme, Certificate, ClientCa, TlsSettings};

use super::address::{Listen, Scheme};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use stead_balancer::{ProxyFrom, ProxyVersion};

/// Everything one instance runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// At least one, names unique, in the order of the file.
    pub apps: Vec<AppSettings>,
    /// Apps that share their luck; names unique.
    pub groups: Vec<Group>,
    /// The file they were read from, absolute; nothing when the command line said it all.
    #[serde(with = "text")]
    pub file: Option<PathBuf>,
    /// What of a file that others have written is different now, and which certificates are not good for long; for people.
    pub notes: Vec<String>,
    /// Print JSON lines instead of text.
    pub json: bool,
    /// Threads of the data path.
    pub lanes: u32,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppSettings {
    /// Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// By which several apps can be named at once. Written as a name.
    pub namespace: String,
    /// Start it when it is added; else it is only known until it is asked for.
    pub autostart: bool,
    /// What a worker runs.
    pub program: Program,
    /// Where it runs: absolute, exists.
    #[serde(with = "text")]
    pub directory: PathBuf,
    /// The whole environment, without the variables that name descriptors or channels of Stead's own parent.
    /// `STEAD_*`, `PORT`, `NODE_*` of a worker are added when it is spawned.
    #[serde(with = "text")]
    pub environment: BTreeMap<OsString, OsString>,
    /// Workers, at least 1.
    pub instances: u32,
    /// Public addresses from configuration. Node.js apps add theirs by `listen()`.
    pub listen: Vec<Listen>,
    /// Public addresses of UDP, from configuration too: the workers share their sockets.
    #[serde(default)]
    pub datagrams: Vec<Listen>,
    /// Which requests of its addresses are for it, where it shares them; without, those that are for no other app.
    pub routes: Vec<RouteSettings>,
    /// Another app, its companion, serves the files of its routes with `static`.
    pub has_companion: bool,
    /// TLS that ends here.
    pub tls: Option<TlsSettings>,
    /// What comes over plain addresses is sent to the first one with TLS.
    pub redirect_https: bool,
    /// For ports that `ports` does not name.
    pub mode: Mode,
    /// By public port.
    pub ports: BTreeMap<u16, Mode>,
    /// Who begins a connection with a header of the PROXY protocol.
    pub proxy_protocol: ProxyFrom,
    /// How a worker is told by that protocol who the client of a carried connection is.
    pub send_proxy: Option<ProxyVersion>,
    /// How a program that does not ask for its connections is reached.
    pub upstream: Upstream,
    /// Tell a Node.js program the client's address instead of the balancer's.
    pub remote_address: bool,
    /// How messages are written on a Node.js program's channel.
    pub serialization: Serialization,
    /// When a worker is ready.
    pub ready: Ready,
    /// Between two tries of a `tcp` or `http` readiness check.
    pub ready_interval: Duration,
    /// Longest time from spawn to ready.
    pub ready_timeout: Duration,
    /// What it means when `ready_timeout` has passed.
    pub on_ready_timeout: ReadyTimeout,
    /// How long one that listens nowhere, as far as is known, has to run to be ready.
    pub assume_ready_after: Duration,
    /// When a worker is restarted, and how often.
    pub restart: RestartSettings,
    /// Exit codes after which a worker is not restarted, 0 to 255.
    pub stop_exit_codes: Vec<i32>,
    /// What must be there before it starts.
    pub depends_on: Vec<Dependency>,
    /// How a worker is ended.
    pub stop: StopSettings,
    /// Slots that a rolling reload replaces at the same time.
    pub reload_parallel: u32,
    /// When good workers are replaced by fresh ones.
    pub recycle: RecycleSettings,
    /// For this long a fresh worker gets fewer requests than its turn.
    pub slow_start: Option<Duration>,
    /// Files whose change reloads it.
    pub watch: Option<WatchSettings>,
    /// A valid cron expression of 5 or 6 fields: when it is reloaded.
    pub cron_restart: Option<String>,
    /// As whom it runs.
    pub identity: Identity,
    /// What the kernel grants each worker.
    pub cgroup: CgroupSettings,
    /// Commands around a start.
    pub hooks: HookSettings,
    /// Whether a ready worker still serves.
    pub health: HealthSettings,
    /// Where what it prints is kept.
    pub logs: LogSettings,
    /// What bounds and steers its requests.
    pub balancer: BalancerSettings,
    /// Which worker they go to, beyond the policy.
    #[serde(default)]
    pub choosing: ChoosingSettings,
    /// What bounds messages between workers.
    #[serde(default = "MessageSettings::of_older_versions")]
    pub messages: MessageSettings,
    /// It is a pool: its workers take tasks.
    #[serde(default)]
    pub pool: Option<PoolSettings>,
    /// What it does by the clock; names unique.
    #[serde(default)]
    pub schedules: Vec<ScheduleSettings>,
}

impl AppSettings {
    /// The word for it: `app` or `pool`.
    pub fn kind(&self) -> &'static str {
        if self.pool.is_some() { "pool" } else { "app" }
    }

    /// How clients speak at an address.
    pub fn scheme_of(&self, listen: &Listen) -> Scheme {
        listen.scheme.unwrap_or_else(|| self.scheme())
    }

    /// How they speak where nothing else is written.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Whether it gets the requests that are for no other app: no route leads to its workers.
    pub fn takes_rest(&self) -> bool {
        !self.routes.iter().any(RouteSettings::is_for_workers)
    }

    /// Whether it accepts from sockets that it is given.
    pub fn takes_sockets(&self) -> bool {
        match self.upstream {
            Upstream::ListenFds => true,
            Upstream::Auto => self.program.uses(Placeholder::Fd),
            Upstream::Port | Upstream::Socket => false,
        }
    }

    /// The mode of the addresses in `listen`.
    pub fn listen_mode(&self) -> Mode {
        self.mode_of(self.listen.first().and_then(|listen| listen.address.port()))
    }

    /// The mode of a public port; of a Unix socket when there is none.
    pub fn mode_of(&self, port: Option<u16>) -> Mode {
        port.and_then(|port| self.ports.get(&port)).copied().unwrap_or(self.mode)
    }
}

/// What happens to the connections of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// `http` for Node.js http servers and for configured addresses, `direct` for everything else.
    Auto,
    /// The balancer reads requests and chooses a worker for each.
    Http,
    /// A worker gets the whole connection.
    Direct,
    /// All workers accept from one socket by themselves.
    Shared,
}

impl Mode {
    /// Workers get connections, of which Stead reads nothing.
    pub fn is_whole(self) -> bool {
        matches!(self, Mode::Direct | Mode::Shared)
    }
}

/// How a program that does not ask for its connections is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upstream {
    /// By what the command line holds: `{socket}`, `{fd}`, else a port.
    Auto,
    /// A loopback port per worker, in `PORT` and `{port}`.
    Port,
    /// A Unix socket per worker, in `{socket}`.
    Socket,
    /// A listening Unix socket per worker, inherited: `LISTEN_FDS`, `LISTEN_PID`, `{fd}`.
    ListenFds,
}

/// How a worker is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Balance {
    /// The one that has taken what it was given and has the fewest requests.
    LeastLoaded,
    /// In turn.
    RoundRobin,
    /// The one that answered fastest lately.
    Fastest,
    /// The less loaded of two drawn by lot.
    RandomOfTwo,
}

/// What workers are spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, with prior knowledge.
    Http2,
}

/// What becomes of a request that belongs to no trace (`traceparent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceContext {
    /// It stays so.
    Pass,
    /// One begins.
    Start,
}

/// How messages are written on a Node.js program's channel (`serialization` of `child_process.fork`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Serialization {
    /// As JSON.
    Json,
    /// By V8's structured clone: dates, maps, binary data and more.
    Advanced,
}

/// When a worker is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// Node.js: its first `listen()`, or its message `ready`. Others: `READY=1`, or the first accepted connection.
    Auto,
    /// It began to listen.
    Listen,
    /// It sent `ready` over the Node.js IPC channel.
    Message,
    /// It sent `READY=1` to `NOTIFY_SOCKET`.
    Notify,
    /// It accepts a connection.
    Tcp,
    /// It answers this path with 2xx or 3xx.
    Http {
        /// Starts with `/`.
        path: String,
    },
}

/// What it means that a worker has not become ready in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyTimeout {
    /// `Assume` for a program that listens nowhere, `Fail` for all others.
    Auto,
    /// The worker is broken.
    Fail,
    /// The worker is ready.
    Assume,
}

/// When a worker is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Whenever it ends.
    Permanent,
    /// When it failed: killed by a signal, or an exit code other than 0.
    Transient,
    /// Never.
    Temporary,
}

/// When a worker is restarted, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartSettings {
    /// Which deaths.
    pub policy: RestartPolicy,
    /// Wait after the first early death; doubles with each further one.
    pub backoff_first: Duration,
    /// The wait does not grow beyond this.
    pub backoff_max: Duration,
    /// A worker ready for this long was a good one: its death counts for nothing.
    pub stable_after: Duration,
    /// Starts of a slot that may fail before the app was ever ready.
    pub starts_max: u32,
    /// Early deaths of a slot within `restarts_period` before it is failed.
    pub restarts_max: u32,
    /// See `restarts_max`.
    pub restarts_period: Duration,
    /// After this time a failed slot is tried again.
    pub cool_down: Duration,
}

/// How a worker is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSettings {
    /// For requests in flight to finish.
    pub grace: Duration,
    /// The polite request to a program that is not Node.js: a signal's number.
    pub stop_signal: i32,
    /// From the polite request to SIGTERM.
    pub terminate_after: Duration,
    /// From SIGTERM to SIGKILL.
    pub kill_after: Duration,
}

/// What bounds and steers the requests of an app. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerSettings {
    /// How a worker is chosen.
    pub balance: Balance,
    /// Believe `Forwarded` and `X-Forwarded-*` of clients.
    pub trust_forwarded: bool,
    /// Each request gets an id.
    pub request_id: bool,
    /// Where a trace begins.
    pub trace_context: TraceContext,
    /// Request line and headers together.
    pub head_bytes_max: u64,
    /// Number of headers.
    pub header_count_max: u32,
    /// Largest request body.
    pub body_bytes_max: u64,
    /// Bodies up to this size are kept for a replay.
    pub replay_body_bytes_max: u64,
    /// Answers of known length up to this size are read whole before they are passed on.
    pub small_answer_bytes_max: u64,
    /// HTTP/2 is spoken with clients.
    pub http2: bool,
    /// Requests that one HTTP/2 connection may have under way.
    pub http2_streams_max: u32,
    /// What workers are spoken to in.
    pub upstream_protocol: UpstreamProtocol,
    /// For a client to send a request's head.
    pub header_timeout: Duration,
    /// Longest pause within a body or an answer.
    pub body_timeout: Duration,
    /// For a client connection without a request.
    pub idle_timeout: Duration,
    /// From the whole request to the head of its answer.
    pub answer_timeout: Duration,
    /// Client connections at a time.
    pub connections_max: u32,
    /// Requests that may wait for a worker.
    pub held_requests_max: u32,
    /// Longest wait for a worker.
    pub hold_timeout: Duration,
    /// Longest wait that a request may expect where workers are busy.
    pub queue_wait_max: Duration,
    /// Connections to one worker, which is requests in flight.
    pub upstream_connections_max: u32,
    /// An upstream connection without a request is closed after this time.
    pub upstream_idle: Duration,
    /// Requests a worker may hold without having read them.
    pub untaken_max: u32,
    /// A worker that reads its requests within this time gets more of them at once, one that does not gets fewer.
    pub taken_within: Duration,
    /// A safe request that its worker has not read after this time goes to another.
    pub move_after: Duration,
    /// A worker that has not read a request after this time is wedged and replaced.
    pub wedged_after: Duration,
    /// Workers a request may kill; the last try is alone on its worker.
    pub poison_deaths_max: u32,
    /// Tries beyond the first, whatever the reasons.
    pub replays_max: u32,
}
