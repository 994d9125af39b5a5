//! "What stands in front of my server speaks HTTP as well as my server does."
//!
//! Raw bytes through the whole binary to a real Node.js server: connections, request forms, headers.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::stead::Verb;
use crate::support::{Answer, Client, Stead, beside, node};

fn mirror() -> Stead {
    Stead::script(node("mirror.js")).instances(2).start()
}

/// The values of a header as the program saw it, in order.
fn seen(answer: &Answer, name: &str) -> Vec<String> {
    let headers = answer.json()["headers"].as_array().cloned().unwrap_or_default();
    let pairs = headers
        .chunks(2)
        .filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())));
    pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[test]
fn one_connection_carries_many_requests() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    for number in 0..50 {
        let answer = client.send(format!("GET /{number}?a=b%20c HTTP/1.1\r\nHost: test\r\n\r\n")).answer();
        assert_eq!((answer.status, answer.version.as_str()), (200, "HTTP/1.1"));
        assert_eq!(answer.json()["url"], Value::String(format!("/{number}?a=b%20c")));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let _turn = beside();
    let stead = Stead::script(node("slow.js")).instances(2).start();
    let mut client = Client::connect(stead.port);
    // The first takes longest: an answer that overtakes would be seen.
    let requests: String = [120, 10, 60, 1, 30]
        .iter()
        .map(|ms| format!("GET /wait?ms={ms} HTTP/1.1\r\nHost: test\r\n\r\nPOST /{ms} HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"))
        .collect();
    client.send(requests);
    for ms in [120, 10, 60, 1, 30] {
        assert!(client.answer().text().starts_with("/wait "));
        assert!(client.answer().text().starts_with(&format!("/{ms} ")));
    }
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    for byte in b"POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi" {
        client.send([*byte]);
    }
    assert_eq!(client.answer().json()["url"], "/slow");
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let head = client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")), "{head:?}");
    // The next answer begins at once: no body came in between.
    assert_eq!(client.send("GET /next HTTP/1.1\r\nHost: test\r\n\r\n").answer().json()["url"], "/next");
}

#[test]
fn http_1_0_closes_unless_it_asks_to_keep() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let answer = client.send("GET / HTTP/1.0\r\n\r\n").answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("keep-alive")));
    client.expect_close();

    let mut client = Client::connect(stead.port);
    for _ in 0..3 {
        let answer = client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("keep-alive")),
            "{answer:?}"
        );
        assert!(
            answer.header("content-length").is_some() && answer.header("transfer-encoding").is_none(),
            "{answer:?}"
        );
    }
}

#[test]
fn http_1_0_clients_never_get_chunks() {
    let _turn = beside();
    let stead = Stead::script(node("bodies.js")).instances(2).start();
    let mut client = Client::connect(stead.port);
    client.send("GET /bytes?n=5000&chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None), "{:?}", answer.headers);
    assert_eq!(answer.body.len(), 5000);
    client.expect_close();
}

#[test]
fn ab_which_speaks_http_1_0_loses_nothing() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).instances(2).start();
    let url = format!("http://127.0.0.1:{}/", stead.port);
    for options in [&["-k"][..], &[]] {
        let mut command = Command::new("ab");
        command.args(["-q", "-n", "3000", "-c", "20"]).args(options).arg(&url);
        let finished = Verb::start(&mut command).finish(Duration::from_secs(60));
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let number = |name: &str| {
            let line = finished.stdout.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().find_map(|word| word.parse::<u32>().ok()))
                .unwrap_or(0)
        };
        assert_eq!(
            (number("Complete requests:"), number("Failed requests:")),
            (3000, 0),
            "{}",
            finished.stdout
        );
        assert_eq!(number("Non-2xx responses:"), 0, "{}", finished.stdout);
        if !options.is_empty() {
            assert_eq!(number("Keep-Alive requests:"), 3000, "{}", finished.stdout);
        }
    }
}

#[test]
fn connection_close_closes() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let answer = client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
    client.expect_close();
}

#[test]
fn absolute_form_names_the_host() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let answer = client.send("GET http://shop.example/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n").answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["url"], "/a?b", "the program gets the origin form");
    assert_eq!(seen(&answer, "host"), ["shop.example"], "RFC 9112, 3.2.2: the target's host wins");
}

