//! The user's commands around a start: `before_start` has to succeed before the first worker of a start, a reload or a restart is
//! spawned; `after_ready` follows when all workers are ready, and its failure is only told.

use std::sync::Arc;

use stead_supervisor::{Input, SlotState};
use tokio::task::JoinHandle;

use super::app::AppTask;
use super::errand::Errand;
use super::message::Message;
use super::renew::{How, Renewed};
use crate::config::AppSettings;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    BeforeStart,
    AfterReady,
}

/// Those of one app.
pub(super) struct Hooks {
    /// `before_start`, and what it holds up.
    before: Option<(Running, Then)>,
    after: Option<Running>,
    /// `after_ready` follows when the app is complete.
    owed: bool,
}

/// What follows when the preparation has succeeded.
enum Then {
    Begin,
    Renew(Box<Renewed>),
}

/// A hook that runs; it ends with this.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Hooks {
    /// Of an app that has been ready already, or not.
    pub(super) fn new(was_ready: bool) -> Self {
        Self { before: None, after: None, owed: !was_ready }
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.before.is_some()
    }
}

impl AppTask {
    /// Whether the app has to be prepared before it begins; if so, it begins when that is done.
    pub(super) fn prepare_to_begin(&mut self) -> bool {
        if self.hooks.is_preparing() {
            return true;
        }
        self.hooks.owed = true;
        let settings = Arc::clone(&self.settings);
        self.waits && self.prepare(&settings, Then::Begin).is_none()
    }

    /// Gives it back if nothing has to be prepared for it.
    pub(super) fn prepare_to_renew(&mut self, renewed: Renewed) -> Option<Renewed> {
        // A start from rest is prepared when the app begins.
        let begins = renewed.how == How::Restart && (self.rests || self.waits);
        let settings = renewed.outcome.as_ref().ok().map(|(_, settings)| Arc::new((**settings).clone()));
        let Some(settings) = settings.filter(|settings| !begins && settings.hooks.before_start.is_some())
        else {
            return Some(renewed);
        };
        if self.hooks.is_preparing() {
            let reason = "`before_start` of an earlier start or reload still runs";
            self.tell_reload_failed(renewed.id, reason, None);
            return None;
        }
        match self.prepare(&settings, Then::Renew(Box::new(renewed))) {
            Some(Then::Renew(renewed)) => Some(*renewed),
            Some(Then::Begin) | None => None,
        }
    }

    fn prepare(&mut self, settings: &Arc<AppSettings>, then: Then) -> Option<Then> {
        let Some(command) = settings.hooks.before_start.clone() else { return Some(then) };
        let running = self.run_hook(Hook::BeforeStart, settings, command);
        self.hooks.before = Some((running, then));
        None
    }

    fn run_hook(&self, hook: Hook, settings: &Arc<AppSettings>, command: String) -> Running {
        self.say(&format!("`{}` runs", hook.key()));
        let errand = Errand {
            shared: Arc::clone(&self.shared),
            settings: Arc::clone(settings),
            command,
            variables: vec![("STEAD_HOOK", hook.key().to_owned())],
            timeout: settings.hooks.timeout,
            outlet: Some(Arc::clone(&self.outlet)),
        };
        let inbox = self.inbox.clone();
        Running(tokio::spawn(async move {
            let outcome = errand.run().await.map_err(|error| crate::cli::in_one_line(&error));
            // An app that has ended meanwhile does not mind.
            drop(inbox.send(Message::Hooked { hook, outcome }));
        }))
    }

    pub(super) fn hooked(&mut self, hook: Hook, outcome: Result<(), String>) {
        match hook {
            Hook::BeforeStart => self.prepared(outcome),
            Hook::AfterReady => {
                self.hooks.after = None;
                if let Err(reason) = outcome {
                    self.say(&format!("`after_ready` failed: {reason}"));
                }
                self.greet();
            }
        }
    }

    fn prepared(&mut self, outcome: Result<(), String>) {
        let Some((_, then)) = self.hooks.before.take() else { return };
        let failure = outcome.err().map(|reason| format!("`before_start` failed: {reason}"));
        match (then, failure) {
            (Then::Begin, None) => self.begin_now(),
            (Then::Begin, Some(failure)) => {
                self.say(&failure);
                self.waits = false;
                self.give_up(&failure, None);
            }
            (Then::Renew(renewed), None) => self.apply(*renewed),
            (Then::Renew(renewed), Some(failure)) => self.tell_reload_failed(renewed.id, &failure, None),
        }
    }

    /// The app is to stop: nothing is prepared for it any more.
    pub(super) fn drop_hooks(&mut self) {
        self.hooks.after = None;
        if let Some((_, Then::Renew(renewed))) = self.hooks.before.take() {
            self.tell_reload_failed(renewed.id, "it was given up before it had begun", None);
        }
    }

    /// All its workers are new.
    pub(super) fn owe_greeting(&mut self) {
        self.hooks.owed = true;
        self.greet();
    }

    /// `after_ready`, once all workers are ready.
    pub(super) fn greet(&mut self) {
        let Some(command) = self.settings.hooks.after_ready.clone() else { return };
        if !self.hooks.owed || self.hooks.after.is_some() || !self.is_complete() {
            return;
        }
        self.hooks.owed = false;
        let settings = Arc::clone(&self.settings);
        self.hooks.after = Some(self.run_hook(Hook::AfterReady, &settings, command));
    }

    fn is_complete(&self) -> bool {
        let snapshot = self.machine.snapshot(std::time::Instant::now());
        let ready = snapshot.slots.iter().filter(|slot| slot.state == SlotState::Ready).count();
        ready > 0 && ready >= snapshot.instances as usize
    }

    fn begin_now(&mut self) {
        self.follow_clock();
        self.follow_schedules();
        self.watch();
        self.compute();
        self.waits = false;
        self.started.get_or_insert_with(std::time::SystemTime::now);
        if !self.settings.program.is_node {
            self.serve_configured();
        }
        self.input(Input::Start);
    }

    pub(super) fn begin(&mut self) {
        if !self.prepare_to_begin() {
            self.begin_now();
        }
    }
}

impl Hook {
    fn key(self) -> &'static str {
        match self {
            Self::BeforeStart => "before_start",
            Self::AfterReady => "after_ready",
        }
    }
}
