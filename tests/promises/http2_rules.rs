//! "What breaks the rules of HTTP/2 is refused as the rules say, and nothing of it reaches my program": RFC 9113 and RFC 7541 by
//! section, each case on a connection of its own against the real binary. `h2spec` asks the same questions, but is in no
//! registry of packages.

use crate::support::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GET, GOAWAY, HEADERS, Http2, PADDED, PING, POST,
    PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE, field, frame, get,
};
use crate::support::{Stead, beside, node};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// What has to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The connection ends with this code.
    Connection(u32),
    /// The stream ends with this code, or the connection does, which is allowed wherever a stream may end.
    Stream(u32),
    /// The connection ends; where the rules have a name for why, `h2` says `PROTOCOL_ERROR` of most.
    Ends(u32),
    /// The request on stream 1 is answered so.
    Answer(u16),
    /// A PING is answered: the connection goes on.
    GoesOn,
}

use Expected::{Answer, Connection, Ends, GoesOn, Stream};

/// What comes of a malformed request (§8.1.1).
const MALFORMED: Expected = Stream(PROTOCOL_ERROR);

struct Case {
    section: &'static str,
    what: &'static str,
    frames: Vec<u8>,
    expected: Expected,
}

fn case(section: &'static str, what: &'static str, frames: &[Vec<u8>], expected: Expected) -> Case {
    Case { section, what, frames: frames.concat(), expected }
}

