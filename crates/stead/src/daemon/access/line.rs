//! How a request stands in an access log: one line, as JSON or in the common form that Apache calls combined.
//!
//! Whatever a client has sent, it can neither end the line nor a field of it: in JSON by its escapes, in the common form by
//! writing quotes, backslashes and all that is not printable ASCII as `\x22`.

use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use stead_balancer::http::{Scheme, Version};
use stead_balancer::{Aborted, AccessEntry, Protocol};

use crate::config::AccessForm;

/// A longer text of a client's is cut, so that a line stays one that programs read.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Writes lines of one app.
pub(super) struct Lines {
    pub(super) form: AccessForm,
    pub(super) app: String,
    /// What stands behind `?` is kept.
    pub(super) query: bool,
}

impl Lines {
    /// Appends the line of a request.
    pub(super) fn write(&self, entry: &AccessEntry<'_>, out: &mut Vec<u8>) {
        match self.form {
            AccessForm::Json => self.write_json(entry, out),
            AccessForm::Common => self.write_common(entry, out),
        }
    }

    fn write_json(&self, entry: &AccessEntry<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"type":"request","time":""#);
        out.extend_from_slice(stead_logs::stamp(entry.at).as_bytes());
        out.push(b'"');
        let (path, query) = self.split(entry.target);
        for (name, value) in [
            ("app", Some(self.app.as_bytes())),
            ("client", entry.client),
            ("method", entry.method),
            ("scheme", Some(scheme(entry.scheme).as_bytes())),
            ("host", entry.host),
            ("path", path),
            ("query", query),
            ("protocol", entry.protocol.map(protocol)),
        ] {
            put_text(name, value, out);
        }
        put_number("status", entry.status.map(u64::from), out);
        put_number("bytes_in", Some(entry.bytes_in), out);
        put_number("bytes_out", Some(entry.bytes_out), out);
        put_time("duration", entry.duration, out);
        put_time("wait", entry.wait, out);
        put_number("instance", entry.slot.map(u64::from), out);
        put_number("tries", Some(u64::from(entry.tries)), out);
        for (name, value) in [
            ("aborted", entry.aborted.map(aborted)),
            ("request_id", entry.request_id),
            ("trace_id", entry.trace_id),
            ("user_agent", entry.user_agent),
            ("referer", entry.referer.map(|referer| self.whole(referer))),
        ] {
            put_text(name, value, out);
        }
        out.extend_from_slice(b"}\n");
    }

    fn write_common(&self, entry: &AccessEntry<'_>, out: &mut Vec<u8>) {
        put_word(entry.client, out);
        out.extend_from_slice(b" - - [");
        let time = Timestamp::try_from(entry.at).unwrap_or_default();
        put(format_args!("{}", time.strftime("%d/%b/%Y:%H:%M:%S +0000")), out);
        out.extend_from_slice(b"] \"");
        match (entry.method, entry.target, entry.protocol) {
            (Some(method), Some(target), Some(spoken)) => {
                put_escaped(method, out);
                out.push(b' ');
                put_escaped(self.whole(target), out);
                out.push(b' ');
                out.extend_from_slice(protocol(spoken));
            }
            _ => out.push(b'-'),
        }
        match entry.status {
            Some(status) => put(format_args!("\" {status} {}", entry.bytes_out), out),
            None => out.extend_from_slice(b"\" - 0"),
        }
        for text in [entry.referer.map(|referer| self.whole(referer)), entry.user_agent] {
            out.extend_from_slice(b" \"");
            put_word(text, out);
            out.push(b'"');
        }
        out.push(b'\n');
    }

    /// An address with its query, or without it if that is not kept.
    fn whole<'t>(&self, target: &'t [u8]) -> &'t [u8] {
        let end = target.iter().position(|byte| *byte == b'?').filter(|_| !self.query);
        &target[..end.unwrap_or(target.len())]
    }

    fn split<'t>(&self, target: Option<&'t [u8]>) -> (Option<&'t [u8]>, Option<&'t [u8]>) {
        let Some(target) = target else { return (None, None) };
        match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (Some(&target[..at]), self.query.then(|| &target[at + 1..])),
            None => (Some(target), None),
        }
    }
}

fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

fn protocol(spoken: Protocol) -> &'static [u8] {
    match spoken {
        Protocol::Http1(Version::Http10) => b"HTTP/1.0",
        Protocol::Http1(Version::Http11) => b"HTTP/1.1",
        Protocol::Http2 => b"HTTP/2.0",
    }
}

fn aborted(by: Aborted) -> &'static [u8] {
    match by {
        Aborted::Client => b"client",
        Aborted::Worker => b"worker",
    }
}

fn put(text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    out.write_fmt(text).expect("memory can be written");
}

fn put_number(name: &str, value: Option<u64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => put(format_args!(",\"{name}\":{value}"), out),
        None => put(format_args!(",\"{name}\":null"), out),
    }
}

/// Seconds, to the microsecond.
fn put_time(name: &str, time: Duration, out: &mut Vec<u8>) {
    put(format_args!(",\"{name}\":{}.{:06}", time.as_secs(), time.subsec_micros()), out);
}

fn put_text(name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(value) = value else { return put(format_args!(",\"{name}\":null"), out) };
    put(format_args!(",\"{name}\":\""), out);
    let cut = &value[..value.len().min(TEXT_BYTES_MAX)];
    for part in cut.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '"' | '\\' => {
                    out.push(b'\\');
                    out.push(character as u8);
                }
                // Terminals obey them as well as those below the blank.
                character if character.is_control() => {
                    put(format_args!("\\u{:04x}", u32::from(character)), out);
                }
                character => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !part.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

/// A text, or `-` where there is none.
fn put_word(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) if !text.is_empty() => put_escaped(text, out),
        _ => out.push(b'-'),
    }
}

