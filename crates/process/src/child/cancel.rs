//! One switch that ends any number of children.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::state::{Cause, State};

/// Ends the children that were given it ([`Command::cancel_token`](super::Command::cancel_token)) when it is cancelled,
/// from whatever thread. Clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    cancelled: bool,
    children: Vec<Weak<State>>,
}

impl CancelToken {
    /// Not cancelled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends each child its [kill signal](super::Command::kill_signal). For good; once is enough.
    pub fn cancel(&self) {
        let children = {
            let mut inner = self.lock();
            inner.cancelled = true;
            std::mem::take(&mut inner.children)
        };
        for child in children.iter().filter_map(Weak::upgrade) {
            child.end(Cause::Cancelled);
        }
    }

    /// Whether [`Self::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    pub(super) fn watch(&self, child: &Arc<State>) {
        let mut inner = self.lock();
        if inner.cancelled {
            drop(inner);
            child.end(Cause::Cancelled);
            return;
        }
        // Those that are gone are forgotten before room is made for more, so that looking for them costs little.
        if inner.children.len() == inner.children.capacity() {
            inner.children.retain(|child| child.strong_count() > 0);
        }
        inner.children.push(Arc::downgrade(child));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
