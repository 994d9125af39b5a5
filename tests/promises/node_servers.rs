//! "My Node.js server runs unmodified, whatever it is written with, on every Node.js that is still used."
//!
//! Each program on two workers, on each Node.js from 18 to 24 that the tests have: it serves, and where requests can be
//! counted it is reloaded under load without losing one.

use std::process::Command;
use std::time::Duration;

use crate::support::fixtures::{NodeVersion, fixture, node_versions, path_with};
use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::stead::{Finished, Plan, Verb};
use crate::support::websocket::WebSocket;
use crate::support::{Client, Load, Stead, beside, get, node, soon};

const WORKERS: u32 = 2;

/// Runs the program on every Node.js, with `test` for each.
fn on_every_node(script: &str, test: impl Fn(&Stead, &NodeVersion)) {
    on_some_nodes(|_| true, |plan| plan.instances(WORKERS), script, test);
}

fn on_some_nodes(
    wanted: impl Fn(&NodeVersion) -> bool,
    adjust: impl Fn(Plan) -> Plan,
    script: &str,
    test: impl Fn(&Stead, &NodeVersion),
) {
    let _turn = beside();
    let versions: Vec<NodeVersion> = node_versions().into_iter().filter(wanted).collect();
    assert!(!versions.is_empty(), "no Node.js for {script}: run ./check once");
    for version in versions {
        let plan = adjust(Stead::script(node(script))).env("PATH", path_with(&version.directory));
        let stead = plan.start();
        eprintln!("{script} on Node.js {}.{}", version.major, version.minor);
        test(&stead, &version);
        let restarts: u64 = stead.wait_complete().workers().iter().map(|worker| worker.restarts).sum();
        assert_eq!(restarts, 0, "a worker died on Node.js {}", version.major);
        stead.end();
    }
}

/// Serves this text, keeps serving it through a reload under load.
fn serves(stead: &Stead, path: &str, text: &str) {
    let answer = get(stead.port, path);
    assert_eq!((answer.status, answer.text().as_str()), (200, text), "{answer:?}");
    let expect = |mut config: stead_load::Config| {
        config.expect = stead_load::Expect::Contains(text.to_owned());
        config
    };
    let load = Load::start([
        ("kept", expect(gets(stead.port, path, 6))),
        ("new", expect(without_keep_alive(gets(stead.port, path, 6)))),
    ]);
    load.each_answers(20);
    stead.reload();
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
}

fn echoes_json(stead: &Stead) {
    let body = r#"{"a":[1,2,{"b":"c"}]}"#;
    let mut client = Client::connect(stead.port);
    for _ in 0..3 {
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(client.answer().text(), body);
    }
}

fn knows_the_client(stead: &Stead) {
    let ip = get(stead.port, "/ip").json()["ip"].as_str().unwrap_or_default().to_owned();
    assert!(matches!(ip.as_str(), "127.0.0.1" | "::ffff:127.0.0.1"), "{ip:?}");
}

/// A client program, which says `ok N` and ends with 0.
fn client(script: &str, arguments: &[&str]) -> Finished {
    Verb::start(Command::new("node").arg(node(script)).args(arguments)).finish(Duration::from_secs(30))
}

#[test]
fn plain_http() {
    on_every_node("hello.js", |stead, _| serves(stead, "/", "hello\n"));
}

#[test]
fn express() {
    on_every_node("express.js", |stead, _| {
        serves(stead, "/", "hello from express\n");
        echoes_json(stead);
        knows_the_client(stead);
    });
}

#[test]
fn fastify() {
    // Fastify 5 needs Node.js 20.
    on_some_nodes(
        |node| node.major >= 20,
        |plan| plan.instances(WORKERS),
        "fastify.js",
        |stead, _| {
            serves(stead, "/", "hello from fastify\n");
            echoes_json(stead);
            knows_the_client(stead);
        },
    );
}

#[test]
fn koa() {
    on_every_node("koa.js", |stead, _| {
        serves(stead, "/", "hello from koa\n");
        knows_the_client(stead);
    });
}

#[test]
fn ecmascript_module() {
    on_every_node("esm.mjs", |stead, _| serves(stead, "/", "hello from esm.mjs\n"));
}

