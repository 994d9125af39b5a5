//! "I give you a certificate, and my service speaks https: to every client, whatever happens to my workers, to the certificate
//! or to you. What is wrong with my files, you tell me."

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::certificates::Authority;
use crate::support::https_load::HttpsLoad;
use crate::support::processes::kill;
use crate::support::stead::{Finished, Plan, Verb};
use crate::support::{Client, Stead, beside, eventually, node};

const LIMIT: Duration = Duration::from_secs(30);

/// A program behind TLS, with a certificate for `localhost`.
fn secured(program: &str) -> (Authority, Plan) {
    let plan = Stead::script(node(program));
    let authority = Authority::new(plan.directory());
    authority.issue("localhost", &["localhost"]);
    let setting = authority.setting(&["localhost"]);
    (authority, plan.listen_https().set("tls", &setting))
}

/// What curl makes of `https://HOST/`, with these options besides.
fn curl(stead: &Stead, host: &str, options: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    command.current_dir(stead.path()).args([
        "--silent",
        "--show-error",
        "--cacert",
        "ca.pem",
        "--max-time",
        "20",
    ]);
    command.args(["--resolve", &format!("{host}:{}:127.0.0.1", stead.port)]).args(options);
    command.arg(format!("https://{host}:{}/", stead.port));
    Verb::start(&mut command).finish(LIMIT)
}

/// What `openssl s_client` says about a connection.
fn s_client(stead: &Stead, options: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{}", stead.port)]).args(options);
    let said = Verb::start(&mut command).finish(LIMIT);
    format!("{}\n{}", said.stdout, said.stderr)
}

#[track_caller]
fn assert_said(stead: &Stead, text: &str) {
    stead.output.wait_for(text, LIMIT, |line| line.contains(text).then_some(()));
}

#[test]
fn every_name_gets_its_certificate_and_the_program_learns_that_it_was_https() {
    let _turn = beside();
    let plan = Stead::script(node("mirror.js"));
    let authority = Authority::new(plan.directory());
    authority.issue("shop", &["shop.test", "www.shop.test"]);
    authority.issue("blogs", &["*.blogs.test"]);
    let stead = plan.listen_https().set("tls", &authority.setting(&["shop", "blogs"])).start();
    for host in ["shop.test", "www.shop.test", "mine.blogs.test"] {
        let got = curl(&stead, host, &[]);
        assert_eq!(got.code, Some(0), "{host}: {got:?}");
        assert!(got.stdout.contains("\"X-Forwarded-Proto\",\"https\""), "{got:?}");
        assert!(got.stdout.contains("proto=https\""), "{got:?}");
    }
    // 60: the certificate does not fit, as it should be for a name that is not ours.
    assert_eq!(curl(&stead, "other.test", &[]).code, Some(60));
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let _turn = beside();
    let (_authority, plan) = secured("hello.js");
    let stead = plan.start();
    for (option, expected) in [("-tls1_2", "New, TLSv1.2"), ("-tls1_3", "New, TLSv1.3")] {
        let said = s_client(&stead, &[option, "-alpn", "h2,http/1.1", "-servername", "localhost"]);
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("ALPN protocol: h2"), "{said}");
    }
    let said = s_client(&stead, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(said.contains("New, (NONE)"), "{said}");
    let said = s_client(&stead, &["-alpn", "http/1.1"]);
    assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    let said = s_client(&stead, &["-alpn", "spdy/3"]);
    assert!(said.contains("no application protocol"), "{said}");
}

#[test]
fn clients_prove_who_they_are_and_cannot_pretend() {
    let _turn = beside();
    let (authority, plan) = secured("mirror.js");
    authority.issue("alice", &["alice.test"]);
    let setting = format!("{{ required = \"{}\" }}", authority.path("ca.pem"));
    let stead = plan.set("tls_client_ca", &setting).start();
    let forged = ["--header", "X-Client-Cert-Subject: CN=root", "--header", "Client-Cert: :AA==:"];
    let own = ["--cert", "alice.cert.pem", "--key", "alice.key.pem"];
    let got = curl(&stead, "localhost", &[&own[..], &forged].concat());
    assert!(got.stdout.contains("\"X-Client-Cert-Subject\",\"CN=alice\""), "{got:?}");
    assert!(!got.stdout.contains("CN=root") && !got.stdout.contains(":AA==:"), "{got:?}");
    let refused = curl(&stead, "localhost", &[]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("certificate required"), "{refused:?}");
}

#[test]
fn http_to_a_tls_port_is_told_so_and_http_elsewhere_is_sent_to_https() {
    let _turn = beside();
    let (_authority, plan) = secured("hello.js");
    let plain = crate::support::ports::free_port();
    let stead =
        plan.option("--listen", format!("http://127.0.0.1:{plain}")).set("redirect_https", "true").start();
    let answer = crate::support::get(stead.port, "/");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("use https:// instead of http://"), "{answer:?}");
    let answer = crate::support::get(plain, "/a?b");
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some(format!("https://test:{}/a?b", stead.port).as_str()));
    let url = format!("http://localhost:{plain}/");
    let mut follow = Command::new("curl");
    follow.args(["-sSL", "--cacert", "ca.pem", &url]).current_dir(stead.path());
    let got = Verb::start(&mut follow).finish(LIMIT);
    assert_eq!(got.stdout, "hello", "{got:?}");
}

