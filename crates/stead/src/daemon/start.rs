//! Starts what `stead start` asks for: apps that are new, and apps that rest; what runs already goes on.

use std::sync::Arc;

use stead_control::{Definition, Home, Progress, Refusal, RefusalKind, SavedApp, StartAnswer, StartRequest};
use tokio::sync::{mpsc, oneshot};

use super::definition::{self, Origin};
use super::message::Message;
use super::registry::AppHandle;
use super::shared::{Shared, refused};
use crate::cli::{self, saved};
use crate::config::{AppSettings, Settings, companion};

/// Steps that may wait until they are read.
const PROGRESS_MAX: usize = 16;

/// Carries it out.
pub(super) async fn start(shared: &Arc<Shared>, request: StartRequest) -> Result<StartAnswer, Refusal> {
    if shared.is_stopping() {
        return Err(Refusal::new(RefusalKind::Conflict, "Stead is stopping"));
    }
    let definition = Arc::new(request.definition.clone());
    let evaluated = Arc::clone(&definition);
    // It reads files and may have to ask Node.js.
    let evaluation = tokio::task::spawn_blocking(move || definition::evaluate(&evaluated));
    let settings = evaluation.await.map_err(|error| Refusal::new(RefusalKind::Failed, error.to_string()))?;
    let settings = settings.map_err(Refusal::from)?;
    let origin = Origin::new(&definition, &settings);
    let Settings { apps, notes, .. } = settings;
    // All of them: one that is chosen may need one that comes later.
    let joined = shared.convoy.join(&apps.iter().collect::<Vec<_>>(), &origin.groups);
    joined.map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string()))?;
    let apps = chosen(apps, &request.only)?;
    let mut answer = StartAnswer::default();
    for settings in apps {
        let name = settings.name.clone();
        match shared.registry.find(&name) {
            None => {
                let stopped = request.stopped || !settings.autostart;
                shared.add_app(settings, &origin, stopped).map_err(|error| refused(&error))?;
                answer.started.push(name);
            }
            Some(app) => match start_known(shared, &app, &definition, &request).await? {
                Known::Started => answer.started.push(name),
                Known::Runs { differently } => {
                    answer.differing.extend(differently.then(|| name.clone()));
                    answer.already.push(name);
                }
            },
        }
    }
    if !answer.started.is_empty() || request.redefine {
        answer.notes = notes;
    }
    answer.notes.extend(answer.started.iter().filter_map(|name| shared.pools.note_of(name)));
    Ok(answer)
}

/// Brings back what was saved. What cannot be brought back is told, and keeps nobody else from coming back.
pub(super) async fn resurrect(shared: Arc<Shared>) {
    let say = |app: Option<&str>, text: &str| shared.console.say(app, text);
    let saved = match saved::load(&Home::here()) {
        Ok(saved) => saved,
        Err(error) => return say(None, &format!("nothing is brought back: {}", cli::in_one_line(&error))),
    };
    saved.notes.iter().for_each(|note| say(None, note));
    for app in saved.apps {
        let SavedApp { name, definition, wanted, instances, .. } = app;
        let request =
            StartRequest { definition, only: vec![name.clone()], redefine: false, stopped: !wanted };
        if let Err(refusal) = start(&shared, request).await {
            say(Some(&name), &format!("not brought back: {}", refusal.message));
        }
        if let (Some(instances), Some(app)) = (instances, shared.registry.find(&name)) {
            let (answer, scaled) = oneshot::channel();
            // An app that ends at this moment needs no workers.
            drop(app.inbox.send(Message::Scale { instances, answer }));
            drop(scaled.await);
        }
    }
}

/// What becomes of an app that is there already.
enum Known {
    Started,
    Runs { differently: bool },
}

async fn start_known(
    shared: &Shared,
    app: &AppHandle,
    definition: &Arc<Definition>,
    request: &StartRequest,
) -> Result<Known, Refusal> {
    let anew = request.redefine || app.rests();
    if anew {
        shared.registry.redefine(app.id, definition);
        // An app that ends at this moment cannot be defined anew.
        drop(app.inbox.send(Message::Redefine(Arc::clone(definition))));
    }
    if !app.rests() || request.stopped {
        let differently = !anew && !means_the_same(&app.definition, definition);
        return Ok(Known::Runs { differently });
    }
    again(app).await.map(|()| Known::Started)
}

/// Starts an app that rests; one that runs has what failed of it tried again at once.
pub(super) async fn again(app: &AppHandle) -> Result<(), Refusal> {
    let (progress, mut steps) = mpsc::channel(PROGRESS_MAX);
    // An app that has ended drops the sender.
    drop(app.inbox.send(Message::Start { progress }));
    while let Some(step) = steps.recv().await {
        match step {
            Progress::Done { .. } => return Ok(()),
            Progress::Failed { reason, hint, .. } => {
                let refusal =
                    Refusal::new(RefusalKind::Failed, format!("failed to start app `{}`", app.name));
                return Err(Refusal { hint, ..refusal.with_cause(reason) });
            }
            Progress::Step { .. } | Progress::Note { .. } => (),
        }
    }
    Err(Refusal::new(RefusalKind::Conflict, format!("app `{}` has ended", app.name)))
}

/// The environment of the shell changes with every prompt and says nothing.
fn means_the_same(one: &Definition, other: &Definition) -> bool {
    one.arguments == other.arguments && one.directory == other.directory
}

fn chosen(apps: Vec<AppSettings>, only: &[String]) -> Result<Vec<AppSettings>, Refusal> {
    if let Some(unknown) = only.iter().find(|name| !apps.iter().any(|app| app.name == **name)) {
        let known: Vec<String> = apps.iter().map(|app| format!("`{}`", app.name)).collect();
        let refusal = Refusal::new(RefusalKind::NoSuchApp, format!("the file has no app `{unknown}`"));
        return Err(refusal.with_hint(format!("it has {}", known.join(", "))));
    }
    let is_meant =
        |app: &AppSettings| only.iter().any(|name| *name == app.name || companion(name) == app.name);
    Ok(apps.into_iter().filter(|app| only.is_empty() || is_meant(app)).collect())
}
