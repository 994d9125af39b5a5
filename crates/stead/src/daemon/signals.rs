//! What signals to the keeper ask for: stop, reload, read the configuration again.

use std::sync::Arc;

use stead_control::Definition;
use stead_process::keeper::Signal;

use super::definition::{self, Origin};
use super::message::Message;
use super::renew::Renewal;
use super::shared::Shared;
use crate::cli;

/// Does what a signal to the keeper asks for.
pub(super) fn hear(shared: &Arc<Shared>, signal: Signal) {
    if signal == Signal::INT || signal == Signal::TERM {
        let again = shared.is_stopping();
        let text = if again { "ending at once" } else { "stopping; once more ends it at once" };
        shared.console.say(None, text);
        shared.stop(again);
    } else if signal == Signal::USR2 {
        shared.console.say(None, "reloading");
        shared.registry.tell_all(|| Message::Renew(Renewal::reload()));
    } else if signal == Signal::HUP {
        reread(shared);
    }
}

/// Takes over what changed in the files that apps came from: for apps that run, by a rolling reload.
fn reread(shared: &Arc<Shared>) {
    let mut definitions: Vec<Arc<Definition>> = Vec::new();
    for app in shared.registry.all() {
        if !definitions.iter().any(|known| Arc::ptr_eq(known, &app.definition)) {
            definitions.push(app.definition);
        }
    }
    definitions.iter().for_each(|definition| reread_one(shared, definition));
}

fn reread_one(shared: &Arc<Shared>, definition: &Arc<Definition>) {
    let (wanted, origin) = match definition::evaluate(definition) {
        Ok(settings) => {
            let origin = Origin::new(definition, &settings);
            (settings.apps, origin)
        }
        Err(report) => {
            let text = format!("the configuration was not taken over: {}", report.in_one_line());
            return shared.console.say(None, &text);
        }
    };
    shared.console.say(None, "configuration read again; reloading");
    if let Err(error) = shared.convoy.join(&wanted.iter().collect::<Vec<_>>(), &origin.groups) {
        return shared.console.say(None, &format!("the configuration was not taken over: {error}"));
    }
    let mut running = shared.registry.all();
    running.retain(|app| Arc::ptr_eq(&app.definition, definition));
    for app in running.iter().filter(|app| !wanted.iter().any(|wanted| wanted.name == app.name)) {
        shared.console.say(Some(&app.name), "no longer in the configuration; stopping");
        // An app that ends at this moment needs not be told.
        drop(app.inbox.send(Message::Delete { now: false }));
    }
    for settings in wanted {
        let name = settings.name.clone();
        match running.iter().find(|app| app.name == name) {
            Some(app) => {
                // An app that ends at this moment takes nothing over.
                drop(app.inbox.send(Message::Renew(Renewal::reload())));
            }
            None => {
                shared.console.say(Some(&name), &format!("new: {}", settings.program.display));
                if let Err(error) = shared.add_app(settings, &origin, false) {
                    shared.console.say(Some(&name), &cli::in_one_line(&error));
                }
            }
        }
    }
}
