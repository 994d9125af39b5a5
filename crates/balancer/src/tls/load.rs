//! Reads certificates and keys, and makes of them what a session begins with.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig};
use webpki::EndEntityCert;

use super::choice::Choice;
use crate::challenge;

use super::{CertificateFiles, ClientAuthority, Loaded, TlsError, TlsFiles, Validity, der};

/// What is spoken inside, as clients ask for it (ALPN, RFC 7301), the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Reads all of the files.
pub(super) fn load(files: &TlsFiles) -> Result<Loaded, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut choice = Choice::default();
    let mut validities = Vec::new();
    for files in files.certificates.iter().filter(|files| files.are_there()) {
        let key = certified_key(files, &provider)?;
        let own = key.cert.first().expect("a chain that was read has a certificate").clone();
        let parsed = EndEntityCert::try_from(&own).map_err(|error| unusable(&files.certificate, &error))?;
        choice.add(key, parsed.valid_dns_names());
        let told = der::certificate(&own).filter(|_| !files.awaited);
        validities.extend(told.map(|certificate| Validity {
            file: files.certificate.clone(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        }));
    }
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3");
    let builder = match &files.client_authority {
        Some(authority) => builder.with_client_cert_verifier(verifier(authority, &provider)?),
        None => builder.with_no_client_auth(),
    };
    let choice = Arc::new(choice);
    let mut config = builder.with_cert_resolver(Arc::<Choice>::clone(&choice));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.alpn_protocols.push(challenge::PROTOCOL.to_vec());
    // With what is loaded anew, earlier sessions end: whoever is no longer trusted does not come in by an old ticket.
    config.ticketer = Ticketer::new().map_err(|error| TlsError::Tickets(error.to_string()))?;
    let mut without_http2 = config.clone();
    without_http2.alpn_protocols.retain(|protocol| protocol != b"h2");
    Ok(Loaded { config: Arc::new(config), without_http2: Arc::new(without_http2), choice, validities })
}

fn certified_key(files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let CertificateFiles { certificate, key, .. } = files;
    let chain = certificates(certificate)?;
    let private_key = private_key(key)?;
    let private_key = provider
        .key_provider
        .load_private_key(private_key)
        .map_err(|error| TlsError::Key { path: key.clone(), reason: reason(&error) })?;
    let pair = CertifiedKey::new(chain, private_key);
    match pair.keys_match() {
        // Unknown is for keys that do not tell; all that were just read do.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { certificate: certificate.clone(), key: key.clone() })
        }
        Err(error) => Err(TlsError::Certificate { path: certificate.clone(), reason: reason(&error) }),
    }
}

fn verifier(
    authority: &ClientAuthority,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let path = &authority.file;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Certificate { path: path.clone(), reason: reason(&error) })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if authority.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| TlsError::Certificate { path: path.clone(), reason: error.to_string() })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .map(|certificate| certificate.map_err(|error| malformed(path, &error)))
        .collect::<Result<_, _>>()?;
    match certificates.is_empty() {
        true => {
            Err(TlsError::NoCertificate { path: path.to_owned(), holds_key: holds(&text, "PRIVATE KEY") })
        }
        false => Ok(certificates),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    if holds(&text, "ENCRYPTED") {
        return Err(TlsError::Encrypted { path: path.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            TlsError::NoKey { path: path.to_owned(), holds_certificate: holds(&text, "CERTIFICATE") }
        }
        error => malformed(path, &error),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

/// Whether a line of PEM's own says this word: `-----BEGIN ENCRYPTED PRIVATE KEY-----`, `Proc-Type: 4,ENCRYPTED`.
fn holds(text: &[u8], word: &str) -> bool {
    let lines = String::from_utf8_lossy(text);
    lines
        .lines()
        .any(|line| (line.starts_with("-----BEGIN") || line.starts_with("Proc-Type")) && line.contains(word))
}

fn malformed(path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the line `-----END {}-----` is missing", String::from_utf8_lossy(end_marker))
        }
        pem::Error::Base64Decode(_) => "there is something in it that is not base64".to_owned(),
        error => error.to_string(),
    };
    TlsError::Malformed { path: path.to_owned(), reason }
}

fn unusable(path: &Path, error: &webpki::Error) -> TlsError {
    TlsError::Certificate { path: path.to_owned(), reason: format!("X.509 {error:?}") }
}

/// `rustls` says for whom it means its errors, which here is nobody.
fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "it is not an X.509 certificate".to_owned()
        }
        Error::InvalidCertificate(error) => error.to_string(),
        Error::General(text) => text.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::tls::Tls;

    struct Pair {
        certificate: String,
        key: String,
    }

    fn pair() -> Pair {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("it is a name");
        let certificate = params.self_signed(&key).expect("it can be signed");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// What is said of these texts in `cert.pem` and `key.pem`; an empty one is not there.
    #[track_caller]
    fn check(certificate: &str, key: &str, expected: &str) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [cert_path, key_path] = [("cert.pem", certificate), ("key.pem", key)].map(|(name, text)| {
            let path = folder.path().join(name);
            if !text.is_empty() {
                fs::write(&path, text).expect("the folder can be written to");
            }
            path
        });
        let files = CertificateFiles { certificate: cert_path, key: key_path, awaited: false };
        let loaded = Tls::load(TlsFiles { certificates: vec![files], client_authority: None });
        let said = match loaded {
            Ok(_) => "good".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(said.replace(&format!("{}/", folder.path().display()), ""), expected);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let (good, other) = (pair(), pair());
        let (certificate, key) = (good.certificate.as_str(), good.key.as_str());
        check(certificate, key, "good");
        check(&format!("{certificate}{}", other.certificate), key, "good");
        check(certificate, &format!("{certificate}{key}"), "good");
        check("", key, "failed to read `cert.pem`");
        check(certificate, "", "failed to read `key.pem`");
        check(key, certificate, "`cert.pem` holds no certificate, but a key");
        check("\n", key, "`cert.pem` holds no certificate");
        check(certificate, certificate, "`key.pem` holds no private key, but a certificate");
        check(certificate, "\n", "`key.pem` holds no private key");
        let foreign = "the private key in `key.pem` does not belong to the certificate in `cert.pem`";
        check(certificate, &other.key, foreign);
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        check(certificate, &encrypted, "the private key in `key.pem` is encrypted");
        let cut = &certificate[..certificate.len() / 2];
        let unended = "`cert.pem` is not well-formed PEM: the line `-----END CERTIFICATE-----` is missing";
        check(cut, key, unended);
        let bent = certificate.replace("MII", "M!I");
        check(&bent, key, "`cert.pem` is not well-formed PEM: there is something in it that is not base64");
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(empty, key, "the certificate in `cert.pem` cannot be used: it is not an X.509 certificate");
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        check(
            certificate,
            no_key,
            "the private key in `key.pem` cannot be used: failed to parse private key as RSA, ECDSA, or EdDSA",
        );
    }
}