#[test]
fn typescript() {
    let strips_types = |node: &NodeVersion| (node.major, node.minor) >= (22, 6);
    on_some_nodes(
        strips_types,
        |plan| plan.instances(WORKERS),
        "typescript.ts",
        |stead, _| {
            serves(stead, "/", "hello from typescript\n");
        },
    );
}

#[test]
fn websocket() {
    on_every_node("websocket.js", |stead, _| {
        for _ in 0..4 {
            assert_eq!(WebSocket::open(stead.port, "/").ask("hello").expect("an echo"), "hello");
        }
        let url = format!("ws://127.0.0.1:{}/", stead.port);
        let finished = client("websocket-client.js", &[&url, "300"]);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "ok 300"), "{finished:?}");
    });
}

#[test]
fn socket_io_over_websocket_on_two_workers() {
    on_every_node("socket-io.js", |stead, _| {
        let url = format!("http://127.0.0.1:{}", stead.port);
        for _ in 0..4 {
            let finished = client("socket-io-client.js", &[&url, "50", "websocket"]);
            assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "ok 50"), "{finished:?}");
        }
    });
}

#[test]
fn socket_io_with_polling_on_one_worker() {
    // Polling is many requests of one session: with several workers it needs stickiness, as everywhere.
    on_some_nodes(
        |_| true,
        |plan| plan.instances(1),
        "socket-io.js",
        |stead, _| {
            let url = format!("http://127.0.0.1:{}", stead.port);
            for transports in [&["polling"][..], &["polling", "websocket"]] {
                let finished = client("socket-io-client.js", &[&[url.as_str(), "20"], transports].concat());
                assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "ok 20"), "{finished:?}");
            }
        },
    );
}

#[test]
fn http2_without_tls() {
    on_every_node("http2-clear.js", |stead, _| {
        let url = format!("http://127.0.0.1:{}/a", stead.port);
        for _ in 0..4 {
            let mut command = Command::new("curl");
            command.args([
                "--silent",
                "--show-error",
                "--fail",
                "--max-time",
                "10",
                "--http2-prior-knowledge",
            ]);
            let finished = Verb::start(command.arg(&url)).finish(Duration::from_secs(15));
            assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "h2 /a"), "{finished:?}");
        }
    });
}

#[test]
fn https_with_the_program_s_own_certificate() {
    on_every_node("https.js", |stead, _| over_tls(stead, "--http1.1", "hello over 1.1"));
}

#[test]
fn http2_with_the_program_s_own_certificate() {
    on_some_nodes(
        |_| true,
        |plan| plan.instances(WORKERS).env("ALLOW_HTTP2", "1"),
        "https.js",
        |stead, _| {
            over_tls(stead, "--http2", "hello over 2.0");
            over_tls(stead, "--http1.1", "hello over 1.1");
        },
    );
}

fn over_tls(stead: &Stead, version: &str, text: &str) {
    let url = format!("https://localhost:{}/", stead.port);
    let certificate = fixture("tls/test-only.cert.pem");
    for _ in 0..4 {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "10",
            "--cacert",
            &certificate,
            version,
            &url,
        ]);
        let finished = Verb::start(&mut command).finish(Duration::from_secs(15));
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), text), "{finished:?}");
    }
}

#[test]
fn a_tcp_server_that_is_not_http() {
    on_every_node("net-echo.js", |stead, _| {
        let mut pids = std::collections::HashSet::new();
        for number in 0..8 {
            let mut client = Client::connect(stead.port);
            // The server speaks first: nobody may wait for a request here.
            let line = client.read_until(b"\n").expect("the server speaks first");
            pids.insert(String::from_utf8_lossy(&line).trim().to_owned());
            let text = format!("bytes that are not HTTP \0 {number}");
            client.send(&text);
            assert_eq!(client.read_exactly(text.len()).expect("an echo"), text.as_bytes());
            client.finish_sending();
            client.expect_close();
        }
        let ready: std::collections::HashSet<String> =
            stead.status().ready_pids().iter().map(u32::to_string).collect();
        assert_eq!(pids, ready, "connections are spread over the workers");
    });
}

#[test]
fn udp() {
    on_every_node("udp-echo.js", |stead, _| {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("there is a port");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout can be set");
        soon("a datagram comes back", || {
            let _ = socket.send_to(b"hello", ("127.0.0.1", stead.port));
            let mut answer = [0; 100];
            socket.recv(&mut answer).is_ok_and(|count| answer[..count].ends_with(b" hello"))
        });
    });
}
