//! Brings back the apps that were saved, when an instance begins with that: after a reboot.
//!
//! One that cannot be brought back does not keep the others from it, and is told.

use super::operator::Desk;
use super::shared::Shared;
use crate::cli::saved::{self, SavedError};
use crate::cli::{Report, in_one_line};
use std::sync::Arc;
use stead_control::{Home, Operator, Refusal, SavedApp, StartRequest};

/// Brings them back; returns when all have begun to start.
pub(super) async fn resurrect(shared: &Arc<Shared>) {
    let say = |text: &str| shared.console.say(None, text);
    let apps = match saved::load(&Home::here()) {
        Ok(saved) => {
            saved.notes.iter().for_each(|note| say(note));
            saved.apps
        }
        Err(SavedError::Nothing { .. }) => return say("no apps were saved; ready for `stead start`"),
        Err(error) => return say(&format!("the saved apps are not started: {}", in_one_line(&error))),
    };
    let desk = Desk(Arc::clone(shared));
    for app in apps {
        match bring_back(&desk, &app).await {
            Ok(()) if app.wanted => say(&format!("brought back {}", app.name)),
            Ok(()) => say(&format!("brought back {}, which was stopped when it was saved", app.name)),
            Err(refusal) => {
                let why = Report::from(refusal).in_one_line();
                say(&format!("failed to bring back {}: {why}", app.name));
            }
        }
    }
}

async fn bring_back(desk: &Desk, app: &SavedApp) -> Result<(), Refusal> {
    let request = StartRequest {
        definition: app.definition.clone(),
        only: vec![app.name.clone()],
        redefine: false,
        stopped: !app.wanted,
    };
    desk.start(request).await?;
    match app.instances {
        Some(instances) => desk.scale(&app.name, instances).await,
        None => Ok(()),
    }
}
