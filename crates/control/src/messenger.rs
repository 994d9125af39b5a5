//! What workers may ask for over the API: messages, requests, shared values, the leader's role. The binary implements the trait,
//! `workers.rs` calls it; how an answer "no" looks to a worker is here too.

use crate::{Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;

/// The instance, as its workers see it. A method may be called at any time and from many tasks; none but a request waits for
/// a worker.
pub trait Messenger: Send + Sync + 'static {
    /// Whether this process may ask at all: it is the user's own, or runs as a user that workers run as.
    fn admits(&self, peer: Peer) -> bool;

    /// Sends a message, or asks and waits for the answer.
    fn post(&self, caller: Caller, post: Post) -> impl Future<Output = Result<Posted, Fault>> + Send;

    /// Everything for this worker from now on, its shared values and the leader first. There is one stream for each worker;
    /// a new one ends the one before it.
    fn listen(&self, caller: Caller) -> impl Future<Output = Result<mpsc::Receiver<Heard>, Fault>> + Send;

    /// Answers a request that was given to this worker.
    fn reply(&self, caller: Caller, token: &str, reply: Reply) -> Result<(), Fault>;

    /// All shared values of an app.
    fn shared_values(&self, app: &str) -> Result<BTreeMap<String, SharedValue>, Fault>;

    /// Sets a shared value, or forgets it (nothing); only if it has this version still. Returns the new version.
    fn share(&self, app: &str, name: &str, share: Share) -> Result<u64, Fault>;

    /// Who leads an app.
    fn leader(&self, app: &str) -> Result<Leadership, Fault>;

    /// This worker is ready to lead, or no longer.
    fn candidate(&self, caller: Caller, candidate: bool) -> Result<(), Fault>;

    /// This worker leads no longer, as it was asked.
    fn released(&self, caller: Caller, term: u64) -> Result<(), Fault>;
}

/// The process at the other end of a connection, as the kernel knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its number; nothing if it is in a namespace that cannot be seen from here.
    pub pid: Option<u32>,
    /// The number of its user.
    pub user: u32,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The worker it says it is (`shop.1`); nothing: somebody outside.
    pub worker: Option<String>,
    /// The process that says so.
    pub peer: Peer,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// Who gets it: a word or an object.
    pub to: Value,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What it says.
    #[serde(default)]
    pub data: Value,
    /// The sender gets it too, if it is meant.
    #[serde(default, rename = "self", skip_serializing_if = "std::ops::Not::not")]
    pub include_self: bool,
    /// One worker is asked, and its answer waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
    /// For how long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Posted {
    /// It was sent.
    Sent {
        /// To so many workers.
        receivers: usize,
        /// So many others had no room for it.
        dropped: usize,
    },
    /// It was answered.
    Answered {
        /// By this worker.
        from: String,
        /// With this.
        #[serde(default)]
        data: Value,
    },
}

/// An event in a worker's stream: its name and its data.
#[derive(Clone, Debug)]
pub struct Heard {
    /// `message`, `shared` or `leader`.
    pub name: &'static str,
    /// The envelope, as JSON.
    pub text: String,
    /// Whatever has to know when it is on its way.
    pub receipt: Receipt,
}

/// Something that is dropped with its event.
pub type Receipt = std::sync::Arc<dyn std::any::Any + Send + Sync>;

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The answer.
    #[serde(default)]
    pub data: Value,
    /// Why there is none.
    #[serde(default)]
    pub error: Option<Value>,
}

/// A shared value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedValue {
    /// Rises with each change.
    pub version: u64,
    /// The value.
    pub data: Value,
}

/// A change of a shared value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// The new value; nothing: it is forgotten.
    pub data: Option<Value>,
    /// Only if it has this version; 0: if it is not set.
    pub if_version: Option<u64>,
}

/// Who leads an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// The worker, if there is one.
    pub who: Option<String>,
    /// The number of its term, which only rises.
    pub term: u64,
}

/// Why a worker does not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Fault {
    /// For programs: `no_receiver`, `full` and so on.
    pub code: String,
    /// For people: a lowercase fragment without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { code: code.into(), message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    /// The status of an answer that says it, and after how many seconds it may be tried again.
    pub(crate) fn status(&self) -> (u16, Option<u64>) {
        match self.code.as_str() {
            "bad_message" => (400, None),
            "forbidden" => (403, None),
            "no_receiver" | "no_such_app" | "no_such_value" | "unknown_request" | "unknown_pool"
            | "unknown_task" => (404, None),
            "conflict" | "not_leader" => (409, None),
            "too_large" => (413, None),
            "poison" | "cancelled" => (422, None),
            "full" => (429, Some(1)),
            "worker_gone" | "failed" => (502, None),
            "unavailable" => (503, Some(1)),
            "timeout" => (504, None),
            // A worker may answer with any code of its own.
            _ => (502, None),
        }
    }
}

/// For those who are used to the rest of the API.
impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        let kind = match fault.code.as_str() {
            "bad_message" => RefusalKind::Invalid,
            "no_such_app" => RefusalKind::NoSuchApp,
            "no_receiver" => RefusalKind::NoSuchWorker,
            "conflict" => RefusalKind::Conflict,
            _ => RefusalKind::Failed,
        };
        Refusal { hint: fault.hint, ..Refusal::new(kind, fault.message) }
    }
}

impl Post {
    /// How long its answer is waited for, if it says so.
    pub fn patience(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_millis)
    }
}
