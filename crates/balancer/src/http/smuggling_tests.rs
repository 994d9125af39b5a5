//! Requests that two programs could read differently, and must therefore be refused.

use super::{HeaderSpace, Limits, Reject, parse_request};

const LIMITS: Limits =
    Limits { head_bytes_max: 16 * 1024, header_count_max: 100, target_bytes_max: 8 * 1024 };

/// `head` is refused because of `expected`.
#[track_caller]
fn check(head: impl AsRef<[u8]>, expected: Reject) {
    check_within(&LIMITS, head.as_ref(), expected);
}

#[track_caller]
fn check_within(limits: &Limits, head: &[u8], expected: Reject) {
    let mut space = HeaderSpace::new();
    match parse_request(head, limits, &mut space) {
        Err(reject) => assert_eq!(reject, expected, "{}", head.escape_ascii()),
        Ok(request) => panic!("{} was accepted: {request:?}", head.escape_ascii()),
    }
}

/// A complete request whose header section has `fields` behind a good `Host`.
fn with(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

#[test]
fn two_framings_are_refused() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "transfer-encoding: chunked\r\ncontent-length: 0",
    ] {
        check(with(fields), Reject::LengthAndEncoding);
    }
    check(
        "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        Reject::LengthAndEncoding,
    );
}

#[test]
fn transfer_encoding_is_exactly_one_chunked() {
    for value in ["", "chunked, chunked", "chunked,", ",chunked", "chunked,\tchunked"] {
        check(with(&format!("Transfer-Encoding: {value}")), Reject::TransferEncoding);
    }
    check(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), Reject::TransferEncoding);
    check(with("Transfer-Encoding: chunked\r\nTransfer-Encoding:"), Reject::TransferEncoding);
    let unknown = [
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "'chunked'",
        "chunked;q=1",
        "chunked identity",
        "chun ked",
        "cow",
    ];
    for value in unknown {
        check(with(&format!("Transfer-Encoding: {value}")), Reject::TransferCoding);
    }
    // Control characters that some programs trim.
    for byte in ["\x0b", "\x0c", "\x00", "\x7f"] {
        check(with(&format!("Transfer-Encoding: {byte}chunked")), Reject::HeaderValue);
        check(with(&format!("Transfer-Encoding: chunked{byte}")), Reject::HeaderValue);
    }
    check(with("Transfer-Encoding: \u{a0}chunked"), Reject::TransferCoding);
}

#[test]
fn transfer_encoding_in_http_1_0_is_refused() {
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Reject::TransferEncodingInHttp10);
}

#[test]
fn content_length_is_one_plain_number() {
    for fields in ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\ncontent-length: 6"] {
        check(with(fields), Reject::ContentLengthRepeated);
    }
    let values = [
        "",
        "+5",
        "-5",
        "5,5",
        "5, 5",
        "5 5",
        "0x5",
        "5;",
        "5.0",
        "1e1",
        "five",
        "18446744073709551616",
        "\"5\"",
        "99999999999999999999999",
        "\u{ff15}",
        "5_0",
    ];
    for value in values {
        check(with(&format!("Content-Length: {value}")), Reject::ContentLength);
    }
}

#[test]
fn every_line_ends_with_cr_lf() {
    for head in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nB: c\nD: e\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nB: c\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        check(head, Reject::LineEnd);
    }
}

#[test]
fn bare_cr_is_refused() {
    check(with("A: b\rC: d"), Reject::HeaderValue);
    check(with("A: b\r\r"), Reject::HeaderValue);
    check(with("A:\rb"), Reject::HeaderValue);
    check(with("A\rB: c"), Reject::HeaderName);
    check(with("\rA: c"), Reject::LineEnd);
    check("GET / HTTP/1.1\rHost: a\r\n\r\n", Reject::LineEnd);
    check("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", Reject::RequestLine);
}

#[test]
fn header_names_are_tokens_at_the_beginning_of_a_line() {
    for field in [
        "Content-Length : 5",
        "Content-Length\t: 5",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A b: c",
        "A(: b",
        "A\x00: b",
        "A\x7f: b",
        "\u{e9}: b",
        "A\u{e9}: b",
        "A: b\r\n folded",
        "A: b\r\n\tfolded",
        "A:\r\n b",
        "\"A\": b",
        "A\x0b: b",
    ] {
        check(with(field), Reject::HeaderName);
    }
    check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Reject::HeaderName);
}

