//! One place to send requests to: a worker's listener, and what is known of the worker's end.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::{EndpointSnapshot, replay};

/// Names an endpoint; never reused in this process, so that pools may share lanes.
pub type EndpointId = u64;

/// How long the news of a worker's death may come after the end of its connections.
const VERDICT_WAIT: Duration = Duration::from_millis(500);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// How a worker's end is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// It was killed from outside: no request is to blame.
    pub outside: bool,
}

/// Gives a connection to a worker, over whatever channel it has.
pub trait Hand: Send + Sync {
    /// Passes `connection` on. The answer tells whether the worker accepted it; if it never comes, the worker is gone.
    ///
    /// # Errors
    /// If the channel to the worker is closed or full; the connection was not passed.
    fn give(
        &self,
        connection: OwnedFd,
        client: Option<SocketAddr>,
    ) -> std::io::Result<oneshot::Receiver<bool>>;
}

/// How an upstream connection to the worker comes about.
#[derive(Clone)]
pub enum Road {
    /// One end of a socket pair is handed to the worker.
    Handed(Arc<dyn Hand>),
    /// The worker accepts on this Unix socket.
    Unix(PathBuf),
    /// The worker accepts on this loopback address.
    Tcp(SocketAddr),
}

impl Road {
    /// Whether both lead to the same place over the same channel.
    pub(crate) fn is(&self, other: &Road) -> bool {
        match (self, other) {
            (Road::Handed(one), Road::Handed(other)) => Arc::ptr_eq(one, other),
            (Road::Unix(one), Road::Unix(other)) => one == other,
            (Road::Tcp(one), Road::Tcp(other)) => one == other,
            (Road::Handed(_) | Road::Unix(_) | Road::Tcp(_), _) => false,
        }
    }
}

/// A worker as the balancer sees it.
pub struct Endpoint {
    pub(crate) id: EndpointId,
    /// The place that it fills in its app; the worker that follows it has the same.
    pub(crate) slot: u32,
    pub(crate) road: Road,
    /// It is spoken to in HTTP/2.
    pub(crate) http2: bool,
    /// Tries, and those of them it failed, before this process knew it.
    pub(crate) before: (u64, u64),
    accepting: AtomicBool,
    death: watch::Sender<Option<Death>>,
    cut: watch::Sender<bool>,
}

impl Endpoint {
    /// An endpoint that may be added to a pool: the worker that fills this slot.
    pub fn new(road: Road, slot: u32) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            slot,
            road,
            http2: false,
            before: (0, 0),
            accepting: AtomicBool::new(true),
            death: watch::Sender::new(None),
            cut: watch::Sender::new(false),
        }
    }

    /// A worker that another process knew: its counts go on.
    #[must_use]
    pub fn counted(self, before: &EndpointSnapshot) -> Self {
        Self { before: (before.requests, before.failed), ..self }
    }

    /// A worker that speaks HTTP/2 without TLS, from the first byte on (prior knowledge).
    pub(crate) fn speaking_http2(self, http2: bool) -> Self {
        Self { http2, ..self }
    }

    /// Its name.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// Whether the kernel tells when the worker takes a request, and proves what it has not read: on Unix sockets, if each request
    /// has one to itself.
    pub(crate) fn tells_taken(&self) -> bool {
        !self.http2 && !matches!(self.road, Road::Tcp(_))
    }

    pub(crate) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Relaxed)
    }

    pub(crate) fn stop_accepting(&self) {
        self.accepting.store(false, Ordering::Relaxed);
    }

    /// It was drained, and is not to end after all.
    pub(crate) fn accept_again(&self) {
        self.cut.send_replace(false);
        self.accepting.store(true, Ordering::Relaxed);
    }

    pub(crate) fn die(&self, death: Death) {
        self.stop_accepting();
        self.death.send_replace(Some(death));
    }

    /// Waits for the worker's end; for ever if it lives.
    pub(crate) async fn death(&self) -> Death {
        let mut death = self.death.subscribe();
        match death.wait_for(Option::is_some).await.map(|death| *death) {
            Ok(Some(death)) => death,
            _ => std::future::pending().await,
        }
    }

    /// Learns whether the worker died, and how, once one of its connections has ended.
    pub(crate) async fn autopsy(&self) -> replay::Death {
        match tokio::time::timeout(VERDICT_WAIT, self.death()).await {
            Ok(death) if death.outside => replay::Death::Outside,
            Ok(_) => replay::Death::OfItself,
            Err(_) => replay::Death::None,
        }
    }

    /// Ends what is still open: tunnels and streams that outlived the grace period.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Waits until what is open is to be ended.
    pub(crate) async fn cut_off(&self) {
        let mut cut = self.cut.subscribe();
        if cut.wait_for(|cut| *cut).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
