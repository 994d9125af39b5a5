//! What is said about tasks, over a channel or in lines: pure, bytes in and bytes out.
//!
//! An *envelope* is an object with a `stead` object in it; the payload stands in `data` beside that. Payloads are passed on as
//! they came. Everything else is *plain*: what a program says that knows nothing of Stead.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;
use std::fmt::{self, Write};
use stead_jobs::TaskId;

/// An envelope, as far as it is about tasks.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) stead: Head<'a>,
    #[serde(borrow, default)]
    pub(super) data: Option<&'a RawValue>,
}

/// What it is about. One of the words that decide is there, or it is not about tasks.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    /// A worker speaks the protocol of pools.
    #[serde(default)]
    pub(super) worker: Option<bool>,
    /// So many tasks at once.
    #[serde(default)]
    pub(super) concurrency: Option<u32>,
    #[serde(default)]
    pub(super) done: Option<Token>,
    #[serde(default)]
    pub(super) failed: Option<Token>,
    #[serde(default)]
    pub(super) progress: Option<TokenOrFlag>,
    #[serde(default)]
    pub(super) part: Option<Token>,
    /// Whether a failed task may be tried again.
    #[serde(default)]
    pub(super) retry: Option<bool>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    /// Somebody gives a task to this pool, or asks it to drop one.
    #[serde(default)]
    pub(super) pool: Option<String>,
    #[serde(borrow, default)]
    pub(super) task: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) cancel: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) key: Option<String>,
    #[serde(default)]
    pub(super) priority: i32,
    /// Milliseconds.
    #[serde(default)]
    pub(super) timeout: Option<u64>,
    #[serde(default)]
    pub(super) retries: Option<u32>,
    #[serde(default)]
    pub(super) durable: Option<bool>,
    #[serde(default)]
    pub(super) parts: bool,
}

/// The number of a task, as workers know it: a string of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(pub(super) TaskId);

/// `progress` is a task's number in a worker's mouth, and a wish in a sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenOrFlag {
    Token(TaskId),
    Flag(bool),
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match TokenOrFlag::deserialize(deserializer)? {
            TokenOrFlag::Token(task) => Ok(Self(task)),
            TokenOrFlag::Flag(_) => Err(D::Error::custom("expected the token of a task")),
        }
    }
}

impl<'de> Deserialize<'de> for TokenOrFlag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = TokenOrFlag;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the token of a task")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TokenOrFlag, E> {
                text.parse().map(TokenOrFlag::Token).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<TokenOrFlag, E> {
                Ok(TokenOrFlag::Token(number))
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<TokenOrFlag, E> {
                Ok(TokenOrFlag::Flag(flag))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// The envelope in a message; nothing if it is plain, or about something else than this understands.
pub(super) fn open(message: &[u8]) -> Option<Envelope<'_>> {
    may_be_envelope(message).then(|| serde_json::from_slice(message).ok())?
}

/// Why a task that somebody gives is not understood, and what its sender calls it: who asks must not wait for ever.
pub(super) fn misspoken(message: &[u8]) -> Option<(&RawValue, serde_json::Error)> {
    #[derive(Deserialize)]
    struct Enveloped<'a> {
        #[serde(borrow)]
        stead: Asked<'a>,
    }
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(borrow)]
        task: &'a RawValue,
        /// What is for no pool is not for us.
        #[serde(rename = "pool")]
        _pool: &'a RawValue,
    }
    let asked = may_be_envelope(message).then(|| serde_json::from_slice::<Enveloped<'_>>(message).ok())??;
    Some((asked.stead.task, serde_json::from_slice::<Envelope<'_>>(message).err()?))
}

/// Most plain messages are told apart without being read.
fn may_be_envelope(message: &[u8]) -> bool {
    message.trim_ascii_start().starts_with(b"{") && message.windows(7).any(|window| window == b"\"stead\"")
}

/// A task on its way to a worker that speaks the protocol.
pub(super) struct Run<'a> {
    pub(super) task: TaskId,
    pub(super) attempt: u32,
    pub(super) key: Option<&'a str>,
    /// Milliseconds.
    pub(super) timeout: Option<u128>,
    /// JSON.
    pub(super) input: &'a [u8],
}

impl Run<'_> {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut head = format!("{{\"stead\":{{\"run\":\"{}\",\"attempt\":{}", self.task, self.attempt);
        if let Some(key) = self.key {
            head += ",\"key\":";
            head += &quoted(key);
        }
        if let Some(timeout) = self.timeout {
            // Writing to a string cannot fail.
            let _ = write!(head, ",\"timeout\":{timeout}");
        }
        head += "},\"data\":";
        [head.as_bytes(), self.input, b"}"].concat()
    }
}

pub(super) fn abort(task: TaskId) -> Vec<u8> {
    format!("{{\"stead\":{{\"abort\":\"{task}\"}}}}").into_bytes()
}