fn put_escaped(text: &[u8], out: &mut Vec<u8>) {
    for byte in &text[..text.len().min(TEXT_BYTES_MAX)] {
        match byte {
            b'"' | b'\\' | ..0x20 | 0x7f.. => put(format_args!("\\x{byte:02x}"), out),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn entry() -> AccessEntry<'static> {
        AccessEntry {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_240_862_123),
            client: Some(b"192.0.2.1"),
            scheme: Scheme::Https,
            method: Some(b"GET"),
            target: Some(b"/a/b?token=secret"),
            host: Some(b"shop.example"),
            protocol: Some(Protocol::Http1(Version::Http11)),
            user_agent: Some(b"curl/8"),
            referer: Some(b"https://a/?q=1"),
            status: Some(200),
            bytes_in: 3,
            bytes_out: 5,
            duration: Duration::from_micros(1_000_250),
            wait: Duration::from_micros(7),
            slot: Some(2),
            tries: 1,
            request_id: Some(b"abc"),
            trace_id: None,
            aborted: None,
        }
    }

    fn write(form: AccessForm, query: bool, entry: &AccessEntry<'_>) -> String {
        let mut out = Vec::new();
        Lines { form, app: "shop".to_owned(), query }.write(entry, &mut out);
        String::from_utf8(out).expect("a log is text")
    }

    #[test]
    fn request_is_written_in_both_forms() {
        let check = |form, query, expected: &str| assert_eq!(write(form, query, &entry()), expected);
        check(
            AccessForm::Common,
            false,
            "192.0.2.1 - - [21/Nov/2026:06:01:02 +0000] \"GET /a/b HTTP/1.1\" 200 5 \"https://a/\" \"curl/8\"\n",
        );
        check(
            AccessForm::Common,
            true,
            "192.0.2.1 - - [21/Nov/2026:06:01:02 +0000] \"GET /a/b?token=secret HTTP/1.1\" 200 5 \"https://a/?q=1\" \"curl/8\"\n",
        );
        check(
            AccessForm::Json,
            false,
            "{\"type\":\"request\",\"time\":\"2026-11-21T06:01:02.123Z\",\"app\":\"shop\",\"client\":\"192.0.2.1\",\
             \"method\":\"GET\",\"scheme\":\"https\",\"host\":\"shop.example\",\"path\":\"/a/b\",\"query\":null,\
             \"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes_in\":3,\"bytes_out\":5,\"duration\":1.000250,\
             \"wait\":0.000007,\"instance\":2,\"tries\":1,\"aborted\":null,\"request_id\":\"abc\",\"trace_id\":null,\
             \"user_agent\":\"curl/8\",\"referer\":\"https://a/\"}\n",
        );
        assert!(write(AccessForm::Json, true, &entry()).contains("\"query\":\"token=secret\""));
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        let unknown = AccessEntry {
            client: None,
            method: None,
            target: None,
            host: None,
            protocol: None,
            user_agent: None,
            referer: None,
            status: None,
            slot: None,
            ..entry()
        };
        let line = write(AccessForm::Common, false, &unknown);
        assert_eq!(line, "- - - [21/Nov/2026:06:01:02 +0000] \"-\" - 0 \"-\" \"-\"\n");
        let line: serde_json::Value =
            serde_json::from_str(&write(AccessForm::Json, false, &unknown)).expect("it is JSON");
        assert!(line["status"].is_null() && line["path"].is_null());
    }

    /// Deterministic: the same bytes in each run.
    fn noise(seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let length = next() % 40;
        let hostile = b"\"\\\n\r\t\0 -[]{}:,\x1b\x7f\x80\xc2\x9b\xff";
        (0..length)
            .map(|_| match next() % 3 {
                0 => hostile[(next() % hostile.len() as u64) as usize],
                _ => (next() & 0xff) as u8,
            })
            .collect()
    }

    #[test]
    fn no_client_can_forge_a_line_or_a_field() {
        for seed in 1..5_000 {
            let texts: Vec<Vec<u8>> = (0..5).map(|index| noise(seed * 5 + index)).collect();
            let entry = AccessEntry {
                method: Some(&texts[0]),
                target: Some(&texts[1]),
                host: Some(&texts[2]),
                user_agent: Some(&texts[3]),
                referer: Some(&texts[4]),
                ..entry()
            };
            let line = write(AccessForm::Json, true, &entry);
            assert_eq!(line.matches('\n').count(), 1, "seed {seed}: {line:?}");
            assert!(!line.trim_end().chars().any(char::is_control), "seed {seed}: {line:?}");
            let value: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
            let agent = String::from_utf8_lossy(&texts[3]).into_owned();
            let first_invalid = agent.split('\u{fffd}').next().unwrap_or_default();
            let written = value["user_agent"].as_str().expect("it is there");
            assert!(written.starts_with(first_invalid), "seed {seed}: {written:?}");
            assert_eq!((&value["app"], &value["status"]), (&"shop".into(), &200.into()), "seed {seed}");

            let line = write(AccessForm::Common, true, &entry);
            assert!(
                line.trim_end_matches('\n').bytes().all(|byte| (0x20..0x7f).contains(&byte)),
                "seed {seed}"
            );
            assert_eq!(line.matches('"').count(), 6, "seed {seed}: {line:?}");
            assert!(line.starts_with("192.0.2.1 - - [21/Nov/2026:06:01:02 +0000] \""), "seed {seed}");
        }
    }
}
