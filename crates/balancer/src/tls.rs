//! TLS that ends here: certificates, kept as good as the files they come from, and clients' sessions.
//!
//! `load.rs` reads the files and says what is wrong with them, `choice.rs` chooses a certificate by the name that a client asks
//! for, `set.rs` joins those of several apps, `session.rs` is one client. `der.rs` and `subject.rs` read what certificates say.

mod choice;
mod der;
mod error;
mod load;
mod session;
mod set;
mod subject;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;

pub use error::TlsError;
pub(crate) use session::Session;
pub use set::TlsSet;

/// A certificate with those that vouch for it, and its key: two files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate first, then the intermediate ones.
    pub certificate: PathBuf,
    /// Not encrypted.
    pub key: PathBuf,
    /// Somebody gets it and keeps it good, and speaks of it: as long as it is not there, the others do without.
    pub awaited: bool,
}

/// Whose certificates clients may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuthority {
    /// Certificates of authorities, in PEM.
    pub file: PathBuf,
    /// A client without a certificate is refused.
    pub required: bool,
}

/// The files that a listener's TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// At least one. The first is for clients that name no host, or none that is known.
    pub certificates: Vec<CertificateFiles>,
    /// Nothing: clients are not asked for certificates.
    pub client_authority: Option<ClientAuthority>,
}

/// How long a certificate is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// The file it is in.
    pub file: PathBuf,
    /// From when on.
    pub not_before: SystemTime,
    /// Until when.
    pub not_after: SystemTime,
}

/// What became of the files since they were looked at the last time.
#[derive(Debug)]
pub enum Refreshed {
    /// Nothing.
    Unchanged,
    /// They have changed, and clients that come from now on get what is in them.
    Loaded,
    /// They have changed and are no good; what was loaded before goes on.
    Failed(TlsError),
}

/// What is in the files, once it is good.
struct Loaded {
    config: Arc<ServerConfig>,
    choice: Arc<choice::Choice>,
    without_http2: Arc<ServerConfig>,
    validities: Vec<Validity>,
}

/// When the files were changed, as far as the file system tells; nothing for one that is not there.
type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

/// The TLS of some listeners. Shared by all lanes, so that a session can be resumed on any of them; the keys for that live as
/// long as what is loaded.
pub struct Tls {
    files: TlsFiles,
    loaded: RwLock<Option<Loaded>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What was loaded, or tried.
    tried: Stamp,
    /// What the last look found.
    last: Stamp,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If they are no good; see [`TlsError`].
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let tls = Self::new(files);
        match tls.refresh() {
            Refreshed::Failed(error) => Err(error),
            Refreshed::Loaded | Refreshed::Unchanged => Ok(tls),
        }
    }

    /// Has read nothing yet: clients wait until [`Tls::refresh`] has loaded something.
    #[must_use]
    pub fn new(files: TlsFiles) -> Self {
        Self { files, loaded: RwLock::new(None), seen: Mutex::default() }
    }

    /// Looks at the files, and reads them if they have changed. Where something is loaded already, only once they have been the
    /// same in two looks: a certificate and its key are seldom replaced in one moment.
    pub fn refresh(&self) -> Refreshed {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.stamp();
        let settled = found == seen.last || seen.tried.is_empty();
        seen.last.clone_from(&found);
        if found == seen.tried || !settled {
            return Refreshed::Unchanged;
        }
        seen.tried = found;
        match load::load(&self.files) {
            Ok(loaded) => {
                self.loaded.write().unwrap_or_else(PoisonError::into_inner).replace(loaded);
                Refreshed::Loaded
            }
            Err(error) => Refreshed::Failed(error),
        }
    }

    /// How long what is loaded is good, without what is awaited.
    #[must_use]
    pub fn validities(&self) -> Vec<Validity> {
        self.read(|loaded| loaded.validities.clone()).unwrap_or_default()
    }

    /// For the next client; nothing while nothing is loaded.
    pub(crate) fn config(&self, http2: bool) -> Option<Arc<ServerConfig>> {
        self.read(|loaded| Arc::clone(if http2 { &loaded.config } else { &loaded.without_http2 }))
    }

    /// Its part in a [`TlsSet`].
    fn part(&self, http2: bool) -> Option<set::Part> {
        Some((self.config(http2)?, self.read(|loaded| Arc::clone(&loaded.choice))?))
    }

    fn read<T>(&self, what: impl FnOnce(&Loaded) -> T) -> Option<T> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(what)
    }

    fn stamp(&self) -> Stamp {
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
        };
        self.files.all().map(stamp).collect()
    }
}

impl CertificateFiles {
    fn are_there(&self) -> bool {
        !self.awaited || self.certificate.exists()
    }
}

impl TlsFiles {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let authority = self.client_authority.iter().map(|authority| &authority.file);
        self.certificates.iter().flat_map(|files| [&files.certificate, &files.key]).chain(authority)
    }
}
