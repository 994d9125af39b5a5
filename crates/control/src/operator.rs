//! What the API needs of the instance it speaks for: the binary implements it, the server calls it.

use crate::{Event, PoisonedRequest, Progress, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use tokio::sync::mpsc;

/// An instance of Stead, as its API sees it.
///
/// Every method may be called at any time and from many tasks; none may wait for a worker, except where it says so.
pub trait Operator: Send + Sync + 'static {
    /// The instance at this moment.
    fn status(&self) -> impl Future<Output = Status> + Send;

    /// Starts a rolling reload of one app, or of all. The stream ends with `Done` or `Failed`; a dropped sender before
    /// that counts as a failure, a dropped receiver does not stop the reload.
    fn reload(
        &self,
        app: Option<&str>,
    ) -> impl Future<Output = Result<mpsc::Receiver<Progress>, Refusal>> + Send;

    /// Changes the number of workers of an app, at least 1; returns when it is accepted, not when it is done.
    fn scale(&self, app: &str, instances: u32) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Stops one app or the whole instance; returns when stopping has begun. A stopped app sends
    /// [`Event::AppStopped`], at once if nothing of it runs; the instance ends when its last app has stopped.
    fn stop(&self, request: StopRequest) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Sends a message to every running Node.js worker of an app (`process.on('message')`); returns how many got it.
    fn send_message(&self, app: &str, message: Value) -> impl Future<Output = Result<u32, Refusal>> + Send;

    /// Everything that happens from now on. A receiver that does not keep up loses events, the instance never waits.
    fn events(&self) -> impl Future<Output = mpsc::Receiver<Event>> + Send;

    /// The poison requests kept, oldest first.
    fn poisoned(&self) -> impl Future<Output = Vec<PoisonedRequest>> + Send;
}

/// What to stop, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Nothing means the whole instance.
    #[serde(default)]
    pub app: Option<String>,
    /// Without draining.
    #[serde(default)]
    pub now: bool,
}

/// Why the instance does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// Decides the status of the answer.
    pub kind: RefusalKind,
    /// A lowercase fragment without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into(), hint: None }
    }

    /// There is no app of this name; names those that there are.
    pub fn no_such_app(name: &str, known: &[&str]) -> Refusal {
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        Refusal {
            kind: RefusalKind::NoSuchApp,
            message: format!("no app named `{name}` is running"),
            hint: (!known.is_empty()).then(|| format!("running apps: {}", known.join(", "))),
        }
    }

    /// The same refusal with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
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
    /// 404: there is no such path in the API.
    NoSuchPath,
    /// 405: the path is there and does not do this.
    NoSuchMethod,
    /// 409: not in this state, for example while the instance stops.
    Conflict,
    /// 500: something else went wrong.
    Failed,
}
