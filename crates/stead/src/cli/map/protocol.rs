//! What is said to a worker and what it says: lines, plain or in envelopes.
//!
//! A plain worker is given the input and answers with the result, one task at a time. One that has said
//! `{"stead": {"worker": true}}` gets each input in an envelope with a token, and answers with the same token, in any order. One that has
//! added `"batches": true` gets those that go to it at the same time in one message, and may answer so.

use std::io::Write;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use stead_jobs::TaskId;

use crate::config::PoolSettings;

/// What a worker that says nothing about an error is quoted with.
const UNSAID: &str = "the worker gave no reason";

/// Around several envelopes in one message.
const BATCH_BEGIN: &[u8; 19] = b"{\"stead\":{\"batch\":[";
const BATCH_END: &[u8] = b"]}}\n";

/// What the lines of the input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Each is a JSON value.
    Json,
    /// Each is a text.
    Text,
}

impl Format {
    /// What the first line shows: JSON if it is some, or begins like an object, an array or a string.
    pub(super) fn of(line: &[u8]) -> Format {
        match line.first() {
            Some(b'{' | b'[' | b'"') => Format::Json,
            _ if is_json(line) => Format::Json,
            _ => Format::Text,
        }
    }
}

/// Whether these bytes are one JSON value.
pub(super) fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(line).is_ok()
}

/// An input as JSON.
pub(super) fn as_json(input: &[u8], format: Format, to: &mut Vec<u8>) {
    match format {
        Format::Json => to.extend_from_slice(input),
        Format::Text => {
            let text = String::from_utf8_lossy(input);
            serde_json::to_writer(to, &text).expect("a text can be written as JSON into memory");
        }
    }
}

/// A task on its way to a worker.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) task: TaskId,
    pub(super) attempt: u32,
    pub(super) input: Bytes,
}

/// A task in an envelope, as a line.
pub(super) fn envelope(given: &Given, format: Format, to: &mut Vec<u8>) {
    let Given { task, attempt, input } = given;
    write!(to, "{{\"stead\":{{\"run\":\"{task}\",\"attempt\":{attempt}}},\"data\":")
        .expect("memory can be written to");
    as_json(input, format, to);
    to.extend_from_slice(b"}\n");
}

/// The word that a worker is to stop a task, as a line.
pub(super) fn abort(task: TaskId, to: &mut Vec<u8>) {
    to.extend_from_slice(format!("{{\"stead\":{{\"abort\":\"{task}\"}}}}\n").as_bytes());
}

/// What a line of a worker says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It takes envelopes from now on.
    Worker { concurrency: u32, batches: bool },
    /// A task in an envelope is done.
    Done { task: TaskId, result: Bytes },
    /// It has failed; the error is a JSON object.
    Failed { task: TaskId, error: Bytes, retry: bool },
    /// Another envelope, which is nothing here.
    Else,
    /// No envelope: a plain result.
    Plain(Bytes),
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    stead: Envelope<'a>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    worker: Option<bool>,
    /// Any number that a reader of JSON takes: one above the limit, or with a fraction, is no reason to take the whole message for a
    /// result.
    concurrency: Option<f64>,
    done: Option<&'a str>,
    failed: Option<&'a str>,
    retry: Option<bool>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    batches: Option<bool>,
    /// Each is read alone: one that is no envelope must not take the answers beside it along.
    #[serde(borrow)]
    batch: Option<Vec<&'a RawValue>>,
}

/// Lines of envelopes become one message with all of them. One alone does too: in a batch its answer is kept back for those of the same
/// turn, and answers that come together have the next tasks given together.
pub(super) fn gather(lines: &mut Vec<u8>) {
    // A value of JSON on a line of its own has no other line end in it.
    lines.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
    lines.pop();
    lines.splice(..0, *BATCH_BEGIN);
    lines.extend_from_slice(BATCH_END);
}

/// Reads a line without its end, and tells what it says, in order. What is told lies in the line.
pub(super) fn read(line: &Bytes, mut tell: impl FnMut(Said)) {
    let message = line.starts_with(b"{").then(|| serde_json::from_slice::<Message<'_>>(line));
    match message {
        Some(Ok(Message { stead: Envelope { batch: Some(batch), .. }, .. })) => {
            for message in batch {
                tell(serde_json::from_str(message.get()).map_or(Said::Else, |message| said(message, line)));
            }
        }
        Some(Ok(message)) => tell(said(message, line)),
        Some(Err(_)) | None => tell(Said::Plain(line.clone())),
    }
}

fn said(message: Message<'_>, line: &Bytes) -> Said {
    let envelope = message.stead;
    let number = |token: &str| token.parse::<TaskId>().ok();
    let part = |raw: Option<&RawValue>, otherwise: &'static str| match raw {
        Some(raw) => line.slice_ref(raw.get().as_bytes()),
        None => Bytes::from_static(otherwise.as_bytes()),
    };
    if let Some(task) = envelope.done.and_then(number) {
        return Said::Done { task, result: part(message.data, "null") };
    }
    if let Some(task) = envelope.failed.and_then(number) {
        let error = part(envelope.error, "{}");
        return Said::Failed { task, error, retry: envelope.retry.unwrap_or(true) };
    }
    match envelope.worker {
        Some(true) => {
            let most = f64::from(PoolSettings::CONCURRENCY_MAX);
            let concurrency = envelope.concurrency.map_or(1, |number| number.clamp(1.0, most) as u32);
            Said::Worker { concurrency, batches: envelope.batches.unwrap_or(false) }
        }
        Some(false) | None => Said::Else,
    }
}

