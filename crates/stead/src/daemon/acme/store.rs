//! What is kept of an ACME server in Stead's home: an account, certificates with their keys. For this user alone, and replaced
//! as a whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use stead_balancer::{CertificateFiles, Tls, TlsFiles};

use super::error::AcmeError;
use super::schedule::Held;

/// How often it is tried whether another is done.
const LOCK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Store {
    /// Of the server.
    pub(super) folder: PathBuf,
    /// Key and certificates, in PEM. One file, so that they are never of two kinds.
    pub(super) file: PathBuf,
}

impl Store {
    /// The certificate that is there, if it can be used.
    pub(super) fn held(&self) -> Option<Held> {
        let (certificate, key) = (self.file.clone(), self.file.clone());
        let certificates = vec![CertificateFiles { certificate, key, awaited: false }];
        let loaded = Tls::load(TlsFiles { certificates, client_authority: None }).ok()?;
        let validity = loaded.validities().into_iter().next()?;
        Some(Held { not_before: validity.not_before, not_after: validity.not_after })
    }

    /// Replaces it.
    pub(super) fn keep(&self, pem: &str) -> Result<(), AcmeError> {
        self.write(&self.file, pem.as_bytes())
    }

    /// The account, as it was written.
    pub(super) fn account(&self) -> Option<Vec<u8>> {
        fs::read(self.account_file()).ok()
    }

    pub(super) fn keep_account(&self, json: &[u8]) -> Result<(), AcmeError> {
        self.write(&self.account_file(), json)
    }

    /// The server does not know it any more.
    pub(super) fn forget_account(&self) {
        // One that is not there is forgotten.
        drop(fs::remove_file(self.account_file()));
    }

    /// Waits until no other app and no other instance is at it. The lock ends with what is returned, or with this process.
    pub(super) async fn lock(&self) -> Result<File, AcmeError> {
        let path = self.file.with_extension("lock");
        self.create_folder().map_err(|source| AcmeError::file(&path, source))?;
        let file = private().truncate(false).open(&path).map_err(|source| AcmeError::file(&path, source))?;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            tokio::time::sleep(LOCK_EVERY).await;
        }
        Ok(file)
    }

    fn account_file(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    fn create_folder(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), AcmeError> {
        let new = path.with_extension("new");
        let written = self.create_folder().and_then(|()| {
            let mut file = private().truncate(true).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, path)
        });
        written.map_err(|source| AcmeError::file(path, source))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}
