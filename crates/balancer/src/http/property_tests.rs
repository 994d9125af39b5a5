//! Seeded random bytes: nothing panics, and whatever is accepted reads the same after it has been passed on.

use super::field::Field;
use super::{
    Body, ChunkedReader, ClientText, Downstream, Forward, Framing, HeaderSpace, Limits, PieceKind, Request,
    RequestMethodKind, ResponseBody, Scheme, Version, parse_request, parse_response,
};

const LIMITS: Limits = Limits { head_bytes_max: 4 * 1024, header_count_max: 60, target_bytes_max: 1024 };
/// A passed-on head is larger than it came.
const LARGER: Limits =
    Limits { head_bytes_max: 16 * 1024, header_count_max: 100, target_bytes_max: 2 * 1024 };
const ROUNDS: u64 = 60_000;

/// xorshift64*: enough to mix test data.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Puts random bytes, or bytes that mean something, in random places.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        const SPECIAL: &[u8] = b"\r\n\0 \t:;,=\"/#@[]_-+0aA\x7f\x80\xff";
        for _ in 0..self.below(3) {
            let at = self.below(bytes.len());
            let byte =
                if self.below(3) == 0 { self.below(256) as u8 } else { SPECIAL[self.below(SPECIAL.len())] };
            match self.below(3) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
    }
}

const FIELDS: &[&str] = &[
    "Host: a",
    "Host: b:80",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 5, 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: keep-alive, upgrade",
    "Connection: X-A, Content-Length, Host",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "TE: trailers",
    "Keep-Alive: timeout=5",
    "X-A: b",
    "X-Forwarded-For: 1.1.1.1",
    "X_Forwarded_For: 2.2.2.2",
    "Forwarded: for=1.1.1.1",
    "X-Forwarded-Proto: https",
    "Cookie: a=b",
    "Empty:",
    "Trailer: X",
    "Idempotency-Key: k",
    "Proxy: x",
    " folded",
    "A : b",
    "X-Forwarded-Host: c",
];

fn random_request(random: &mut Random) -> Vec<u8> {
    let method = random.of(&["GET", "GET", "POST", "HEAD", "OPTIONS", "CONNECT", "BREW"]);
    let target = random.of(&["/", "/a?b=c", "*", "http://c:81/d", "http://c", "http://c?e", "x", "/%20#"]);
    let version = random.of(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]);
    let mut head = format!("{method} {target} {version}\r\nHost: a\r\n");
    for _ in 0..random.below(6) {
        head.push_str(random.of(FIELDS));
        head.push_str(random.of(&["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n"]));
    }
    head.push_str("\r\n");
    let mut head = head.into_bytes();
    random.damage(&mut head);
    head
}

/// What must be the same before and after.
fn essence<'b>(request: &Request<'_, 'b>) -> (&'b str, Body, bool, bool, Vec<u8>, Vec<u8>) {
    let mut target = Vec::new();
    request.target.write_origin(request.method, &mut target);
    let host = request.host.unwrap_or_default().to_vec();
    (request.method.as_str(), request.body, request.upgrade, request.expect_continue, target, host)
}

#[test]
fn accepted_requests_read_the_same_when_passed_on() {
    let client = ClientText::new("192.0.2.1:5678".parse().unwrap());
    let mut accepted = 0;
    for seed in 1..=ROUNDS {
        let mut random = Random(seed);
        let head = random_request(&mut random);
        let mut space = HeaderSpace::new();
        let Ok(Some(request)) = parse_request(&head, &LIMITS, &mut space) else { continue };
        accepted += 1;
        let context = Forward {
            client: (random.below(4) > 0).then_some(&client),
            scheme: Scheme::Http,
            certificate: &[],
            trust: random.below(2) == 0,
            request_id: (random.below(2) == 0).then_some("ours"),
            traceparent: (random.below(2) == 0).then_some("started"),
            close: random.below(2) == 0,
        };
        let mut passed_on = Vec::new();
        request.write_forward(&context, &mut passed_on);
        let mut space = HeaderSpace::new();
        let again = parse_request(&passed_on, &LARGER, &mut space).unwrap().unwrap();
        let what = format!("seed {seed}: {} became {}", head.escape_ascii(), passed_on.escape_ascii());
        assert_eq!(essence(&again), essence(&request), "{what}");
        assert_eq!((again.head_bytes, again.version), (passed_on.len(), Version::Http11), "{what}");
        let names: Vec<Field> = again.headers.iter().map(|header| Field::of(header.name)).collect();
        let count = |field| names.iter().filter(|name| **name == field).count();
        for field in [Field::Dropped, Field::LookAlike, Field::KeepAlive] {
            assert_eq!(count(field), 0, "{what}");
        }
        if !context.trust {
            assert_eq!(count(Field::ForwardedFor), usize::from(context.client.is_some()), "{what}");
            assert_eq!((count(Field::Forwarded), count(Field::ForwardedProto)), (1, 1), "{what}");
        }
    }
    assert!(accepted > ROUNDS / 20, "only {accepted} of {ROUNDS} were accepted");
}

