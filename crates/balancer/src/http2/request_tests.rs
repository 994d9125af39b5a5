//! Requests of HTTP/2 and what they are in HTTP/1.1.

use super::*;

/// A request of this method, address and fields, translated: its head in lines, and what follows.
fn translated(
    method: &str,
    uri: &str,
    fields: &[(&str, &str)],
    ended: bool,
) -> Result<(Vec<String>, Content), Malformed> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = match *name {
            ":protocol" => request.extension(Protocol::from(*value)),
            name => request.header(name, *value),
        };
    }
    let request = request.body(()).expect("http can hold it");
    let translated = translate(&request, ended, || "nonce".to_owned())?;
    let head = String::from_utf8(translated.head).expect("what is asked for is text");
    let lines = head.strip_suffix("\r\n\r\n").expect("it ends with an empty line");
    Ok((lines.split("\r\n").map(str::to_owned).collect(), translated.content))
}

#[track_caller]
fn check(line: &str, fields: &[(&str, &str)], ended: bool, expected: (&[&str], Content)) {
    let (method, uri) = line.split_once(' ').expect("a method and an address");
    let got = translated(method, uri, fields, ended).expect("it is well-formed");
    assert_eq!((got.0.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), got.1), expected);
}

#[track_caller]
fn check_malformed(uri: &str, fields: &[(&str, &str)], ended: bool, expected: Malformed) {
    assert_eq!(translated("POST", uri, fields, ended), Err(expected), "{uri} {fields:?}");
}

#[test]
fn request_is_the_same_in_both_versions() {
    let get = ["GET /a?b HTTP/1.1", "host: a.example", "x: y"];
    check("GET http://a.example/a?b", &[("x", "y")], true, (&get, Content::None));
    check("GET /a?b", &[("host", "a.example"), ("x", "y")], true, (&get, Content::None));
    check(
        "GET http://A.example/",
        &[("host", "a.Example")],
        true,
        (&["GET / HTTP/1.1", "host: A.example"], Content::None),
    );
    check("OPTIONS *", &[("host", "a")], true, (&["OPTIONS * HTTP/1.1", "host: a"], Content::None));
    // Who names no host is refused by the engine, with a reason.
    check("GET /", &[], true, (&["GET / HTTP/1.1"], Content::None));
}

#[test]
fn cookies_become_one_field() {
    let lines = ["GET / HTTP/1.1", "host: a", "b: c", "cookie: d=1; e=2; f=3"];
    let fields = [("cookie", "d=1"), ("b", "c"), ("cookie", "e=2; f=3")];
    check("GET http://a/", &fields, true, (&lines, Content::None));
}

#[test]
fn body_is_framed_as_its_sender_says() {
    let (line, host) = ("POST / HTTP/1.1", "host: a");
    let chunked = "transfer-encoding: chunked";
    check("POST http://a/", &[], true, (&[line, host], Content::None));
    check(
        "POST http://a/",
        &[("content-length", "0")],
        true,
        (&[line, host, "content-length: 0"], Content::None),
    );
    check(
        "POST http://a/",
        &[("content-length", "5")],
        false,
        (&[line, host, "content-length: 5"], Content::Plain),
    );
    check("POST http://a/", &[], false, (&[line, host, chunked], Content::Chunked));
    check(
        "POST http://a/",
        &[("te", "trailers")],
        false,
        (&[line, host, "te: trailers", chunked], Content::Chunked),
    );
    // Trailers are announced: they need chunks.
    let fields = [("content-length", "5"), ("trailer", "x")];
    check("POST http://a/", &fields, false, (&[line, host, "trailer: x", chunked], Content::Chunked));
    let waits = [("content-length", "5"), ("expect", "100-continue")];
    check(
        "POST http://a/",
        &waits,
        false,
        (&[line, host, "content-length: 5", "expect: 100-continue"], Content::Plain),
    );
    check("POST http://a/", &[("expect", "100-continue")], true, (&[line, host], Content::None));
}

#[test]
fn websocket_is_asked_for_as_in_http_1_1() {
    let lines = [
        "GET /chat HTTP/1.1",
        "host: a",
        "sec-websocket-version: 13",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-key: nonce",
    ];
    let fields =
        [(":protocol", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "theirs")];
    check("CONNECT http://a/chat", &fields, false, (&lines, Content::Tunnel));
    // The engine refuses other tunnels.
    let other = translated("CONNECT", "http://a/chat", &[(":protocol", "connect-udp")], false);
    assert_eq!(other.expect("the engine answers").0[0], "CONNECT a HTTP/1.1");
}

#[test]
fn what_could_be_read_in_two_ways_is_malformed() {
    use Malformed::{Authority, ConnectionField, ContentLength, Path, Value};
    check_malformed("http://a/", &[("host", "b")], true, Authority);
    check_malformed("http://a/", &[("host", "a"), ("host", "b")], true, Authority);
    check_malformed("a", &[], true, Path);
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        check_malformed("http://a/", &[(name, "x")], true, ConnectionField);
    }
    for value in [" x", "x ", "\tx", "x\t"] {
        check_malformed("http://a/", &[("x", value)], true, Value);
        check_malformed("/", &[("host", value)], true, Value);
        check_malformed("http://a/", &[("cookie", "a=b"), ("cookie", value)], true, Value);
    }
    for length in ["", "+1", "-1", "1,1", "0x1", "1.0"] {
        check_malformed("http://a/", &[("content-length", length)], false, ContentLength);
    }
    check_malformed("http://a/", &[("content-length", "1")], true, ContentLength);
    check_malformed("http://a/", &[("content-length", "1"), ("content-length", "1")], false, ContentLength);
}

#[test]
fn trailers_are_lines_without_blanks_around() {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", HeaderValue::from_static("0"));
    assert_eq!(trailers(&fields).expect("it is well-formed"), b"grpc-status: 0\r\n");
    fields.insert("x", HeaderValue::from_static(" y"));
    assert_eq!(trailers(&fields), Err(Malformed::Value));
}
