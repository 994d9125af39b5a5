//! Lines about requests, which whoever serves them writes in a form of their own: where they are, and of when.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::fmt::strtime;

use crate::line::Record;
use crate::source::{Source, Stream};

/// What a line of JSON about a request begins with.
const JSON: &str = "{\"type\":\"request\",\"time\":\"";
/// `2026-11-21T06:01:02.123Z`
const STAMP_BYTES: usize = 24;

/// The directory of the access log of an app whose log is in `directory`.
pub fn access_directory(directory: &Path) -> PathBuf {
    directory.join("access")
}

/// Reads a line about a request; nothing if it is none. The whole line is its text, for it has no other.
pub(crate) fn parse(line: &str) -> Option<Record> {
    let time = match line.strip_prefix(JSON) {
        Some(rest) => rest.get(..STAMP_BYTES)?.to_owned(),
        None => {
            let (_, rest) = line.split_once(" [")?;
            let (time, _) = rest.split_once(']')?;
            let time: Timestamp = strtime::parse("%d/%b/%Y:%H:%M:%S %z", time).ok()?.to_timestamp().ok()?;
            format!("{time:.3}")
        }
    };
    let source = Source { app: String::new(), instance: None, stream: Stream::Out };
    Some(Record { time, source, partial: false, text: line.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_a_request_is_known_in_both_forms() {
        let check = |line: &str, expected: Option<&str>| {
            let record = parse(line);
            assert_eq!(record.as_ref().map(|record| record.time.as_str()), expected, "{line}");
            assert!(record.is_none_or(|record| record.text == line));
        };
        check(
            "{\"type\":\"request\",\"time\":\"2026-11-21T06:01:02.123Z\",\"app\":\"shop\"}",
            Some("2026-11-21T06:01:02.123Z"),
        );
        check(
            "::1 - - [21/Nov/2026:06:01:02 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"",
            Some("2026-11-21T06:01:02.000Z"),
        );
        check("{\"type\":\"request\",\"time\":\"2026", None);
        check("1 - - [21/Nev/2026:06:01:02 +0000] \"", None);
        check("", None);
    }
}
