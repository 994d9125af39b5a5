//! What must be true of any bytes, however they come: used by the short seeded run in this folder and by the libFuzzer
//! targets in `fuzz/`. Each function panics when it is not.

use std::sync::LazyLock;

use stead_balancer::http::{
    Body, ChunkedReader, Downstream, Forward, Framing, HeaderSpace, Limits, PieceKind, RequestMethodKind,
    Scheme, Version, parse_request, parse_response,
};
use stead_balancer::proxy_protocol;
use stead_balancer::{Pattern, Table};
use stead_process::node::Serialization;
use stead_process::node::frame::{Decoder, encode};
use stead_process::node::v8::{decode_structured, encode_structured};

const LIMITS: Limits = Limits { head_bytes_max: 16 * 1024, header_count_max: 64, target_bytes_max: 8 * 1024 };

static ROUTES: LazyLock<Table<&str>> = LazyLock::new(|| {
    let mut table = Table::default();
    for route in ["a.org", "*.a.org/x", "a.org/x/y", "/x", "[::1]/x", "/"] {
        let pattern: Pattern = route.parse().expect("it is a route");
        table.insert(&pattern, route).expect("none is there twice");
    }
    table
});

/// What is accepted is forwarded with one framing, the same that was read.
pub(crate) fn request_head(bytes: &[u8]) {
    let mut space = HeaderSpace::new();
    let Ok(Some(request)) = parse_request(bytes, &LIMITS, &mut space) else { return };
    assert!(request.head_bytes <= bytes.len(), "a head ends within its bytes");
    let mut forwarded = Vec::new();
    request.write_forward(
        &Forward {
            client: None,
            scheme: Scheme::Http,
            certificate: &[],
            trust: false,
            request_id: None,
            traceparent: None,
            close: false,
        },
        &mut forwarded,
    );
    let limits = Limits { head_bytes_max: 64 * 1024, header_count_max: 128, ..LIMITS };
    let mut space = HeaderSpace::new();
    let again = parse_request(&forwarded, &limits, &mut space);
    let again = again.expect("what is forwarded is valid").expect("what is forwarded is whole");
    assert_eq!(again.head_bytes, forwarded.len(), "nothing follows the forwarded head");
    assert_eq!(again.method.as_str(), request.method.as_str());
    assert_eq!(length_of(again.body), length_of(request.body), "the body ends where it ended");
    let framings = again.headers.iter().filter(|header| {
        ["content-length", "transfer-encoding"].iter().any(|name| header.name.eq_ignore_ascii_case(name))
    });
    assert!(framings.count() <= 1, "one framing");
}

/// No body and a body of no bytes are the same to whoever reads the next request.
fn length_of(body: Body) -> Option<u64> {
    match body {
        Body::None => Some(0),
        Body::Length(length) => Some(length),
        Body::Chunked => None,
    }
}

/// A path is for the same route however its bytes are escaped. Host and path are the words of the input.
pub(crate) fn route(bytes: &[u8]) {
    let mut words = bytes.splitn(2, |byte| *byte == b' ');
    let (host, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = ROUTES.find(host, path);
    if !path.contains(&b'%') {
        let escaped: String = path.iter().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(ROUTES.find(host, escaped.as_bytes()), found, "every byte escaped");
        let slashes = [b"//", path].concat();
        assert_eq!(ROUTES.find(host, &slashes), found, "more separators");
    }
}

/// However the input is cut, the data and the end are the same. The first byte says where it is cut.
pub(crate) fn chunked_body(bytes: &[u8]) {
    let Some((cut, body)) = bytes.split_first() else { return };
    let whole = read_chunks(&[body]);
    let (first, second) = body.split_at(usize::from(*cut).min(body.len()));
    assert_eq!(whole, read_chunks(&[first, second]), "cut at {cut}");
    let single: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(whole, read_chunks(&single), "byte by byte");
}

/// Data, trailers and how many bytes the body took; nothing if it is broken, no count if it goes on.
fn read_chunks(parts: &[&[u8]]) -> Option<(Vec<u8>, Vec<u8>, Option<usize>)> {
    let mut reader = ChunkedReader::new();
    let (mut data, mut trailers, mut consumed) = (Vec::new(), Vec::new(), 0);
    for part in parts {
        let mut rest = *part;
        loop {
            let piece = reader.next(rest, &mut trailers).ok()?;
            consumed += piece.consumed;
            match piece.kind {
                PieceKind::Data(range) => data.extend_from_slice(&rest[range]),
                PieceKind::NeedMore => break,
                PieceKind::End => return Some((data, trailers, Some(consumed))),
            }
            rest = &rest[piece.consumed..];
        }
    }
    Some((data, trailers, None))
}

/// However many of its bytes have come, a header of the PROXY protocol is the same header, or none; it ends within its bytes.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let mut known = Ok(None);
    for end in 0..=bytes.len() {
        let parsed = proxy_protocol::parse(&bytes[..end]);
        match known {
            Ok(None) => known = parsed,
            settled => assert_eq!(parsed, settled, "more bytes change nothing"),
        }
    }
    assert!(
        known.ok().flatten().is_none_or(|header| header.bytes <= bytes.len()),
        "it ends within its bytes"
    );
}

