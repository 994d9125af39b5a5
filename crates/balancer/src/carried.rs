//! Knows when the lanes have nothing left to do: for a process that may end once its clients are served or gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts what the lanes carry: listeners on each lane, client connections, and commands on their way to a lane.
#[derive(Clone, Default)]
pub(crate) struct Carried(Arc<Count>);

#[derive(Default)]
struct Count {
    count: AtomicUsize,
    gone: Notify,
}

/// One thing that is carried, until it is dropped.
pub(crate) struct Carrying(Arc<Count>);

impl Carried {
    pub(crate) fn carry(&self) -> Carrying {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Carrying(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Waits until nothing is carried.
    pub(crate) async fn gone(self) {
        loop {
            let gone = self.0.gone.notified();
            tokio::pin!(gone);
            // Whoever goes after this is heard.
            gone.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            gone.await;
        }
    }
}

impl Carrying {
    /// Another thing, of the same lanes.
    pub(crate) fn more(&self) -> Carrying {
        Carried(Arc::clone(&self.0)).carry()
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gone_comes_after_the_last_and_at_once_if_there_is_none() {
        let carried = Carried::default();
        carried.clone().gone().await;
        let (first, second) = (carried.carry(), carried.carry());
        let third = first.more();
        let gone = tokio::spawn(carried.clone().gone());
        drop((first, second));
        tokio::task::yield_now().await;
        assert!(!gone.is_finished());
        assert_eq!(carried.count(), 1);
        drop(third);
        gone.await.expect("it does not panic");
    }
}
