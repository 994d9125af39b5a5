//! How a line stands in a file: written, and read again.
//!
//! Text: `2026-11-21T06:01:02.123Z shop.0 out| what it printed`. A line that was cut for its length and goes on in the
//! next one has `out+` in place of `out|`. What is not text is written as `\x00`, so that `grep` and terminals have
//! nothing to fear; tabs and the escape character of colours stay. JSON: one object per line with `time`, `app`,
//! `instance`, `stream`, `line`, and `"partial":true` where it goes on.

use crate::source::{Chunk, Source, Stream};
use std::io::Write as _;

/// Appends lines as they stand in a file, and counts them. `time` is in the form of [`crate::time::stamp`].
pub(crate) struct Encoder<'a> {
    pub(crate) json: bool,
    pub(crate) line_bytes_max: usize,
    pub(crate) time: &'a str,
}

impl Encoder<'_> {
    pub(crate) fn encode(&self, source: &Source, chunk: Chunk<'_>, buffer: &mut Vec<u8>) -> u64 {
        let prefix = if self.json { self.json_prefix(source) } else { self.text_prefix(source) };
        let mut lines = 0;
        for (line, goes_on) in chunk.lines() {
            let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
            while rest.len() > self.line_bytes_max {
                let (piece, others) = rest.split_at(char_floor(rest, self.line_bytes_max));
                self.piece(&prefix, (piece, true), buffer);
                rest = others;
                lines += 1;
            }
            self.piece(&prefix, (rest, goes_on), buffer);
            lines += 1;
        }
        lines
    }

    fn text_prefix(&self, source: &Source) -> Vec<u8> {
        format!("{} {source} {}", self.time, source.stream.name()).into_bytes()
    }

    fn json_prefix(&self, source: &Source) -> Vec<u8> {
        let app = serde_json::Value::from(source.app.as_str());
        let instance = serde_json::Value::from(source.instance);
        let stream = source.stream.json_name();
        format!(
            r#"{{"type":"line","time":"{}","app":{app},"instance":{instance},"stream":"{stream}","#,
            self.time
        )
        .into_bytes()
    }

    fn piece(&self, prefix: &[u8], (text, goes_on): (&[u8], bool), buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(prefix);
        if self.json {
            buffer.extend_from_slice(if goes_on { br#""partial":true,"line":"# } else { br#""line":"# });
            serde_json::to_writer(&mut *buffer, &String::from_utf8_lossy(text))
                .expect("text can be written into memory");
            buffer.extend_from_slice(b"}\n");
            return;
        }
        buffer.extend_from_slice(if goes_on { b"+ " } else { b"| " });
        escape(text, buffer);
        buffer.push(b'\n');
    }
}

/// Bytes that a terminal or `grep` would take for something other than text.
fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t' && byte != 0x1b) || byte == 0x7f
}