/// Sends each and compares; all that are wrong are told together.
#[track_caller]
fn check(cases: &[Case]) {
    let _turn = beside();
    let stead = Stead::script(node("mirror.js")).start();
    let wrong: Vec<String> = cases.iter().filter_map(|case| wrong(&stead, case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong(stead: &Stead, case: &Case) -> Option<String> {
    let mut client = Http2::connect(stead.port);
    let _closed = client.0.try_send(&case.frames);
    let got = match case.expected {
        Answer(_) => client.outcome(1).map(|outcome| outcome.map_or_else(Stream, Answer)),
        GoesOn => {
            client.send(&frame(PING, 0, 0, b"go on?.."));
            let is_pong =
                |frame: &Frame| frame.kind == PING && frame.flags == ACK && frame.payload == b"go on?..";
            client.until(|frame| is_pong(frame) || frame.kind == GOAWAY).map(|frame| match frame.kind {
                PING => GoesOn,
                _ => Connection(u32::from(frame.payload[7])),
            })
        }
        Connection(_) | Stream(_) | Ends(_) => Ok(match (client.end(), case.expected) {
            (Some((_, code)), Stream(wanted)) if code == wanted => Stream(code),
            (Some((GOAWAY, code)), Ends(wanted)) if code == wanted || code == PROTOCOL_ERROR => Ends(wanted),
            (Some((GOAWAY, code)), _) => Connection(code),
            (Some((_, code)), _) => Stream(code),
            (None, _) => Connection(u32::MAX),
        }),
    };
    let said = match got {
        Ok(got) if got == case.expected => return None,
        Ok(got) => format!("{got:?}"),
        Err(error) => error.to_string(),
    };
    Some(format!("{} {}: expected {:?}, got {said}", case.section, case.what, case.expected))
}

/// A whole request on stream 1 with these fields besides.
fn request(fields: &[Vec<u8>]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &[get("/"), fields.concat()].concat())
}

/// A whole request on stream 1 of these fields only.
fn only(fields: &[Vec<u8>]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &fields.concat())
}

/// The head of a POST on stream 1 with these fields, its body to come.
fn post(fields: &[Vec<u8>]) -> Vec<u8> {
    let head = [POST.to_vec(), field(":authority", "test"), fields.concat()].concat();
    frame(HEADERS, END_HEADERS, 1, &head)
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

#[test]
fn frames_are_as_long_as_they_may_be_and_where_they_may_be() {
    let long = vec![0; 16_385];
    check(&[
        case("4.1", "unknown type", &[frame(0xfa, 0xff, 0, b"x")], GoesOn),
        case("4.1", "undefined flags", &[frame(PING, 0xfe, 0, &[0; 8])], GoesOn),
        case("4.1", "reserved bit", &[frame(PING, 0, 0x8000_0000, &[0; 8])], GoesOn),
        case(
            "4.2",
            "DATA of the largest size",
            &[post(&[]), frame(DATA, END_STREAM, 1, &long[1..])],
            Answer(200),
        ),
        case("4.2", "DATA too long", &[post(&[]), frame(DATA, 0, 1, &long)], Ends(FRAME_SIZE_ERROR)),
        case("4.2", "HEADERS too long", &[frame(HEADERS, WHOLE, 1, &long)], Ends(FRAME_SIZE_ERROR)),
        case("6.1", "DATA on stream 0", &[frame(DATA, 0, 0, b"x")], Connection(PROTOCOL_ERROR)),
        case(
            "6.1",
            "more padding than DATA",
            &[post(&[]), frame(DATA, PADDED | END_STREAM, 1, &[6, 0, 0])],
            Connection(PROTOCOL_ERROR),
        ),
        case("6.2", "HEADERS on stream 0", &[frame(HEADERS, WHOLE, 0, GET)], Connection(PROTOCOL_ERROR)),
        case(
            "6.2",
            "more padding than HEADERS",
            &[frame(HEADERS, WHOLE | PADDED, 1, &[9, 0x82, 0x86, 0x84])],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "6.3",
            "PRIORITY on stream 0",
            &[frame(PRIORITY, 0, 0, &[0, 0, 0, 3, 1])],
            Connection(PROTOCOL_ERROR),
        ),
        case("6.3", "PRIORITY of 4 bytes", &[frame(PRIORITY, 0, 1, &[0; 4])], Ends(FRAME_SIZE_ERROR)),
        case(
            "6.4",
            "RST_STREAM on stream 0",
            &[frame(RST_STREAM, 0, 0, &[0; 4])],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "6.4",
            "RST_STREAM of 3 bytes",
            &[post(&[]), frame(RST_STREAM, 0, 1, &[0; 3])],
            Ends(FRAME_SIZE_ERROR),
        ),
        case("6.7", "PING on a stream", &[frame(PING, 0, 1, &[0; 8])], Connection(PROTOCOL_ERROR)),
        case("6.7", "PING of 6 bytes", &[frame(PING, 0, 0, &[0; 6])], Ends(FRAME_SIZE_ERROR)),
        case("6.7", "PONG that nobody asked for", &[frame(PING, ACK, 0, &[7; 8])], GoesOn),
        case("6.8", "GOAWAY on a stream", &[frame(GOAWAY, 0, 1, &[0; 8])], Connection(PROTOCOL_ERROR)),
        case(
            "8.4",
            "PUSH_PROMISE",
            &[post(&[]), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])],
            Connection(PROTOCOL_ERROR),
        ),
    ]);
}

