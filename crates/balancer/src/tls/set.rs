//! The TLS of an address that several apps share: the name that a client asks for chooses among the certificates of all of them.
//!
//! Each app's are loaded and looked at by themselves, so that what is wrong with one's is not the others' problem. Everything but
//! the certificates is the first app's; apps that share an address ask clients for the same certificates.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Tls;
use super::choice::{Choice, wildcard};

/// What is loaded of an app.
pub(super) type Part = (Arc<ServerConfig>, Arc<Choice>);

/// The TLS of some apps, of which there may be others tomorrow.
pub struct TlsSet {
    apps: RwLock<Vec<Arc<Tls>>>,
    joined: Mutex<Option<Joined>>,
}

/// Of several apps, and of which.
struct Joined {
    of: Vec<Arc<ServerConfig>>,
    config: Arc<ServerConfig>,
}

impl TlsSet {
    /// Of these apps, at least one.
    #[must_use]
    pub fn new(apps: Vec<Arc<Tls>>) -> Arc<Self> {
        Arc::new(Self { apps: RwLock::new(apps), joined: Mutex::default() })
    }

    /// From the next client on it is that of these apps.
    pub fn set(&self, apps: Vec<Arc<Tls>>) {
        *self.apps.write().unwrap_or_else(PoisonError::into_inner) = apps;
    }

    /// For the next client; nothing while no app has loaded anything.
    pub(crate) fn config(&self, http2: bool) -> Option<Arc<ServerConfig>> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        if let [only] = apps.as_slice() {
            return only.config(http2);
        }
        let parts: Vec<Part> = apps.iter().filter_map(|tls| tls.part(http2)).collect();
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joined) = &*joined
            && joined.is_of(&parts)
        {
            return Some(Arc::clone(&joined.config));
        }
        let (of, choices): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut config = ServerConfig::clone(of.first()?);
        config.cert_resolver = Arc::new(Several(choices));
        let config = Arc::new(config);
        *joined = Some(Joined { of, config: Arc::clone(&config) });
        Some(config)
    }
}

impl Joined {
    fn is_of(&self, parts: &[Part]) -> bool {
        self.of.len() == parts.len()
            && self.of.iter().zip(parts).all(|(one, (other, _))| Arc::ptr_eq(one, other))
    }
}

/// The certificates of several apps, the first one's for clients that name no host, or none that is known.
#[derive(Debug)]
struct Several(Vec<Arc<Choice>>);

impl Several {
    /// Whose certificate names this host: itself rather than by a `*`.
    fn of(&self, host: &str) -> Option<&Arc<Choice>> {
        let having = |name: &str| self.0.iter().find(|choice| choice.has(name));
        having(host).or_else(|| having(&wildcard(host)?))
    }
}

impl ResolvesServerCert for Several {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|host| self.of(host));
        named.or(self.0.first())?.resolve(hello)
    }
}
