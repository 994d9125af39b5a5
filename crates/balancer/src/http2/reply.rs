//! A worker's answer in HTTP/2 as the head of HTTP/1.1 that the engine reads. Pure.
//!
//! Nothing is judged here: the engine does that with what it reads.

use http::{HeaderMap, StatusCode};

use super::body::is_of_connections;
use super::request::Content;

/// Translates the head of an answer, and says how what follows it is framed. `ended`: nothing does. `to_head`: it answers a
/// HEAD.
pub(super) fn translate(
    status: StatusCode,
    fields: &HeaderMap,
    (ended, to_head): (bool, bool),
) -> (Vec<u8>, Content) {
    let bare = to_head || status.is_informational() || matches!(status.as_u16(), 204 | 304);
    let mut lengths = fields.get_all("content-length").iter();
    let content = match lengths.next() {
        _ if ended || bare => Content::None,
        // Whoever announces trailers wants them to arrive.
        Some(_) if !fields.contains_key("trailer") => Content::Plain,
        _ => Content::Chunked,
    };
    let mut head = format!("HTTP/1.1 {} \r\n", status.as_u16()).into_bytes();
    for (name, value) in fields {
        let framing = name == "content-length" && content == Content::Chunked;
        if !framing && !is_of_connections(name) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
    }
    match content {
        Content::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Content::None if !bare && !fields.contains_key("content-length") => {
            head.extend_from_slice(b"content-length: 0\r\n");
        }
        _ => (),
    }
    head.extend_from_slice(b"\r\n");
    (head, content)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    /// The head of an answer with this status and these fields, and how it is followed: `[ended, to HEAD]`.
    #[track_caller]
    fn check(
        status: u16,
        fields: &[(&str, &str)],
        [ended, to_head]: [bool; 2],
        expected: (&[&str], Content),
    ) {
        let mut response = Response::builder();
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let response = response.status(status).body(()).expect("http can hold it");
        let (head, content) = translate(response.status(), response.headers(), (ended, to_head));
        let head = String::from_utf8(head).expect("what is answered is text");
        let lines: Vec<&str> = head.strip_suffix("\r\n\r\n").expect("it ends").split("\r\n").collect();
        assert_eq!((lines.as_slice(), content), expected, "{status} {fields:?}");
    }

    #[test]
    fn every_answer_has_one_framing() {
        let (ok, length, chunked) = ("HTTP/1.1 200 ", "content-length: 2", "transfer-encoding: chunked");
        check(200, &[("content-length", "2")], [false, false], (&[ok, length], Content::Plain));
        check(200, &[("x", "y")], [false, false], (&[ok, "x: y", chunked], Content::Chunked));
        check(200, &[], [true, false], (&[ok, "content-length: 0"], Content::None));
        let announced = [("content-length", "2"), ("trailer", "t")];
        check(200, &announced, [false, false], (&[ok, "trailer: t", chunked], Content::Chunked));
        check(200, &[("content-length", "2")], [true, true], (&[ok, length], Content::None));
        check(200, &[], [false, true], (&[ok], Content::None));
        check(204, &[], [true, false], (&["HTTP/1.1 204 "], Content::None));
        check(304, &[("etag", "e")], [true, false], (&["HTTP/1.1 304 ", "etag: e"], Content::None));
        check(103, &[("link", "l")], [true, false], (&["HTTP/1.1 103 ", "link: l"], Content::None));
    }
}
