//! Pebble, Let's Encrypt's ACME server for tests, with a name server of its own: it verifies signatures, refuses nonces at random,
//! and comes to see whether names are served where they should be.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::Client;
use super::certificates::Authority;
use super::ports::free_port;
use super::processes::kill;
use super::waiting::soon;

/// Where it comes to, and what it issues.
pub(crate) struct Order {
    /// For HTTP-01, in the place of 80.
    pub(crate) http: u16,
    /// For TLS-ALPN-01, in the place of 443.
    pub(crate) https: u16,
    /// The life of certificates.
    pub(crate) seconds: u64,
    /// The address that all names have.
    pub(crate) address: &'static str,
}

/// A place for one, whether it runs or not.
pub(crate) struct Pebble {
    port: u16,
    management: u16,
    names: u16,
    running: Vec<Child>,
}

impl Pebble {
    /// Runs nothing yet.
    pub(crate) fn new() -> Pebble {
        Pebble { port: free_port(), management: free_port(), names: free_port(), running: Vec::new() }
    }

    /// How `tls` is written for a certificate from here. The authority is the one of [`Pebble::start`].
    pub(crate) fn setting(&self, names: &str, authority: &Authority) -> String {
        format!(
            "{{ acme = {names}, email = \"me@example.org\", directory = \"https://localhost:{}/dir\", \
             directory_ca = \"{}\" }}",
            self.port,
            authority.path("ca.pem")
        )
    }

    /// Starts it. Clients of it know it by this authority's certificate, which is not the one that vouches for what it issues.
    #[track_caller]
    pub(crate) fn start(&mut self, directory: &Path, authority: &Authority, order: &Order) {
        authority.issue("pebble", &["localhost"]);
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": authority.path("pebble.cert.pem"), "privateKey": authority.path("pebble.key.pem"),
            "httpPort": order.http, "tlsPort": order.https, "certificateValidityPeriod": order.seconds,
        }});
        let path = directory.join("pebble.json");
        fs::write(&path, config.to_string()).expect("there is room for a file");
        let names = format!("127.0.0.1:{}", self.names);
        let mut server = Command::new("pebble-challtestsrv");
        server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", "", "-dns01", &names]);
        server.args(["-defaultIPv6", "", "-defaultIPv4", order.address]);
        self.run(&mut server);
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(path).args(["-strict", "-dnsserver", &names]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "20");
        self.run(&mut pebble);
        soon("Pebble listens", || Client::try_connect(self.port).is_ok());
        let roots = directory.join("roots.pem");
        let url = format!("https://localhost:{}/roots/0", self.management);
        let fetched = || {
            let mut curl = Command::new("curl");
            curl.args(["-sf", "--cacert", &authority.path("ca.pem"), "-o"]).arg(&roots).arg(&url);
            curl.status().is_ok_and(|status| status.success())
        };
        soon("Pebble tells who vouches for its certificates", fetched);
    }

    #[track_caller]
    fn run(&mut self, command: &mut Command) {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        self.running.push(child.unwrap_or_else(|error| panic!("{command:?}: {error}; ./check installs it")));
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.running {
            kill(child.id());
            let _ = child.wait();
        }
    }
}
