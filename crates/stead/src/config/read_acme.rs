//! Reads how a certificate is got by ACME: `{ acme = ["example.org"], email = "..", directory = "..", directory_ca = ".." }`.
//!
//! Says where it will be kept; getting it is the daemon's.

use super::document::{Entry, Problem};
use super::form::{Form, Shape, list, string, table};
use super::program::tidy;
use super::reader::unknown_key;
use super::settings::{Acme, Certificate};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use stead_control::Home;

pub(super) const KEYS: [&str; 4] = ["acme", "email", "directory", "directory_ca"];
/// Free, trusted by browsers, and asks for nothing but the challenges.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What is written.
#[derive(Debug, Clone)]
pub(super) struct AcmeTable {
    names: Vec<String>,
    email: Option<String>,
    directory: String,
    directory_ca: Option<PathBuf>,
}

pub(super) fn shape() -> Shape {
    Shape::Keys(KEYS.to_vec(), Box::new(Shape::Any(vec![Shape::Text, Shape::List(Box::new(Shape::Text))])))
}

pub(super) fn acme(entry: &Entry) -> Result<AcmeTable, Problem> {
    let (mut names, mut email, mut directory, mut directory_ca) = (None, None, None, None);
    for member in table(entry)? {
        match member.key.as_str() {
            "acme" => names = Some(list(host()).read(&member.entry)?),
            "email" => email = Some(mailbox().read(&member.entry)?),
            "directory" => directory = Some(url().read(&member.entry)?),
            "directory_ca" => directory_ca = Some(PathBuf::from(string().read(&member.entry)?)),
            key => return Err(unknown_key(key, &member.key_place, "`tls`", &KEYS)),
        }
    }
    let names = names.filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| Problem::new(&entry.place, "expected acme = [\"example.org\"]"))?;
    let directory = directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned());
    Ok(AcmeTable { names, email, directory, directory_ca })
}

fn host() -> Form<String> {
    string().check(|text| {
        let name = text.to_ascii_lowercase();
        if name.starts_with("*.") {
            return Err(format!(
                "`{name}` needs the DNS-01 challenge, which Stead does not do: name each host"
            ));
        }
        let labels = name.split('.').all(|label| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
        });
        if !labels || name.len() > 253 || name.parse::<IpAddr>().is_ok() {
            return Err(format!("`{text}` is not the name of a host (xn--.. if it has other letters)"));
        }
        Ok(name)
    })
}

fn mailbox() -> Form<String> {
    string().check(|text| match text.split_once('@') {
        Some((before, after)) if !before.is_empty() && !after.is_empty() && !text.contains([' ', ':']) => {
            Ok(text)
        }
        _ => Err("expected an address such as \"me@example.org\"".to_owned()),
    })
}

fn url() -> Form<String> {
    string().check(|text| match text.strip_prefix("https://") {
        Some(rest) if !rest.is_empty() => Ok(text),
        _ => Err("expected the https:// address of the ACME server's directory".to_owned()),
    })
}

impl AcmeTable {
    /// With paths in their places: `directory_ca` from the directory of the configuration, what is got in Stead's home.
    pub(super) fn certificate(self, base: &Path, environment: &BTreeMap<OsString, OsString>) -> Certificate {
        let home = Home::of(|name| environment.get(OsStr::new(name)).cloned());
        let folder = home.path().join("acme").join(plain(&self.directory["https://".len()..]));
        let file = folder.join(file_name(&self.names));
        let acme = Acme {
            names: self.names,
            email: self.email,
            directory: self.directory,
            directory_ca: self.directory_ca.map(|path| tidy(&base.join(path))),
            folder,
        };
        Certificate { certificate: file.clone(), key: file, acme: Some(acme) }
    }
}

/// `example.org.pem`; with several names, what tells their lists apart as well.
fn file_name(names: &[String]) -> String {
    let (first, others) = names.split_first().expect("there is a name");
    // FNV-1a: the same in every version of Stead.
    let digest = others.join(",").bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    match others {
        [] => format!("{first}.pem"),
        _ => format!("{first}+{}-{digest:016x}.pem", others.len()),
    }
}

fn plain(url: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    url.trim_end_matches('/').chars().map(keep).collect()
}
