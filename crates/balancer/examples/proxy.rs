//! The balancer alone in front of servers that run already, on one lane: for measuring what a proxied request costs.
//!
//! `cargo run --release -p stead-balancer --example proxy -- 127.0.0.1:8080 unix:/run/app.sock 127.0.0.1:9000`
//!
//! With `ROUTES=200` in the environment each request is looked up among so many routes.

use std::sync::Arc;
use std::time::Duration;

use stead_balancer::http::Limits;
use stead_balancer::{
    Address, Affinity, Bound, Config, Ejection, Endpoint, Front, Lanes, Policy, Pool, Road, Route, Site,
    Tenant, Terms, Transport,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().ok_or("usage: proxy LISTEN UPSTREAM...")?;
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let pool = Pool::new(config(), events);
    for (upstream, slot) in arguments.zip(0..) {
        let road = match upstream.strip_prefix("unix:") {
            Some(path) => Road::Unix(path.into()),
            None => Road::Tcp(upstream.parse()?),
        };
        pool.add(Endpoint::new(road, slot));
    }
    let lanes = Lanes::start(std::env::var("LANES").map_or(Ok(1), |lanes| lanes.parse())?)?;
    let bound = Bound::bind(&Address::Tcp(listen.parse()?))?;
    let routes = std::env::var("ROUTES").map_or(Ok(0), |routes| routes.parse())?;
    let site = Site::new(&[Tenant { routes: many(routes)?, ..Tenant::alone(pool) }]);
    let _serving = lanes.serve("proxy", &bound, (&Front::Http(site), Transport::Plain))?;
    // Nothing ends these workers; the receiver waits for ever.
    while heard.blocking_recv().is_some() {}
    Ok(())
}

/// So many hosts and paths, of which the last is for whoever asks for 127.0.0.1.
fn many(count: u32) -> Result<Vec<Arc<Route>>, Box<dyn std::error::Error>> {
    let text = |number: u32| match number % 2 {
        _ if number == 1 => "127.0.0.1".to_owned(),
        0 => format!("h{number}.example.org"),
        _ => format!("127.0.0.1/p{number}"),
    };
    (1..=count).map(|number| Ok(Arc::new(Route::new(text(number).parse()?)))).collect()
}

fn config() -> Config {
    let minute = Duration::from_secs(60);
    Config {
        head: Limits { head_bytes_max: 16 * 1024, header_count_max: 100, target_bytes_max: 8 * 1024 },
        body_bytes_max: 1 << 30,
        replay_body_bytes_max: 64 * 1024,
        small_answer_bytes_max: 64 * 1024,
        http2_streams_max: 100,
        upstream_http2: false,
        header_timeout: minute,
        body_timeout: minute,
        idle_timeout: minute,
        answer_timeout: minute,
        connections_max: 10_000,
        held_requests_max: 10_000,
        hold_timeout: minute,
        queue_wait_max: Duration::from_secs(10),
        in_flight_max: 1024,
        upstream_idle: Duration::from_secs(4),
        untaken_max: std::env::var("UNTAKEN").map_or(64, |n| n.parse().unwrap_or(64)),
        taken_within: Duration::from_millis(std::env::var("WITHIN").map_or(4, |n| n.parse().unwrap_or(4))),
        move_after: Duration::from_secs(1),
        wedged_after: minute,
        poison_deaths_max: 3,
        replays_max: 8,
        trust_forwarded: false,
        proxy_from: stead_balancer::ProxyFrom::Nobody,
        send_proxy: None,
        request_id: false,
        starts_traces: false,
        access: None,
        slow_start: None,
        policy: Policy::LeastLoaded,
        terms: Terms::default(),
        affinity: Affinity::default(),
        ejection: Ejection::default(),
    }
}
