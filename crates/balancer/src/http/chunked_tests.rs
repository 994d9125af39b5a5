//! Chunked bodies, each read in every way it can be split.

use super::{
    CHUNK_END, ChunkedError, ChunkedReader, LAST_CHUNK, PieceKind, write_chunk_head, write_last_chunk,
};

/// The data, the trailers and the number of bytes that the body took, or the error.
type Outcome = Result<(Vec<u8>, String, usize), ChunkedError>;

/// Feeds `parts` one after the other. `None`: the body is not over.
fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Outcome> {
    let (mut reader, mut data, mut trailers, mut total) = (ChunkedReader::new(), Vec::new(), Vec::new(), 0);
    for part in parts {
        let mut rest = part;
        loop {
            let piece = match reader.next(rest, &mut trailers) {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
            total += piece.consumed;
            match piece.kind {
                PieceKind::Data(range) => data.extend_from_slice(&rest[range]),
                PieceKind::NeedMore => {
                    assert_eq!(piece.consumed, rest.len(), "more is needed only when all is consumed");
                    break;
                }
                PieceKind::End => return Some(Ok((data, String::from_utf8(trailers).unwrap(), total))),
            }
            rest = &rest[piece.consumed..];
        }
    }
    None
}

/// Every way of splitting `body` in two, and byte by byte, gives what the whole gives.
#[track_caller]
fn read_every_way(body: &[u8]) -> Option<Outcome> {
    let whole = read([body]);
    for split in 0..=body.len() {
        let (first, second) = body.split_at(split);
        assert_eq!(read([first, second]), whole, "{} split at {split}", body.escape_ascii());
    }
    assert_eq!(read(body.chunks(1)), whole, "{} byte by byte", body.escape_ascii());
    whole
}

#[track_caller]
fn check(body: &str, data: &str, trailers: &str) {
    let with_more = format!("{body}GET / HTTP/1.1\r\n");
    let expected = (data.as_bytes().to_vec(), trailers.to_owned(), body.len());
    assert_eq!(read_every_way(with_more.as_bytes()), Some(Ok(expected)), "{body:?}");
    for end in 0..body.len() {
        assert_eq!(read([&body.as_bytes()[..end]]), None, "{body:?} cut at {end}");
    }
}

#[track_caller]
fn check_refused(body: &str, expected: ChunkedError) {
    assert_eq!(read_every_way(body.as_bytes()), Some(Err(expected)), "{body:?}");
}

#[test]
fn bodies_end_where_the_last_chunk_ends() {
    check("0\r\n\r\n", "", "");
    check("5\r\nhello\r\n0\r\n\r\n", "hello", "");
    check("5\r\nhello\r\n6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", "hello\r\n0\r\n\r", "");
    check("a\r\n0123456789\r\n000\r\n\r\n", "0123456789", "");
    check("0000000000000001\r\nA\r\n0\r\n\r\n", "A", "");
    check(&format!("1A\r\n{}\r\n0\r\n\r\n", "x".repeat(26)), &"x".repeat(26), "");
}

#[test]
fn extensions_are_read_over() {
    check("1;a\r\nA\r\n0;b=\"c\\\";\"\r\n\r\n", "A", "");
    check("1;\r\nA\r\n0; c = d\t\r\n\r\n", "A", "");
    check(&format!("1;{}\r\nA\r\n0\r\n\r\n", "x".repeat(256)), "A", "");
    check_refused(&format!("1;{}\r\n", "x".repeat(257)), ChunkedError::ExtensionTooLong);
    check_refused("1;a\nA\r\n", ChunkedError::LineEnd);
    check_refused("1;a\rb\r\nA\r\n", ChunkedError::LineEnd);
    check_refused("1;a\x00\r\nA\r\n", ChunkedError::Extension);
    check_refused("1;\u{e9}\r\nA\r\n", ChunkedError::Extension);
}

#[test]
fn sizes_are_strict() {
    for size in [
        "",
        "+5",
        "-5",
        " 5",
        "5 ",
        "\t5",
        "5\t",
        "0x5",
        "5h",
        "g",
        "5 ;a",
        ";a",
        "00000000000000005",
        "1_0",
        "\u{ff15}",
        "5\x00",
        "5\x0b",
        "\r\n5",
        "5,",
        "fffffffffffffffff",
        "5\u{85}",
    ] {
        check_refused(&format!("{size}\r\nhello\r\n0\r\n\r\n"), ChunkedError::Size);
    }
    check_refused("5\nhello\r\n0\r\n\r\n", ChunkedError::LineEnd);
    check_refused("5\rhello\r\n0\r\n\r\n", ChunkedError::LineEnd);
    check_refused("5\r\rhello\r\n0\r\n\r\n", ChunkedError::LineEnd);
    // As large as a size can be: nothing overflows.
    assert_eq!(read_every_way(b"ffffffffffffffff\r\nabc"), None);
}

#[test]
fn data_is_followed_by_cr_lf() {
    for end in ["0\r\n\r\n", "\n0\r\n\r\n", "\r0\r\n\r\n", "x\r\n", "\n\r\n", "\r\r\n"] {
        check_refused(&format!("5\r\nhello{end}"), ChunkedError::DataEnd);
    }
}

#[test]
fn trailers_are_given_line_by_line() {
    check("0\r\nX-Sum:  1 \r\nx-b:2\r\n\r\n", "", "X-Sum: 1\r\nx-b: 2\r\n");
    check("1\r\nA\r\n0\r\nEtag: x\r\n\r\n", "A", "Etag: x\r\n");
}

#[test]
fn trailers_that_would_change_the_message_are_dropped() {
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Authorization",
        "Set-Cookie",
        "Content-Type",
        "Forwarded",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "Trailer",
        "TE",
        "Upgrade",
        "expect",
        "CACHE-CONTROL",
        "Idempotency-Key",
        "Cookie",
        "Content-Encoding",
        "Content_Length",
    ] {
        check(&format!("0\r\nA: b\r\n{name}: c\r\n\r\n"), "", "A: b\r\n");
    }
}

