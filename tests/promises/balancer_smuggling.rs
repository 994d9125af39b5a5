//! "Nobody gets a second request past the balancer inside a first one."
//!
//! What two readers could understand in two ways is answered 400 and the connection closed; no worker ever sees it.

use crate::support::{Client, Executions, Stead, beside, get, node};

/// Each with the reason why two readers could disagree.
const AMBIGUOUS: [(&str, &str); 34] = [
    (
        "length and chunks",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks and length",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    ("two lengths", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    (
        "the same length twice",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2, 2\r\n\r\nab"),
    ("a signed length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +2\r\n\r\nab"),
    ("a negative length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n"),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x2\r\n\r\nab"),
    ("an empty length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\n"),
    (
        "a length too large for 64 bits",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551616\r\n\r\n",
    ),
    ("space before the colon", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 2\r\n\r\nab"),
    ("space before the first name", "POST / HTTP/1.1\r\n Host: t\r\n\r\n"),
    ("a folded line", "POST / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nab"),
    ("an unknown coding", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "two codings in two lines",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    ("a coding with a tab", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a bare LF after a header", "POST / HTTP/1.1\r\nHost: t\nContent-Length: 2\r\n\r\nab"),
    ("a bare CR in a header", "GET / HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n"),
    ("a NUL in a header", "GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n"),
    ("a header without a name", "GET / HTTP/1.1\r\nHost: t\r\n: x\r\n\r\n"),
    ("a header without a colon", "GET / HTTP/1.1\r\nHost: t\r\nX\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("space in the target", "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("no version", "GET /\r\nHost: t\r\n\r\n"),
    ("an unknown version", "GET / HTTP/1.2x\r\nHost: t\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("a method with a separator", "GE(T / HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("the head of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 / HTTP/1.1\r\n\r\n"),
    ("a space in a name", "GET / HTTP/1.1\r\nHost: t\r\nX Y: z\r\n\r\n"),
    ("a proxy request", "CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\n"),
];

/// After a good head: bodies that end where one of two readers says.
const BAD_CHUNKS: [(&str, &str); 12] = [
    ("a size that is not one", "x\r\n"),
    ("an empty size", "\r\n\r\n"),
    ("a signed size", "+1\r\na\r\n0\r\n\r\n"),
    ("a size with a prefix", "0x1\r\na\r\n0\r\n\r\n"),
    ("space before the size", " 1\r\na\r\n0\r\n\r\n"),
    ("a size too large for 64 bits", "10000000000000000\r\na\r\n0\r\n\r\n"),
    ("a bare LF after the size", "1\na\r\n0\r\n\r\n"),
    ("a bare CR after the size", "1\ra\r\n0\r\n\r\n"),
    ("a bare LF after the bytes", "1\r\na\n0\r\n\r\n"),
    ("more bytes than the size", "1\r\nab\r\n0\r\n\r\n"),
    ("a bare LF in an extension", "1;a\nb\r\na\r\n0\r\n\r\n"),
    ("a trailer that is none", "1\r\na\r\n0\r\nX\r\n\r\n"),
];

/// What an attacker wants to be read as a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn ambiguous_heads_are_refused_and_the_connection_closed() {
    let _turn = beside();
    let plan = Stead::script(node("executions.js")).instances(1);
    let executions = Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    let stead = plan.env(name, file).start();
    for (what, bytes) in AMBIGUOUS {
        let mut client = Client::connect(stead.port);
        client.send(format!("{bytes}{SMUGGLED}"));
        let answer = client.answer();
        assert!(matches!(answer.status, 400 | 405 | 501 | 505), "{what}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{what}: {answer:?}");
        client.expect_close();
    }
    assert_eq!(get(stead.port, "/good").status, 200);
    assert_eq!(executions.of_target("/"), [0_u32; 0], "a worker saw an ambiguous request");
    assert_eq!(executions.of_target("/smuggled"), [0_u32; 0], "a worker saw a smuggled request");
}

#[test]
fn ambiguous_bodies_end_the_connection_and_nothing_after_them_is_a_request() {
    let _turn = beside();
    let plan = Stead::script(node("executions.js")).instances(1);
    let executions = Executions::in_directory(plan.directory());
    let (name, file) = executions.variable();
    let stead = plan.env(name, file).start();
    for (what, body) in BAD_CHUNKS {
        let mut client = Client::connect(stead.port);
        client.send(format!(
            "POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}"
        ));
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        client.expect_close();
    }
    assert_eq!(get(stead.port, "/good").status, 200);
    assert_eq!(
        executions.of_target("/body"),
        [0_u32; 0],
        "a worker executed a request whose body is ambiguous"
    );
    assert_eq!(executions.of_target("/smuggled"), [0_u32; 0], "a worker saw a smuggled request");
}

#[test]
fn what_is_unusual_but_clear_is_served() {
    let _turn = beside();
    let stead = Stead::script(node("executions.js")).instances(1).start();
    for (what, bytes) in [
        ("an empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"),
        ("no space after the colon", "GET / HTTP/1.1\r\nHost:t\r\n\r\n"),
        ("spaces around the value", "GET / HTTP/1.1\r\nHost:  t  \r\n\r\n"),
        (
            "a coding in capitals",
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
        (
            "a size with leading zeros",
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0001\r\na\r\n0\r\n\r\n",
        ),
        ("a length with leading zeros", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 001\r\n\r\na"),
        ("a GET with a body", "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\na"),
        ("bytes above 127 in a value", "GET / HTTP/1.1\r\nHost: t\r\nX: caf\u{e9}\r\n\r\n"),
    ] {
        let mut client = Client::connect(stead.port);
        assert_eq!(client.send(bytes).answer().status, 200, "{what}");
        assert_eq!(
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").answer().status,
            200,
            "{what}: the next one"
        );
    }
}
