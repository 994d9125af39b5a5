//! TLS that Stead ends for an app.

use super::text;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// TLS that Stead ends for an app. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSettings {
    /// At least one; the first is for clients that name no host.
    pub certificates: Vec<Certificate>,
    /// Whose certificates clients may show.
    pub client_ca: Option<ClientCa>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The chain, in PEM.
    #[serde(with = "text")]
    pub certificate: PathBuf,
    /// In PEM, not encrypted.
    #[serde(with = "text")]
    pub key: PathBuf,
    /// How it is got, if that is ours to do. Both files are then one.
    #[serde(default)]
    pub acme: Option<Acme>,
}

/// How a certificate is got by ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acme {
    /// Hosts, at least one, in lower case.
    pub names: Vec<String>,
    /// Where the authority writes to.
    pub email: Option<String>,
    /// The `https` address of the server's directory.
    pub directory: String,
    /// Who vouches for that server, in PEM; nothing: whom the system trusts.
    pub directory_ca: Option<PathBuf>,
    /// What is kept of this server: the account, certificates.
    pub folder: PathBuf,
}

/// Whose certificates clients may show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCa {
    /// In PEM.
    #[serde(with = "text")]
    pub file: PathBuf,
    /// Whoever shows none is refused.
    pub required: bool,
}

impl TlsSettings {
    /// In the balancer's words.
    pub fn files(&self) -> stead_balancer::TlsFiles {
        let certificates = self.certificates.iter().map(|files| stead_balancer::CertificateFiles {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            awaited: files.acme.is_some(),
        });
        stead_balancer::TlsFiles {
            certificates: certificates.collect(),
            client_authority: self.client_ca.as_ref().map(|authority| stead_balancer::ClientAuthority {
                file: authority.file.clone(),
                required: authority.required,
            }),
        }
    }
}
