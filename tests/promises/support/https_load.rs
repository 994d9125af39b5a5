//! Clients over https, half of them with a connection for each request, under which a server is changed: Node's own client,
//! run from the fixtures.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::certificates::Authority;
use super::fixtures::node;
use super::processes::signal;
use super::stead::Verb;
use super::waiting::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct HttpsLoad(Verb);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    answered: u64,
    failed: u64,
    failures: Value,
    /// How many different certificates were seen.
    pub(crate) certificates: usize,
    /// How many connections were opened; counted over HTTP/2 only.
    pub(crate) connections: u64,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn assert_nothing_failed(&self) {
        assert!(self.failed == 0 && self.answered > 0, "{} failed: {}", self.failed, self.failures);
    }
}

impl HttpsLoad {
    pub(crate) fn start(port: u16, authority: &Authority, connections: u32) -> HttpsLoad {
        Self::of("https-load.js", port, Path::new(&authority.path("ca.pem")), connections)
    }

    /// The same, with the certificate of another authority.
    pub(crate) fn trusting(port: u16, authority: &Path, connections: u32) -> HttpsLoad {
        Self::of("https-load.js", port, authority, connections)
    }

    /// Over HTTP/2, with several requests at a time on each connection.
    pub(crate) fn start_http2(port: u16, authority: &Authority, connections: u32) -> HttpsLoad {
        Self::of("http2-load.js", port, Path::new(&authority.path("ca.pem")), connections)
    }

    /// Calls of gRPC without TLS, many at a time on one connection.
    pub(crate) fn start_grpc(port: u16) -> HttpsLoad {
        let mut command = Command::new("node");
        command.arg(node("grpc-client.js")).args([&format!("127.0.0.1:{port}"), "-", "load"]);
        HttpsLoad(Verb::start(&mut command))
    }

    fn of(program: &str, port: u16, authority: &Path, connections: u32) -> HttpsLoad {
        let mut command = Command::new("node");
        command.arg(node(program)).arg(port.to_string()).arg(authority).arg(connections.to_string());
        HttpsLoad(Verb::start(&mut command))
    }

    /// Waits until some hundreds of requests more have been answered.
    #[track_caller]
    pub(crate) fn goes_on(&self) {
        let before = self.0.lines().len();
        eventually("requests are answered", PATIENCE, || (self.0.lines().len() >= before + 2).then_some(()));
    }

    #[track_caller]
    pub(crate) fn stop(self) -> Outcome {
        signal(self.0.pid(), Signal::TERM);
        let finished = self.0.finish(PATIENCE);
        let last = finished.stdout.lines().last().unwrap_or_default();
        let outcome: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
        let number = |name: &str| outcome[name].as_u64().unwrap_or_default();
        Outcome {
            answered: number("answered"),
            failed: number("failed"),
            failures: outcome["failures"].clone(),
            connections: number("connections"),
            certificates: outcome["certificates"].as_array().map_or(0, Vec::len),
        }
    }
}