/// What is passed on to a client is read by it as it was read here.
pub(crate) fn response_head(bytes: &[u8]) {
    for kind in [RequestMethodKind::Other, RequestMethodKind::Head, RequestMethodKind::Upgrade] {
        let mut space = HeaderSpace::new();
        let Ok(Some(response)) = parse_response(bytes, &LIMITS, kind, &mut space) else { continue };
        assert!(response.head_bytes <= bytes.len(), "a head ends within its bytes");
        let framing = Framing::for_stream(response.body, Version::Http11);
        let mut passed = Vec::new();
        response.write_downstream(
            &Downstream { client: Version::Http11, keep_alive: true, framing },
            &mut passed,
        );
        let limits = Limits { head_bytes_max: 64 * 1024, header_count_max: 128, ..LIMITS };
        let mut space = HeaderSpace::new();
        let again = parse_response(&passed, &limits, kind, &mut space);
        let again = again.expect("what is passed on is valid").expect("what is passed on is whole");
        assert_eq!(again.status, response.status);
        assert_eq!(Framing::for_stream(again.body, Version::Http11), framing, "the body ends where it ended");
    }
}

/// Any bytes, cut anywhere, are messages or errors; what was written is read as it was.
pub(crate) fn ipc_frames(bytes: &[u8]) {
    for serialization in [Serialization::Json, Serialization::Advanced] {
        let whole = read_frames(&[bytes], serialization);
        let pieces: Vec<&[u8]> = bytes.chunks(7).collect();
        assert_eq!(whole, read_frames(&pieces, serialization), "in pieces");
        for message in &whole {
            let once = written_and_read(message, serialization);
            match serialization {
                Serialization::Json => assert_eq!(&once, message, "JSON has every value"),
                // A big integer becomes the number that JavaScript has for it.
                Serialization::Advanced => assert_eq!(written_and_read(&once, serialization), once),
            }
        }
    }
    let mut decoder = Decoder::with_limit(Serialization::Advanced, 64 * 1024);
    decoder.push(bytes);
    while let Some(frame) = decoder.next_frame() {
        frame.map(structured_value).unwrap_or_default();
    }
}

/// A value with all that JavaScript can say is written as it was read. (Bytes are compared: NaN is not itself.)
fn structured_value(bytes: &[u8]) {
    let Ok(value) = decode_structured(bytes) else { return };
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    encode_structured(&value, &mut once);
    let again = decode_structured(&once).expect("what was written is a value");
    encode_structured(&again, &mut twice);
    assert_eq!(once, twice);
}

fn written_and_read(message: &serde_json::Value, serialization: Serialization) -> serde_json::Value {
    let mut written = Vec::new();
    encode(message, serialization, &mut written);
    let mut messages = read_frames(&[&written], serialization);
    assert_eq!(messages.len(), 1, "one message was written");
    messages.remove(0)
}

fn read_frames(parts: &[&[u8]], serialization: Serialization) -> Vec<serde_json::Value> {
    let mut decoder = Decoder::with_limit(serialization, 64 * 1024);
    let mut messages = Vec::new();
    for part in parts {
        decoder.push(part);
        while let Some(message) = decoder.next_message() {
            messages.extend(message.ok());
        }
    }
    messages
}
