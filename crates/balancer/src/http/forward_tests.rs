//! What the worker gets to read.

use super::{ClientText, Forward, HeaderSpace, Limits, Scheme, parse_request};

const LIMITS: Limits =
    Limits { head_bytes_max: 16 * 1024, header_count_max: 100, target_bytes_max: 8 * 1024 };
const CLIENT: &str = "192.0.2.1:5678";

fn forward(head: &str, change: impl FnOnce(&mut Forward<'_>)) -> String {
    let head = format!("{head}\n\n").replace('\n', "\r\n");
    let client = ClientText::new(CLIENT.parse().unwrap());
    let mut context = Forward {
        client: Some(&client),
        scheme: Scheme::Http,
        certificate: &[],
        trust: false,
        request_id: None,
        traceparent: None,
        close: false,
    };
    change(&mut context);
    let mut space = HeaderSpace::new();
    let request = parse_request(head.as_bytes(), &LIMITS, &mut space).unwrap().unwrap();
    let mut out = Vec::new();
    request.write_forward(&context, &mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "\n")
}

/// `head` becomes `expected`, followed by what is said about the client of host `a`.
#[track_caller]
fn check(head: &str, expected: &str) {
    let about_client = "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\n\
                        Forwarded: for=\"192.0.2.1:5678\";host=\"a\";proto=http";
    assert_eq!(forward(head, |_| ()), format!("{expected}\n{about_client}"), "{head:?}");
}

/// With `change`, the lines that begin like one of `names` are `expected`.
#[track_caller]
fn check_lines(head: &str, change: impl FnOnce(&mut Forward<'_>), expected: &[&str]) {
    let text = forward(head, change);
    let lines: Vec<&str> =
        text.lines().filter(|line| line.to_ascii_lowercase().contains("forwarded")).collect();
    assert_eq!(lines, expected, "{head:?}");
}

#[test]
fn what_is_nobodys_business_passes_byte_for_byte() {
    check(
        "GET /a%2Fb?c=%20 HTTP/1.1\nhOst: a\naCCept: */*\nCookie: a=b;  c\nX: 1\nX: 2\nEmpty:",
        "GET /a%2Fb?c=%20 HTTP/1.1\nHost: a\naCCept: */*\nCookie: a=b;  c\nX: 1\nX: 2\nEmpty: ",
    );
    check(
        "GET / HTTP/1.1\nHost: a\nProxy-Authorization: b",
        "GET / HTTP/1.1\nHost: a\nProxy-Authorization: b",
    );
}

#[test]
fn fields_of_this_hop_go() {
    check(
        "GET / HTTP/1.1\nHost: a\nConnection: keep-alive, X-One, close\nKeep-Alive: timeout=5\nx-one: 1\nX-Two: 2\n\
         Proxy-Connection: keep-alive\nTE: gzip\nUpgrade: websocket\nHTTP2-Settings: x\nProxy: evil",
        "GET / HTTP/1.1\nHost: a\nX-Two: 2",
    );
}

#[test]
fn connection_cannot_name_away_what_matters() {
    check(
        "POST / HTTP/1.1\nHost: a\nConnection: Host, Content-Length, Expect, X-Forwarded-For, Forwarded\n\
         Content-Length: 3\nExpect: 100-continue",
        "POST / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 3",
    );
}

#[test]
fn framing_is_written_once() {
    check(
        "POST / HTTP/1.1\nHost: a\ncontent-length: 007\nB: c",
        "POST / HTTP/1.1\nHost: a\nB: c\nContent-Length: 7",
    );
    check(
        "POST / HTTP/1.1\nHost: a\nTRANSFER-ENCODING: CHUNKED\nTrailer: X-Sum",
        "POST / HTTP/1.1\nHost: a\nTrailer: X-Sum\nTransfer-Encoding: chunked",
    );
    check(
        "POST / HTTP/1.1\nHost: a\nContent_Length: 7\nTransfer_Encoding: chunked",
        "POST / HTTP/1.1\nHost: a",
    );
}

#[test]
fn http_1_0_becomes_1_1() {
    check(
        "POST / HTTP/1.0\nHost: a\nContent-Length: 1\nExpect: 100-continue\nConnection: keep-alive",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 1",
    );
    assert!(forward("GET / HTTP/1.0", |_| ()).starts_with("GET / HTTP/1.1\nHost: \nX-Forwarded-For:"));
}

#[test]
fn absolute_target_becomes_origin_form_and_host() {
    check("GET http://a?b HTTP/1.1\nHost: other", "GET /?b HTTP/1.1\nHost: a");
}

#[test]
fn upgrade_is_passed_on() {
    check(
        "GET / HTTP/1.1\nHost: a\nConnection: Upgrade, x\nUpgrade: websocket\nX: y\nSec-WebSocket-Key: k",
        "GET / HTTP/1.1\nHost: a\nUpgrade: websocket\nSec-WebSocket-Key: k\nConnection: Upgrade",
    );
    check("GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: h2c", "GET / HTTP/1.1\nHost: a");
}

#[test]
fn trailers_are_asked_for_and_close_is_said() {
    check(
        "GET / HTTP/1.1\nHost: a\nTE: trailers, gzip\nConnection: TE",
        "GET / HTTP/1.1\nHost: a\nConnection: TE\nTE: trailers",
    );
    let text = forward("GET / HTTP/1.1\nHost: a", |context| context.close = true);
    assert!(text.contains("\nConnection: close\n"));
}

const FORGED: &str = "GET / HTTP/1.1\nHost: a\nForwarded: for=\"1.1.1.1\"\nX-Forwarded-For: 1.1.1.1\nx-forwarded-for: 2.2.2.2\n\
                      X-Forwarded-Proto: https\nX-Forwarded-Host: evil\nX-Forwarded-Port: 1\nX_Forwarded_For: 3.3.3.3\n\
                      X-Forwarded_Proto: x\nX-Real-IP: 1.1.1.1";

#[test]
fn client_cannot_forge_who_it_is() {
    let expected = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: a",
        "Forwarded: for=\"192.0.2.1:5678\";host=\"a\";proto=http",
    ];
    check_lines(FORGED, |_| (), &expected);
    assert!(!forward(FORGED, |_| ()).contains("X-Real-IP"));
}

#[test]
fn trusted_proxy_is_believed_and_appended_to() {
    let expected = [
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Port: 1",
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.1",
        "Forwarded: for=\"1.1.1.1\", for=\"192.0.2.1:5678\";host=\"a\";proto=http",
    ];
    check_lines(FORGED, |context| context.trust = true, &expected);
    let expected = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: a",
        "Forwarded: for=\"192.0.2.1:5678\";host=\"a\";proto=https",
    ];
    let change = |context: &mut Forward<'_>| (context.trust, context.scheme) = (true, Scheme::Https);
    check_lines("GET / HTTP/1.1\nHost: a\nForwarded:", change, &expected);
}