fn escape(text: &[u8], buffer: &mut Vec<u8>) {
    // Without a branch in the loop it is done many bytes at a time, and nearly all lines end here.
    let any_control = text.iter().fold(false, |any, byte| any | is_control(*byte));
    if !any_control && std::str::from_utf8(text).is_ok() {
        return buffer.extend_from_slice(text);
    }
    for part in text.utf8_chunks() {
        for character in part.valid().chars() {
            match u8::try_from(character) {
                Ok(byte) if is_control(byte) => escape_byte(byte, buffer),
                _ => buffer.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        part.invalid().iter().for_each(|byte| escape_byte(*byte, buffer));
    }
}

fn escape_byte(byte: u8, buffer: &mut Vec<u8>) {
    write!(buffer, "\\x{byte:02x}").expect("memory can be written");
}

/// The largest place at or before `at` where no character is cut in two, if that can be told.
pub(crate) fn char_floor(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    let start = at.saturating_sub(3);
    // The last byte before the place that begins a character.
    match (start..at).rev().find(|index| text[*index] & 0xc0 != 0x80) {
        Some(first) => {
            let length = match text[first] {
                0xf0..=0xf7 => 4,
                0xe0..=0xef => 3,
                0xc0..=0xdf => 2,
                _ => 1,
            };
            // A beginning without anything before it is given on as it is: there has to be an end.
            if first + length > at && first > 0 { first } else { at }
        }
        None => at,
    }
}

/// A line of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was read from the worker, as in `2026-11-21T06:01:02.123Z`; texts of this form sort as times do.
    pub time: String,
    /// Who printed it.
    pub source: Source,
    /// It goes on in the next record of this source.
    pub partial: bool,
    /// What was printed, without the line feed.
    pub text: String,
}

#[derive(serde::Deserialize)]
struct JsonLine {
    time: String,
    app: String,
    instance: Option<u32>,
    stream: String,
    #[serde(default)]
    partial: bool,
    line: String,
}

impl Record {
    /// Reads a line of a file, with or without its line feed; nothing if it is not one of ours.
    pub fn parse(line: &[u8]) -> Option<Record> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match line.first()? {
            b'{' => Record::parse_json(line),
            _ => Record::parse_text(&String::from_utf8_lossy(line)),
        }
        .or_else(|| crate::access::parse(&String::from_utf8_lossy(line)))
    }

    fn parse_json(line: &[u8]) -> Option<Record> {
        let line: JsonLine = serde_json::from_slice(line).ok()?;
        let stream = [Stream::Out, Stream::Err].into_iter().find(|s| s.json_name() == line.stream)?;
        let source = Source { app: line.app, instance: line.instance, stream };
        Some(Record { time: line.time, source, partial: line.partial, text: line.line })
    }

    fn parse_text(line: &str) -> Option<Record> {
        let (time, rest) = line.split_once(' ')?;
        // Names of apps have no blanks; what follows the first mark is the worker's.
        let (mark, text) = ["out| ", "err| ", "out+ ", "err+ "]
            .iter()
            .filter_map(|mark| Some((rest.find(&format!(" {mark}"))?, *mark)))
            .min()
            .map(|(at, mark)| ((at, mark), &rest[at + 1 + mark.len()..]))?;
        let (name, stream) =
            (&rest[..mark.0], if mark.1.starts_with("out") { Stream::Out } else { Stream::Err });
        let (app, instance) = name.rsplit_once('.')?;
        let instance = match instance {
            "stead" => None,
            number => Some(number.parse().ok()?),
        };
        let source = Source { app: app.to_owned(), instance, stream };
        Some(Record { time: time.to_owned(), source, partial: mark.1.contains('+'), text: text.to_owned() })
    }

    /// As it stands in a file of text, without a line feed.
    pub fn to_text(&self) -> String {
        let mark = if self.partial { '+' } else { '|' };
        format!("{} {} {}{mark} {}", self.time, self.source, self.source.stream.name(), self.text)
    }

    /// As it stands in a file of JSON, without a line feed.
    pub fn to_json(&self) -> String {
        let mut buffer = Vec::new();
        let encoder = Encoder { json: true, line_bytes_max: usize::MAX, time: &self.time };
        encoder.piece(&encoder.json_prefix(&self.source), (self.text.as_bytes(), self.partial), &mut buffer);
        String::from_utf8_lossy(buffer.trim_ascii_end()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-21T06:01:02.123Z";

    fn source() -> Source {
        Source { app: "my.shop".to_owned(), instance: Some(3), stream: Stream::Err }
    }

    fn encode(json: bool, text: &[u8]) -> (u64, String) {
        let mut buffer = Vec::new();
        let lines = Encoder { json, line_bytes_max: 10, time: TIME }.encode(
            &source(),
            Chunk { text, goes_on: false },
            &mut buffer,
        );
        (lines, String::from_utf8(buffer).expect("whatever was printed, a log is text"))
    }

    #[test]
    fn lines_are_text_whatever_was_printed() {
        let check = |text: &[u8], expected: &[&str]| {
            let (lines, written) = encode(false, text);
            let prefix = format!("{TIME} my.shop.3 err");
            let actual: Vec<&str> = written.lines().map(|line| line.strip_prefix(&prefix).unwrap()).collect();
            assert_eq!(actual, expected);
            assert_eq!(lines, expected.len() as u64);
        };
        check(b"one\ntwo\r\n", &["| one", "| two"]);
        check(b"\n", &["| "]);
        check(b"a\0b\x07\xff\x1b[1m\n", &["| a\\x00b\\x07\\xff\x1b[1m"]);
        check("0123456789abc".as_bytes(), &["+ 0123456789", "| abc"]);
        check("012345678ä\n".as_bytes(), &["+ 012345678", "| ä"]);
        check("a\rb\n".as_bytes(), &["| a\\x0db"]);
    }

    #[test]
    fn what_was_written_is_read_again() {
        for json in [false, true] {
            for text in ["", "plain", "o out| x", "{\"a\":1}", "tab\tä €"] {
                let (_, written) = encode(json, format!("{text}\n").as_bytes());
                let records: Vec<Record> =
                    written.lines().map(|line| Record::parse(line.as_bytes()).unwrap()).collect();
                let whole: String = records.iter().map(|record| record.text.as_str()).collect();
                assert_eq!(whole, text);
                assert_eq!((&records[0].source, records[0].time.as_str()), (&source(), TIME));
                let again = if json { records[0].to_json() } else { records[0].to_text() };
                assert_eq!(Some(again.as_str()), written.lines().next());
            }
        }
        for foreign in ["", "x", "{}", "2026 shop out| x", "2026 shop.x out| x", "two words here"] {
            assert_eq!(Record::parse(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        let check =
            |text: &str, at, expected| assert_eq!(char_floor(text.as_bytes(), at), expected, "{text}");
        check("abc", 2, 2);
        check("aä", 2, 1);
        check("aä", 3, 3);
        check("a€", 3, 1);
        check("a😀", 4, 1);
        check("a😀", 9, 5);
        check("ä", 1, 1);
    }
}
