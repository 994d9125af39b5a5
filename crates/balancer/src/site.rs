//! What is behind an address: the apps that share it, and which of them a request is for. Changes while connections are served;
//! each looks before its next request whether it has.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use crate::Config;
use crate::http::{Answer, Reject, Request};
use crate::pool::Pool;
use crate::routes::{Miss, Route, Table};

/// When to ask for a stopped app again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// An app behind an address.
#[derive(Clone)]
pub struct Tenant {
    /// Its workers; nothing while it is stopped, which its clients are told.
    pub pool: Option<Arc<Pool>>,
    /// The requests that are for it. If none leads to its workers, they get those that are for no other app.
    pub routes: Vec<Arc<Route>>,
    /// Each request is answered with the same address under `https`, at this port.
    pub https: Option<u16>,
}

impl Tenant {
    /// One that gets every request.
    #[must_use]
    pub fn alone(pool: Arc<Pool>) -> Self {
        Self { pool: Some(pool), routes: Vec::new(), https: None }
    }
}

/// The apps behind an address.
pub struct Site {
    /// Of `current`.
    version: AtomicU64,
    current: RwLock<Arc<Arrangement>>,
    /// All that ever were, as long as they have connections.
    pools: Mutex<Vec<Weak<Pool>>>,
}

/// Who gets which requests.
pub(crate) struct Arrangement {
    version: u64,
    /// Whose limits hold before it is known whom a request is for.
    pub(crate) front: Arc<Pool>,
    /// There is one app, and it gets everything.
    alone: bool,
    table: Table<Target>,
    /// What no route takes.
    rest: Option<Target>,
}

#[derive(Clone)]
struct Target {
    tenant: Arc<Tenant>,
    route: Option<Arc<Route>>,
}

/// Whom a request is for, and what holds for it.
#[derive(Default)]
pub(crate) struct Routed<'a> {
    /// Nothing: whoever stands for all.
    pub(crate) pool: Option<&'a Arc<Pool>>,
    pub(crate) route: Option<&'a Route>,
    pub(crate) reply: Option<Reply>,
}

/// What is answered in the place of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The same address under `https`, at this port.
    Https(u16),
    /// The same path behind what the route says.
    Elsewhere,
    /// No app is for this host.
    Misdirected,
    /// No app is for this path.
    NotFound,
    /// The app it is for is stopped.
    Stopped,
    /// The client asks too often; it may come again after this time.
    TooMany(Duration),
}

impl Site {
    /// With these apps. Until it is known whom a request is for, one stands for all: the one that gets what is for no other, or else
    /// the first that runs.
    ///
    /// # Panics
    /// If none of them runs.
    #[must_use]
    pub fn new(tenants: &[Tenant]) -> Arc<Self> {
        let site = Self {
            version: AtomicU64::new(0),
            current: RwLock::new(Arc::new(Arrangement::new(0, tenants))),
            pools: Mutex::default(),
        };
        site.note(tenants);
        Arc::new(site)
    }

    /// With one app that gets everything.
    #[must_use]
    pub fn alone(pool: Arc<Pool>) -> Arc<Self> {
        Self::new(&[Tenant::alone(pool)])
    }

    /// With other apps from now on. Requests that are under way go on.
    ///
    /// # Panics
    /// If none of them runs.
    pub fn arrange(&self, tenants: &[Tenant]) {
        self.note(tenants);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let version = current.version + 1;
        *current = Arc::new(Arrangement::new(version, tenants));
        self.version.store(version, Ordering::Release);
    }

    fn note(&self, tenants: &[Tenant]) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        for pool in tenants.iter().filter_map(|tenant| tenant.pool.as_ref()).map(Arc::downgrade) {
            if !pools.iter().any(|known| known.ptr_eq(&pool)) {
                pools.push(pool);
            }
        }
    }

    /// Ends tunnels and streams on all workers.
    pub(crate) fn cut_all(&self) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).for_each(|pool| pool.cut_all());
    }

    pub(crate) fn current(&self) -> Arc<Arrangement> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this is no longer how it is.
    #[inline]
    pub(crate) fn has_changed(&self, known: &Arrangement) -> bool {
        self.version.load(Ordering::Acquire) != known.version
    }
}