#[test]
fn client_without_an_address() {
    let nothing_known =
        ["X-Forwarded-Proto: http", "X-Forwarded-Host: a", "Forwarded: host=\"a\";proto=http"];
    check_lines("GET / HTTP/1.1\nHost: a", |context| context.client = None, &nothing_known);
    let from_proxy = [
        "X-Forwarded-For: 1.1.1.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: a",
        "Forwarded: for=1.1.1.1",
    ];
    let change = |context: &mut Forward<'_>| (context.trust, context.client) = (true, None);
    check_lines(
        "GET / HTTP/1.1\nHost: a\nForwarded: for=1.1.1.1\nX-Forwarded-For: 1.1.1.1",
        change,
        &from_proxy,
    );
}

#[test]
fn addresses_are_written_as_rfc_7239_says() {
    for (address, forwarded, alone) in [
        ("[2001:db8::1]:4711", "for=\"[2001:db8::1]:4711\"", "X-Forwarded-For: 2001:db8::1"),
        ("[::ffff:192.0.2.9]:1", "for=\"192.0.2.9:1\"", "X-Forwarded-For: 192.0.2.9"),
    ] {
        let client = ClientText::new(address.parse().unwrap());
        let mut space = HeaderSpace::new();
        let request = parse_request(b"GET / HTTP/1.0\r\n\r\n", &LIMITS, &mut space).unwrap().unwrap();
        let context = Forward {
            client: Some(&client),
            scheme: Scheme::Http,
            certificate: &[],
            trust: false,
            request_id: None,
            traceparent: None,
            close: false,
        };
        let mut out = Vec::new();
        request.write_forward(&context, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&format!("{alone}\r\n")), "{text}");
        assert!(text.contains(&format!("Forwarded: {forwarded};proto=http\r\n")), "{text}");
    }
}

