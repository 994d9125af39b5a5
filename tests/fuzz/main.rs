//! A short run of the fuzz properties with a seed: known inputs, mutated. `FUZZ_ITERATIONS` makes it longer, `FUZZ_SEED`
//! repeats a failure.

mod http2_front;
mod properties;

use std::panic::{AssertUnwindSafe, catch_unwind};

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /p?q=1 HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 5\r\nConnection: x, close\r\nX: y\r\n\r\nhello",
    "PUT http://a/b HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n0\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nForwarded: for=1\r\nX-Forwarded-For: 1\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nExpect: 100-continue\r\n\r\n",
];
const ROUTES: &[&str] =
    &["a.org /x/y/z", "B.A.org.:80 /x;p/%2e%2e/..", "[::1]:8080 //x\\y?z", "a.org:x /%78%2Fy/.;"];
const BODIES: &[&str] = &[
    "\x035\r\nhello\r\n0\r\n\r\n",
    "\x051;a=b\r\nx\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\nHost: no\r\n\r\nGET /",
    "\x00ffffffffffffffff\r\n",
];
const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nok",
    "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 204 No Content\r\n\r\n",
];
const PROXY_HEADERS: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 198.51.100.1 5678 80\r\nGET /",
    b"PROXY TCP6 2001:db8::1 ::2 5678 80\r\n",
    b"PROXY UNKNOWN what ever\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x01\xc6\x33\x64\x01\x16\x2e\0\x50\x03\0\x04\x01\x02\x03\x04",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x03\x04\0\0",
];
const FRAMES: &[&[u8]] = &[
    b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n\"ready\"\nnull\n",
    b"132222222444444444444446\n",
    b"[1,-2.5e3,\"\\ud83d\\ude00\",{\"a\":[{}]}]\n",
    b"\x00\x00\x00\x0a\xff\x0fo\x22\x01aI\x02{\x01",
    b"\x00\x00\x00;\xff\x0fA\x06;\"\x01ko\"\x01sI\x02{\x01:\x02'I\x02\"\x01x,\x02Z\x10{\x00\x00\x00\x00\x00\x00\x00D\x00\x00\x00\x00\x00\x00\x00\x00\\\x00\x0a\x02hiR\"\x01x\x03$\x00\x06",
    b"\x00\x00\x00\x11\xff\x0fA\x02I\x02N\x00\x00\x00\x00\x00\x00\xf8?$\x00\x02",
];
/// After the preface: `GET /` with a header, `POST /` with a body and trailers, a request in two frames, one that is reset, an
/// extended CONNECT, settings, PING, WINDOW_UPDATE.
const HTTP2: &[&[u8]] = &[
    b"\0\0\x0d\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a\0\x01x\x03y z\0\0\x08\x06\0\0\0\0\x00abcdefgh",
    b"\0\0\x06\x01\x04\0\0\0\x01\x83\x86\x84\x41\x01a\0\0\x05\0\0\0\0\0\x01hello\0\0\x05\x01\x05\0\0\0\x01\0\x01t\x01u",
    b"\0\0\x18\x01\x04\0\0\0\x01\x83\x86\x84\x41\x01a\0\x0econtent-length\x012\0\0\x02\0\x01\0\0\0\x01ok",
    b"\0\0\x03\x01\x01\0\0\0\x01\x82\x86\x84\0\0\x03\x09\x04\0\0\0\x01\x41\x01a\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    b"\0\0\x2b\x01\x04\0\0\0\x01\0\x07:method\x07CONNECT\0\x09:protocol\x09websocket\x86\x84\x41\x01a",
    b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x01\0\0\x04\x08\0\0\0\0\0\0\0\x01\0\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a",
];
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b":",
    b" ",
    b"\t",
    b",",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b"0x",
    b"+1",
    b"-1",
    b"18446744073709551616",
    b"HTTP/1.1",
    b"\xff\x0f",
    b"{",
    b"}",
    b"\"",
    b"\\",
    b"/",
    b"..",
    b"%2e",
];

#[test]
fn request_heads_keep_their_framing() {
    run(properties::request_head, &texts(REQUESTS), 200_000);
}

#[test]
fn paths_are_for_the_same_route_however_they_are_escaped() {
    run(properties::route, &texts(ROUTES), 60_000);
}

#[test]
fn chunked_bodies_are_read_alike_in_any_pieces() {
    run(properties::chunked_body, &texts(BODIES), 200_000);
}

#[test]
fn response_heads_keep_their_framing() {
    run(properties::response_head, &texts(RESPONSES), 60_000);
}

#[test]
fn http_2_becomes_whole_requests_or_none() {
    let inputs: Vec<Vec<u8>> = HTTP2.iter().map(|frames| frames.to_vec()).collect();
    run(http2_front::http2_front, &inputs, 1_500);
}

#[test]
fn proxy_headers_are_the_same_however_they_come() {
    run(
        properties::proxy_header,
        &PROXY_HEADERS.iter().map(|header| header.to_vec()).collect::<Vec<_>>(),
        60_000,
    );
}

#[test]
fn ipc_frames_are_messages_or_errors() {
    run(properties::ipc_frames, &FRAMES.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>(), 60_000);
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn run(property: fn(&[u8]), inputs: &[Vec<u8>], iterations: u64) {
    inputs.iter().for_each(|input| property(input));
    let from_environment = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = from_environment("FUZZ_SEED").unwrap_or(1);
    for seed in first..first + from_environment("FUZZ_ITERATIONS").unwrap_or(iterations) {
        let input = mutated(&mut Random(seed), inputs);
        let outcome = catch_unwind(AssertUnwindSafe(|| property(&input)));
        assert!(
            outcome.is_ok(),
            "FUZZ_SEED={seed} FUZZ_ITERATIONS=1 repeats it; input: {}",
            input.escape_ascii()
        );
    }
}

fn mutated(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, random.below(256) as u8),
            3 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            4 => {
                let end = at + random.below(bytes.len() - at + 1);
                let slice = bytes[at..end].to_vec();
                bytes.splice(at..at, slice);
            }
            _ => {
                let other = &inputs[random.below(inputs.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
        }
    }
    bytes
}

/// SplitMix64: the same seed gives the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
