//! Requests of HTTP/1.1 and what they are in HTTP/2, however they are cut.

use super::*;

/// What is said for `text`, in words.
fn said(pieces: &[&[u8]]) -> Result<Vec<String>, String> {
    let mut question = Question::default();
    let mut words: Vec<String> = Vec::new();
    for piece in pieces {
        let each = |part: Part| match part {
            Part::Head(request, whole) => {
                let what = if whole { "whole" } else { "head" };
                words.push(format!(
                    "{what} {} {}{}",
                    request.method(),
                    request.uri(),
                    fields(request.headers())
                ));
            }
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
        question.read(piece, each).map_err(|error| error.to_string())?;
    }
    Ok(words)
}

fn fields(fields: &HeaderMap) -> String {
    fields.iter().map(|(name, value)| format!(" {name}={}", value.to_str().expect("it is text"))).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(said(&[text.as_bytes()]).expect("it can be said"), expected);
    let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(said(&single).expect("it can be said"), expected, "byte by byte");
}

#[test]
fn request_is_the_same_in_both_versions() {
    check("GET /a?b HTTP/1.1\r\nHost: a:80\r\nX-Y: z\r\n\r\n", &["whole GET http://a:80/a?b x-y=z"]);
    check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &["whole OPTIONS http://a*"]);
    check("GET / HTTP/1.1\r\nHost: \r\n\r\n", &["whole GET /"]);
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        &["head POST http://a/ content-length=2", "data ok", "end"],
    );
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        &["whole POST http://a/ content-length=0"],
    );
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n\r\n\
         2\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n",
        &["head POST http://a/ te=trailers", "data abc", "end t=u"],
    );
}

#[test]
fn offer_of_another_protocol_is_left_out() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    check(text, &["whole GET http://a/"]);
}

#[test]
fn what_is_no_request_is_not_said() {
    assert!(said(&[b"GET / HTTP/1.1\r\n\r\n"]).is_err());
    assert!(said(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"]).is_err());
}
