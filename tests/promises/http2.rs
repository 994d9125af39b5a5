//! "My clients speak HTTP/2, and nothing else changes: my program stays as it is, and no request is lost when a worker dies, when
//! I deploy or when I upgrade you."

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::certificates::Authority;
use crate::support::http2::{self, Http2};
use crate::support::https_load::HttpsLoad;
use crate::support::processes::kill;
use crate::support::stead::{Finished, Plan, Verb};
use crate::support::{Client, Stead, beside, node};

const LIMIT: Duration = Duration::from_secs(30);

/// A program behind TLS, with a certificate for `localhost`.
fn secured(program: &str) -> (Authority, Plan) {
    let plan = Stead::script(node(program));
    let authority = Authority::new(plan.directory());
    authority.issue("localhost", &["localhost"]);
    let setting = authority.setting(&["localhost"]);
    (authority, plan.listen_https().set("tls", &setting))
}

/// What Node's own client says about one deed of `http2-client.js`, over TLS and without.
#[track_caller]
fn check(program: &str, deed: &str, expected: &Value) {
    let (authority, plan) = secured(program);
    let secure = plan.start();
    let ca = authority.path("ca.pem");
    assert_eq!(&client(&format!("https://localhost:{}", secure.port), &ca, deed), expected, "over TLS");
    let plain = Stead::script(node(program)).start();
    assert_eq!(&client(&format!("http://127.0.0.1:{}", plain.port), "-", deed), expected, "without TLS");
}

#[track_caller]
fn client(url: &str, authority: &str, deed: &str) -> Value {
    let mut command = Command::new("node");
    command.arg(node("http2-client.js")).args([url, authority, deed]);
    let said = Verb::start(&mut command).finish(LIMIT);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn curl(stead: &Stead, options: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    command.current_dir(stead.path()).args(["--silent", "--show-error", "--max-time", "20"]).args(options);
    Verb::start(&mut command).finish(LIMIT)
}

#[test]
fn curl_is_answered_over_http_2_by_alpn_and_by_prior_knowledge() {
    let _turn = beside();
    let (_authority, plan) = secured("mirror.js");
    let stead = plan.start();
    let url = format!("https://localhost:{}/a?b", stead.port);
    let version = ["--write-out", "\n%{http_version}", "--cacert", "ca.pem", &url];
    let got = curl(&stead, &[&["--http2", "--cookie", "a=1; b=2"][..], &version].concat());
    assert!(got.stdout.ends_with("\n2"), "{got:?}");
    let (seen, _) = got.stdout.split_once('\n').expect("a line of JSON");
    let seen: Value = serde_json::from_str(seen).expect("it is JSON");
    assert_eq!((&seen["url"], &seen["version"]), (&json!("/a?b"), &json!("1.1")));
    let headers = seen["headers"].to_string();
    for told in [
        "\"cookie\",\"a=1; b=2\"",
        "\"X-Forwarded-Proto\",\"https\"",
        &format!("\"Host\",\"localhost:{}\"", stead.port),
    ] {
        assert!(headers.contains(told), "{told}: {headers}");
    }
    let got = curl(&stead, &[&["--http1.1"][..], &version].concat());
    assert!(got.stdout.ends_with("\n1.1"), "{got:?}");

    let plain = Stead::script(node("hello.js")).start();
    let url = format!("http://127.0.0.1:{}/", plain.port);
    let got = curl(&plain, &["--http2-prior-knowledge", "--write-out", " %{http_version}", &url]);
    assert_eq!(got.stdout, "hello\n 2", "{got:?}");
}

#[test]
fn http_2_is_not_spoken_where_it_is_switched_off() {
    let _turn = beside();
    let (_authority, plan) = secured("hello.js");
    let stead = plan.set("http2", "false").start();
    let url = format!("https://localhost:{}/", stead.port);
    let got = curl(&stead, &["--http2", "--write-out", " %{http_version}", "--cacert", "ca.pem", &url]);
    assert_eq!(got.stdout, "hello\n 1.1", "{got:?}");
    let plain = Stead::script(node("hello.js")).set("http2", "false").start();
    let mut client = Client::connect(plain.port);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.answer().status, 505);
}

#[test]
fn http_2_begins_a_connection_and_is_not_changed_to() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).start();
    let mut client = Client::connect(stead.port);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.answer().status, 505);
    client.expect_close();
}

#[test]
fn many_requests_at_once_are_answered_on_one_connection() {
    let _turn = beside();
    check("hello.js", "many", &json!(300));
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    let _turn = beside();
    check("bodies.js", "send", &json!({ "bytes": 3_000_000, "same": true }));
    check("bodies.js", "head", &json!({ "status": 200, "length": "77", "bytes": 0 }));
    check("bodies.js", "early", &json!({ "informational": [103], "status": 200 }));
    let checksum = "24995206";
    check("bodies.js", "trailers", &json!({ "bytes": 200_000, "checksum": checksum, "trailers": checksum }));
}

#[test]
fn request_that_is_taken_back_ends_at_the_worker_too() {
    let _turn = beside();
    let stead = Stead::script(node("slow.js")).start();
    let url = format!("http://127.0.0.1:{}", stead.port);
    assert_eq!(client(&url, "-", "abort"), json!({ "status": 200 }));
    let told = "nobody waits any more";
    stead.output.wait_for(told, LIMIT, |line| line.contains(told).then_some(()));
}

#[test]
fn websocket_is_carried_over_http_2() {
    let _turn = beside();
    check("websocket.js", "websocket", &json!({ "status": 200, "echo": "hello", "closed": true }));
    // 200 would say that there is one.
    check("hello.js", "refused", &json!({ "status": 502 }));
}

#[test]
fn killed_worker_and_reload_lose_no_request_of_an_http_2_client() {
    let _turn = beside();
    let (authority, plan) = secured("executions.js");
    let stead = plan.instances(2).start();
    let load = HttpsLoad::start_http2(stead.port, &authority, 4);
    load.goes_on();
    for _ in 0..4 {
        let victim = stead.wait_complete().ready_pids()[0];
        kill(victim);
        load.goes_on();
        stead.wait_status("it is replaced", LIMIT, |status| {
            status.is_complete() && !status.ready_pids().contains(&victim)
        });
        stead.reload();
        load.goes_on();
    }
    let outcome = load.stop();
    outcome.assert_nothing_failed();
    assert_eq!(outcome.connections, 4, "nobody had to come again");
}

#[test]
fn upgrade_of_stead_loses_no_request_of_an_http_2_client() {
    let _turn = beside();
    let (authority, plan) = secured("executions.js");
    let stead = plan.instances(2).start();
    let load = HttpsLoad::start_http2(stead.port, &authority, 4);
    for _ in 0..2 {
        load.goes_on();
        let before = stead.status();
        let done = stead.verb(&["upgrade", "--binary", env!("CARGO_BIN_EXE_stead")]);
        assert_eq!(done.code, Some(0), "{done:?}");
        stead.wait_status("the new daemon serves", LIMIT, |status| {
            status.daemon_pid() != before.daemon_pid() && status.is_complete()
        });
    }
    load.goes_on();
    let outcome = load.stop();
    outcome.assert_nothing_failed();
    assert!(outcome.connections >= 8, "each was asked to come again: {outcome:?}");
}

#[test]
fn idle_connection_is_ended_with_a_word() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).set("idle_timeout", "1s").start();
    let mut client = Http2::connect(stead.port);
    client.ask(1, "/");
    assert_eq!(client.outcome(1).expect("it is answered"), Ok(200));
    assert_eq!(client.end(), Some((http2::GOAWAY, 0)));
}
