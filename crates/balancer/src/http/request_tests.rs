//! What accepted requests mean.

use super::{Body, HeaderSpace, Limits, Request, RequestMethodKind, parse_request};

const LIMITS: Limits =
    Limits { head_bytes_max: 16 * 1024, header_count_max: 100, target_bytes_max: 8 * 1024 };

/// `lines` make a request that means `expected`; every shorter beginning of it needs more bytes.
#[track_caller]
fn check(lines: &str, expected: &str) {
    let head = format!("{lines}\n\n").replace('\n', "\r\n");
    for end in 0..head.len() {
        let mut space = HeaderSpace::new();
        let result = parse_request(&head.as_bytes()[..end], &LIMITS, &mut space);
        assert!(matches!(result, Ok(None)), "the first {end} bytes of {lines:?}: {result:?}");
    }
    let with_more = format!("{head}\nrest\r\n\r\n");
    let mut space = HeaderSpace::new();
    let request = parse_request(with_more.as_bytes(), &LIMITS, &mut space).unwrap().unwrap();
    assert_eq!(request.head_bytes, head.len());
    assert_eq!(describe(&request), expected, "{lines:?}");
}

fn describe(request: &Request<'_, '_>) -> String {
    let mut words = vec![request.method.as_str().to_owned(), request.target.path().to_owned()];
    words.push(match request.host {
        Some(host) => format!("host={}", String::from_utf8_lossy(host)),
        None => "no-host".to_owned(),
    });
    match request.body {
        Body::None => (),
        Body::Length(length) => words.push(format!("length={length}")),
        Body::Chunked => words.push("chunked".to_owned()),
    }
    let flags = [
        (request.keep_alive, "keep-alive"),
        (request.upgrade, "upgrade"),
        (request.upgrade_websocket, "websocket"),
        (request.expect_continue, "expect-continue"),
        (request.idempotency_key, "idempotency-key"),
        (request.accepts_trailers, "trailers"),
        (request.kind() == RequestMethodKind::Head, "no-answer-body"),
    ];
    words.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| (*name).to_owned()));
    words.join(" ")
}

#[test]
fn plain_requests() {
    check("GET / HTTP/1.1\nHost: a", "GET / host=a keep-alive");
    check("HEAD /b?c HTTP/1.1\nhost:a:80", "HEAD /b host=a:80 keep-alive no-answer-body");
    check("M-SEARCH / HTTP/1.1\nHOST: \t a \t", "M-SEARCH / host=a keep-alive");
    check("GET / HTTP/1.1\nHost:", "GET / host= keep-alive");
    check("OPTIONS * HTTP/1.1\nHost: a", "OPTIONS * host=a keep-alive");
    check("\n\nGET / HTTP/1.1\nHost: a", "GET / host=a keep-alive");
    check("GET / HTTP/1.1\nHost: a\nEmpty:\nHigh: \u{e9}", "GET / host=a keep-alive");
}

#[test]
fn authority_of_the_target_counts_more_than_host() {
    check("GET http://b:81/c HTTP/1.1\nHost: a", "GET /c host=b:81 keep-alive");
    check("GET http://b HTTP/1.0", "GET / host=b");
}

#[test]
fn keep_alive_follows_the_version() {
    check("GET / HTTP/1.0", "GET / no-host");
    check("GET / HTTP/1.0\nConnection: Keep-Alive", "GET / no-host keep-alive");
    check("GET / HTTP/1.0\nConnection: keep-alive, close", "GET / no-host");
    check("GET / HTTP/1.1\nHost: a\nConnection: close", "GET / host=a");
    check("GET / HTTP/1.1\nHost: a\nConnection: x\nConnection: CLOSE", "GET / host=a");
}

#[test]
fn bodies() {
    check("POST / HTTP/1.1\nHost: a\nContent-Length: 0", "POST / host=a length=0 keep-alive");
    check("GET / HTTP/1.1\nHost: a\nContent-Length: 010", "GET / host=a length=10 keep-alive");
    check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked", "POST / host=a chunked keep-alive");
    check("POST / HTTP/1.0\nContent-Length: 5", "POST / no-host length=5");
    // Programs that read headers as variables would see a length here; it is dropped on the way.
    check("POST / HTTP/1.1\nHost: a\nContent_Length: 5", "POST / host=a keep-alive");
}

#[test]
fn upgrade_is_offered_only_where_it_is_safe() {
    let accepted = "GET / host=a keep-alive upgrade websocket";
    check("GET / HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket", accepted);
    check("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: mqtt/1", "GET / host=a keep-alive upgrade");
    for lines in [
        "GET / HTTP/1.1\nHost: a\nUpgrade: websocket",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade:",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket, H2C",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: TLS/1.0",
    ] {
        check(lines, "GET / host=a keep-alive");
    }
    check("GET / HTTP/1.0\nConnection: upgrade, keep-alive\nUpgrade: websocket", "GET / no-host keep-alive");
    check(
        "POST / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\nContent-Length: 3",
        "POST / host=a length=3 keep-alive",
    );
    check(
        "HEAD / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket",
        "HEAD / host=a keep-alive no-answer-body",
    );
}

#[test]
fn expectations_keys_and_trailers() {
    check(
        "POST / HTTP/1.1\nHost: a\nContent-Length: 1\nExpect: 100-Continue",
        "POST / host=a length=1 keep-alive expect-continue",
    );
    check("POST / HTTP/1.0\nContent-Length: 1\nExpect: 100-continue", "POST / no-host length=1");
    check("POST / HTTP/1.1\nHost: a\nIdempotency-Key: x", "POST / host=a keep-alive idempotency-key");
    check("POST / HTTP/1.1\nHost: a\nIdempotency-Key:", "POST / host=a keep-alive");
    check("GET / HTTP/1.1\nHost: a\nTE: gzip;q=0.5, trailers", "GET / host=a keep-alive trailers");
}
