//! A client of HTTP/2 that sends whatever frames a test wants, well-formed or not.

use std::io;
use std::time::Duration;

use super::Client;

/// What begins a connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

/// Types of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags: of DATA and HEADERS, of SETTINGS and PING, of HEADERS and CONTINUATION, of DATA and HEADERS.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
/// HEADERS that are a whole request.
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

/// The pseudo-header fields of `GET /` over http, from the static table, without an authority.
pub(crate) const GET: &[u8] = &[0x82, 0x86, 0x84];
/// `POST /`.
pub(crate) const POST: &[u8] = &[0x83, 0x86, 0x84];

/// One frame, as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection.
pub(crate) struct Http2(pub(crate) Client);

impl Http2 {
    /// Connects, and sends nothing.
    pub(crate) fn silent(port: u16) -> Http2 {
        let client = Client::connect(port);
        client.set_patience(PATIENCE);
        Http2(client)
    }

    /// Connects, says the preface and no settings, and agrees to those of the server.
    pub(crate) fn connect(port: u16) -> Http2 {
        let mut client = Self::silent(port);
        client.0.send(PREFACE);
        client.send(&frame(SETTINGS, 0, 0, &[]));
        client.send(&frame(SETTINGS, ACK, 0, &[]));
        client
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        // What is sent to a server that has closed already tells nothing; what it has said does.
        let _closed = self.0.try_send(frame);
    }

    /// A request without a body.
    pub(crate) fn ask(&mut self, stream: u32, path: &str) {
        self.send(&frame(HEADERS, WHOLE, stream, &get(path)));
    }

    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        let head = self.0.read_exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let payload = self.0.read_exactly(length as usize)?;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The first frame that is one of these; what comes before is passed over.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> io::Result<Frame> {
        loop {
            let frame = self.next()?;
            if wanted(&frame) {
                return Ok(frame);
            }
        }
    }

    /// The status of the answer on this stream, or the code it was reset with.
    pub(crate) fn outcome(&mut self, stream: u32) -> io::Result<Result<u16, u32>> {
        let first =
            self.until(|frame| frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM))?;
        Ok(if first.kind == HEADERS { Ok(status(&first.payload)) } else { Err(code(&first)) })
    }

    /// The code of the GOAWAY that ends the connection; nothing if it ends without one.
    pub(crate) fn goaway(&mut self) -> Option<u32> {
        self.until(|frame| frame.kind == GOAWAY).ok().map(|frame| code(&frame))
    }

    /// The code of the GOAWAY that ends the connection, or of the reset that ends a stream; nothing if it ends without either.
    pub(crate) fn end(&mut self) -> Option<(u8, u32)> {
        let end = self.until(|frame| matches!(frame.kind, GOAWAY | RST_STREAM)).ok()?;
        Some((end.kind, code(&end)))
    }
}

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field that is not indexed (RFC 7541 §6.2.2), with a name and a value below 127 bytes.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("it is short"));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The head of a GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    [&[0x82, 0x86][..], &field(":path", path), &field(":authority", "test")].concat()
}

/// The error code of a frame that ends something.
fn code(frame: &Frame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(frame.payload[at..at + 4].try_into().expect("it has a code"))
}

/// The status is what servers say first: from the static table, or as a literal with the name from there.
fn status(block: &[u8]) -> u16 {
    match block[0] {
        index @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        // The value is three bytes, or two in Huffman's code, of which digits below 3 take 5 bits and others 6.
        _ if block[1] & 0x80 == 0 => {
            String::from_utf8_lossy(&block[2..5]).parse().expect("a status is a number")
        }
        _ => digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
    }
}

fn digits(code: &[u8]) -> u16 {
    let bits: Vec<u8> = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |from: usize, count: usize| {
        bits[from..from + count].iter().fold(0, |sum, bit| sum * 2 + u16::from(*bit))
    };
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let short = number(at, 5);
        let digit = if short < 3 { short } else { number(at, 6) - 0x16 };
        at += if short < 3 { 5 } else { 6 };
        status = status * 10 + digit;
    }
    status
}
