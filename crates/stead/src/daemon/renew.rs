//! A reload or a restart: what was asked for is evaluated again, and then every worker is replaced.

use std::sync::Arc;

use stead_control::{Definition, Environment, Progress};
use stead_supervisor::Input;
use tokio::sync::mpsc;

use super::app::AppTask;
use super::definition;
use super::message::Message;
use crate::cli::{ExitCode, Report};
use crate::config::AppSettings;

/// How workers are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What came of the evaluation.
pub(super) struct Renewed {
    pub(super) how: How,
    pub(super) id: u64,
    pub(super) outcome: Result<(Arc<Definition>, Box<AppSettings>), Report>,
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
        let definition = match environment {
            Some(environment) => Arc::new(Definition { environment, ..(*self.origin.definition).clone() }),
            None => Arc::clone(&self.origin.definition),
        };
        let (name, inbox) = (self.settings.name.clone(), self.inbox.clone());
        tokio::task::spawn_blocking(move || {
            let outcome = evaluate(&definition, &name).map(|settings| (definition, Box::new(settings)));
            // An app that has ended meanwhile needs no settings.
            drop(inbox.send(Message::Renewed(Renewed { how, id, outcome })));
        });
    }

    pub(super) fn renewed(&mut self, renewed: Renewed) {
        let Renewed { how, id, outcome } = renewed;
        match outcome {
            Err(report) => {
                let hint = report.hint.clone();
                self.tell_reload_failed(id, &report.in_one_line(), hint);
            }
            Ok(_) => {
                if let Some(renewed) = self.prepare_to_renew(Renewed { how, id, outcome }) {
                    self.apply(renewed);
                }
            }
        }
    }

    /// What was evaluated takes effect.
    pub(super) fn apply(&mut self, renewed: Renewed) {
        let Renewed { how, id, outcome } = renewed;
        match outcome {
            Err(report) => {
                let hint = report.hint.clone();
                self.tell_reload_failed(id, &report.in_one_line(), hint);
            }
            Ok((definition, mut settings)) => {
                settings.instances = self.scaled.unwrap_or(settings.instances);
                self.shared.registry.redefine(self.id, &definition);
                self.origin.definition = definition;
                self.reconfigure(*settings);
                self.replace_workers(id, how);
            }
        }
    }

    fn replace_workers(&mut self, id: u64, how: How) {
        match how {
            How::Restart if self.rests || self.waits => match self.start_again() {
                Ok(()) => self.tell_reload_done(id),
                Err(error) => self.tell_reload_failed(id, &crate::cli::in_one_line(&error), None),
            },
            How::Restart => self.input(Input::Restart { id }),
            How::Reload => self.input(Input::Reload { id }),
        }
    }
}

/// This app's part of what the definition comes to.
fn evaluate(definition: &Definition, name: &str) -> Result<AppSettings, Report> {
    let apps = definition::evaluate(definition)?.apps;
    apps.into_iter().find(|app| app.name == name).ok_or_else(|| {
        Report::new(ExitCode::Usage, format!("app `{name}` is no longer in its file"))
            .hint(format!("`stead delete {name}` ends it"))
    })
}