#[test]
fn client_certificate_is_what_stead_says_it_is() {
    let head = "GET / HTTP/1.1\nHost: a\nClient-Cert: :AA==:\nX_Client_Cert_Subject: CN=x\nClient-Cert-Chain: :AA==:";
    let about = |change: &dyn Fn(&mut Forward<'_>)| {
        let text = forward(head, change);
        text.lines().filter(|line| line.to_ascii_lowercase().contains("cert")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(about(&|_| ()), "");
    let own = b"Client-Cert: :BB==:\r\n";
    assert_eq!(about(&|context| context.certificate = own), "Client-Cert: :BB==:");
    assert_eq!(about(&|context| context.trust = true), "Client-Cert: :AA==:\nClient-Cert-Chain: :AA==:");
    let both = |context: &mut Forward<'_>| (context.trust, context.certificate) = (true, own);
    assert_eq!(about(&both), "Client-Cert: :BB==:");
}

#[test]
fn last_proxy_in_front_says_who_the_client_is() {
    let check = |fields: &str, expected: Option<&str>| {
        let head = format!("GET / HTTP/1.1\nHost: a{fields}\n\n").replace('\n', "\r\n");
        let mut space = HeaderSpace::new();
        let request = parse_request(head.as_bytes(), &LIMITS, &mut space).unwrap().unwrap();
        assert_eq!(
            request.forwarded_for().map(|client| client.to_string()).as_deref(),
            expected,
            "{fields:?}"
        );
    };
    check("", None);
    check("\nX-Forwarded-For: 192.0.2.1", Some("192.0.2.1"));
    check("\nX-Forwarded-For: 203.0.113.9,192.0.2.1 ", Some("192.0.2.1"));
    check("\nX-Forwarded-For: 203.0.113.9\nX-Forwarded-For: 2001:db8::1", Some("2001:db8::1"));
    check("\nX-Forwarded-For: 192.0.2.1, unknown", None);
    check("\nX-Forwarded-For: ", None);
    check("\nX_Forwarded_For: 192.0.2.1", None);
}

#[test]
fn client_is_sent_elsewhere_with_path_and_query() {
    let check = |target: &str, expected: &str| {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut space = HeaderSpace::new();
        let request = parse_request(head.as_bytes(), &LIMITS, &mut space).unwrap().unwrap();
        let mut out = Vec::new();
        request.write_location_behind("https://b", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{target}");
    };
    check("/a?b=c", "https://b/a?b=c");
    check("//c/d", "https://b//c/d");
    check("http://a?b", "https://b/?b");
    check("*", "https://b/*");
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// With `change`, the lines that name the request or its time are `expected`.
#[track_caller]
fn check_names(head: &str, change: impl FnOnce(&mut Forward<'_>), expected: &[&str]) {
    let text = forward(head, change);
    let is_name = |line: &&str| {
        ["x-request-", "trace", "x_request"].iter().any(|name| line.to_ascii_lowercase().starts_with(name))
    };
    assert_eq!(text.lines().filter(is_name).collect::<Vec<_>>(), expected, "{head:?}");
}

#[test]
fn request_id_is_ours_where_there_is_one_and_like_any_field_where_not() {
    let head = "GET / HTTP/1.1\nHost: a\nx-request-id: theirs\nX-Request-Id: again\nX_Request_Id: sly";
    check_names(head, |_| (), &["x-request-id: theirs", "X-Request-Id: again"]);
    check_names(head, |context| context.request_id = Some("ours"), &["X-Request-Id: ours"]);
}

#[test]
fn trace_goes_on_or_begins() {
    let start = |context: &mut Forward<'_>| context.traceparent = Some("started");
    let traced = format!("GET / HTTP/1.1\nHost: a\ntraceparent: {TRACE}\ntracestate: a=b\nTracestate: c=d");
    let passed = [&format!("traceparent: {TRACE}"), "tracestate: a=b", "Tracestate: c=d"];
    check_names(&traced, |_| (), &passed);
    check_names(&traced, start, &passed);
    for untraced in [
        "GET / HTTP/1.1\nHost: a\ntraceparent: 00-malformed\ntracestate: a=b".to_owned(),
        format!("GET / HTTP/1.1\nHost: a\ntraceparent: {TRACE}\ntraceparent: {TRACE}"),
        "GET / HTTP/1.1\nHost: a\ntracestate: a=b".to_owned(),
    ] {
        check_names(&untraced, |_| (), &[]);
        check_names(&untraced, start, &["traceparent: started"]);
    }
}

#[test]
fn room_for_the_time_is_there_if_the_client_gave_one() {
    check_names(
        "GET / HTTP/1.1\nHost: a\nx-request-timeout: 5",
        |_| (),
        &["X-Request-Timeout:              "],
    );
    for other in ["X-Request-Timeout: soon", "X-Request-Timeout: 5\nX-Request-Timeout: 6"] {
        check_names(&format!("GET / HTTP/1.1\nHost: a\n{other}"), |_| (), &[]);
    }
}
