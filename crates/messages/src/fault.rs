//! Why a message, a question or a change is refused: a code for programs, a sentence for people.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Fault {
    /// For programs.
    pub code: String,
    /// A lowercase fragment without a full stop.
    pub message: String,
}

/// The codes of this room. A worker that answers a question with an error may use others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It cannot be understood.
    BadMessage,
    /// Nobody is there who could get it.
    NoReceiver,
    /// The receiver does not read, or too much is under way.
    Full,
    /// No answer came in time.
    Timeout,
    /// The worker that was asked is gone.
    WorkerGone,
    /// It is larger than messages, or all shared values together, may be.
    TooLarge,
    /// The shared value has another version by now.
    Conflict,
    /// It does not lead, or not in this term.
    NotLeader,
    /// No such question waits for an answer of this worker.
    UnknownRequest,
    /// The worker that was asked answered with an error.
    Failed,
    /// The daemon is being replaced.
    Unavailable,
}

impl Code {
    fn word(self) -> &'static str {
        match self {
            Code::BadMessage => "bad_message",
            Code::NoReceiver => "no_receiver",
            Code::Full => "full",
            Code::Timeout => "timeout",
            Code::WorkerGone => "worker_gone",
            Code::TooLarge => "too_large",
            Code::Conflict => "conflict",
            Code::NotLeader => "not_leader",
            Code::UnknownRequest => "unknown_request",
            Code::Failed => "failed",
            Code::Unavailable => "unavailable",
        }
    }
}

impl Fault {
    /// A refusal with this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.word().to_owned(), message: message.into() }
    }

    /// What a worker says of its failure: an object with a code of its own, or anything.
    pub fn told_by_worker(error: &Value) -> Self {
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = text("message").or_else(|| error.as_str().map(str::to_owned));
        let message = message.unwrap_or_else(|| error.to_string());
        Self { code: text("code").unwrap_or_else(|| Code::Failed.word().to_owned()), message }
    }

    pub(crate) fn to_value(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}