#[test]
fn options_with_an_asterisk_reaches_the_program() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let answer = client.send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").answer();
    assert_eq!((answer.status, &answer.json()["url"]), (200, &Value::from("*")));
    assert_eq!(client.send("GET * HTTP/1.1\r\nHost: test\r\n\r\n").answer().status, 400);
}

#[test]
fn every_method_a_server_knows_passes() {
    let _turn = beside();
    let stead = mirror();
    for method in ["PUT", "DELETE", "PATCH", "PURGE", "PROPFIND", "REPORT", "SEARCH"] {
        let answer =
            Client::connect(stead.port).send(format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n")).answer();
        assert_eq!((answer.status, &answer.json()["method"]), (200, &Value::from(method)));
    }
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let _turn = beside();
    let stead = Stead::script(node("bodies.js")).instances(2).start();
    let mut client = Client::connect(stead.port);
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.send("hello").answer().text(), "hello");
    // And who does not wait for it is answered too.
    client.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    let mut answer = client.answer();
    if answer.status == 100 {
        answer = client.answer();
    }
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
}

#[test]
fn hop_by_hop_headers_end_here_and_others_pass_untouched() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let answer = client
        .send(
            "GET / HTTP/1.1\r\nHost: test\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Connection: keep-alive\r\nTE: gzip\r\nX-Twice: a\r\nx-twice: b\r\nX-Empty:\r\nX-High: caf\u{e9}\r\n\
             Cookie: a=1\r\nAuthorization: Basic abc\r\n\r\n",
        )
        .answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    for gone in ["x-hop", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(seen(&answer, gone), Vec::<String>::new(), "{gone} is for one hop");
    }
    assert_eq!(seen(&answer, "x-twice"), ["a", "b"]);
    assert_eq!(seen(&answer, "x-empty"), [""]);
    assert_eq!(seen(&answer, "cookie"), ["a=1"]);
    assert_eq!(seen(&answer, "authorization"), ["Basic abc"]);
    assert_eq!(seen(&answer, "host"), ["test"]);
}

#[test]
fn forwarded_headers_tell_the_client_and_are_not_believed_from_outside() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let answer = client
        .send(
            "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: evil.example\r\nForwarded: for=6.6.6.6;proto=https\r\n\r\n",
        )
        .answer();
    assert_eq!(seen(&answer, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen(&answer, "x-forwarded-proto"), ["http"]);
    assert_eq!(seen(&answer, "x-forwarded-host"), ["shop.example"]);
    let forwarded = seen(&answer, "forwarded").join(", ");
    assert!(forwarded.contains("127.0.0.1") && !forwarded.contains("6.6.6.6"), "{forwarded}");
}

#[test]
fn forwarded_headers_are_extended_when_they_are_trusted() {
    let _turn = beside();
    let stead = Stead::script(node("mirror.js")).set("trust_forwarded", "true").start();
    let mut client = Client::connect(stead.port);
    client
        .send("GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n");
    let answer = client.answer();
    assert_eq!(seen(&answer, "x-forwarded-for").join(", "), "6.6.6.6, 127.0.0.1");
    assert_eq!(seen(&answer, "x-forwarded-proto"), ["https"]);
}

#[test]
fn an_upgrade_the_program_does_not_want_is_an_ordinary_request() {
    let _turn = beside();
    let stead = mirror();
    let mut client = Client::connect(stead.port);
    let answer = client
        .send("GET /plain HTTP/1.1\r\nHost: test\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
        .answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.send("GET /next HTTP/1.1\r\nHost: test\r\n\r\n").answer().json()["url"], "/next");
}

#[test]
fn address_and_port_of_the_client_are_true_inside_the_program() {
    let _turn = beside();
    let stead = mirror();
    for _ in 0..4 {
        let mut client = Client::connect(stead.port);
        let port = client.local_port();
        for _ in 0..2 {
            let answer = client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").answer().json();
            let address = answer["remote"]["address"].as_str().unwrap_or_default().to_owned();
            assert!(matches!(address.as_str(), "127.0.0.1" | "::ffff:127.0.0.1"), "{answer}");
            assert_eq!(answer["remote"]["port"], Value::from(port), "{answer}");
            assert_eq!(answer["server"]["port"], Value::from(stead.port), "{answer}");
        }
    }
}
