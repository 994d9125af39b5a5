//! Puts what becomes of a slot's workers into words for whoever listens.

use std::time::Duration;

use crate::event::{Event, Next, Readiness, WorkerId};
use crate::reason::Reason;
use crate::turn::Turn;
use crate::worker::{News, Worker};

/// The end of a worker, as its slot sees it.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) worker: WorkerId,
    pub(crate) slot: u32,
    /// It had been told to end.
    pub(crate) expected: bool,
    pub(crate) next: Next,
}

pub(crate) fn ended(end: &Reason, ending: &Ending, turn: &mut Turn<'_>) {
    let Ending { worker, slot, expected, next } = *ending;
    turn.tell(match end {
        Reason::Exited { exit } => Event::WorkerExited { worker, slot, exit: *exit, expected, next },
        other => Event::SpawnFailed { worker, slot, reason: other.to_string(), next },
    });
}

pub(crate) fn ready(slot: u32, worker: &Worker, readiness: Readiness, turn: &mut Turn<'_>) {
    let after = turn.now.saturating_duration_since(worker.spawned_at());
    turn.tell(Event::WorkerReady { worker: worker.id(), slot, readiness, after });
}

pub(crate) fn not_ready(slot: u32, worker: &Worker, after: Duration, turn: &mut Turn<'_>) {
    turn.tell(Event::WorkerNotReady { worker: worker.id(), slot, after });
}

/// News that changes nothing for the slot.
pub(crate) fn rest(slot: u32, worker: &Worker, news: Option<&News>, turn: &mut Turn<'_>) {
    let worker = worker.id();
    match news {
        Some(News::Started { pid }) => turn.tell(Event::WorkerStarted { worker, slot, pid: *pid }),
        Some(News::Unready) => turn.tell(Event::WorkerUnready { worker, slot }),
        Some(News::Unhealthy) => turn.tell(Event::WorkerUnhealthy { worker, slot }),
        Some(News::Ejected) => turn.tell(Event::WorkerEjected { worker, slot }),
        Some(News::Restored) => turn.tell(Event::WorkerRestored { worker, slot }),
        Some(News::Healthy { after }) => turn.tell(Event::WorkerHealthy { worker, slot, after: *after }),
        // The slot decides about these and announces them itself.
        Some(News::Ready(_) | News::Incurable | News::NotReady { .. } | News::Ended(_)) | None => (),
    }
}