#[test]
fn malformed_trailers_are_refused() {
    for line in
        [" A: b", "A : b", ": b", "A", "A: b\x00", "A: b\r\n c", "A: b\rc", "A: \x7f", "GET / HTTP/1.1"]
    {
        check_refused(&format!("0\r\n{line}\r\n\r\n"), ChunkedError::Trailer);
    }
    for end in ["A: b\n\r\n", "A: b\n\n", "\n", "\rA", "\r\r\n", "A: b\r\n\n"] {
        check_refused(&format!("0\r\n{end}"), ChunkedError::LineEnd);
    }
}

#[test]
fn trailer_section_is_limited() {
    check_refused(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(33)), ChunkedError::TrailersTooLarge);
    let long = format!("0\r\nA: {}\r\n\r\n", "x".repeat(8 * 1024));
    assert_eq!(read([long.as_bytes()]), Some(Err(ChunkedError::TrailersTooLarge)));
    assert_eq!(read(long.as_bytes().chunks(1)), Some(Err(ChunkedError::TrailersTooLarge)));
}

#[test]
fn reader_stays_at_the_end() {
    let mut reader = ChunkedReader::new();
    let mut trailers = Vec::new();
    for _ in 0..2 {
        let piece = reader.next(LAST_CHUNK, &mut trailers).unwrap();
        assert_eq!(piece.kind, PieceKind::End);
        assert!(reader.is_done());
    }
    assert_eq!(reader.next(b"", &mut trailers).unwrap().consumed, 0);
}

#[test]
fn what_is_written_can_be_read() {
    let mut body = Vec::new();
    for length in [1, 15, 16, 255, 70_000] {
        write_chunk_head(length, &mut body);
        body.resize(body.len() + length, b'x');
        body.extend_from_slice(CHUNK_END);
    }
    write_last_chunk(b"A: b\r\n", &mut body);
    let (data, trailers, total) = read([&body[..]]).unwrap().unwrap();
    assert_eq!((data.len(), trailers.as_str(), total), (70_287, "A: b\r\n", body.len()));
}
