//! Reads the keys of an app's table about TLS, and proves that they go together with its addresses and that the files are good.

use super::address::{Listen, Scheme};
use super::document::{Entry, Problem, Value};
use super::error::ConfigError;
use super::form::{Form, Shape, boolean, expected, string, table};
use super::program::tidy;
use super::read_acme::{self, AcmeTable};
use super::reader::{Reader, unknown_key};
use super::settings::{AppSettings, Certificate, ClientCa, TlsSettings};
use super::tagged::tagged;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use stead_balancer::{Tls, Validity};

/// A certificate that is good for less than this is spoken of: long enough to act, shorter than what is left of one when
/// whoever renews it has done so.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A certificate, as it is written.
#[derive(Debug, Clone)]
enum CertificateTable {
    Files { certificate: PathBuf, key: PathBuf },
    Acme(AcmeTable),
}

/// What these keys say; paths are not put in their places yet.
#[derive(Debug)]
pub(super) struct TlsTable {
    certificates: Option<Vec<CertificateTable>>,
    client_ca: Option<ClientCa>,
    pub(super) redirect: bool,
}

pub(super) fn tls(reader: &mut Reader) -> Result<TlsTable, Problem> {
    Ok(TlsTable {
        certificates: reader.get("tls", certificates().or_off())?,
        client_ca: reader.get("tls_client_ca", client_ca())?,
        redirect: reader.get("redirect_https", boolean())?,
    })
}

fn certificates() -> Form<Vec<CertificateTable>> {
    let files = Shape::Keys(vec!["certificate", "key"], Box::new(Shape::Text));
    let one = Shape::Any(vec![files, read_acme::shape()]);
    let shape = Shape::Any(vec![one.clone(), Shape::List(Box::new(one))]);
    Form::new(shape, |entry| match &entry.value {
        Value::Array(entries) if entries.is_empty() => {
            Err(Problem::new(&entry.place, "expected at least one certificate"))
        }
        Value::Array(entries) => entries.iter().map(certificate).collect(),
        _ => Ok(vec![certificate(entry)?]),
    })
}

fn certificate(entry: &Entry) -> Result<CertificateTable, Problem> {
    const EXAMPLE: &str = "{ certificate = \"cert.pem\", key = \"key.pem\" }";
    let Value::Table(_) = &entry.value else { return Err(expected(entry, EXAMPLE)) };
    if table(entry)?.iter().any(|member| member.key == "acme") {
        return read_acme::acme(entry).map(CertificateTable::Acme);
    }
    let (mut certificate, mut key) = (None, None);
    for member in table(entry)? {
        let place = match member.key.as_str() {
            "certificate" => &mut certificate,
            "key" => &mut key,
            _ => {
                return Err(unknown_key(
                    &member.key,
                    &member.key_place,
                    "`tls`",
                    &["certificate", "key", "acme"],
                ));
            }
        };
        *place = Some(PathBuf::from(string().read(&member.entry)?));
    }
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Err(Problem::new(&entry.place, format!("expected {EXAMPLE}")));
    };
    Ok(CertificateTable::Files { certificate, key })
}

fn client_ca() -> Form<Option<ClientCa>> {
    let with = |required| string().map(move |file| Some(ClientCa { file: file.into(), required }));
    let tags = vec![("required", "ca.pem", with(true)), ("optional", "ca.pem", with(false))];
    tagged("`tls_client_ca`", vec![("off", None)], tags)
}

impl TlsTable {
    /// With paths from the directory of the file that it stands in.
    pub(super) fn settings(
        self,
        base: &Path,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Option<TlsSettings> {
        let at = |path: &Path| tidy(&base.join(path));
        let certificates = self.certificates?.into_iter().map(|table| match table {
            CertificateTable::Files { certificate, key } => {
                Certificate { certificate: at(&certificate), key: at(&key), acme: None }
            }
            CertificateTable::Acme(acme) => acme.certificate(base, environment),
        });
        let client_ca = self.client_ca.map(|ca| ClientCa { file: at(&ca.file), ..ca });
        Some(TlsSettings { certificates: certificates.collect(), client_ca })
    }

    pub(super) fn asks_clients(&self) -> bool {
        self.client_ca.is_some()
    }
}

/// Whether an app's addresses and its TLS go together, and whether its certificates are good; tells what of them will not be
/// for long.
pub(super) fn check(app: &AppSettings, asks_clients: bool) -> Result<Vec<String>, ConfigError> {
    let wrong = |reason: String, hint: &str| {
        let message = format!("app `{}`: {reason}", app.name);
        Err(ConfigError::Option { message, hint: Some(hint.to_owned()) })
    };
    const WRITE: &str = "write tls = { certificate = \"cert.pem\", key = \"key.pem\" }";
    let with = |scheme| app.listen.iter().find(move |listen: &&Listen| app.scheme_of(listen) == scheme);
    let (plain, secure) = (with(Scheme::Http), with(Scheme::Https));
    let Some(tls) = &app.tls else {
        return match secure {
            Some(listen) => wrong(format!("`{listen}` needs a certificate"), WRITE),
            None if asks_clients => wrong("`tls_client_ca` needs `tls`".to_owned(), WRITE),
            None if app.redirect_https => wrong("`redirect_https` needs `tls`".to_owned(), WRITE),
            None => Ok(Vec::new()),
        };
    };
    let whole = |listen: &Listen| app.mode_of(listen.address.port()).is_whole();
    if let Some(listen) = secure.filter(|listen| whole(listen)) {
        let hint = "workers get whole connections, and end TLS themselves: leave `tls` away, or the mode";
        return wrong(format!("`{listen}` cannot be `https` for Stead and `direct` or `shared`"), hint);
    }
    if app.redirect_https && (plain.is_none() || secure.is_none()) {
        let hint = "for example: listen = [\"http://:80\", \"https://:443\"]";
        return wrong("`redirect_https` needs an address of each kind".to_owned(), hint);
    }
    let loaded = Tls::load(tls.files())
        .map_err(|source| ConfigError::Tls { what: format!("app `{}`", app.name), source })?;
    let now = SystemTime::now();
    Ok(loaded.validities().iter().filter_map(|validity| warning(validity, now)).collect())
}

/// What people should know of how long a certificate is good, in a sentence that changes only when they should hear it again.
pub fn warning(validity: &Validity, now: SystemTime) -> Option<String> {
    let Validity { file, not_before, not_after } = validity;
    let file = file.display();
    if now < *not_before {
        Some(format!("the certificate in {file} is good from {} on; clients refuse it", date(*not_before)))
    } else if now > *not_after {
        Some(format!("the certificate in {file} expired on {}; clients refuse it", date(*not_after)))
    } else if now + SOON > *not_after {
        Some(format!("the certificate in {file} expires on {}", date(*not_after)))
    } else {
        None
    }
}

/// `2026-11-21`, in UTC as certificates count.
fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "a day far away".to_owned(), |time| time.strftime("%F").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_a_week_before_a_certificate_expires() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let day = 24 * 60 * 60;
        let file = PathBuf::from("/a.pem");
        let validity = Validity { file, not_before: at(10 * day), not_after: at(100 * day) };
        let check = |now: u64, expected: Option<&str>| {
            assert_eq!(warning(&validity, at(now)).as_deref(), expected, "{now}");
        };
        check(0, Some("the certificate in /a.pem is good from 1970-01-11 on; clients refuse it"));
        check(50 * day, None);
        check(93 * day, None);
        check(94 * day, Some("the certificate in /a.pem expires on 1970-04-11"));
        check(101 * day, Some("the certificate in /a.pem expired on 1970-04-11; clients refuse it"));
    }
}
