//! Runs a load on one thread: a task per connection, one that watches for the end, one that paces an open loop.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use crate::class::Class;
use crate::config::{Config, Method};
use crate::connection::{Connection, Deadline, End, Exchange, READ_BYTES};
use crate::report::{Failure, Recorder, Report, request_id};
use crate::request::Request;
use crate::response::{Response, Wanted};
use crate::turns::{Turn, Turns, pace};

/// How often the run looks whether it was asked to stop.
const WATCH_EVERY: Duration = Duration::from_millis(5);

/// Why a run could not take place at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No runtime, no timer: the system has no descriptors left.
    #[error("prepare the load client")]
    Prepare(#[from] io::Error),
    /// The client's own thread ended by a panic.
    #[error("run the load client to its end")]
    Panicked,
}

/// What a running load has counted so far, readable from any thread.
#[derive(Debug, Default)]
pub struct Live {
    ok: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

impl Live {
    /// Good answers so far.
    pub fn ok(&self) -> u64 {
        self.ok.load(Ordering::Relaxed)
    }

    /// All other ends so far.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Start no further requests; those on the way are waited for.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A load on a thread of its own.
#[derive(Debug)]
pub struct Running {
    live: Arc<Live>,
    thread: JoinHandle<Result<Report, LoadError>>,
}

impl Running {
    /// The counts so far.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The run is over and its report is there.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Starts no further requests, waits for those on the way.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn stop(self) -> Result<Report, LoadError> {
        self.live.stop();
        self.finish()
    }

    /// Waits for the run's own end.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn finish(self) -> Result<Report, LoadError> {
        self.thread.join().map_err(|_| LoadError::Panicked)?
    }
}

/// Starts a load on a thread of its own.
///
/// # Errors
/// When the system gives no thread.
pub fn start(config: Config) -> Result<Running, LoadError> {
    let live = Arc::new(Live::default());
    let shared = Arc::clone(&live);
    let thread =
        std::thread::Builder::new().name("load".to_owned()).spawn(move || run_with(config, shared))?;
    Ok(Running { live, thread })
}

/// Runs a load on this thread.
///
/// # Errors
/// See [`LoadError`].
pub fn run(config: Config) -> Result<Report, LoadError> {
    run_with(config, Arc::new(Live::default()))
}

struct Shared {
    config: Config,
    turns: Turns,
    recorder: RefCell<Recorder>,
    live: Arc<Live>,
}

fn run_with(config: Config, live: Arc<Live>) -> Result<Report, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let ends = started + config.duration;
    let connections = config.connections.max(1);
    let shared = Rc::new(Shared {
        turns: Turns::new(config.rate.is_some(), connections, config.requests_max, ends),
        recorder: RefCell::new(Recorder::new(started, ends)),
        config,
        live,
    });
    LocalSet::new().block_on(&runtime, drive(&shared, connections, started))?;
    let never_sent = shared.turns.never_sent();
    let now = Instant::now();
    let shared = Rc::into_inner(shared).expect("every task has ended and dropped its share");
    Ok(shared.recorder.into_inner().report(now, never_sent))
}

async fn drive(shared: &Rc<Shared>, connections: usize, started: Instant) -> Result<(), LoadError> {
    let mut tasks = JoinSet::new();
    for slot in 0..connections {
        tasks.spawn_local(converse(Rc::clone(shared), slot));
    }
    if let Some(rate) = shared.config.rate {
        let shared = Rc::clone(shared);
        tasks.spawn_local(async move { pace(&shared.turns, rate, started).await });
    }
    let watch = async {
        while !shared.live.stop.load(Ordering::Relaxed) && !shared.turns.is_over(Instant::now()) {
            tokio::time::sleep(WATCH_EVERY).await;
        }
        shared.turns.stop();
    };
    watch.await;
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| LoadError::Panicked)??;
    }
    Ok(())
}

/// One connection's life: turn after turn until the run is over.
async fn converse(shared: Rc<Shared>, slot: usize) -> io::Result<()> {
    let config = &shared.config;
    let mut request = Request::new(config);
    let mut response = Response::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut deadline = Deadline::new();
    let mut kept: Option<Connection> = None;
    while let Some(turn) = next_turn(&shared, slot, &mut kept).await {
        deadline.set(turn.due + config.timeout);
        request.stamp(turn.number);
        let end = match take_connection(&shared, &mut kept, &mut deadline).await {
            Err(end) => end,
            Ok(mut connection) => {
                let wanted = Wanted {
                    expect: &config.expect,
                    sent: request.body(),
                    no_body: config.method == Method::Head,
                    count_header: config.count_header.as_deref(),
                };
                let exchange = Exchange {
                    request: request.bytes(),
                    wanted,
                    response: &mut response,
                    buffer: &mut buffer,
                    deadline: &mut deadline,
                };
                let end = connection.exchange(exchange).await;
                if end.reusable && config.keep_alive && end.class == Class::Ok {
                    kept = Some(connection);
                }
                end
            }
        };
        account(&shared, turn, &end, &response);
        if end.class != Class::Ok {
            tokio::time::sleep(config.pause).await;
        }
    }
    Ok(())
}

/// Waits for a turn; meanwhile drops a kept connection that the server closes.
async fn next_turn(shared: &Shared, slot: usize, kept: &mut Option<Connection>) -> Option<Turn> {
    poll_fn(|context| {
        let turn = shared.turns.poll_next(slot, Instant::now(), context);
        if turn.is_pending()
            && kept.as_mut().is_some_and(|connection| connection.poll_spent(context).is_ready())
        {
            *kept = None;
            shared.recorder.borrow_mut().idle_closed += 1;
        }
        turn
    })
    .await
}

async fn take_connection(
    shared: &Shared,
    kept: &mut Option<Connection>,
    deadline: &mut Deadline,
) -> Result<Connection, End> {
    if let Some(mut connection) = kept.take() {
        if connection.poll_spent(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Ok(connection);
        }
        shared.recorder.borrow_mut().idle_closed += 1;
    }
    shared.recorder.borrow_mut().connects += 1;
    Connection::open(&shared.config.target, deadline).await
}

fn account(shared: &Shared, turn: Turn, end: &End, response: &Response) {
    let now = Instant::now();
    let mut recorder = shared.recorder.borrow_mut();
    if end.class == Class::Ok {
        shared.live.ok.fetch_add(1, Ordering::Relaxed);
        recorder.good(now, turn.due, &response.counted);
        return;
    }
    shared.live.failed.fetch_add(1, Ordering::Relaxed);
    let detail = end.detail.clone().unwrap_or_else(|| format!("{} {}", response.status, response.excerpt()));
    let at = recorder.since_start(now);
    recorder.bad(Failure { id: request_id(&shared.config, turn.number), class: end.class, at, detail });
}
