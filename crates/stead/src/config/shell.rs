//! Command lines as text: splitting them into words without a shell, quoting words for one, and looking at a line for what
//! it starts.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Splits a line into words at blanks; quotes and backslashes keep blanks, nothing else is special.
///
/// Nothing when a quote is not closed.
pub(crate) fn split(line: &OsStr) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let mut bytes = line.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None | Some(b'"'), b'\\') => word.get_or_insert_default().push(bytes.next().unwrap_or(b'\\')),
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            (Some(_) | None, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.is_none().then(|| words.into_iter().map(OsString::from_vec).collect())
}

/// The word as a shell reads it back.
pub(super) fn quote(word: &OsStr) -> OsString {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"@%_-+=:,./{}".contains(byte);
    if !word.is_empty() && word.as_bytes().iter().all(plain) {
        return word.to_owned();
    }
    let mut quoted = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

/// The words joined by blanks, each quoted where needed.
pub(crate) fn join<'a>(words: impl IntoIterator<Item = &'a OsString>) -> OsString {
    let quoted: Vec<OsString> = words.into_iter().map(|word| quote(word)).collect();
    quoted.join(OsStr::new(" "))
}

/// A line that starts one program and does nothing else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SimpleLine<'a> {
    /// `NAME=value ` in front of the program, blanks included.
    pub(super) assignments: &'a str,
    /// The first word after them.
    pub(super) program: &'a str,
    /// What follows it, with the blank in front.
    pub(super) rest: &'a str,
}

/// Reads a shell line that starts one program; nothing when it may do more than that.
pub(super) fn simple_line(line: &str) -> Option<SimpleLine<'_>> {
    let line = line.trim();
    if line.contains(['|', '&', ';', '<', '>', '(', ')', '`', '\n', '#']) {
        return None;
    }
    let mut start = 0;
    loop {
        let rest = &line[start..];
        let word = rest.split([' ', '\t']).next().unwrap_or_default();
        if word.is_empty() || word.contains(['\'', '"', '\\', '$', '*', '?', '~', '{', '!']) {
            return None;
        }
        if !word.contains('=') {
            let (assignments, program) = (&line[..start], word);
            return Some(SimpleLine { assignments, program, rest: &rest[word.len()..] });
        }
        let next = &rest[word.len()..];
        start += word.len() + (next.len() - next.trim_start().len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_into_words() {
        let check = |line: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|words| words.iter().map(OsString::from).collect::<Vec<_>>());
            assert_eq!(split(OsStr::new(line)), expected, "{line}");
        };
        check("node server.js", Some(&["node", "server.js"]));
        check("  a \t b\n", Some(&["a", "b"]));
        check("a 'b c' \"d 'e'\" ''", Some(&["a", "b c", "d 'e'", ""]));
        check(r#"a\ b "c\"d" 'e\f'"#, Some(&["a b", "c\"d", "e\\f"]));
        check("a$HOME *|x", Some(&["a$HOME", "*|x"]));
        check("", Some(&[]));
        check("a 'b", None);
    }

    #[test]
    fn quoted_words_come_back_whole() {
        for word in ["plain", "", "two words", "it's", "{port}", "$HOME", "a\\b", "\"q\""] {
            let quoted = quote(OsStr::new(word));
            assert_eq!(split(&quoted), Some(vec![OsString::from(word)]), "{quoted:?}");
        }
        assert_eq!(quote(OsStr::new("unix:{socket}")), "unix:{socket}");
    }

    #[test]
    fn lines_that_start_one_program_are_recognised() {
        let check = |line: &str, expected: Option<(&str, &str, &str)>| {
            let actual = simple_line(line).map(|line| (line.assignments, line.program, line.rest));
            assert_eq!(actual, expected, "{line}");
        };
        check("node server.js", Some(("", "node", " server.js")));
        check("NODE_ENV=production  PORT=1 node .", Some(("NODE_ENV=production  PORT=1 ", "node", " .")));
        check("next", Some(("", "next", "")));
        check("node -e 'a'", Some(("", "node", " -e 'a'")));
        check("node a.js && node b.js", None);
        check("node a.js; true", None);
        check("A=1", None);
        check("$RUNNER a.js", None);
        check("A='x y' node a.js", None);
        check("", None);
    }
}
