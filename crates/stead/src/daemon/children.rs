//! Knows which app and worker a child of the keeper is, so that its exit reaches the right task.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stead_process::keeper::{ChildId, Exit};
use stead_supervisor::WorkerId;
use tokio::sync::{mpsc, oneshot};

use super::message::Message;

/// Children by id, and the exits of those that ended before anybody claimed them.
#[derive(Default)]
pub(super) struct Children {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    claimed: HashMap<ChildId, Claim>,
    early: HashMap<ChildId, Exit>,
}

/// Who wants to know of an exit.
enum Claim {
    Worker(mpsc::UnboundedSender<Message>, WorkerId),
    Errand(oneshot::Sender<Exit>),
}

impl Children {
    /// This child is that worker of the app behind `inbox`.
    pub(super) fn claim(&self, child: ChildId, inbox: mpsc::UnboundedSender<Message>, worker: WorkerId) {
        self.claim_for(child, Claim::Worker(inbox, worker));
    }

    /// This child is none of the workers; how it ends.
    pub(super) fn claim_errand(&self, child: ChildId) -> oneshot::Receiver<Exit> {
        let (sender, exit) = oneshot::channel();
        self.claim_for(child, Claim::Errand(sender));
        exit
    }

    fn claim_for(&self, child: ChildId, claim: Claim) {
        let mut state = self.lock();
        match state.early.remove(&child) {
            Some(exit) => tell(claim, exit),
            None => drop(state.claimed.insert(child, claim)),
        }
    }

    pub(super) fn exited(&self, child: ChildId, exit: Exit) {
        let mut state = self.lock();
        match state.claimed.remove(&child) {
            Some(claim) => tell(claim, exit),
            None => drop(state.early.insert(child, exit)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever is gone has no use for it.
fn tell(claim: Claim, exit: Exit) {
    match claim {
        Claim::Worker(inbox, worker) => drop(inbox.send(Message::Exited { worker, exit })),
        Claim::Errand(waiting) => drop(waiting.send(exit)),
    }
}
