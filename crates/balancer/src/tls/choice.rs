//! Chooses a certificate by the name that a client asks for (SNI, RFC 6066 §3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::challenge;

/// Certificates by the names in them.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// `example.org` and `*.example.org`, lower case. Several of a name differ in the kind of key.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// In the order of the settings.
    all: Vec<Arc<CertifiedKey>>,
}

impl Choice {
    pub(super) fn add<'n>(&mut self, key: CertifiedKey, names: impl Iterator<Item = &'n str>) {
        let key = Arc::new(key);
        for name in names {
            self.by_name.entry(name.to_ascii_lowercase()).or_default().push(Arc::clone(&key));
        }
        self.all.push(key);
    }

    /// Those for this name: its own, or of its parent with a `*` in the place of the first label.
    fn named(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let exact = self.by_name.get(&name.to_ascii_lowercase());
        let wild = || self.by_name.get(&wildcard(name)?);
        exact.or_else(wild).map(Vec::as_slice)
    }

    /// Whether a certificate names it, letter by letter.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(&name.to_ascii_lowercase())
    }
}

/// The name with a `*` in the place of its first label.
pub(super) fn wildcard(name: &str) -> Option<String> {
    Some(format!("*.{}", name.split_once('.')?.1.to_ascii_lowercase()))
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(challenged) = challenge::tls(&hello) {
            return challenged;
        }
        let named = hello.server_name().and_then(|name| self.named(name));
        // A client that asks for a name nobody knows is told by a certificate that does not fit, which people understand.
        let candidates = named.unwrap_or(&self.all);
        let suits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        candidates.iter().find(suits).cloned()
    }
}
