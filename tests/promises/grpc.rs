//! "My service is gRPC. One line says so, and deploys and crashes are what they are for everything else."

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::certificates::Authority;
use crate::support::https_load::HttpsLoad;
use crate::support::processes::kill;
use crate::support::stead::{Plan, Verb};
use crate::support::{Client, Stead, beside, node};

const LIMIT: Duration = Duration::from_secs(30);

/// The server as a Node.js program, which is given connections over its channel.
fn handed() -> Plan {
    Stead::script(node("grpc-server.js")).set("upstream_protocol", "\"http2\"")
}

/// The same as a program of any kind, which listens on a port that it is told.
fn on_a_port() -> Plan {
    Stead::plan(["env", "node", &node("grpc-server.js")]).set("upstream_protocol", "\"http2\"").listen()
}

/// The same on a Unix socket, in gRPC's own form of its path.
fn on_a_socket() -> Plan {
    let command = format!("env node {} unix:{{socket}}", node("grpc-server.js"));
    Stead::plan([command]).set("upstream_protocol", "\"http2\"").listen()
}

/// What the client says about one deed.
#[track_caller]
fn client(address: &str, authority: &str, deed: &str) -> Value {
    let mut command = Command::new("node");
    command.arg(node("grpc-client.js")).args([address, authority, deed]);
    let said = Verb::start(&mut command).finish(LIMIT);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{deed}: {error}: {said:?}"))
}

#[track_caller]
fn check_calls(address: &str, authority: &str) {
    for (deed, expected) in [
        ("unary", json!({ "answer": true, "trailer": "yes" })),
        ("count", json!(20)),
        ("chat", json!({ "heard": ["one", "two", "three"], "code": 0 })),
        ("fail", json!({ "code": 5, "details": "no such thing", "why": "gone" })),
        ("cancel", json!({ "code": 1 })),
    ] {
        assert_eq!(client(address, authority, deed), expected, "{deed}");
    }
}

#[test]
fn calls_of_every_kind_reach_node_programs_and_others() {
    let _turn = beside();
    for plan in [handed(), on_a_port(), on_a_socket()] {
        let stead = plan.instances(2).start();
        check_calls(&format!("127.0.0.1:{}", stead.port), "-");
        let told = "cancelled";
        stead.output.wait_for(told, LIMIT, |line| line.contains(told).then_some(()));
    }
}

#[test]
fn calls_of_every_kind_come_in_by_tls() {
    let _turn = beside();
    let plan = handed();
    let authority = Authority::new(plan.directory());
    authority.issue("localhost", &["localhost"]);
    let stead = plan.listen_https().set("tls", &authority.setting(&["localhost"])).start();
    check_calls(&format!("localhost:{}", stead.port), &authority.path("ca.pem"));
}

#[test]
fn killed_worker_and_reload_lose_no_call_that_may_be_made_again_and_has_no_answer_yet() {
    let _turn = beside();
    let stead = handed().instances(2).start();
    let load = HttpsLoad::start_grpc(stead.port);
    load.goes_on();
    for _ in 0..3 {
        let victim = stead.wait_complete().ready_pids()[0];
        kill(victim);
        load.goes_on();
        stead.wait_status("it is replaced", LIMIT, |status| {
            status.is_complete() && !status.ready_pids().contains(&victim)
        });
        stead.reload();
        load.goes_on();
    }
    load.stop().assert_nothing_failed();
}

#[test]
fn clients_of_http_1_1_reach_a_program_that_speaks_http_2() {
    let _turn = beside();
    let stead = Stead::script(node("http2-clear.js")).set("upstream_protocol", "\"http2\"").start();
    let mut client = Client::connect(stead.port);
    for _ in 0..3 {
        let answer = client.send("GET /a?b HTTP/1.1\r\nHost: test\r\n\r\n").answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "h2 /a?b\n"));
    }
    let answer = client.send("HEAD /c HTTP/1.1\r\nHost: test\r\n\r\n").head();
    assert_eq!(answer.status, 200);
    let body = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answer = client.send(format!("POST /d HTTP/1.1\r\nHost: test\r\n{body}")).answer();
    assert_eq!(answer.text(), "h2 /d\n");
}

#[test]
fn program_that_does_not_speak_http_2_is_answered_for() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).set("upstream_protocol", "\"http2\"").start();
    let mut client = Client::connect(stead.port);
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").answer().status, 502);
}
