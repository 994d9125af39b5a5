//! Workers' responses: what they mean, and what the client gets to read.

use std::time::Duration;

use super::{
    BadResponse, Downstream, Framing, HeaderSpace, Limits, RequestMethodKind, Response, ResponseBody,
    Version, parse_response,
};

const LIMITS: Limits = Limits { head_bytes_max: 16 * 1024, header_count_max: 100, target_bytes_max: 0 };

fn parse<T>(
    head: &[u8],
    kind: RequestMethodKind,
    then: impl FnOnce(Result<Option<Response<'_, '_>>, BadResponse>) -> T,
) -> T {
    let mut space = HeaderSpace::new();
    then(parse_response(head, &LIMITS, kind, &mut space))
}

/// `lines` answer a request of `kind` with such a body, on a connection that can be used again or not.
#[track_caller]
fn check(lines: &str, kind: RequestMethodKind, body: ResponseBody, keep_alive: bool) {
    let head = format!("{lines}\n\n").replace('\n', "\r\n");
    for end in 0..head.len() {
        parse(&head.as_bytes()[..end], kind, |result| {
            assert!(matches!(result, Ok(None)), "{lines:?} cut at {end}");
        });
    }
    let with_more = format!("{head}rest\r\n\r\n");
    parse(with_more.as_bytes(), kind, |result| {
        let response = result.unwrap().unwrap();
        assert_eq!(response.head_bytes, head.len());
        assert_eq!((response.body, response.keep_alive), (body, keep_alive), "{lines:?}");
    });
}

#[track_caller]
fn check_refused(head: &str, expected: BadResponse) {
    for kind in [RequestMethodKind::Other, RequestMethodKind::Head] {
        parse(head.as_bytes(), kind, |result| assert_eq!(result.unwrap_err(), expected, "{head:?}"));
    }
}

const GET: RequestMethodKind = RequestMethodKind::Other;
const HEAD: RequestMethodKind = RequestMethodKind::Head;

#[test]
fn body_is_framed_as_rfc_9112_says() {
    check("HTTP/1.1 200 OK\nContent-Length: 5", GET, ResponseBody::Length(5), true);
    check("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5", GET, ResponseBody::Length(5), true);
    check("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", GET, ResponseBody::Chunked, true);
    check("HTTP/1.1 200 OK", GET, ResponseBody::UntilClose, false);
    check("HTTP/1.1 404\nContent-Length: 0", GET, ResponseBody::Length(0), true);
    check("HTTP/1.1 204 No Content", GET, ResponseBody::None, true);
    check("HTTP/1.1 304 Not Modified\nContent-Length: 5", GET, ResponseBody::None, true);
    check("HTTP/1.1 200 OK\nContent-Length: 5", HEAD, ResponseBody::None, true);
    check("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", HEAD, ResponseBody::None, true);
    check("HTTP/1.1 200 OK", HEAD, ResponseBody::None, true);
    check("HTTP/1.1 100 Continue", GET, ResponseBody::None, true);
    check("HTTP/1.1 103 Early Hints\nLink: a", GET, ResponseBody::None, true);
}

#[test]
fn connection_is_kept_only_when_nothing_is_in_doubt() {
    check("HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close", GET, ResponseBody::Length(5), false);
    check("HTTP/1.0 200 OK\nContent-Length: 5", GET, ResponseBody::Length(5), false);
    check("HTTP/1.0 200 OK\nContent-Length: 5\nConnection: keep-alive", GET, ResponseBody::Length(5), true);
    check("HTTP/1.1 200 OK\nConnection: keep-alive", GET, ResponseBody::UntilClose, false);
    check("HTTP/1.1 204 No Content\nContent-Length: 0", GET, ResponseBody::None, true);
    check("HTTP/1.1 204 No Content\nContent-Length: 5", GET, ResponseBody::None, false);
    check("HTTP/1.1 204 No Content\nTransfer-Encoding: chunked", GET, ResponseBody::None, false);
    // Bare LF is forgiven once.
    parse(b"HTTP/1.1 200 OK\nContent-Length: 5\n\n", GET, |result| {
        let response = result.unwrap().unwrap();
        assert_eq!(
            (response.body, response.keep_alive, response.reason),
            (ResponseBody::Length(5), false, &b"OK"[..])
        );
    });
}

#[test]
fn doubtful_responses_are_refused() {
    for (head, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            BadResponse::LengthAndEncoding,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", BadResponse::ContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", BadResponse::ContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", BadResponse::ContentLength),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", BadResponse::TransferEncoding),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", BadResponse::TransferEncoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", BadResponse::TransferEncoding),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", BadResponse::UnaskedUpgrade),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", BadResponse::Header),
        ("HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", BadResponse::Header),
        ("HTTP/1.1 200 OK\r\nA\r\n\r\n", BadResponse::Header),
        ("HTTP/2.0 200 OK\r\n\r\n", BadResponse::Version),
        ("HTTP/1.1 099 OK\r\n\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", BadResponse::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", BadResponse::StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", BadResponse::StatusLine),
        ("hello", BadResponse::StatusLine),
        ("HELLO", BadResponse::Version),
    ] {
        check_refused(head, expected);
    }
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(LIMITS.head_bytes_max));
    check_refused(&long, BadResponse::HeadTooLarge);
    check_refused(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101)), BadResponse::TooManyHeaders);
}