#[test]
fn killed_worker_loses_no_request_of_a_tls_client() {
    let _turn = beside();
    let (authority, plan) = secured("executions.js");
    let stead = plan.instances(2).start();
    let load = HttpsLoad::start(stead.port, &authority, 8);
    load.goes_on();
    for _ in 0..5 {
        let victim = stead.wait_complete().ready_pids()[0];
        kill(victim);
        load.goes_on();
        stead.wait_status("it is replaced", LIMIT, |status| {
            status.is_complete() && !status.ready_pids().contains(&victim)
        });
    }
    load.stop().assert_nothing_failed();
}

#[test]
fn renewed_certificate_is_used_without_losing_a_request_and_a_broken_one_is_not() {
    let _turn = beside();
    let (authority, plan) = secured("executions.js");
    let stead = plan.instances(2).start();
    let load = HttpsLoad::start(stead.port, &authority, 8);
    load.goes_on();
    authority.issue("localhost", &["localhost"]);
    assert_said(&stead, "the changed certificates are in use");
    load.goes_on();
    std::fs::write(authority.path("localhost.key.pem"), "not a key").expect("there is room for a file");
    assert_said(&stead, "holds no private key");
    assert_said(&stead, "the certificates that were loaded before stay in use");
    load.goes_on();
    let outcome = load.stop();
    outcome.assert_nothing_failed();
    assert_eq!(outcome.certificates, 2, "{outcome:?}");
}

#[test]
fn upgrade_of_stead_loses_no_request_of_a_tls_client() {
    let _turn = beside();
    let (authority, plan) = secured("executions.js");
    let stead = plan.instances(2).start();
    let load = HttpsLoad::start(stead.port, &authority, 8);
    for _ in 0..2 {
        load.goes_on();
        let before = stead.status();
        let done = stead.verb(&["upgrade", "--binary", env!("CARGO_BIN_EXE_stead")]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let after = stead.wait_status("the new daemon serves", LIMIT, |status| {
            status.daemon_pid() != before.daemon_pid() && status.is_complete()
        });
        assert_eq!(after.workers(), before.workers());
    }
    load.goes_on();
    load.stop().assert_nothing_failed();
}

#[test]
fn tls_is_spoken_again_after_the_daemon_died() {
    let _turn = beside();
    let (authority, plan) = secured("hello.js");
    let stead = plan.start();
    std::fs::write(authority.path("localhost.cert.pem"), "broken meanwhile").expect("there is room");
    let before = stead.status();
    kill(before.daemon_pid());
    assert_said(&stead, "clients wait until they are good");
    let waiting = std::thread::scope(|scope| {
        let asked = scope.spawn(|| curl(&stead, "localhost", &[]));
        authority.issue("localhost", &["localhost"]);
        asked.join().expect("curl is waited for")
    });
    assert_eq!(waiting.stdout, "hello", "{waiting:?}");
    assert_eq!(stead.wait_complete().workers(), before.workers());
}

#[test]
fn clients_that_begin_a_handshake_and_say_no_more_are_let_go() {
    let _turn = beside();
    let (_authority, plan) = secured("hello.js");
    let stead = plan.set("header_timeout", "1s").start();
    let start = Instant::now();
    let mut slow: Vec<Client> = (0..50).map(|_| Client::connect(stead.port)).collect();
    for client in &mut slow {
        client.send([0x16, 3, 1, 2]);
    }
    assert_eq!(curl(&stead, "localhost", &[]).stdout, "hello");
    slow.iter_mut().for_each(Client::expect_close);
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_is_wrong_with_certificates_is_told_before_anything_runs() {
    let _turn = beside();
    let (authority, plan) = secured("hello.js");
    authority.issue_until("localhost", &["localhost"], 2021);
    let stead = plan.plain().start();
    let expired = "expired on 2021-01-01";
    stead.stderr.wait_for(expired, LIMIT, |line| line.contains(expired).then_some(()));
}

#[test]
fn websocket_over_tls_echoes() {
    let _turn = beside();
    let (_authority, plan) = secured("websocket.js");
    let stead = plan.start();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", stead.port)]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let (mut to, mut from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    to.write_all(head.as_bytes()).expect("it reads");
    // "hi" in a masked text frame; the mask is nothing.
    to.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).expect("it reads");
    let mut got = Vec::new();
    eventually("the echo comes", LIMIT, || {
        let mut piece = [0; 1024];
        let count = from.read(&mut piece).expect("it writes");
        got.extend_from_slice(&piece[..count]);
        got.ends_with(b"\x81\x02hi").then_some(())
    });
    drop(to);
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}
