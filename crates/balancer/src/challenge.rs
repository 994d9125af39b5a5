//! Answers to the questions by which an ACME server convinces itself that a name is served here: HTTP-01 (RFC 8555 §8.3) and
//! TLS-ALPN-01 (RFC 8737).
//!
//! One register for the whole process: the server comes to whatever listens on ports 80 and 443, which need not be of the app
//! that the certificate is for. Who asks for certificates posts answers here, and takes them away again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

/// What is spoken with the server that asks; nothing is said inside.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";
const PATH: &str = "/.well-known/acme-challenge/";

static HTTP: Register<String> = Register::new();
static TLS: Register<Arc<CertifiedKey>> = Register::new();

/// An answer that is given as long as this is there.
#[must_use]
#[derive(Debug)]
pub struct PostedChallenge(Key);

#[derive(Debug)]
enum Key {
    Http(String),
    Tls(String),
}

impl PostedChallenge {
    /// HTTP-01: what is answered to the token, at each HTTP listener.
    pub fn http(token: &str, answer: String) -> Self {
        HTTP.put(token.to_owned(), answer);
        Self(Key::Http(token.to_owned()))
    }

    /// TLS-ALPN-01: the certificate, in DER, that is shown for the host, with its key in PKCS #8, at each TLS listener.
    ///
    /// # Errors
    /// If the key is none; a fragment.
    pub fn tls(host: &str, certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, String> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        let provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key).map_err(|error| error.to_string())?;
        let host = host.to_ascii_lowercase();
        TLS.put(host.clone(), Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate)], key)));
        Ok(Self(Key::Tls(host)))
    }
}

impl Drop for PostedChallenge {
    fn drop(&mut self) {
        match &self.0 {
            Key::Http(token) => HTTP.remove(token),
            Key::Tls(host) => TLS.remove(host),
        }
    }
}

/// What is answered to a request for this path, if it is such a question.
pub(crate) fn http(path: &str) -> Option<String> {
    HTTP.get(|| path.strip_prefix(PATH))
}

/// Whether a client asks such a question, and what it is shown: nothing, if nobody has posted it.
pub(crate) fn tls(hello: &ClientHello<'_>) -> Option<Option<Arc<CertifiedKey>>> {
    let mut protocols = hello.alpn()?;
    let only = protocols.next() == Some(PROTOCOL) && protocols.next().is_none();
    only.then(|| TLS.get(|| hello.server_name().map(str::to_ascii_lowercase)))
}

/// Answers by what is asked for.
struct Register<A> {
    /// Something has ever been in it. Nearly always not, and then nobody has to look.
    used: AtomicBool,
    answers: LazyLock<RwLock<HashMap<String, A>>>,
}

impl<A: Clone> Register<A> {
    const fn new() -> Self {
        Self { used: AtomicBool::new(false), answers: LazyLock::new(RwLock::default) }
    }

    fn put(&self, key: String, answer: A) {
        self.answers.write().unwrap_or_else(PoisonError::into_inner).insert(key, answer);
        self.used.store(true, Ordering::Release);
    }

    fn remove(&self, key: &str) {
        self.answers.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn get<K: AsRef<str>>(&self, key: impl FnOnce() -> Option<K>) -> Option<A> {
        if !self.used.load(Ordering::Acquire) {
            return None;
        }
        let key = key()?;
        self.answers.read().unwrap_or_else(PoisonError::into_inner).get(key.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_answered_as_long_as_they_are_posted() {
        let path = "/.well-known/acme-challenge/the-token";
        assert_eq!(http(path), None);
        let posted = PostedChallenge::http("the-token", "the-token.thumbprint".to_owned());
        assert_eq!(http(path).as_deref(), Some("the-token.thumbprint"));
        for other in ["/the-token", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/the-token/"]
        {
            assert_eq!(http(other), None, "{other}");
        }
        drop(posted);
        assert_eq!(http(path), None);
    }
}