#[test]
fn header_blocks_are_not_interrupted() {
    let begun = frame(HEADERS, END_STREAM, 1, &get("/"));
    check(&[
        case(
            "4.3",
            "in three frames",
            &[
                begun.clone(),
                frame(CONTINUATION, 0, 1, &field("a", "b")),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ],
            Answer(200),
        ),
        case(
            "4.3",
            "PRIORITY in between",
            &[begun.clone(), frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "4.3",
            "another stream in between",
            &[begun.clone(), frame(HEADERS, WHOLE, 3, GET)],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "5.5",
            "an unknown frame in between",
            &[begun.clone(), frame(0xfa, 0, 1, &[])],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "6.10",
            "CONTINUATION of another stream",
            &[begun.clone(), frame(CONTINUATION, END_HEADERS, 3, &[])],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "6.10",
            "CONTINUATION on stream 0",
            &[begun, frame(CONTINUATION, END_HEADERS, 0, &[])],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "6.10",
            "CONTINUATION of nothing",
            &[request(&[]), frame(CONTINUATION, END_HEADERS, 1, &[])],
            Connection(PROTOCOL_ERROR),
        ),
    ]);
}

#[test]
fn header_blocks_are_unpacked_as_they_were_packed() {
    check(&[
        case(
            "RFC 7541 2.3.3",
            "an index beyond all tables",
            &[only(&[vec![0xff, 0x80, 0x01]])],
            Ends(COMPRESSION_ERROR),
        ),
        case("RFC 7541 6.1", "index 0", &[only(&[vec![0x80]])], Ends(COMPRESSION_ERROR)),
        case(
            "RFC 7541 5.2",
            "a padding of Huffman's code that is none",
            &[request(&[vec![0, 1, b'a', 0x81, 0x00]])],
            Ends(COMPRESSION_ERROR),
        ),
        case(
            "RFC 7541 6.3",
            "a table larger than allowed",
            &[only(&[vec![0x3f, 0xe1, 0xff, 0x03], GET.to_vec()])],
            Ends(COMPRESSION_ERROR),
        ),
        case(
            "RFC 7541 4.2",
            "a change of the table's size at the end",
            &[request(&[vec![0x20]])],
            Ends(COMPRESSION_ERROR),
        ),
        case(
            "RFC 7541 5.1",
            "a number without end",
            &[request(&[[vec![0xff], vec![0xff; 20]].concat()])],
            Ends(COMPRESSION_ERROR),
        ),
    ]);
}

#[test]
fn streams_live_as_they_should() {
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    check(&[
        case("5.1", "DATA before HEADERS", &[frame(DATA, END_STREAM, 1, b"x")], Connection(PROTOCOL_ERROR)),
        case("5.1", "RST_STREAM before HEADERS", std::slice::from_ref(&reset), Connection(PROTOCOL_ERROR)),
        case(
            "5.1",
            "WINDOW_UPDATE before HEADERS",
            &[frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])],
            Connection(PROTOCOL_ERROR),
        ),
        case("5.1", "PRIORITY before HEADERS", &[frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])], GoesOn),
        case(
            "5.1",
            "DATA after END_STREAM",
            &[request(&[]), frame(DATA, END_STREAM, 1, b"x")],
            Ends(STREAM_CLOSED),
        ),
        case("5.1", "HEADERS after END_STREAM", &[request(&[]), request(&[])], Ends(STREAM_CLOSED)),
        case(
            "5.1",
            "WINDOW_UPDATE after RST_STREAM",
            &[post(&[]), reset, frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])],
            GoesOn,
        ),
        case("5.1.1", "an even number", &[frame(HEADERS, WHOLE, 2, GET)], Connection(PROTOCOL_ERROR)),
        case(
            "5.1.1",
            "a smaller number than before",
            &[frame(HEADERS, WHOLE, 5, &get("/")), frame(HEADERS, WHOLE, 3, &get("/"))],
            Connection(PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "trailers that do not end the stream",
            &[post(&[]), frame(HEADERS, END_HEADERS, 1, &field("a", "b"))],
            Stream(PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "trailers",
            &[post(&[]), frame(DATA, 0, 1, b"x"), frame(HEADERS, WHOLE, 1, &field("a", "b"))],
            Answer(200),
        ),
        case(
            "8.1",
            // Should be malformed; `h2` drops the field.
            "a pseudo-header field among trailers",
            &[post(&[]), frame(HEADERS, WHOLE, 1, &field(":method", "GET"))],
            Answer(200),
        ),
    ]);
}

