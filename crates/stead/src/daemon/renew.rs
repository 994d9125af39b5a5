//! A reload or a restart: what was asked for is evaluated again, and then every worker is replaced.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_control::{Definition, Environment, Progress};
use stead_supervisor::Input;
use tokio::sync::mpsc;

use super::app::AppTask;
use super::definition;
use super::message::Message;
use super::shared::refused;
use crate::cli::{ExitCode, Report};
use crate::config::{AppSettings, companion};

/// How workers are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    /// The new one beside the old one, without a gap.
    Reload,
    /// The old one ends first.
    Restart,
}

/// What is asked for.
pub(super) struct Renewal {
    pub(super) how: How,
    /// Replaces that of the definition.
    pub(super) environment: Option<Environment>,
    /// Who wants to know how it goes.
    pub(super) progress: Option<mpsc::Sender<Progress>>,
}

impl Renewal {
    /// Of what is there already, because something else happened.
    pub(super) fn reload() -> Self {
        Self { how: How::Reload, environment: None, progress: None }
    }
}

/// What was asked for and has touched nothing yet: it is evaluated, or `before_start` runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    id: u64,
    how: How,
    environment: Option<Environment>,
}

/// What came of the evaluation.
pub(super) struct Renewed {
    pub(super) how: How,
    pub(super) id: u64,
    pub(super) outcome: Result<(Arc<Definition>, Box<AppSettings>), Report>,
    /// The app that serves its files from now on.
    pub(super) companion: Option<Box<AppSettings>>,
}

impl AppTask {
    /// Evaluates the definition, in a thread of its own: it reads files and may have to ask Node.js.
    pub(super) fn renew(&mut self, renewal: Renewal) {
        let Renewal { how, environment, progress } = renewal;
        let id = self.next_reload;
        self.next_reload += 1;
        if let Some(progress) = progress {
            self.reloads.insert(id, progress);
        }
        self.pending = Some(Pending { id, how, environment: environment.clone() });
        let definition = match environment {
            Some(environment) => Arc::new(Definition { environment, ..(*self.origin.definition).clone() }),
            None => Arc::clone(&self.origin.definition),
        };
        let (name, inbox) = (self.settings.name.clone(), self.inbox.clone());
        tokio::task::spawn_blocking(move || {
            let (outcome, companion) = match evaluate(&definition, &name) {
                Ok((settings, companion)) => (Ok((definition, Box::new(settings))), companion.map(Box::new)),
                Err(report) => (Err(report), None),
            };
            // An app that has ended meanwhile needs no settings.
            drop(inbox.send(Message::Renewed(Renewed { how, id, outcome, companion })));
        });
    }

    /// What the daemon before this one was asked for, and died before it had begun. Whoever asked is told nothing any more.
    pub(super) fn renew_again(&mut self, pending: Option<Pending>) {
        if let Some(Pending { how, environment, .. }) = pending {
            self.say("the daemon before this one had not begun a reload; now it begins");
            self.renew(Renewal { how, environment, progress: None });
        }
    }

    /// It has begun, or is given up.
    pub(super) fn settle_pending(&mut self, id: u64) {
        if self.pending.as_ref().is_some_and(|pending| pending.id == id) {
            self.pending = None;
        }
    }

    pub(super) fn renewed(&mut self, renewed: Renewed) {
        let Renewed { how, id, outcome, companion } = renewed;
        match outcome {
            Err(report) => {
                let hint = report.hint.clone();
                self.tell_reload_failed(id, &report.in_one_line(), hint);
            }
            Ok(_) => {
                if let Some(renewed) = self.prepare_to_renew(Renewed { how, id, outcome, companion }) {
                    self.apply(renewed);
                }
            }
        }
    }

    /// What was evaluated takes effect.
    pub(super) fn apply(&mut self, renewed: Renewed) {
        let Renewed { how, id, outcome, companion } = renewed;
        match outcome {
            Err(report) => {
                let hint = report.hint.clone();
                self.tell_reload_failed(id, &report.in_one_line(), hint);
            }
            Ok((definition, mut settings)) => {
                settings.instances = self.instances_of(&settings);
                let settings = Arc::from(settings);
                if let Err(conflict) = self.ports.reroute(&settings) {
                    return self.tell_reload_failed(id, &conflict.to_string(), Some(conflict.hint()));
                }
                self.settle_pending(id);
                self.shared.registry.redefine(self.id, &definition);
                self.origin.definition = definition;
                self.renew_companion(companion.map(|settings| *settings));
                self.reconfigure(settings);
                self.replace_workers(id, how);
            }
        }
    }

    fn replace_workers(&mut self, id: u64, how: How) {
        match how {
            How::Restart if self.rests || self.waits => match self.start_again() {
                Ok(()) => self.tell_reload_done(id),
                Err(error) => {
                    let hint = refused(&error).hint;
                    self.tell_reload_failed(id, &crate::cli::in_one_line(&error), hint);
                }
            },
            How::Restart => self.input(Input::Restart { id }),
            How::Reload => self.input(Input::Reload { id }),
        }
    }
}

/// This app's part of what the definition comes to, and its companion's.
fn evaluate(definition: &Definition, name: &str) -> Result<(AppSettings, Option<AppSettings>), Report> {
    let mut apps = definition::evaluate(definition)?.apps;
    let mut take = |name: &str| {
        let found = apps.iter().position(|app| app.name == name)?;
        Some(apps.swap_remove(found))
    };
    let settings = take(name).ok_or_else(|| {
        Report::new(ExitCode::Usage, format!("app `{name}` is no longer in its file"))
            .hint(format!("`stead delete {name}` ends it"))
    })?;
    let companion = settings.has_companion.then(|| take(&companion(name))).flatten();
    Ok((settings, companion))
}