impl Arrangement {
    fn new(version: u64, tenants: &[Tenant]) -> Self {
        let mut table = Table::default();
        let mut rest = None;
        for tenant in tenants.iter().map(|tenant| Arc::new(tenant.clone())) {
            let target =
                |route: Option<&Arc<Route>>| Target { tenant: Arc::clone(&tenant), route: route.cloned() };
            for route in &tenant.routes {
                // Whoever was first keeps it.
                drop(table.insert(&route.pattern, target(Some(route))));
            }
            let takes_rest = tenant.routes.iter().all(|route| route.redirect.is_some());
            if takes_rest && rest.is_none() {
                rest = Some(target(None));
            }
        }
        let runs = |tenant: &Tenant| tenant.pool.clone();
        let front = rest.iter().find_map(|rest| runs(&rest.tenant)).or_else(|| tenants.iter().find_map(runs));
        let alone = matches!(tenants, [only] if only.routes.is_empty() && only.https.is_none());
        Self { version, front: front.expect("one of the apps behind an address runs"), alone, table, rest }
    }

    /// Whom a request is for.
    ///
    /// # Errors
    /// Its path can be taken for several.
    #[inline]
    pub(crate) fn route(
        &self,
        head: &Request<'_, '_>,
        client: Option<SocketAddr>,
    ) -> Result<Routed<'_>, Reject> {
        if self.alone { Ok(Routed::default()) } else { self.find(head, client) }
    }

    fn find(&self, head: &Request<'_, '_>, client: Option<SocketAddr>) -> Result<Routed<'_>, Reject> {
        let host = head.host.unwrap_or_default();
        let target = match self.table.find(host, head.target.path().as_bytes()) {
            Ok(target) => target,
            Err(Miss::Dots) => return Err(Reject::DotSegments),
            Err(miss) => match &self.rest {
                Some(rest) => rest,
                None if miss == Miss::Host => return Ok(Routed::answered(Reply::Misdirected)),
                None => return Ok(Routed::answered(Reply::NotFound)),
            },
        };
        Ok(target.routed(|trusted| match trusted {
            true => head.forwarded_for().or(client.map(|client| client.ip())),
            false => client.map(|client| client.ip()),
        }))
    }
}

impl Routed<'_> {
    fn answered(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }

    /// Who answers in the place of a worker reads no body.
    pub(crate) fn body_bytes_max(&self, config: &Config) -> u64 {
        let of_route = self.route.and_then(|route| route.body_bytes_max);
        if self.reply.is_some() { u64::MAX } else { of_route.unwrap_or(config.body_bytes_max) }
    }

    pub(crate) fn answer_timeout(&self, config: &Config) -> Duration {
        self.route.and_then(|route| route.answer_timeout).unwrap_or(config.answer_timeout)
    }
}

impl Reply {
    /// Where the client is sent, if it is sent anywhere.
    ///
    /// # Errors
    /// It did not say which host it means.
    pub(crate) fn write_location(
        self,
        head: &Request<'_, '_>,
        route: Option<&Route>,
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        match (self, route.and_then(|route| route.redirect.as_deref())) {
            (Reply::Https(port), _) => head.write_location(port, out),
            (Reply::Elsewhere, Some(place)) => {
                head.write_location_behind(place, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn answer(self, location: &str) -> Answer<'_> {
        let refused = |status, text| Answer { status, text, retry_after: None, location: None };
        match self {
            Reply::Https(_) => Answer::permanent_redirect(location),
            Reply::Elsewhere => {
                Answer { text: "it is served elsewhere", ..Answer::permanent_redirect(location) }
            }
            Reply::Misdirected => {
                refused(421, "no app here is for this host; the one that should be names it in its `routes`")
            }
            Reply::NotFound => {
                refused(404, "no app here is for this path; the one that should be names it in its `routes`")
            }
            Reply::Stopped => Answer::unavailable("the app that serves this is stopped", RETRY_AFTER),
            Reply::TooMany(wait) => Answer {
                retry_after: Some(wait),
                ..refused(429, "this client asks more often than this route allows")
            },
        }
    }
}

impl Target {
    fn routed(&self, client: impl FnOnce(bool) -> Option<IpAddr>) -> Routed<'_> {
        let (pool, route) = (self.tenant.pool.as_ref(), self.route.as_deref());
        Routed { pool, route, reply: self.reply(client) }
    }

    fn reply(&self, client: impl FnOnce(bool) -> Option<IpAddr>) -> Option<Reply> {
        let Some(pool) = &self.tenant.pool else { return Some(Reply::Stopped) };
        if let Some(limiter) = self.route.as_ref().and_then(|route| route.limit.as_ref())
            && let Err(wait) = limiter.admit(Instant::now(), client(pool.config.trust_forwarded))
        {
            return Some(Reply::TooMany(wait));
        }
        if self.route.as_ref().is_some_and(|route| route.redirect.is_some()) {
            return Some(Reply::Elsewhere);
        }
        self.tenant.https.map(Reply::Https)
    }
}
