//! What waits until the disk has it: requests that are acknowledged then, and ends of tasks that are told then.
//!
//! An end that was told is never taken back: whoever has heard that a task is done does not see it done again after a crash. Once the
//! disk takes no more, ends are told at once, because the tasks have ended all the same; requests hear that theirs are not kept,
//! until a journal can be written again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stead_jobs::Finish;
use stead_jobs::journal::{JournalError, Synced};
use tokio::sync::{Notify, oneshot};

/// Tells when a task is safe; dropped, it never will be.
pub(super) type Safe = oneshot::Receiver<()>;

/// How far the journal's thread is, and who waits for it, in order.
#[derive(Default)]
pub(super) struct Safety {
    state: Mutex<State>,
    /// Ends can be told.
    rung: Notify,
}

#[derive(Default)]
struct State {
    requests: VecDeque<(u64, oneshot::Sender<()>)>,
    ends: VecDeque<(u64, Finish)>,
    safe: u64,
    /// Nothing is safe until something is on the disk again.
    failed: bool,
    /// That has been told.
    told: bool,
}

/// What is to be told of the disk.
#[derive(Debug)]
pub(super) enum News {
    /// It takes nothing.
    Broken(JournalError),
    /// It takes everything again.
    Mended,
}

impl Safety {
    /// Tells when the record of this number is safe.
    pub(super) fn when(&self, number: u64) -> Safe {
        let (sender, safe) = oneshot::channel();
        let mut state = self.lock();
        if state.safe >= number {
            // Whoever asked may have gone.
            let _unheard = sender.send(());
        } else if !state.failed {
            state.requests.push_back((number, sender));
        }
        safe
    }

    /// Keeps an end back until its record of this number is safe.
    pub(super) fn hold(&self, number: u64, finish: Finish) {
        let mut state = self.lock();
        state.ends.push_back((number, finish));
        // The disk may have been faster.
        if state.failed || number <= state.safe {
            self.rung.notify_one();
        }
    }

    /// Waits until there are ends to be told.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// The ends that can be told now.
    pub(super) fn take_ends(&self) -> Vec<Finish> {
        let mut state = self.lock();
        let count = match state.failed {
            true => state.ends.len(),
            false => state.ends.partition_point(|(number, _)| *number <= state.safe),
        };
        state.ends.drain(..count).map(|(_, finish)| finish).collect()
    }

    /// Whether nothing that is written down now will be safe.
    pub(super) fn is_broken(&self) -> bool {
        self.lock().failed
    }

    /// Another journal begins, whose records are numbered from 1. Its first one says that the disk takes something again.
    pub(super) fn begin_again(&self) {
        let mut state = self.lock();
        state.safe = 0;
        state.ends.iter_mut().for_each(|(number, _)| *number = 0);
    }

    /// Lets go whoever waits until [ends can be told](Self::rung).
    pub(super) fn ring(&self) {
        self.rung.notify_one();
    }

    /// The journal's thread tells how far it is, or that it will not go on. Gives back what is new in that.
    pub(super) fn hear(&self, synced: Synced) -> Option<News> {
        let mut state = self.lock();
        let was_told = state.told;
        state.told = synced.is_err();
        let news = match synced {
            Ok(number) => {
                (state.safe, state.failed) = (number, false);
                while state.requests.front().is_some_and(|(waits_for, _)| *waits_for <= number) {
                    if let Some((_, request)) = state.requests.pop_front() {
                        // Whoever asked may have gone.
                        let _unheard = request.send(());
                    }
                }
                was_told.then_some(News::Mended)
            }
            Err(error) => {
                state.failed = true;
                state.requests.clear();
                (!was_told).then_some(News::Broken(error))
            }
        };
        if state.ends.front().is_some_and(|(number, _)| state.failed || *number <= state.safe) {
            self.rung.notify_one();
        }
        news
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bytes::Bytes;
    use stead_jobs::Outcome;

    use super::*;

    fn end(task: u64) -> Finish {
        let (outcome, input) = (Outcome::Cancelled, Bytes::new());
        Finish { task, name: None, outcome, attempts: 1, set_aside: false, durable: true, input }
    }

    fn told(safety: &Safety) -> Vec<u64> {
        safety.take_ends().into_iter().map(|finish| finish.task).collect()
    }

    #[test]
    fn nothing_is_told_or_acknowledged_before_it_is_on_disk() {
        let safety = Safety::default();
        let (mut first, mut second) = (safety.when(1), safety.when(4));
        (2..=4).for_each(|number| safety.hold(number, end(number)));
        assert!(told(&safety).is_empty() && first.try_recv().is_err());
        assert!(safety.hear(Ok(3)).is_none());
        assert_eq!((told(&safety), first.try_recv(), second.try_recv().is_ok()), (vec![2, 3], Ok(()), false));
        assert!(safety.hear(Ok(4)).is_none());
        assert_eq!((told(&safety), second.try_recv()), (vec![4], Ok(())));
        assert_eq!(safety.when(4).try_recv(), Ok(()), "it is there already");
    }

    #[tokio::test]
    async fn an_end_is_told_that_is_held_after_it_is_on_disk() {
        let safety = Safety::default();
        assert!(safety.hear(Ok(1)).is_none());
        safety.hold(1, end(1));
        safety.rung().await;
        assert_eq!(told(&safety), [1]);
    }

    #[test]
    fn a_broken_disk_acknowledges_nothing_and_keeps_no_end_back() {
        let safety = Safety::default();
        let mut request = safety.when(1);
        safety.hold(2, end(2));
        assert!(safety.hear(Err(JournalError::InUse { path: PathBuf::new() })).is_some());
        assert!(request.try_recv().is_err() && safety.when(3).try_recv().is_err());
        assert_eq!(told(&safety), [2]);
        safety.hold(3, end(3));
        assert_eq!(told(&safety), [3]);
        assert!(safety.hear(Err(JournalError::InUse { path: PathBuf::new() })).is_none(), "that is not new");

        safety.hold(9, end(9));
        safety.begin_again();
        assert!(safety.is_broken() && safety.when(1).try_recv().is_err(), "until something is on the disk");
        safety.hold(2, end(2));
        assert!(matches!(safety.hear(Ok(1)), Some(News::Mended)));
        assert_eq!(
            (told(&safety), safety.is_broken()),
            (vec![9], false),
            "what was held before is no longer"
        );
        assert!(safety.hear(Ok(2)).is_none());
        assert_eq!(told(&safety), [2]);
    }
}
