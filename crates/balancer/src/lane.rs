//! The threads that carry traffic.
//!
//! Each lane is one thread with one event loop; a client connection stays on the lane that accepted it, and its
//! connections to workers with it, so the hot path takes no step between threads. What all lanes share is the pool.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::LocalSet;

use crate::endpoint::EndpointId;
use crate::http::Scheme;
use crate::listener::{self, Bound};
use crate::pool::Pool;
use crate::upstream::Upstreams;

/// How often kept connections are looked through for ones past their time.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is done with the connections of a listener.
#[derive(Clone)]
pub enum Front {
    /// HTTP/1.1: each request goes to a worker.
    Http(Arc<Pool>),
    /// Anything: each connection goes to a worker, whole.
    Direct(Arc<Pool>),
}

/// One listener's traffic on one lane.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) front: Front,
    pub(crate) scheme: Scheme,
    /// Bounds the client connections of this listener over all lanes.
    pub(crate) connections: Arc<Semaphore>,
    /// The listener closes: answers end their connections.
    pub(crate) closing: Arc<AtomicBool>,
}

/// What a lane's tasks share.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) upstreams: Upstreams,
}

enum Command {
    Serve { listener: Bound, service: Service, stop: watch::Receiver<bool> },
    Forget(EndpointId),
}

/// The lanes of this process. Dropped, they end when their connections have ended.
pub struct Lanes {
    lanes: Vec<mpsc::UnboundedSender<Command>>,
}

/// A listener that is served. Dropped, it accepts no more; open connections end after their next answer.
pub struct Serving {
    stop: watch::Sender<bool>,
    closing: Arc<AtomicBool>,
}

impl Lanes {
    /// Starts `count` lanes.
    ///
    /// # Errors
    /// If a thread or its event loop cannot be made.
    pub fn start(count: usize) -> io::Result<Self> {
        let lanes = (0..count.max(1)).map(start).collect::<io::Result<_>>()?;
        Ok(Self { lanes })
    }

    /// Serves a listener on all lanes.
    ///
    /// # Errors
    /// If its descriptor cannot be duplicated.
    pub fn serve(&self, listener: &Bound, front: &Front) -> io::Result<Serving> {
        let (Front::Http(pool) | Front::Direct(pool)) = front;
        let (stop, stopped) = watch::channel(false);
        let closing = Arc::new(AtomicBool::new(false));
        let service = Service {
            front: front.clone(),
            scheme: Scheme::Http,
            connections: Arc::new(Semaphore::new(pool.config.connections_max)),
            closing: Arc::clone(&closing),
        };
        for lane in &self.lanes {
            let (service, stop) = (service.clone(), stopped.clone());
            lane.send(Command::Serve { listener: listener.duplicate()?, service, stop })
                .map_err(|_| io::Error::other("the lane has ended"))?;
        }
        Ok(Serving { stop, closing })
    }

    /// Closes the kept connections to a worker that is to end.
    pub fn forget(&self, endpoint: EndpointId) {
        for lane in &self.lanes {
            // A lane that has ended keeps no connections.
            drop(lane.send(Command::Forget(endpoint)));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
    }
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
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::Forget(endpoint)) => lane.upstreams.forget(endpoint),
                Some(Command::Serve { listener, service, stop }) => {
                    tokio::task::spawn_local(listener::accept(Rc::clone(&lane), listener, service, stop));
                }
            },
            _ = sweep.tick() => lane.upstreams.sweep(Instant::now()),
        }
    }
}
