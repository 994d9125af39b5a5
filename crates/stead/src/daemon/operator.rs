//! The control API's questions, put to the tasks of the apps.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use stead_control::{
    AppState, AppStatus, Definition, Environment, Event, Operator, PoisonedRequest, Progress, Refusal,
    RefusalKind, RenewRequest, SavedApp, ShardTable, StartAnswer, StartRequest, Status, Steps, StopRequest,
    Text,
};
use stead_process::keeper::Signal;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::message::Message;
use super::registry::{AppHandle, Rest};
use super::relief;
use super::renew::{How, Renewal};
use super::shared::Shared;
use super::start;
use crate::{cli, config};

/// Steps of a reload that may wait for a slow reader.
const PROGRESS_MAX: usize = 256;
/// Events that may wait for a slow reader; it loses the oldest.
const EVENTS_MAX: usize = 256;

/// Answers the control API.
pub(super) struct Desk(pub(super) Arc<Shared>);

impl Desk {
    fn app(&self, name: &str) -> Result<AppHandle, Refusal> {
        let apps = self.0.registry.all();
        let found = apps.iter().find(|app| app.name == name).cloned();
        found.ok_or_else(|| {
            let known: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
            Refusal::no_such_app(name, &known)
        })
    }

    fn put(&self, app: &AppHandle, message: Message) -> Result<(), Refusal> {
        app.inbox.send(message).map_err(|_| has_ended(&app.name))
    }

    fn renew(&self, apps: Vec<AppHandle>, how: How, request: &RenewRequest) -> Steps {
        if self.0.is_stopping() {
            return Err(Refusal::new(RefusalKind::Conflict, "Stead is stopping"));
        }
        let (sender, receiver) = mpsc::channel(PROGRESS_MAX);
        let mut under_way = Vec::new();
        for app in apps {
            let (progress, steps) = mpsc::channel(PROGRESS_MAX);
            let environment = request.environment.clone();
            self.put(&app, Message::Renew(Renewal { how, environment, progress: Some(progress) }))?;
            under_way.push(steps);
        }
        tokio::spawn(merge(under_way, sender));
        Ok(receiver)
    }

    /// Asks an app something and waits for what it says.
    async fn ask<T>(
        &self,
        app: &str,
        question: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> Result<T, Refusal> {
        let (answer, told) = oneshot::channel();
        self.put(&self.app(app)?, question(answer))?;
        told.await.map_err(|_| has_ended(app))
    }
}

/// With what the list knows and the app does not.
fn known(status: AppStatus, app: &AppHandle) -> AppStatus {
    let file = file_of(&app.definition).map(Text::from);
    let failure = app.failure.clone();
    let state = if failure.is_some() { AppState::Failed } else { status.state };
    AppStatus { file, state, failure, ..status }
}

/// The file that defines an app, if one does.
fn file_of(definition: &Definition) -> Option<PathBuf> {
    let words: Vec<OsString> = definition.arguments.iter().map(|word| word.as_os_str().to_owned()).collect();
    let directory = definition.directory.as_path();
    let file = config::file_of(&cli::parse_run(&words).ok()?, directory)?;
    Some(directory.join(file))
}

/// Variables as the control API has them.
pub(super) fn pairs(variables: &BTreeMap<OsString, OsString>) -> Environment {
    let pair =
        |(name, value): (&OsString, &OsString)| (Text::from(name.as_os_str()), Text::from(value.as_os_str()));
    variables.iter().map(pair).collect()
}

fn has_ended(app: &str) -> Refusal {
    Refusal::new(RefusalKind::Conflict, format!("app `{app}` has ended"))
}

/// A slot that was named and has no worker.
fn reached(app: &str, slot: Option<u32>, count: u32) -> Result<u32, Refusal> {
    match slot {
        Some(slot) if count == 0 => Err(Refusal::new(
            RefusalKind::NoSuchWorker,
            format!("app `{app}` has no worker `{app}.{slot}` that runs"),
        )),
        _ => Ok(count),
    }
}

impl Operator for Desk {
    async fn status(&self) -> Status {
        let mut apps = Vec::new();
        for app in self.0.registry.all() {
            let (answer, status) = oneshot::channel();
            // An app that ends at this moment is left out.
            drop(app.inbox.send(Message::Status { answer }));
            apps.extend(status.await.ok().map(|status| known(status, &app)));
        }
        self.0.status(apps)
    }

    async fn start(&self, request: StartRequest) -> Result<StartAnswer, Refusal> {
        start::start(&self.0, request).await
    }

    async fn start_app(&self, app: &str) -> Result<(), Refusal> {
        start::again(&self.app(app)?).await
    }

    async fn restart(&self, app: &str, request: RenewRequest) -> Steps {
        self.renew(vec![self.app(app)?], How::Restart, &request)
    }