#[test]
fn keep_alive_timeout_is_read() {
    for (value, expected) in [
        ("timeout=5", Some(5)),
        ("max=3, TIMEOUT=72", Some(72)),
        ("timeout=x", None),
        ("timeout=", None),
        ("x", None),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: {value}\r\n\r\n");
        parse(head.as_bytes(), GET, |result| {
            let timeout = result.unwrap().unwrap().keep_alive_timeout;
            assert_eq!(timeout, expected.map(Duration::from_secs), "{value}");
        });
    }
}

fn downstream(lines: &str, kind: RequestMethodKind, context: Downstream) -> String {
    let head = format!("{lines}\n\n").replace('\n', "\r\n");
    let mut out = Vec::new();
    parse(head.as_bytes(), kind, |result| result.unwrap().unwrap().write_downstream(&context, &mut out));
    String::from_utf8(out).unwrap().strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "\n")
}

const KEEP: Downstream = Downstream { client: Version::Http11, keep_alive: true, framing: Framing::None };

#[test]
fn client_gets_the_head_without_fields_of_the_workers_hop() {
    let lines = "HTTP/1.0 299 Caf\u{e9}  au lait\nserver: x\nSet-Cookie: a=b\nSet-Cookie: c=d\nConnection: keep-alive, X-Hop\n\
                 X-Hop: 1\nKeep-Alive: timeout=5\nUpgrade: h2c\nContent-Length: 05\nEmpty:";
    let kept = "HTTP/1.1 299 Caf\u{e9}  au lait\nserver: x\nSet-Cookie: a=b\nSet-Cookie: c=d\nEmpty: ";
    for (context, added) in [
        (Downstream { framing: Framing::Length(5), ..KEEP }, "Content-Length: 5"),
        (Downstream { framing: Framing::Chunked, ..KEEP }, "Transfer-Encoding: chunked"),
        (Downstream { framing: Framing::CloseDelimited, ..KEEP }, "Connection: close"),
        (
            Downstream { framing: Framing::Length(5), keep_alive: false, ..KEEP },
            "Content-Length: 5\nConnection: close",
        ),
        (
            Downstream { framing: Framing::Length(5), client: Version::Http10, ..KEEP },
            "Content-Length: 5\nConnection: keep-alive",
        ),
    ] {
        assert_eq!(downstream(lines, GET, context), format!("{kept}\n{added}"));
    }
}

#[test]
fn answers_without_a_body_keep_their_length_where_they_may() {
    let length = "Content-Length: 5";
    assert_eq!(
        downstream("HTTP/1.1 200 OK\nContent-Length: 5", HEAD, KEEP),
        format!("HTTP/1.1 200 OK\n{length}")
    );
    assert_eq!(
        downstream("HTTP/1.1 304 NM\nContent-Length: 5", GET, KEEP),
        format!("HTTP/1.1 304 NM\n{length}")
    );
    assert_eq!(downstream("HTTP/1.1 204 NC\nContent-Length: 0", GET, KEEP), "HTTP/1.1 204 NC");
    assert_eq!(downstream("HTTP/1.1 204", GET, KEEP), "HTTP/1.1 204 ");
}

#[test]
fn interim_answers_say_nothing_about_the_connection() {
    let context = Downstream { keep_alive: false, ..KEEP };
    assert_eq!(
        downstream("HTTP/1.1 103 Early Hints\nLink: a", GET, context),
        "HTTP/1.1 103 Early Hints\nLink: a"
    );
}

#[test]
fn protocol_switch_keeps_its_fields() {
    let lines =
        "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: k";
    let expected =
        "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nSec-WebSocket-Accept: k\nConnection: Upgrade";
    assert_eq!(downstream(lines, RequestMethodKind::Upgrade, KEEP), expected);
    let lines = "HTTP/1.1 426 Upgrade Required\nUpgrade: a\nContent-Length: 0";
    let context = Downstream { framing: Framing::Length(0), ..KEEP };
    assert_eq!(downstream(lines, GET, context), format!("{lines}\nConnection: Upgrade"));
}

#[test]
fn streams_are_framed_for_the_client_they_go_to() {
    for (body, modern, old) in [
        (ResponseBody::None, Framing::None, Framing::None),
        (ResponseBody::Length(5), Framing::Length(5), Framing::Length(5)),
        (ResponseBody::Chunked, Framing::Chunked, Framing::CloseDelimited),
        (ResponseBody::UntilClose, Framing::Chunked, Framing::CloseDelimited),
    ] {
        assert_eq!(Framing::for_stream(body, Version::Http11), modern);
        assert_eq!(Framing::for_stream(body, Version::Http10), old);
    }
}
