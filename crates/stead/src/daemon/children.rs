//! Knows which app and worker a child of the keeper is, so that its exit reaches the right task.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stead_process::keeper::{ChildId, Exit};
use stead_supervisor::WorkerId;
use tokio::sync::mpsc;

use super::message::Message;

/// Children by id, and the exits of those that ended before anybody claimed them.
#[derive(Default)]
pub(super) struct Children {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    claimed: HashMap<ChildId, (mpsc::UnboundedSender<Message>, WorkerId)>,
    early: HashMap<ChildId, Exit>,
}

impl Children {
    /// This child is that worker of the app behind `inbox`.
    pub(super) fn claim(&self, child: ChildId, inbox: mpsc::UnboundedSender<Message>, worker: WorkerId) {
        let mut state = self.lock();
        match state.early.remove(&child) {
            Some(exit) => tell(&inbox, worker, exit),
            None => drop(state.claimed.insert(child, (inbox, worker))),
        }
    }

    pub(super) fn exited(&self, child: ChildId, exit: Exit) {
        let mut state = self.lock();
        match state.claimed.remove(&child) {
            Some((inbox, worker)) => tell(&inbox, worker, exit),
            None => drop(state.early.insert(child, exit)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(inbox: &mpsc::UnboundedSender<Message>, worker: WorkerId, exit: Exit) {
    // An app that is gone has no use for it.
    drop(inbox.send(Message::Exited { worker, exit }));
}
