//! Loads as the promises use them, and what has to be true of their reports.

use std::collections::HashMap;
use std::time::Duration;

use stead_load::{Class, Config, Expect, Method, Report, Running, Target};

use super::executions::Executions;
use super::waiting::eventually;

/// A request may have to wait for a worker to start; nothing waits longer than this.
const PATIENCE: Duration = Duration::from_secs(40);

/// Several loads at the same time, under one name each.
pub(crate) struct Load {
    runs: Vec<(String, Running)>,
}

/// GET on this many connections.
pub(crate) fn gets(port: u16, path: &str, connections: usize) -> Config {
    let mut config = Config::new(Target::port(port));
    config.connections = connections;
    config.path = path.to_owned();
    config.timeout = PATIENCE;
    config.duration = Duration::from_secs(600);
    config.id_header = Some("X-Request-Id".to_owned());
    config
}

/// POST of 300 bytes that have to come back, on this many connections.
pub(crate) fn posts(port: u16, path: &str, connections: usize) -> Config {
    Config { method: Method::Post, body_bytes: 300, expect: Expect::Echo, ..gets(port, path, connections) }
}

/// The same, with a connection for each request.
pub(crate) fn without_keep_alive(config: Config) -> Config {
    Config { keep_alive: false, ..config }
}

impl Load {
    /// Starts them all. The identities of a load's requests begin with its name.
    pub(crate) fn start(configs: impl IntoIterator<Item = (&'static str, Config)>) -> Load {
        let start = |(name, mut config): (&str, Config)| {
            config.id_prefix = format!("{name}-");
            (name.to_owned(), stead_load::start(config).expect("a load can be started"))
        };
        Load { runs: configs.into_iter().map(start).collect() }
    }

    /// GET and POST, with and without keep-alive, a quarter of the connections each.
    pub(crate) fn mixed(port: u16, connections: usize) -> Load {
        let each = (connections / 4).max(1);
        Load::start([
            ("get-kept", gets(port, "/", each)),
            ("get-new", without_keep_alive(gets(port, "/", each))),
            ("post-kept", posts(port, "/", each)),
            ("post-new", without_keep_alive(posts(port, "/", each))),
        ])
    }

    /// Requests that did not end well so far, of all loads.
    pub(crate) fn failed(&self) -> u64 {
        self.runs.iter().map(|(_, run)| run.live().failed()).sum()
    }

    /// Waits until this many more requests have been answered well by each of the loads.
    #[track_caller]
    pub(crate) fn each_answers(&self, more: u64) {
        for (name, run) in &self.runs {
            let wanted = run.live().ok() + more;
            eventually(&format!("{name} gets {more} more answers"), PATIENCE, || {
                (run.live().ok() >= wanted).then_some(())
            });
        }
    }

    /// Starts no more requests, waits for those on the way.
    pub(crate) fn stop(self) -> HashMap<String, Report> {
        for (_, run) in &self.runs {
            run.live().stop();
        }
        let finish =
            |(name, run): (String, Running)| (name, run.finish().expect("a load ends with its report"));
        self.runs.into_iter().map(finish).collect()
    }
}

/// Every request of every load was answered well, and there were some.
#[track_caller]
pub(crate) fn assert_nothing_failed(reports: &HashMap<String, Report>) {
    for (name, report) in reports {
        assert!(report.total > 0, "{name} sent nothing");
        assert_eq!(report.failed, 0, "{name} lost requests: {}", report.to_json(10));
    }
}

/// Every GET was answered well; a POST may have failed, but only with a clean 502.
#[track_caller]
pub(crate) fn assert_only_posts_failed_cleanly(reports: &HashMap<String, Report>) {
    for (name, report) in reports {
        assert!(report.total > 0, "{name} sent nothing");
        let clean = if name.starts_with("post") { report.of(Class::Http502) } else { 0 };
        assert_eq!(report.failed, clean, "{name} lost requests: {}", report.to_json(10));
    }
}

/// What became of the POSTs.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Failed, and a worker had written down that it executed them.
    pub(crate) failed_executed: u64,
    /// Failed, and no worker has written anything down.
    pub(crate) failed_unseen: Vec<String>,
}

/// Compares the reports of the POST loads with what the workers wrote down: a POST that was answered well was executed
/// exactly once, one that failed at most once, and only by a worker that is dead (`is_alive` says which are not).
#[track_caller]
pub(crate) fn ledger(
    reports: &HashMap<String, Report>,
    executions: &Executions,
    is_alive: impl Fn(u32) -> bool,
) -> Ledger {
    let executed = executions.of("POST");
    for (id, pids) in &executed {
        assert!(pids.len() == 1, "POST {id} was executed {} times, by {pids:?}", pids.len());
    }
    let mut ledger = Ledger::default();
    let mut ok = 0;
    for (_, report) in reports.iter().filter(|(name, _)| name.starts_with("post")) {
        ok += report.ok;
        for failure in &report.failures {
            match executed.get(&failure.id) {
                Some(pids) => {
                    assert!(
                        !is_alive(pids[0]),
                        "POST {} failed, but its worker {} lives",
                        failure.id,
                        pids[0]
                    );
                    ledger.failed_executed += 1;
                }
                None => ledger.failed_unseen.push(failure.id.clone()),
            }
        }
    }
    let answered = executed.len() as u64 - ledger.failed_executed;
    assert_eq!(answered, ok, "POSTs that were answered well and POSTs that were executed");
    ledger
}
