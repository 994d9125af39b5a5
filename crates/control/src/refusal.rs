//! How the instance says no: a whole report, so that the command line prints it as if it had failed itself.

use serde::{Deserialize, Serialize};

/// Why the instance does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// Decides the status of the answer.
    pub kind: RefusalKind,
    /// A lowercase fragment without a full stop.
    pub message: String,
    /// Lines below the message: the place in a file, or a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Why, from the nearest reason to the farthest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How a command that fails with it ends, where the kind does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
}

impl Refusal {
    /// A refusal with a message alone.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        let message = message.into();
        Refusal { kind, message, details: None, causes: Vec::new(), hint: None, exit_code: None }
    }

    /// There is no app of this name; names those that there are.
    pub fn no_such_app(name: &str, known: &[&str]) -> Refusal {
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let refusal = Refusal::new(RefusalKind::NoSuchApp, format!("no app named `{name}` is running"));
        match known.is_empty() {
            true => refusal,
            false => refusal.with_hint(format!("running apps: {}", known.join(", "))),
        }
    }

    /// The same refusal with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }

    /// The same refusal with one more reason.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<String>) -> Refusal {
        self.causes.push(cause.into());
        self
    }
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// 400: the request makes no sense.
    Invalid,
    /// 404: there is no such app.
    NoSuchApp,
    /// 404: there is no such worker of the app.
    NoSuchWorker,
    /// 404: there is no such path in the API.
    NoSuchPath,
    /// 405: the path is there and does not do this.
    NoSuchMethod,
    /// 409: not in this state, for example while the instance stops.
    Conflict,
    /// 500: something else went wrong.
    Failed,
    /// 501: this instance cannot do that at all.
    NotOffered,
}
