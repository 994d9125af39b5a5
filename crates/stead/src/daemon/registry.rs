//! The apps of this instance, running or at rest, by the names and numbers people know them by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_control::{Definition, Refusal};
use tokio::sync::{mpsc, watch};

use super::message::Message;

/// An app, to talk to.
#[derive(Clone)]
pub(super) struct AppHandle {
    /// Its number; no other app gets it while the instance lives.
    pub(super) id: u32,
    pub(super) name: String,
    /// How it was asked for; shared by the apps of one file.
    pub(super) definition: Arc<Definition>,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    pub(super) rest: Rest,
    /// Why it was given up, if it was.
    pub(super) failure: Option<Refusal>,
    /// For requests to finish.
    pub(super) grace: Duration,
    /// The number of workers, if it was changed since.
    pub(super) scaled: Option<u32>,
}

/// Whether nothing of an app runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Something does.
    None,
    /// It has finished, and begins again when its time comes.
    UntilDue,
    /// It was stopped, or has finished.
    ForGood,
}

impl AppHandle {
    /// Nothing of it runs.
    pub(super) fn rests(&self) -> bool {
        self.rest != Rest::None
    }
}

/// All of them.
pub(super) struct Registry {
    state: Mutex<State>,
    /// Rung when an app came to rest or is gone.
    changed: watch::Sender<u32>,
}

#[derive(Default)]
struct State {
    apps: Vec<AppHandle>,
    next_id: u32,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(0) }
    }

    /// A number for one more app.
    pub(super) fn next_id(&self) -> u32 {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        id
    }

    pub(super) fn add(&self, app: AppHandle) {
        let mut state = self.lock();
        state.next_id = state.next_id.max(app.id + 1);
        state.apps.push(app);
    }

    pub(super) fn all(&self) -> Vec<AppHandle> {
        self.lock().apps.clone()
    }

    pub(super) fn find(&self, name: &str) -> Option<AppHandle> {
        self.lock().apps.iter().find(|app| app.name == name).cloned()
    }

    pub(super) fn by_id(&self, id: u32) -> Option<AppHandle> {
        self.lock().apps.iter().find(|app| app.id == id).cloned()
    }

    /// Something of an app runs, or will by itself.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().apps.iter().any(|app| app.rest != Rest::ForGood)
    }

    pub(super) fn set_rests(&self, id: u32, rest: Rest) {
        self.change(|apps| {
            for app in apps.iter_mut().filter(|app| app.id == id) {
                app.rest = rest;
                if rest == Rest::None {
                    app.failure = None;
                }
            }
        });
    }

    /// An app was given up, or was and no longer is.
    pub(super) fn set_failure(&self, name: &str, failure: Option<&Refusal>) {
        self.change(|apps| {
            apps.iter_mut().filter(|app| app.name == name).for_each(|app| app.failure = failure.cloned());
        });
    }

    pub(super) fn set_scaled(&self, id: u32, instances: u32) {
        self.change(|apps| {
            apps.iter_mut().filter(|app| app.id == id).for_each(|app| app.scaled = Some(instances));
        });
    }

    /// It was asked for anew.
    pub(super) fn redefine(&self, id: u32, definition: &Arc<Definition>) {
        self.change(|apps| {
            apps.iter_mut()
                .filter(|app| app.id == id)
                .for_each(|app| app.definition = Arc::clone(definition));
        });
    }

    pub(super) fn remove(&self, id: u32) {
        self.change(|apps| apps.retain(|app| app.id != id));
    }

    /// Lets those who wait for changes look around.
    pub(super) fn ring(&self) {
        self.change(|_| ());
    }

    /// Rung by every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u32> {
        self.changed.subscribe()
    }

    /// Tells an app; one that is gone needs not be told.
    pub(super) fn tell(&self, name: &str, message: Message) {
        if let Some(app) = self.find(name) {
            drop(app.inbox.send(message));
        }
    }

    pub(super) fn tell_all(&self, message: impl Fn() -> Message) {
        for app in self.all() {
            // An app that ends at this moment needs not be told.
            drop(app.inbox.send(message()));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<AppHandle>)) {
        change(&mut self.lock().apps);
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
