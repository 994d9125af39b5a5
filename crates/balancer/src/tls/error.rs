//! What can be wrong with certificates and keys, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why TLS cannot be had from some files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not PEM, or a part of it is broken.
    #[error("`{}` is not well-formed PEM: {reason}", path.display())]
    Malformed {
        /// Which one.
        path: PathBuf,
        /// A fragment.
        reason: String,
    },
    /// There is no certificate where one should be.
    #[error("`{}` holds no certificate{}", path.display(), if *holds_key { ", but a key" } else { "" })]
    NoCertificate {
        /// In which file.
        path: PathBuf,
        /// But a private key.
        holds_key: bool,
    },
    /// There is no key where one should be.
    #[error("`{}` holds no private key{}", path.display(), if *holds_certificate { ", but a certificate" } else { "" })]
    NoKey {
        /// In which file.
        path: PathBuf,
        /// But a certificate.
        holds_certificate: bool,
    },
    /// Nobody is there to type a password.
    #[error("the private key in `{}` is encrypted", path.display())]
    Encrypted {
        /// In which file.
        path: PathBuf,
    },
    /// A certificate that is none, or of a kind that is not supported.
    #[error("the certificate in `{}` cannot be used: {reason}", path.display())]
    Certificate {
        /// In which file.
        path: PathBuf,
        /// A fragment.
        reason: String,
    },
    /// A key that is none, or of a kind that is not supported.
    #[error("the private key in `{}` cannot be used: {reason}", path.display())]
    Key {
        /// In which file.
        path: PathBuf,
        /// A fragment.
        reason: String,
    },
    /// The key is not that of the certificate.
    #[error("the private key in `{}` does not belong to the certificate in `{}`", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("failed to make keys for session tickets: {0}")]
    Tickets(String),
}

impl TlsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            TlsError::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that Stead runs as read it".to_owned()
            }
            TlsError::NoCertificate { holds_key: true, .. }
            | TlsError::NoKey { holds_certificate: true, .. } => {
                "are `certificate` and `key` exchanged?".to_owned()
            }
            TlsError::NoCertificate { .. } | TlsError::Malformed { .. } => {
                "a PEM file has lines `-----BEGIN ..-----` and `-----END ..-----`; from DER: \
                 `openssl x509 -inform der -in FILE -out cert.pem`"
                    .to_owned()
            }
            TlsError::NoKey { .. } | TlsError::Key { .. } => {
                "an RSA key of at least 2048 bits, ECDSA (P-256, P-384, P-521) or Ed25519, in PEM".to_owned()
            }
            TlsError::Encrypted { path } => {
                format!("decrypt it once: `openssl pkey -in {} -out key.pem`", path.display())
            }
            TlsError::Mismatch { .. } => {
                "the certificate of the server stands first in its file, those that vouch for it follow"
                    .to_owned()
            }
            TlsError::Certificate { .. } => "`openssl x509 -text -in FILE` shows what it says".to_owned(),
            TlsError::Unreadable { .. } | TlsError::Tickets(_) => return None,
        })
    }
}
