//! Certificates and keys of a test's own, in files as users have them, and the authority that vouches for them.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority, and a directory for what it issues.
pub(crate) struct Authority {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Its own certificate is in `ca.pem`.
    pub(crate) fn new(directory: &Path) -> Authority {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the tests' authority");
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can be signed");
        fs::write(directory.join("ca.pem"), issuer.pem()).expect("there is room for a file");
        Authority { directory: directory.to_owned(), issuer }
    }

    /// The path of a file of its own.
    pub(crate) fn path(&self, file: &str) -> String {
        self.directory.join(file).display().to_string()
    }

    /// `NAME.cert.pem` and `NAME.key.pem`, for these hosts.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str]) {
        self.issue_until(name, hosts, 4000);
    }

    /// The same, good up to this year.
    pub(crate) fn issue_until(&self, name: &str, hosts: &[&str], year: i32) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("they are names");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        // As those who do it well: what is half written is never there under the real name.
        for (file, text) in [("key.pem", key.serialize_pem()), ("cert.pem", certificate.pem())] {
            let path = self.directory.join(format!("{name}.{file}"));
            fs::write(path.with_extension("new"), text).expect("there is room for a file");
            fs::rename(path.with_extension("new"), path).expect("it is in the same directory");
        }
    }

    /// How `tls` is written for these.
    pub(crate) fn setting(&self, names: &[&str]) -> String {
        let one = |name: &&str| {
            let (certificate, key) = (format!("{name}.cert.pem"), format!("{name}.key.pem"));
            format!("{{ certificate = \"{}\", key = \"{}\" }}", self.path(&certificate), self.path(&key))
        };
        format!("[{}]", names.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}
