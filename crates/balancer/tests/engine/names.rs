//! Names of requests: who gives them, and who gets to read them.

use stead_balancer::Config;

use crate::stand::{Stand, config};

const HEAD_END: &str = "\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn named(trust_forwarded: bool) -> Config {
    Config { request_id: true, trust_forwarded, ..config() }
}

fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let field = |line: &'h str| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name));
    head.lines().find_map(field).map(|(_, value)| value)
}

/// The ids that the worker and the client of a request are told.
fn ids(config: Config, request_id: &str, answer: &str) -> (String, String) {
    let stand = Stand::new(config, 1);
    let mut client = stand.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{request_id}\r\n"));
    let (_, mut worker) = stand.given();
    let head = worker.read_until(HEAD_END);
    worker.send(answer);
    let answered = client.read_until("ok");
    let id = |head: &str| value(head, "x-request-id").unwrap_or_default().to_owned();
    (id(&head), id(&answered))
}

#[test]
fn request_id_is_made_and_told_to_both_sides() {
    let (worker, client) = ids(named(false), "X-Request-Id: forged\r\n", OK);
    assert_eq!(worker, client);
    assert!(worker.len() == 32 && worker.bytes().all(|byte| byte.is_ascii_hexdigit()), "{worker}");
    let (other, _) = ids(named(false), "", OK);
    assert_ne!(worker, other);
}

#[test]
fn request_id_of_a_trusted_proxy_is_kept_if_it_is_harmless() {
    assert_eq!(ids(named(true), "X-Request-Id: edge-7\r\n", OK), ("edge-7".into(), "edge-7".into()));
    let (worker, client) = ids(named(true), "X-Request-Id: a\"b\r\n", OK);
    assert_eq!((worker.len(), worker), (32, client));
}

#[test]
fn request_id_that_the_worker_gives_itself_stays() {
    let own = OK.replace("\r\n\r\n", "\r\nx-request-id: own\r\n\r\n");
    let (worker, client) = ids(named(false), "", &own);
    assert_eq!((worker.len(), client.as_str()), (32, "own"));
}

#[test]
fn answer_of_stead_itself_names_the_request() {
    let stand = Stand::new(named(false), 1);
    let mut client = stand.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let (_, mut worker) = stand.given();
    let head = worker.read_until(HEAD_END);
    drop(worker);
    let answer = client.read_until(HEAD_END);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(value(&answer, "x-request-id"), value(&head, "x-request-id"));
}

#[test]
fn request_that_is_sent_again_keeps_its_names() {
    let stand = Stand::new(Config { starts_traces: true, ..named(false) }, 2);
    let mut client = stand.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (first, mut worker) = stand.given();
    let head = worker.read_until(HEAD_END);
    drop(worker);
    stand.die(first);
    let (_, mut worker) = stand.given();
    assert_eq!(worker.read_until(HEAD_END), head);
    worker.send(OK);
    client.read_until("ok");
    assert!(value(&head, "traceparent").is_some_and(|trace| trace.starts_with("00-") && trace.len() == 55));
}
