//! The app that serves the files of another's routes with `static`: it comes, stops and goes with that.

use std::sync::Arc;

use super::app::AppTask;
use super::message::Message;
use super::renew::Renewal;
use crate::cli;
use crate::config::{AppSettings, companion};

impl AppTask {
    /// What an app is told, its companion is told too.
    pub(super) fn tell_companion(&self, message: Message) {
        if self.settings.has_companion {
            self.shared.registry.tell(&companion(&self.settings.name), message);
        }
    }

    /// Changed settings have a companion now, or none any more, or another.
    pub(super) fn renew_companion(&self, settings: Option<AppSettings>) {
        let name = companion(&self.settings.name);
        match (self.shared.registry.find(&name), settings) {
            (Some(_), Some(_)) => self.shared.registry.tell(&name, Message::Renew(Renewal::reload())),
            (Some(_), None) => self.tell_companion(Message::Delete { now: false }),
            (None, Some(settings)) => self.add_companion(settings),
            (None, None) => (),
        }
    }

    fn add_companion(&self, settings: AppSettings) {
        let joined = self.shared.convoy.join(&[&settings], &[]).map_err(|error| cli::in_one_line(&error));
        let added = joined.and_then(|()| {
            let added = Arc::clone(&self.shared).add_app(settings, &self.origin, self.rests);
            added.map_err(|error| cli::in_one_line(&error))
        });
        if let Err(error) = added {
            self.say(&format!("its files are not served: {error}"));
        }
    }
}