/// httparse looks at many bytes at once; each byte is tried at each place of such a block.
#[test]
fn forbidden_bytes_are_found_wherever_they_stand() {
    for at in 0..70 {
        for byte in (0..=255_u8).filter(|byte| !matches!(byte, b'\n' | b'\r')) {
            let padding = "x".repeat(at);
            let head = |before: &str, after: &str| {
                let mut head = format!("GET / HTTP/1.1\r\nHost: a\r\n{before}{padding}").into_bytes();
                head.push(byte);
                head.extend_from_slice(format!("{padding}{after}\r\n\r\n").as_bytes());
                head
            };
            if byte < b' ' && byte != b'\t' || byte == 0x7f {
                check(head("A: ", ""), Reject::HeaderValue);
            }
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if !token && byte != b':' {
                check(head("A", ": b"), Reject::HeaderName);
            }
            if byte <= b' ' || byte >= 0x7f {
                let mut head = format!("GET /{padding}").into_bytes();
                head.push(byte);
                head.extend_from_slice(b"x HTTP/1.1\r\nHost: a\r\n\r\n");
                let mut space = HeaderSpace::new();
                assert!(parse_request(&head, &LIMITS, &mut space).is_err(), "{}", head.escape_ascii());
            }
        }
    }
}

#[test]
fn http_1_1_has_one_valid_host() {
    check("GET / HTTP/1.1\r\n\r\n", Reject::HostMissing);
    check("GET / HTTP/1.1\r\nHosts: a\r\n\r\n", Reject::HostMissing);
    check("GET http://a/ HTTP/1.1\r\n\r\n", Reject::HostMissing);
    check(with("Host: a"), Reject::HostRepeated);
    check(with("hOST: b"), Reject::HostRepeated);
    check("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Reject::HostRepeated);
    for host in ["a b", "a,b", "a/b", "u@a", "a\tb", "a\"b", "a:x", "[::1", "a\\b", "\u{e9}"] {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Reject::HostInvalid);
    }
}

#[test]
fn request_line_is_strict() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET",
        "GET /",
        "GET / HTTP/x.1",
        "GET / http/1.1",
        "GET / HTTP/1.1a",
        "GET / HTTP",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / HTTPS/1.1",
        "GET / ICAP/1.0",
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        let mut space = HeaderSpace::new();
        let result = parse_request(head.as_bytes(), &LIMITS, &mut space);
        assert!(matches!(result, Err(Reject::RequestLine | Reject::LineEnd)), "{line}: {result:?}");
    }
    check("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target);
    check("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target);
    check("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Reject::Target);
    check("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Reject::Connect);
}

#[test]
fn other_versions_and_protocols_are_told_apart() {
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reject::Http2);
    check("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Reject::Version);
    check("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Reject::Version);
    check("GET / HTTP/0.9\r\n\r\n", Reject::Version);
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", Reject::NotHttp);
    check(b"\x80", Reject::NotHttp);
}

/// What can never become a request is refused before its head is whole.
#[test]
fn hopeless_beginnings_are_refused_early() {
    check("GET / HTTP/2.0\r\n", Reject::Version);
    check("GET /\r\n", Reject::RequestLine);
    check("HELO(", Reject::RequestLine);
    check("\r\n\r\n\r\n", Reject::EmptyLines);
    check("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::EmptyLines);
    check(with(&format!("Connection: {}", "a,".repeat(33))), Reject::ConnectionOptions);
}

#[test]
fn limits_hold_exactly() {
    let head = "GET /abcdef HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";
    let fits = Limits { head_bytes_max: head.len(), header_count_max: 2, target_bytes_max: 7 };
    let mut space = HeaderSpace::new();
    assert!(parse_request(head.as_bytes(), &fits, &mut space).is_ok_and(|request| request.is_some()));
    let smaller = Limits { head_bytes_max: head.len() - 1, ..fits };
    check_within(&smaller, head.as_bytes(), Reject::HeadTooLarge);
    check_within(&Limits { header_count_max: 1, ..fits }, head.as_bytes(), Reject::TooManyHeaders);
    check_within(&Limits { target_bytes_max: 6, ..fits }, head.as_bytes(), Reject::TargetTooLong);
    // Before the end of the head, and of the line, has come.
    check_within(&fits, &[b'A'; 100], Reject::HeadTooLarge);
    check_within(&fits, b"GET /abcdefg", Reject::TargetTooLong);
    let many = Limits { head_bytes_max: 1 << 20, header_count_max: 1_000, target_bytes_max: 7 };
    check_within(
        &many,
        with(&"A: b\r\n".repeat(200)).replacen("\r\n\r\n\r\n", "\r\n\r\n", 1).as_bytes(),
        Reject::TooManyHeaders,
    );
}
