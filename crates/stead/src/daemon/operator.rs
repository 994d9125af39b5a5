//! The control API's questions, put to the tasks of the apps.

use std::sync::Arc;

use serde_json::Value;
use stead_control::{Event, Operator, PoisonedRequest, Progress, Refusal, RefusalKind, Status, StopRequest};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::message::Message;
use super::registry::AppHandle;
use super::shared::Shared;

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
        let ending = || Refusal::new(RefusalKind::Conflict, format!("app `{}` has ended", app.name));
        app.inbox.send(message).map_err(|_| ending())
    }
}

impl Operator for Desk {
    async fn status(&self) -> Status {
        let mut apps = Vec::new();
        for app in self.0.registry.all() {
            let (answer, status) = oneshot::channel();
            // An app that ends at this moment is left out.
            drop(app.inbox.send(Message::Status { answer }));
            apps.extend(status.await);
        }
        self.0.status(apps)
    }

    async fn reload(&self, app: Option<&str>) -> Result<mpsc::Receiver<Progress>, Refusal> {
        let apps = match app {
            Some(name) => vec![self.app(name)?],
            None => self.0.registry.all(),
        };
        if self.0.is_stopping() {
            return Err(Refusal::new(RefusalKind::Conflict, "Stead is stopping"));
        }
        let (sender, receiver) = mpsc::channel(PROGRESS_MAX);
        let mut under_way = Vec::new();
        for app in apps {
            let (progress, steps) = mpsc::channel(PROGRESS_MAX);
            self.put(&app, Message::Reload { progress: Some(progress) })?;
            under_way.push(steps);
        }
        tokio::spawn(merge(under_way, sender));
        Ok(receiver)
    }

    async fn scale(&self, app: &str, instances: u32) -> Result<(), Refusal> {
        let most = crate::config::INSTANCES_MAX;
        if instances > most {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                format!("more than {most} instances are not supported"),
            ));
        }
        self.put(&self.app(app)?, Message::Scale(instances))
    }

    async fn stop(&self, request: StopRequest) -> Result<(), Refusal> {
        match &request.app {
            Some(name) => self.put(&self.app(name)?, Message::Stop { now: request.now }),
            None => {
                self.0.stop(request.now);
                Ok(())
            }
        }
    }

    async fn send_message(&self, app: &str, message: Value) -> Result<u32, Refusal> {
        let (answer, count) = oneshot::channel();
        self.put(&self.app(app)?, Message::Send { message, answer })?;
        count.await.map_err(|_| Refusal::new(RefusalKind::Conflict, format!("app `{app}` has ended")))
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
                Progress::Step { .. } => drop(sender.send(progress).await),
            }
        }
    }
    drop(sender.send(failure.unwrap_or(Progress::Done { apps: done })).await);
}
