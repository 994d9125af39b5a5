//! What the API needs of the instance it speaks for: the binary implements it, the server calls it.

use crate::{
    Environment, Event, PoisonedRequest, Progress, Refusal, RenewRequest, SavedApp, ShardTable, StartAnswer,
    StartRequest, Status,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use std::path::Path;
use tokio::sync::mpsc;

/// An instance of Stead, as its API sees it.
///
/// Every method may be called at any time and from many tasks; none may wait for a worker, except where it says so. Apps
/// are named by their names alone: numbers, namespaces and patterns are the command line's business.
pub trait Operator: Send + Sync + 'static {
    /// The instance at this moment.
    fn status(&self) -> impl Future<Output = Status> + Send;

    /// Adds the apps of a definition and starts them; returns when it is accepted, not when they are ready.
    fn start(&self, request: StartRequest) -> impl Future<Output = Result<StartAnswer, Refusal>> + Send;

    /// Starts an app that is stopped, finished or failed, by the definition it has; does nothing for one that runs.
    fn start_app(&self, app: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Stops one app or all; returns when stopping has begun. A stopped app sends [`Event::AppStopped`], at once if nothing
    /// of it runs. It stays in the list. An instance that is not in the background ends when its last app has stopped.
    fn stop(&self, request: StopRequest) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Ends every worker of an app and starts new ones, by its definition read again. The stream is that of a reload; one
    /// that was stopped is started.
    fn restart(&self, app: &str, request: RenewRequest) -> impl Future<Output = Steps> + Send;

    /// Starts a rolling reload of one app, or of all, by their definitions read again. The stream ends with `Done` or
    /// `Failed`; a dropped sender before that counts as a failure, a dropped receiver does not stop the reload.
    fn reload(&self, app: Option<&str>, request: RenewRequest) -> impl Future<Output = Steps> + Send;

    /// Stops an app if it runs and forgets it; returns when stopping has begun. When it is gone it sends
    /// [`Event::AppDeleted`].
    fn delete(&self, app: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Changes the number of workers of an app, at least 1; returns when it is accepted, not when it is done.
    fn scale(&self, app: &str, instances: u32) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Sends a signal, by number, to the workers of an app or to that of one slot; returns how many got it.
    fn signal(
        &self,
        app: &str,
        slot: Option<u32>,
        signal: i32,
    ) -> impl Future<Output = Result<u32, Refusal>> + Send;

    /// Sends a message to the running Node.js workers of an app (`process.on('message')`) or to that of one slot; returns
    /// how many got it.
    fn send_message(
        &self,
        app: &str,
        slot: Option<u32>,
        message: Value,
    ) -> impl Future<Output = Result<u32, Refusal>> + Send;

    /// The environment that a worker of the app is started with, by name. Nothing is masked.
    fn environment(&self, app: &str) -> impl Future<Output = Result<Environment, Refusal>> + Send;

    /// How the keys of an app's requests are divided among its slots, and who owns this one.
    fn shards(
        &self,
        app: &str,
        key: Option<String>,
    ) -> impl Future<Output = Result<ShardTable, Refusal>> + Send;

    /// Runs a schedule of an app now.
    fn run_schedule(&self, app: &str, schedule: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Sets the counters of an app (restarts, requests, exits) to zero.
    fn reset(&self, app: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Empties the logs of an app.
    fn flush(&self, app: &str) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Every app as it is to be kept, by number.
    fn definitions(&self) -> impl Future<Output = Vec<SavedApp>> + Send;

    /// Puts another binary (absolute path) in place of the running one, workers go on. The stream tells with `Note`s how
    /// far it is, and ends with `Done` when the new daemon serves, or with `Failed`; then the old one goes on.
    fn upgrade(&self, binary: &Path) -> impl Future<Output = Steps> + Send;

    /// Ends all apps, without draining if `now`, and then the instance; returns when that has begun.
    fn shut_down(&self, now: bool) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Everything that happens from now on. A receiver that does not keep up loses events, the instance never waits.
    fn events(&self) -> impl Future<Output = mpsc::Receiver<Event>> + Send;

    /// The poison requests kept, oldest first.
    fn poisoned(&self) -> impl Future<Output = Vec<PoisonedRequest>> + Send;
}

/// Something under way, told step by step.
pub type Steps = Result<mpsc::Receiver<Progress>, Refusal>;

/// What to stop, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Nothing means all apps.
    #[serde(default)]
    pub app: Option<String>,
    /// Without draining.
    #[serde(default)]
    pub now: bool,
}
