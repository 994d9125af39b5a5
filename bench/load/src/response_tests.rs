//! Responses, good and bad, whole and in single bytes.

use super::*;

struct Seen {
    progress: Progress,
    ends_with_eof: bool,
    status: u16,
    keep_alive: bool,
    good: bool,
}

fn read(answer: &str, expect: &Expect, no_body: bool, piece: usize) -> Seen {
    let wanted = Wanted { expect, sent: b"hello", no_body, count_header: None };
    let mut response = Response::new();
    let mut progress = Progress::More;
    for bytes in answer.as_bytes().chunks(piece) {
        progress = response.feed(bytes, wanted);
        if matches!(progress, Progress::Bad(_)) {
            break;
        }
    }
    let ends_with_eof = progress == Progress::More && response.end();
    let (status, keep_alive) = (response.status, response.keep_alive);
    Seen { progress, ends_with_eof, status, keep_alive, good: response.body_good(wanted) }
}

/// The same result whole, in single bytes and in threes.
fn check(answer: &str, test: impl Fn(&Seen)) {
    for piece in [answer.len(), 1, 3] {
        test(&read(answer, &Expect::Echo, false, piece));
    }
}

#[test]
fn fixed_length_is_done_at_its_last_byte_and_not_before() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    check(answer, |seen| {
        assert_eq!(seen.progress, Progress::Done);
        assert!(seen.good && seen.keep_alive && seen.status == 200);
    });
    check(&answer[..answer.len() - 1], |seen| {
        assert!(seen.progress == Progress::More && !seen.ends_with_eof);
    });
}

#[test]
fn another_body_of_the_same_length_is_not_good() {
    for body in ["hellO", "xello"] {
        check(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"), |seen| {
            assert!(seen.progress == Progress::Done && !seen.good);
        });
    }
    check("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell", |seen| assert!(!seen.good));
    check("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhelloo", |seen| assert!(!seen.good));
}

#[test]
fn chunks_with_extension_and_trailer_are_joined() {
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
        |seen| {
            assert!(seen.progress == Progress::Done && seen.good);
        },
    );
}

#[test]
fn chunks_cut_before_the_last_are_not_an_answer() {
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", |seen| {
        assert!(seen.progress == Progress::More && !seen.ends_with_eof);
    });
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", |seen| {
        assert!(seen.progress == Progress::More && !seen.ends_with_eof);
    });
}

#[test]
fn an_answer_without_framing_ends_with_the_connection() {
    check("HTTP/1.0 200 OK\r\n\r\nhello", |seen| {
        assert!(seen.progress == Progress::More && seen.ends_with_eof && seen.good && !seen.keep_alive);
    });
}

#[test]
fn interim_answers_are_skipped() {
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        |seen| {
            assert!(seen.progress == Progress::Done && seen.status == 204);
        },
    );
}

#[test]
fn head_answers_have_no_body() {
    let seen = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &Expect::Anything, true, 7);
    assert_eq!(seen.progress, Progress::Done);
}

#[test]
fn connection_says_whether_it_may_be_used_again() {
    for (version, header, keeps) in [
        ("1.1", "X: y", true),
        ("1.1", "Connection: close", false),
        ("1.1", "Connection: Keep-Alive", true),
        ("1.0", "X: y", false),
        ("1.0", "Connection: keep-alive", true),
        ("1.1", "Connection: x, close", false),
    ] {
        check(&format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{header}\r\n\r\n"), |seen| {
            assert_eq!(seen.keep_alive, keeps, "{version} {header}");
        });
    }
}

#[test]
fn what_is_not_an_answer_is_told() {
    for answer in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    ] {
        check(answer, |seen| {
            assert!(matches!(seen.progress, Progress::Bad(_)), "{answer}: {:?}", seen.progress);
        });
    }
}

#[test]
fn text_is_found_anywhere_in_the_body() {
    let expect = Expect::Contains("ell".to_owned());
    assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &expect, false, 1).good);
    assert!(!read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nholla", &expect, false, 1).good);
}
