//! Answers of HTTP/1.1 and what they are in HTTP/2, however they are cut.

use http::HeaderMap;

use super::*;

/// What is said for `text`, in words.
fn said(kind: RequestMethodKind, pieces: &[&[u8]]) -> Result<Vec<String>, String> {
    let mut answer = Answer::new(kind);
    let mut words: Vec<String> = Vec::new();
    for piece in pieces {
        let each = |part: Part| match part {
            Part::Informational(response) => words.push(head("1xx", &response)),
            Part::Head(response, ended) => words.push(head(if ended { "whole" } else { "head" }, &response)),
            // Where data is cut is nobody's business.
            Part::Body(Piece::Data(data)) => {
                let data = String::from_utf8_lossy(&data);
                match words.last_mut().filter(|last| last.starts_with("data ")) {
                    Some(last) => last.push_str(&data),
                    None => words.push(format!("data {data}")),
                }
            }
            Part::Body(Piece::End(trailers)) => {
                words.push(format!("end{}", fields(&trailers.unwrap_or_default())));
            }
        };
        answer.read(piece, each).map_err(|error| error.to_string())?;
    }
    Ok(words)
}

fn head(what: &str, response: &Response<()>) -> String {
    format!("{what} {}{}", response.status().as_u16(), fields(response.headers()))
}

fn fields(fields: &HeaderMap) -> String {
    fields.iter().map(|(name, value)| format!(" {name}={}", value.to_str().expect("it is text"))).collect()
}

#[track_caller]
fn check(kind: RequestMethodKind, text: &str, expected: &[&str]) {
    let whole = said(kind, &[text.as_bytes()]).expect("it can be said");
    assert_eq!(whole, expected);
    let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(said(kind, &single).expect("it can be said"), expected, "byte by byte");
}

#[test]
fn answer_is_the_same_in_both_versions() {
    use RequestMethodKind::{Head, Other, Upgrade};
    check(
        Other,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok",
        &["head 200 content-length=2 x=y", "data ok", "end"],
    );
    check(Other, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", &["whole 404 content-length=0"]);
    check(Other, "HTTP/1.1 204 \r\n\r\n", &["whole 204"]);
    check(Other, "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", &["whole 304 content-length=9"]);
    check(Head, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", &["whole 200 content-length=9"]);
    check(
        Other,
        "HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n\
         2\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n",
        &["1xx 103 link=<a>", "head 200 trailer=T", "data abc", "end t=u"],
    );
    check(Other, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &["head 200", "end"]);
    check(
        Upgrade,
        "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\
         Sec-WebSocket-Protocol: p\r\n\r\nframes",
        &["head 200 sec-websocket-protocol=p", "data frames"],
    );
}

#[test]
fn fields_of_connections_are_left_out() {
    let text = "HTTP/1.1 503 x\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx";
    check(RequestMethodKind::Other, text, &["head 503 content-length=1", "data x", "end"]);
}

#[test]
fn tunnel_that_is_not_granted_is_not_opened() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    check(RequestMethodKind::Upgrade, text, &["head 502 content-length=2", "data hi", "end"]);
    check(
        RequestMethodKind::Upgrade,
        "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
        &["whole 403 content-length=0"],
    );
}

#[test]
fn what_is_no_answer_is_not_said() {
    assert!(said(RequestMethodKind::Other, &[b"HTTP/1.1 20\r\n\r\n"]).is_err());
    let broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    assert!(said(RequestMethodKind::Other, &[broken]).is_err());
}