#[test]
fn accepted_responses_read_the_same_when_passed_on() {
    let mut accepted = 0;
    for seed in 1..=ROUNDS {
        let mut random = Random(seed);
        let version = random.of(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]);
        let status =
            random.of(&["200 OK", "204 No Content", "304 NM", "103 Early", "101 Switching", "500", "426 UR"]);
        let mut head = format!("{version} {status}\r\n");
        for _ in 0..random.below(5) {
            head.push_str(random.of(FIELDS));
            head.push_str(random.of(&["\r\n", "\r\n", "\r\n", "\n"]));
        }
        head.push_str("\r\n");
        let mut head = head.into_bytes();
        random.damage(&mut head);
        let kinds = [RequestMethodKind::Other, RequestMethodKind::Head, RequestMethodKind::Upgrade];
        let kind = kinds[random.below(3)];
        let mut space = HeaderSpace::new();
        let Ok(Some(response)) = parse_response(&head, &LIMITS, kind, &mut space) else { continue };
        accepted += 1;
        let client = if random.below(2) == 0 { Version::Http10 } else { Version::Http11 };
        let framing = Framing::for_stream(response.body, client);
        let keep_alive = random.below(2) == 0;
        let mut passed_on = Vec::new();
        response.write_downstream(&Downstream { client, keep_alive, framing }, &mut passed_on);
        let mut space = HeaderSpace::new();
        let again = parse_response(&passed_on, &LARGER, kind, &mut space).unwrap().unwrap();
        let what = format!("seed {seed}: {} became {}", head.escape_ascii(), passed_on.escape_ascii());
        let expected = match framing {
            Framing::None => ResponseBody::None,
            Framing::Length(length) => ResponseBody::Length(length),
            Framing::Chunked => ResponseBody::Chunked,
            Framing::CloseDelimited => ResponseBody::UntilClose,
        };
        assert_eq!((again.status, again.reason), (response.status, response.reason), "{what}");
        assert_eq!((again.body, again.head_bytes), (expected, passed_on.len()), "{what}");
    }
    assert!(accepted > ROUNDS / 20, "only {accepted} of {ROUNDS} were accepted");
}

#[test]
fn random_bytes_never_panic() {
    for seed in 1..=ROUNDS {
        let mut random = Random(seed);
        let length = random.below(200);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        if seed % 2 == 0 {
            bytes.iter_mut().for_each(|byte| *byte = b"\r\n :GETHTP/1.0aZ5;,"[usize::from(*byte) % 19]);
        }
        let mut space = HeaderSpace::new();
        let _ = parse_request(&bytes, &LIMITS, &mut space);
        let mut space = HeaderSpace::new();
        let _ = parse_response(&bytes, &LIMITS, RequestMethodKind::Other, &mut space);
        read_chunks(&bytes, random.below(20) + 1);
    }
}

/// Reads `bytes` as a chunked body in parts; every answer must lead on.
fn read_chunks(bytes: &[u8], part: usize) {
    let mut reader = ChunkedReader::new();
    let mut trailers = Vec::new();
    for mut input in bytes.chunks(part) {
        loop {
            let Ok(piece) = reader.next(input, &mut trailers) else { return };
            match piece.kind {
                PieceKind::Data(range) => assert!(!range.is_empty() && range.end == piece.consumed),
                PieceKind::NeedMore => break,
                PieceKind::End => return,
            }
            input = &input[piece.consumed..];
        }
    }
}