#[test]
fn settings_and_windows_are_what_they_may_be() {
    let window = |stream, size: u32| frame(WINDOW_UPDATE, 0, stream, &size.to_be_bytes());
    check(&[
        case(
            "6.5",
            "an ACK that says something",
            &[frame(SETTINGS, ACK, 0, &[0; 6])],
            Ends(FRAME_SIZE_ERROR),
        ),
        case("6.5", "SETTINGS of a stream", &[frame(SETTINGS, 0, 1, &[])], Connection(PROTOCOL_ERROR)),
        case("6.5", "half a setting", &[frame(SETTINGS, 0, 0, &[0; 3])], Ends(FRAME_SIZE_ERROR)),
        case("6.5.2", "ENABLE_PUSH of 2", &[setting(2, 2)], Connection(PROTOCOL_ERROR)),
        case("6.5.2", "INITIAL_WINDOW_SIZE over the limit", &[setting(4, 1 << 31)], Ends(FLOW_CONTROL_ERROR)),
        case("6.5.2", "MAX_FRAME_SIZE too small", &[setting(5, 16_383)], Connection(PROTOCOL_ERROR)),
        case("6.5.2", "MAX_FRAME_SIZE too large", &[setting(5, 1 << 24)], Connection(PROTOCOL_ERROR)),
        case("6.5.2", "an unknown setting", &[setting(0xfafa, 1)], GoesOn),
        case("6.9", "a window that grows by nothing", &[window(0, 0)], Connection(PROTOCOL_ERROR)),
        case(
            "6.9",
            "a stream's window that grows by nothing",
            &[post(&[]), window(1, 0)],
            Stream(PROTOCOL_ERROR),
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of 3 bytes",
            &[frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])],
            Ends(FRAME_SIZE_ERROR),
        ),
        case("6.9.1", "a window over the limit", &[window(0, 0x7fff_ffff)], Ends(FLOW_CONTROL_ERROR)),
        case(
            "6.9.1",
            "a stream's window over the limit",
            &[post(&[]), window(1, 0x7fff_ffff)],
            Stream(FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.2",
            "windows that were there change with the setting",
            &[setting(4, 0), request(&[]), setting(4, 1000)],
            Answer(200),
        ),
    ]);
}

#[test]
fn requests_with_malformed_fields_are_no_requests() {
    check(&[
        case("8.2.1", "a name in upper case", &[request(&[field("X-A", "b")])], MALFORMED),
        case("8.2.1", "a name with a blank", &[request(&[field("x a", "b")])], MALFORMED),
        case("8.2.1", "a name with a colon", &[request(&[field("x:a", "b")])], MALFORMED),
        case("8.2.1", "a name with a line end", &[request(&[field("x\r\na", "b")])], MALFORMED),
        case("8.2.1", "a value with a line end", &[request(&[field("x", "b\r\nhost: evil")])], MALFORMED),
        case("8.2.1", "a value with a NUL", &[request(&[field("x", "b\0")])], MALFORMED),
        case("8.2.1", "a value that begins with a blank", &[request(&[field("x", " b")])], MALFORMED),
        case("8.2.1", "a value that ends with a tab", &[request(&[field("x", "b\t")])], MALFORMED),
        case("8.2.2", "connection", &[request(&[field("connection", "close")])], MALFORMED),
        case("8.2.2", "keep-alive", &[request(&[field("keep-alive", "timeout=5")])], MALFORMED),
        case("8.2.2", "upgrade", &[request(&[field("upgrade", "websocket")])], MALFORMED),
        case("8.2.2", "transfer-encoding", &[post(&[field("transfer-encoding", "chunked")])], MALFORMED),
        case("8.2.2", "te that is not trailers", &[request(&[field("te", "gzip")])], MALFORMED),
        case("8.2.2", "te: trailers", &[request(&[field("te", "trailers")])], Answer(200)),
    ]);
}