/// What a sender hears of its task, which it calls `id` (JSON).
pub(super) fn tell(id: &RawValue, state: &str, more: &str, data: Option<&[u8]>) -> Vec<u8> {
    let head = format!("{{\"stead\":{{\"task\":{id},\"state\":\"{state}\"{more}}}");
    match data {
        Some(data) => [head.as_bytes(), b",\"data\":", data, b"}"].concat(),
        None => [head.as_bytes(), b"}"].concat(),
    }
}

/// `{"code", "message"}`.
pub(super) fn error(code: &str, message: &str) -> String {
    format!("{{\"code\":{},\"message\":{}}}", quoted(code), quoted(message))
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: &str) {
        let found = match open(message.as_bytes()) {
            None => "plain".to_owned(),
            Some(Envelope { stead, data }) => {
                let data = data.map_or("-", RawValue::get);
                let error = stead.error.map_or("-", RawValue::get);
                match stead {
                    Head { worker: Some(true), concurrency, .. } => format!("worker {concurrency:?}"),
                    Head { done: Some(Token(task)), .. } => format!("done {task} {data}"),
                    Head { failed: Some(Token(task)), retry, .. } => {
                        format!("failed {task} {retry:?} {error}")
                    }
                    Head { part: Some(Token(task)), .. } => format!("part {task} {data}"),
                    Head { pool: Some(pool), task: Some(task), progress, .. } => {
                        format!("task {task} for {pool} {progress:?} {data}")
                    }
                    Head { pool: Some(pool), cancel: Some(task), .. } => format!("cancel {task} of {pool}"),
                    Head { progress: Some(TokenOrFlag::Token(task)), .. } => {
                        format!("progress {task} {data}")
                    }
                    _ => "about something else".to_owned(),
                }
            }
        };
        assert_eq!(found, expected, "{message}");
    }

    #[test]
    fn envelopes_are_told_from_plain_messages() {
        check("42", "plain");
        check("\"stead\"", "plain");
        check("{\"a\":\"stead\"}", "plain");
        check("{\"stead\":1}", "plain");
        check("{\"stead\":{\"to\":\"all\"},\"data\":1}", "about something else");
        check("{\"stead\":{\"worker\":true}}", "worker None");
        check("{\"stead\":{\"worker\":true,\"concurrency\":4}}", "worker Some(4)");
        check("{\"stead\":{\"done\":\"17\"},\"data\":{\"b\": [1]}}", "done 17 {\"b\": [1]}");
        check("{\"data\":1,\"stead\":{\"done\":17}}", "done 17 1");
        check("{\"stead\":{\"done\":\"17\"}}", "done 17 -");
        check(
            "{\"stead\":{\"failed\":\"3\",\"retry\":false,\"error\":{\"message\":\"x\"}}}",
            "failed 3 Some(false) {\"message\":\"x\"}",
        );
        check("{\"stead\":{\"progress\":\"3\"},\"data\":0.5}", "progress 3 0.5");
        check("{\"stead\":{\"part\":\"3\"},\"data\":\"x\"}", "part 3 \"x\"");
        check(
            "{\"stead\":{\"pool\":\"resize\",\"task\":\"a\",\"progress\":true},\"data\":1}",
            "task \"a\" for resize Some(Flag(true)) 1",
        );
        check("{\"stead\":{\"pool\":\"resize\",\"cancel\":7}}", "cancel 7 of resize");
    }

    #[test]
    fn a_task_that_is_not_understood_is_told_from_everything_else() {
        let check = |message: &str, expected: Option<(&str, &str)>| {
            let found = misspoken(message.as_bytes()).map(|(id, error)| (id.get(), error.to_string()));
            let found = found.as_ref().map(|(id, error)| (*id, error.as_str()));
            assert_eq!(found, expected, "{message}");
        };
        check(
            "{\"stead\":{\"pool\":\"sum\",\"task\":7,\"priority\":\"high\"}}",
            Some(("7", "invalid type: string \"high\", expected i32 at line 1 column 49")),
        );
        check("{\"stead\":{\"pool\":\"sum\",\"task\":7}}", None);
        check("{\"stead\":{\"task\":7,\"priority\":\"high\"}}", None);
        check("{\"stead\":1}", None);
        check("[1]", None);
    }

    #[test]
    fn payloads_are_written_as_they_came() {
        let run = Run { task: 7, attempt: 2, key: Some("a\"b"), timeout: Some(1500), input: b"{\"x\": 1.0}" };
        let written = String::from_utf8(run.write()).unwrap();
        assert_eq!(
            written,
            "{\"stead\":{\"run\":\"7\",\"attempt\":2,\"key\":\"a\\\"b\",\"timeout\":1500},\"data\":{\"x\": 1.0}}"
        );
        let id = RawValue::from_string("\"t\"".to_owned()).unwrap();
        let told = tell(&id, "done", "", Some(b"42"));
        assert_eq!(
            String::from_utf8(told).unwrap(),
            "{\"stead\":{\"task\":\"t\",\"state\":\"done\"},\"data\":42}"
        );
    }
}