    async fn reload(&self, app: Option<&str>, request: RenewRequest) -> Steps {
        let apps = match app {
            Some(name) => vec![self.app(name)?],
            None => self.0.registry.all().into_iter().filter(|app| !app.rests()).collect(),
        };
        self.renew(apps, How::Reload, &request)
    }

    async fn scale(&self, app: &str, instances: u32) -> Result<(), Refusal> {
        let most = config::INSTANCES_MAX;
        if instances > most {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                format!("more than {most} instances are not supported"),
            ));
        }
        self.ask(app, |answer| Message::Scale { instances, answer }).await
    }

    async fn stop(&self, request: StopRequest) -> Result<(), Refusal> {
        match &request.app {
            Some(name) => {
                let app = self.app(name)?;
                // What was given up is given up on purpose from now on.
                self.0.registry.set_failure(name, None);
                self.put(&app, Message::Stop { now: request.now })?;
            }
            None if self.0.background => {
                self.0.registry.tell_all(|| Message::Stop { now: request.now });
            }
            // Without its apps an instance on a terminal has nothing to do.
            None => self.0.stop(request.now),
        }
        Ok(())
    }

    async fn delete(&self, app: &str) -> Result<(), Refusal> {
        self.put(&self.app(app)?, Message::Delete { now: false })
    }

    async fn signal(&self, app: &str, slot: Option<u32>, signal: i32) -> Result<u32, Refusal> {
        let signal = Signal::try_from(signal)
            .map_err(|_| Refusal::new(RefusalKind::Invalid, format!("there is no signal {signal}")))?;
        let count = self.ask(app, |answer| Message::Signal { slot, signal, answer }).await?;
        reached(app, slot, count)
    }

    async fn send_message(&self, app: &str, slot: Option<u32>, message: Value) -> Result<u32, Refusal> {
        let count = self.ask(app, |answer| Message::Send { slot, message, answer }).await?;
        reached(app, slot, count)
    }

    async fn environment(&self, app: &str) -> Result<Environment, Refusal> {
        self.ask(app, |answer| Message::Environment { answer }).await
    }

    async fn shards(&self, app: &str, key: Option<String>) -> Result<ShardTable, Refusal> {
        self.ask(app, |answer| Message::Shards { key, answer }).await?
    }

    async fn run_schedule(&self, app: &str, schedule: &str) -> Result<(), Refusal> {
        let schedule = schedule.to_owned();
        let begun = self.ask(app, |answer| Message::RunSchedule { schedule, answer }).await?;
        begun.map_err(|reason| Refusal::new(RefusalKind::Conflict, reason))
    }

    async fn reset(&self, app: &str) -> Result<(), Refusal> {
        self.put(&self.app(app)?, Message::Reset)
    }

    async fn flush(&self, app: &str) -> Result<(), Refusal> {
        let flushed = self.ask(app, |answer| Message::Flush { answer }).await?;
        let failed = || Refusal::new(RefusalKind::Failed, format!("failed to remove the logs of `{app}`"));
        flushed.map_err(|error| failed().with_cause(error))
    }

    async fn definitions(&self) -> Vec<SavedApp> {
        let all = self.0.registry.all().into_iter();
        all.map(|app| SavedApp {
            id: app.id,
            name: app.name,
            definition: (*app.definition).clone(),
            wanted: app.rest != Rest::ForGood || app.failure.is_some(),
            instances: app.scaled,
        })
        .collect()
    }

    async fn upgrade(&self, binary: &Path) -> Steps {
        relief::begin(&self.0, binary).await
    }

    async fn shut_down(&self, now: bool) -> Result<(), Refusal> {
        self.0.stop(now);
        Ok(())
    }

    async fn events(&self) -> mpsc::Receiver<Event> {
        let mut events = self.0.events.subscribe();
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => {
                        if sender.send(event).await.is_err() {
                            return;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => (),
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        receiver
    }

    async fn poisoned(&self) -> Vec<PoisonedRequest> {
        let mut all = Vec::new();
        for app in self.0.registry.all() {
            let (answer, poisoned) = oneshot::channel();
            // An app that ends at this moment is left out.
            drop(app.inbox.send(Message::Poisoned { answer }));
            all.extend(poisoned.await.unwrap_or_default());
        }
        all.sort_by_key(|request| request.at);
        all
    }
}

/// The steps of all reloads as they come; `Done` once when all are done, `Failed` for the first that failed.
async fn merge(under_way: Vec<mpsc::Receiver<Progress>>, sender: mpsc::Sender<Progress>) {
    let mut done = Vec::new();
    let mut failure = None;
    for mut steps in under_way {
        while let Some(progress) = steps.recv().await {
            match progress {
                Progress::Done { apps } => done.extend(apps),
                Progress::Failed { .. } => failure = failure.or(Some(progress)),
                // Whoever asked may have gone; the reload goes on.
                Progress::Step { .. } | Progress::Note { .. } => drop(sender.send(progress).await),
            }
        }
    }
    drop(sender.send(failure.unwrap_or(Progress::Done { apps: done })).await);
}