#[test]
fn requests_without_a_clear_purpose_are_no_requests() {
    let [method, scheme, path] = [[0x82], [0x86], [0x84]].map(|index| index.to_vec());
    let host = || field(":authority", "test");
    check(&[
        case("8.3", "an unknown pseudo-header field", &[only(&[get("/"), field(":x", "y")])], MALFORMED),
        case(
            "8.3",
            "a pseudo-header field of answers",
            &[only(&[get("/"), field(":status", "200")])],
            MALFORMED,
        ),
        case(
            "8.3",
            "a pseudo-header field after others",
            &[only(&[method.clone(), scheme.clone(), host(), field("a", "b"), path.clone()])],
            MALFORMED,
        ),
        case("8.3", "a pseudo-header field twice", &[only(&[get("/"), path.clone()])], MALFORMED),
        case("8.3.1", "no method", &[only(&[scheme.clone(), path.clone(), host()])], MALFORMED),
        case("8.3.1", "no scheme", &[only(&[method.clone(), path.clone(), host()])], MALFORMED),
        case("8.3.1", "no path", &[only(&[method.clone(), scheme.clone(), host()])], MALFORMED),
        case("8.3.1", "an empty path", &[only(&[get("")])], MALFORMED),
        case("8.3.1", "a path that is an address", &[only(&[get("http://evil/")])], MALFORMED),
        case("8.3.1", "a path with a blank", &[only(&[get("/ HTTP/1.1")])], MALFORMED),
        case("8.3.1", "a path with a line end", &[only(&[get("/\r\nx: y")])], MALFORMED),
        case(
            "8.3.1",
            "a method with a blank",
            &[only(&[field(":method", "GET / X"), scheme.clone(), path.clone(), host()])],
            MALFORMED,
        ),
        case("8.3.1", "another host than the authority", &[request(&[field("host", "evil")])], MALFORMED),
        case("8.3.1", "the same host as the authority", &[request(&[field("host", "test")])], Answer(200)),
        case(
            "8.3.1",
            "no host at all",
            &[only(&[method.clone(), scheme.clone(), path.clone()])],
            Answer(400),
        ),
        case(
            "8.3.1",
            "a user name in the authority",
            &[only(&[method, scheme, path, field(":authority", "u@test")])],
            Answer(400),
        ),
        case(
            "8.1.1",
            "more than the content-length",
            &[post(&[field("content-length", "1")]), frame(DATA, END_STREAM, 1, b"xy")],
            MALFORMED,
        ),
        case(
            "8.1.1",
            "less than the content-length",
            &[post(&[field("content-length", "3")]), frame(DATA, END_STREAM, 1, b"xy")],
            MALFORMED,
        ),
    ]);
}

#[test]
fn bodies_are_as_long_as_they_are_said_to_be() {
    check(&[
        case("8.1.1", "a content-length of nothing", &[request(&[field("content-length", "3")])], MALFORMED),
        case(
            "8.1.1",
            "two content-lengths",
            &[post(&[field("content-length", "2"), field("content-length", "2")])],
            MALFORMED,
        ),
        case(
            "8.1.1",
            "a content-length that is no number",
            &[post(&[field("content-length", "+2")])],
            MALFORMED,
        ),
        case(
            "8.5",
            "CONNECT",
            &[only(&[field(":method", "CONNECT"), field(":authority", "test:80")])],
            Answer(501),
        ),
        case(
            "RFC 8441 4",
            "an unknown protocol",
            &[only(&[
                field(":method", "CONNECT"),
                field(":protocol", "x"),
                vec![0x86, 0x84],
                field(":authority", "test"),
            ])],
            Answer(501),
        ),
        case(
            "RFC 8441 4",
            "a protocol without CONNECT",
            &[only(&[get("/"), field(":protocol", "websocket")])],
            MALFORMED,
        ),
    ]);
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_others_go_on() {
    let _turn = beside();
    let stead = Stead::script(node("slow.js")).set("http2_streams_max", "3").start();
    let mut client = Http2::connect(stead.port);
    for stream in [1, 3, 5] {
        client.ask(stream, "/wait?ms=1000");
    }
    client.ask(7, "/");
    assert_eq!(client.outcome(7).expect("it is refused"), Err(REFUSED_STREAM));
    assert_eq!(client.outcome(5).expect("it is answered"), Ok(200));
    client.ask(9, "/");
    assert_eq!(client.outcome(9).expect("it is answered"), Ok(200));
}

#[test]
fn preface_that_is_not_the_preface_is_refused() {
    let _turn = beside();
    let stead = Stead::script(node("hello.js")).start();
    let mut client = Http2::silent(stead.port);
    client.0.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    assert!(client.end().is_none_or(|(kind, code)| (kind, code) == (GOAWAY, PROTOCOL_ERROR)));
}