/// A result as a line of the output: a text without line ends as it is if the input was text, everything else as it came.
pub(super) fn result_line(result: &[u8], format: Format, is_json: bool, to: &mut Vec<u8>) {
    let text = match format {
        Format::Text if is_json && result.starts_with(b"\"") => serde_json::from_slice::<String>(result).ok(),
        Format::Text | Format::Json => None,
    };
    match text {
        Some(text) if !text.contains('\n') => to.extend_from_slice(text.as_bytes()),
        Some(_) | None => to.extend_from_slice(result),
    }
    to.push(b'\n');
}

/// What a worker's error says, for people.
pub(super) fn message(error: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Error {
        message: Option<String>,
    }
    let told = serde_json::from_slice::<Error>(error).ok().and_then(|error| error.message);
    told.unwrap_or_else(|| UNSAID.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &'static str, expected: &Said) {
        check_all(line, std::slice::from_ref(expected));
    }

    #[track_caller]
    fn check_all(line: &'static str, expected: &[Said]) {
        let mut found = Vec::new();
        read(&Bytes::from_static(line.as_bytes()), |said| found.push(said));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn lines_are_envelopes_or_results() {
        check("42", &Said::Plain("42".into()));
        check("{\"a\":1}", &Said::Plain("{\"a\":1}".into()));
        check("{\"stead\":1}", &Said::Plain("{\"stead\":1}".into()));
        check("not { JSON", &Said::Plain("not { JSON".into()));
        check("{\"stead\":{\"worker\":true}}", &Said::Worker { concurrency: 1, batches: false });
        check(
            "{\"stead\":{\"worker\":true,\"concurrency\":8,\"batches\":true}}",
            &Said::Worker { concurrency: 8, batches: true },
        );
        check(
            "{\"stead\":{\"worker\":true,\"concurrency\":1e99}}",
            &Said::Worker { concurrency: 1024, batches: false },
        );
        check(
            "{\"stead\":{\"done\":\"7\"},\"data\":[1, 2]}",
            &Said::Done { task: 7, result: "[1, 2]".into() },
        );
        check("{\"stead\":{\"done\":\"7\"}}", &Said::Done { task: 7, result: "null".into() });
        check(
            "{\"stead\":{\"failed\":\"7\",\"retry\":false,\"error\":{\"message\":\"no\"}}}",
            &Said::Failed { task: 7, error: "{\"message\":\"no\"}".into(), retry: false },
        );
        check("{\"stead\":{\"progress\":\"7\"},\"data\":0.5}", &Said::Else);
    }

    #[test]
    fn several_envelopes_come_and_go_in_one_message() {
        check_all(
            "{\"stead\":{\"batch\":[{\"stead\":{\"done\":\"7\"},\"data\":1},{\"stead\":{\"failed\":\"8\"}}]}}",
            &[
                Said::Done { task: 7, result: "1".into() },
                Said::Failed { task: 8, error: "{}".into(), retry: true },
            ],
        );
        check_all("{\"stead\":{\"batch\":[]}}", &[]);
        check_all(
            "{\"stead\":{\"batch\":[1,{\"stead\":{\"done\":7}},{\"stead\":{\"done\":\"8\"},\"data\":1}]}}",
            &[Said::Else, Said::Else, Said::Done { task: 8, result: "1".into() }],
        );
        check("{\"stead\":{\"batch\":1}}", &Said::Plain("{\"stead\":{\"batch\":1}}".into()));
        let mut lines = b"{\"a\":\"\\n\"}\n{}\n".to_vec();
        gather(&mut lines);
        assert_eq!(lines, b"{\"stead\":{\"batch\":[{\"a\":\"\\n\"},{}]}}\n");
    }

    #[test]
    fn first_line_shows_the_format() {
        for (line, format) in [
            ("{\"a\": 1}", Format::Json),
            ("{\"a\": ", Format::Json),
            ("[1", Format::Json),
            ("42", Format::Json),
            ("null", Format::Json),
            ("photo.jpg", Format::Text),
            ("42.jpg", Format::Text),
            ("some words", Format::Text),
        ] {
            assert_eq!(Format::of(line.as_bytes()), format, "{line}");
        }
    }

    #[test]
    fn texts_come_and_go_as_texts() {
        let mut sent = Vec::new();
        let given = Given { task: 3, attempt: 1, input: Bytes::from_static(b"a \"b\"") };
        envelope(&given, Format::Text, &mut sent);
        assert_eq!(sent, b"{\"stead\":{\"run\":\"3\",\"attempt\":1},\"data\":\"a \\\"b\\\"\"}\n");
        for (result, is_json, line) in [
            ("\"a b\"", true, "a b\n"),
            ("\"a\\nb\"", true, "\"a\\nb\"\n"),
            ("\"a\"", false, "\"a\"\n"),
            ("1", true, "1\n"),
        ] {
            let mut written = Vec::new();
            result_line(result.as_bytes(), Format::Text, is_json, &mut written);
            assert_eq!(written, line.as_bytes());
        }
    }
}
