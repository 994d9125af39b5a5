//! What to send, where, and how often.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the server listens.
#[derive(Debug, Clone)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Target {
    /// TCP on the loopback address.
    pub fn port(port: u16) -> Target {
        Target::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

/// The request's method. Only what the promises need; everything else is tested with raw bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 9110")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
}

impl Method {
    /// The method as it is written on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }

    /// The method with that name, in capitals.
    pub fn parse(name: &str) -> Option<Method> {
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete]
            .into_iter()
            .find(|m| m.name() == name)
    }
}

/// What the body of a 2xx answer has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Anything,
    /// The text occurs in its first 64 KiB.
    Contains(String),
    /// The request's own body, byte for byte.
    Echo,
}

/// A run. [`Config::new`] is a closed loop of GET requests on kept-alive connections.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to.
    pub target: Target,
    /// Connections, each with at most one request at a time.
    pub connections: usize,
    /// How long requests are started; those on the way are still waited for.
    pub duration: Duration,
    /// Requests started at most.
    pub requests_max: Option<u64>,
    /// Open loop: so many requests are due each second, whether the server keeps up or not.
    pub rate: Option<f64>,
    /// Keep connections between requests; otherwise each request gets a new one and says `Connection: close`.
    pub keep_alive: bool,
    /// From the moment a request was due to its last byte.
    pub timeout: Duration,
    /// How long a connection pauses after a failure, so that a refused port does not flood the count.
    pub pause: Duration,
    /// Method of every request.
    pub method: Method,
    /// Path and query of every request.
    pub path: String,
    /// Length of the body of a request; its first bytes are the request's number.
    pub body_bytes: usize,
    /// What a good answer contains.
    pub expect: Expect,
    /// Name of a header that carries the request's identity, `<id_prefix><number>`.
    pub id_header: Option<String>,
    /// What the identities begin with; makes them unique among several runs.
    pub id_prefix: String,
    /// Further request headers, each a line without its end.
    pub headers: Vec<String>,
    /// Counts the values of this response header (a worker's process number, say).
    pub count_header: Option<String>,
}

impl Config {
    /// 50 connections, 10 seconds, GET `/`, kept alive, any body.
    pub fn new(target: Target) -> Config {
        Config {
            target,
            connections: 50,
            duration: Duration::from_secs(10),
            requests_max: None,
            rate: None,
            keep_alive: true,
            timeout: Duration::from_secs(10),
            pause: Duration::from_millis(10),
            method: Method::Get,
            path: "/".to_owned(),
            body_bytes: 0,
            expect: Expect::Anything,
            id_header: None,
            id_prefix: String::new(),
            headers: Vec::new(),
            count_header: None,
        }
    }
}
