//! Apps that come to an address and leave it while clients are connected.

use std::sync::Arc;
use std::time::Duration;

use stead_balancer::{Config, Endpoint, EndpointId, Limiter, Pool, PoolEvent, Road, Route, Tenant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::stand::{Peer, Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";

/// An app: its pool, and a worker that answers with its name.
struct App {
    pool: Arc<Pool>,
    endpoint: EndpointId,
    road: Road,
    _events: UnboundedReceiver<PoolEvent>,
}

impl App {
    fn new(name: &'static str, config: Config) -> App {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                std::thread::spawn(move || {
                    let mut peer = Peer::new(stream);
                    loop {
                        peer.read_until(HEAD_END);
                        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
                    }
                });
            }
        });
        let (sender, events) = unbounded_channel();
        let pool = Pool::new(config, sender);
        let road = Road::Tcp(address);
        let endpoint = Endpoint::new(road.clone(), 0);
        let id = endpoint.id();
        pool.add(endpoint);
        App { pool, endpoint: id, road, _events: events }
    }

    fn at(&self, routes: &[&str]) -> Tenant {
        let route = |text: &&str| Arc::new(Route::new(text.parse().expect("it is a route")));
        Tenant { pool: Some(Arc::clone(&self.pool)), routes: routes.iter().map(route).collect(), https: None }
    }
}

/// Status and body of the answer to a GET.
#[track_caller]
fn ask<S: std::io::Read + std::io::Write>(client: &mut Peer<S>, host: &str, path: &str) -> (String, String) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let head = client.read_until(HEAD_END);
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("it has a length");
    let body = client.read_exactly(length.parse().expect("a number"));
    (head[9..12].to_owned(), String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn a_connection_sees_every_change_before_its_next_request() {
    let stand = Stand::new(config(), 0);
    let (one, other) = (App::new("one", config()), App::new("other", config()));
    let ok = |name: &str| ("200".to_owned(), name.to_owned());
    stand.site.arrange(&[one.at(&[])]);
    let mut client = stand.client();
    assert_eq!(ask(&mut client, "a", "/"), ok("one"));
    stand.site.arrange(&[one.at(&[]), other.at(&["a"])]);
    assert_eq!(ask(&mut client, "a", "/"), ok("other"));
    assert_eq!(ask(&mut client, "b", "/"), ok("one"));
    stand.site.arrange(&[one.at(&["b"]), other.at(&["a/x"])]);
    assert_eq!(ask(&mut client, "a", "/").0, "404");
    assert_eq!(ask(&mut client, "c", "/").0, "421");
    assert_eq!(ask(&mut client, "a", "/x/y"), ok("other"));
    let stopped = Tenant { pool: None, ..other.at(&["a"]) };
    stand.site.arrange(&[one.at(&[]), stopped]);
    assert_eq!(ask(&mut client, "a", "/").0, "503");
    assert_eq!(ask(&mut client, "b", "/"), ok("one"));
}

#[test]
fn a_connection_counts_for_the_app_it_was_last_used_for() {
    let stand = Stand::new(config(), 0);
    let (one, other) = (App::new("one", config()), App::new("other", config()));
    stand.site.arrange(&[one.at(&[]), other.at(&["/other"])]);
    let mut client = stand.client();
    let connections = || [&one, &other].map(|app| app.pool.snapshot().connections);
    ask(&mut client, "a", "/");
    assert_eq!(connections(), [1, 0]);
    ask(&mut client, "a", "/other");
    assert_eq!(connections(), [0, 1]);
    drop(client);
    until("it is gone", || connections() == [0, 0]);
}

#[test]
fn a_request_of_one_app_waits_for_its_worker_alone() {
    let patient = Config { hold_timeout: Duration::from_secs(60), ..config() };
    let stand = Stand::new(config(), 0);
    let (one, other) = (App::new("one", patient), App::new("other", config()));
    one.pool.remove(one.endpoint, stead_balancer::Death { outside: false });
    stand.site.arrange(&[one.at(&["/one"]), other.at(&[])]);
    let mut waiting = stand.client();
    waiting.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    until("it waits", || one.pool.snapshot().waiting == 1);
    let mut client = stand.client();
    assert_eq!(ask(&mut client, "a", "/"), ("200".to_owned(), "other".to_owned()));
    one.pool.add(Endpoint::new(one.road.clone(), 0));
    assert!(waiting.read_until("\r\n\r\none").starts_with("HTTP/1.1 200"));
}

#[test]
fn limits_are_those_of_the_route_and_refusals_keep_the_connection() {
    let stand = Stand::new(config(), 0);
    let app = App::new("app", config());
    let mut tenant = app.at(&["/"]);
    let limit = Some(Arc::new(Limiter::new(1, Duration::from_secs(3600))));
    let pattern = || "/rare".parse().expect("it is a route");
    tenant.routes.push(Arc::new(Route { limit, ..Route::new(pattern()) }));
    stand.site.arrange(&[tenant]);
    let mut client = stand.client();
    assert_eq!(ask(&mut client, "a", "/rare").0, "200");
    assert_eq!(ask(&mut client, "a", "/rare/x").0, "429");
    assert_eq!(ask(&mut client, "a", "/").0, "200");
    assert_eq!(app.pool.snapshot().counters.refused, 1);
}
