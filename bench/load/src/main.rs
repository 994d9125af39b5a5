//! The load client's command line: one run, one JSON object on standard output.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use stead_load::{Config, Expect, Method, Target};

/// A small, careful HTTP/1.1 load client: every request ends in exactly one class, none is sent twice.
#[derive(Debug, Parser)]
#[command(name = "stead-load", version)]
struct Arguments {
    /// Port on the loopback address.
    #[arg(long, short = 'p', required_unless_present = "unix", default_value_t = 0)]
    port: u16,
    /// Unix socket instead of a port.
    #[arg(long)]
    unix: Option<PathBuf>,
    /// Connections, each with at most one request at a time.
    #[arg(long, short = 'c', default_value_t = 50)]
    connections: usize,
    /// Seconds during which requests are started.
    #[arg(long, short = 'd', default_value_t = 10.0)]
    duration: f64,
    /// Requests started at most.
    #[arg(long, short = 'n')]
    requests: Option<u64>,
    /// Keep connections between requests.
    #[arg(long, short = 'k')]
    keep_alive: bool,
    /// Open loop: requests due per second; latency counts from the moment one is due.
    #[arg(long, short = 'R')]
    rate: Option<f64>,
    /// Longest wait for a complete answer, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// Pause of a connection after a failure, in milliseconds.
    #[arg(long, default_value_t = 10)]
    pause_ms: u64,
    /// GET, HEAD, POST, PUT or DELETE.
    #[arg(long, short = 'm', default_value = "GET")]
    method: String,
    /// Length of each request's body. The answer has to echo it, unless --expect says otherwise.
    #[arg(long, default_value_t = 0)]
    body_bytes: usize,
    /// Path and query.
    #[arg(long, default_value = "/")]
    path: String,
    /// Text that a good answer's body contains.
    #[arg(long)]
    expect: Option<String>,
    /// Send each request's identity in this header.
    #[arg(long, num_args = 0..=1, default_missing_value = "X-Load-Id")]
    id_header: Option<String>,
    /// What the identities begin with.
    #[arg(long, default_value = "")]
    id_prefix: String,
    /// Further request header, "Name: value".
    #[arg(long, short = 'H')]
    header: Vec<String>,
    /// Count the values of this response header.
    #[arg(long)]
    count_header: Option<String>,
    /// Describe so many failures one by one.
    #[arg(long, default_value_t = 20)]
    failures: usize,
}

impl Arguments {
    fn config(self) -> Result<Config, String> {
        let target = self.unix.map_or_else(|| Target::port(self.port), Target::Unix);
        let expect = match self.expect {
            Some(text) => Expect::Contains(text),
            None if self.body_bytes > 0 => Expect::Echo,
            None => Expect::Anything,
        };
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err("--rate needs a number above zero".to_owned());
        }
        let duration =
            Duration::try_from_secs_f64(self.duration).map_err(|error| format!("--duration: {error}"))?;
        let method =
            Method::parse(&self.method).ok_or_else(|| format!("unknown method `{}`", self.method))?;
        Ok(Config {
            target,
            connections: self.connections,
            duration,
            requests_max: self.requests,
            rate: self.rate,
            keep_alive: self.keep_alive,
            timeout: Duration::from_millis(self.timeout_ms),
            pause: Duration::from_millis(self.pause_ms),
            method,
            path: self.path,
            body_bytes: self.body_bytes,
            expect,
            id_header: self.id_header,
            id_prefix: self.id_prefix,
            headers: self.header,
            count_header: self.count_header,
        })
    }
}

/// 0: the run took place, whatever it counted; 1: it could not; 2: wrong usage.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failures = arguments.failures;
    let config = match arguments.config() {
        Ok(config) => config,
        Err(what) => {
            let _ = writeln!(std::io::stderr(), "error: {what}");
            return ExitCode::from(2);
        }
    };
    match stead_load::run(config) {
        Ok(report) => {
            let _ = writeln!(std::io::stdout(), "{}", report.to_json(failures));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: failed to {error}");
            ExitCode::from(1)
        }
    }
}
