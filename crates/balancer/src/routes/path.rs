//! A path as routes are compared with it.
//!
//! Programs disagree about what a path means: some take `%61pi` for `api`, `//api` for `/api`, `api%2Fv1` for two segments, and
//! `..` for the segment above. For a limit that is kept for `/api`, every one of them must count as what the most generous program
//! would make of it. So escapes are decoded (once), empty segments are skipped, `\` and an escaped `/` separate as `/` does, and
//! what follows a `;` in a segment is left out. Where `.` or `..` would be left over as a segment, the request is refused: no
//! client sends that by itself, and two programs that resolve it in two ways are how limits are passed by. The worker
//! gets the path as it came.

use std::borrow::Cow;

use memchr::memchr;

/// With its escapes decoded; what is no escape stays as it is. Allocates only if there are any.
pub(super) fn decode(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'%', path) else { return Cow::Borrowed(path) };
    let mut decoded = path[..first].to_vec();
    let mut rest = &path[first..];
    while let Some((byte, after)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| Some(digit(*after.first()?)? * 16 + digit(*after.get(1)?)?));
        match escaped.flatten() {
            Some(escaped) => {
                decoded.push(escaped);
                rest = &after[2..];
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    Cow::Owned(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The segments of a decoded path.
pub(super) fn segments(decoded: &[u8]) -> impl Iterator<Item = &[u8]> {
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).map(name).filter(|segment| !segment.is_empty())
}

/// A segment without its parameters.
fn name(segment: &[u8]) -> &[u8] {
    memchr(b';', segment).map_or(segment, |end| &segment[..end])
}

/// Whether two programs could take two ways through it.
pub(super) fn has_dots(decoded: &[u8]) -> bool {
    segments(decoded).any(|segment| matches!(segment, b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&[&str]>) {
        let decoded = decode(path.as_bytes());
        let found: Vec<_> = segments(&decoded).map(String::from_utf8_lossy).collect();
        match expected {
            Some(expected) => assert_eq!(found, expected, "{path}"),
            None => assert!(has_dots(&decoded), "{path}: {found:?}"),
        }
        assert_eq!(has_dots(&decoded), expected.is_none(), "{path}");
    }

    #[test]
    fn every_spelling_of_a_path_is_compared_as_one() {
        check("/", Some(&[]));
        check("/api", Some(&["api"]));
        check("/api/", Some(&["api"]));
        check("//api///v1", Some(&["api", "v1"]));
        check("/%61pi/%76%31", Some(&["api", "v1"]));
        check("/api%2Fv1", Some(&["api", "v1"]));
        check("/api%2fv1", Some(&["api", "v1"]));
        check("/api\\v1", Some(&["api", "v1"]));
        check("/api%5Cv1", Some(&["api", "v1"]));
        check("/api;a=b/v1;c", Some(&["api", "v1"]));
        check("/api%3Ba=b", Some(&["api"]));
        check("/;/api", Some(&["api"]));
        check("/API", Some(&["API"]));
        check("/stra%C3%9Fe", Some(&["stra\u{df}e"]));
        check("*", Some(&["*"]));
    }

    #[test]
    fn escapes_are_decoded_once_and_broken_ones_left() {
        check("/%2561pi", Some(&["%61pi"]));
        check("/%252e%252e/a", Some(&["%2e%2e", "a"]));
        check("/100%", Some(&["100%"]));
        check("/%zz%4", Some(&["%zz%4"]));
        check("/%+1a", Some(&["%+1a"]));
    }

    #[test]
    fn segments_that_programs_resolve_are_found_in_every_spelling() {
        for path in [
            "/.",
            "/..",
            "/./api",
            "/api/../admin",
            "/api/..",
            "/%2e",
            "/%2e%2e/api",
            "/.%2E/api",
            "/api/%2E./a",
            "/api/..%2Fadmin",
            "/api\\..\\admin",
            "/api/..;/admin",
            "/api/..;a=b/admin",
            "/..%5cadmin",
            "/a/.;x",
        ] {
            check(path, None);
        }
        check("/...", Some(&["..."]));
        check("/.well-known/a..b", Some(&[".well-known", "a..b"]));
        check("/a?/..", None);
    }
}
