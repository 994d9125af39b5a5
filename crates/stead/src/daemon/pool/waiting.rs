//! Who waits for a task, and what they are told of it.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stead_control::{TaskEvent, TaskStatus};
use stead_jobs::TaskId;
use tokio::sync::{mpsc, oneshot};

use super::desk::Register;
use super::speech;

/// Events of a task that may wait for a slow reader.
pub(super) const EVENTS_MAX: usize = 1024;
/// Of which so many are never progress, so that whoever is let go of for its slowness has been told parts.
const PARTS_MIN: usize = EVENTS_MAX / 2;

/// Somebody who waits for a task.
pub(super) enum Waiter {
    /// A worker of an app, which calls the task by a name of its own.
    Worker(Sender),
    /// A request that is answered once.
    Answer(oneshot::Sender<TaskStatus>),
    /// A request that is told everything.
    Stream(mpsc::Sender<TaskEvent>),
}

impl Waiter {
    fn has_hung_up(&self) -> bool {
        match self {
            // It may come back with the next daemon.
            Waiter::Worker(_) => false,
            Waiter::Answer(answer) => answer.is_closed(),
            Waiter::Stream(events) => events.is_closed(),
        }
    }
}

/// A worker that gave a task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sender {
    /// Its app, and itself.
    pub(super) who: Who,
    /// What it calls the task: JSON.
    pub(super) id: Box<RawValue>,
    pub(super) wants_progress: bool,
    pub(super) wants_parts: bool,
    /// Parts it has got.
    pub(super) parts: u64,
}

/// A worker, by the numbers of its app and its own, which stay the same from daemon to daemon.
pub(super) type Who = (u32, u64);

/// Everybody who waits.
pub(super) struct Waiting {
    tasks: HashMap<TaskId, Vec<Waiter>>,
    /// Tasks whose end was told to the worker that gave them. It may have given them once more, after another daemon's death.
    told: HashSet<TaskId>,
    register: Register,
}

impl Waiting {
    pub(super) fn new(register: Register) -> Self {
        Self { tasks: HashMap::new(), told: HashSet::new(), register }
    }

    pub(super) fn add(&mut self, task: TaskId, waiter: Waiter) {
        let waiting = self.tasks.entry(task).or_default();
        // Whoever has hung up would be kept until the end. To look for them each time would cost much where many wait.
        if waiting.len() == waiting.capacity() {
            waiting.retain(|waiter| !waiter.has_hung_up());
        }
        let is_worker = |waiter: &Waiter| matches!(waiter, Waiter::Worker(_));
        // A worker that has given it once more is answered once.
        if !(is_worker(&waiter) && waiting.iter().any(is_worker)) {
            waiting.push(waiter);
        }
    }

    /// Nothing is known of it any more.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.told.remove(&task);
    }

    /// How far a task is. Whoever reads slowly misses some of it.
    pub(super) fn tell_progress(&mut self, task: TaskId, data: &RawValue) {
        for waiter in self.tasks.get_mut(&task).into_iter().flatten() {
            match waiter {
                Waiter::Worker(sender) if sender.wants_progress => {
                    let told = speech::tell(&sender.id, "progress", "", Some(data.get().as_bytes()));
                    self.register.say(sender.who, &told);
                }
                Waiter::Stream(events) if events.capacity() > PARTS_MIN => {
                    drop(events.try_send(TaskEvent::Progress(data.to_owned())));
                }
                Waiter::Worker(_) | Waiter::Answer(_) | Waiter::Stream(_) => (),
            }
        }
    }

    /// A part of a result. A stream that has no room for it ends, because half a result must not look like a whole one.
    pub(super) fn tell_part(&mut self, task: TaskId, data: &RawValue) {
        let Some(waiting) = self.tasks.get_mut(&task) else { return };
        waiting.retain_mut(|waiter| match waiter {
            Waiter::Worker(sender) => {
                if sender.wants_parts {
                    sender.parts += 1;
                    let number = format!(",\"part\":{}", sender.parts);
                    let told = speech::tell(&sender.id, "part", &number, Some(data.get().as_bytes()));
                    self.register.say(sender.who, &told);
                }
                true
            }
            Waiter::Stream(events) => events.try_send(TaskEvent::Part(data.to_owned())).is_ok(),
            Waiter::Answer(_) => true,
        });
    }

    /// It has ended; nobody waits any more.
    pub(super) fn tell_end(&mut self, task: TaskId, status: impl Fn() -> TaskStatus) {
        for waiter in self.tasks.remove(&task).into_iter().flatten() {
            self.tell(task, waiter, status());
        }
    }

    /// Lets go of everybody.
    pub(super) fn leave(&mut self) -> Vec<(TaskId, Waiter)> {
        let all = std::mem::take(&mut self.tasks).into_iter();
        all.flat_map(|(task, waiting)| waiting.into_iter().map(move |waiter| (task, waiter))).collect()
    }

    /// Tells one who waits how a task ended; or a stream how far it is, if another daemon goes on with it.
    pub(super) fn tell(&mut self, task: TaskId, waiter: Waiter, status: TaskStatus) {
        match waiter {
            Waiter::Worker(sender) if self.told.insert(task) => {
                let error = status.error.as_ref();
                let more = error.map(|error| format!(",\"error\":{error}")).unwrap_or_default();
                let data = status.result.as_ref().map(|result| result.get().as_bytes());
                let told = speech::tell(&sender.id, status.state.as_str(), &more, data);
                self.register.say(sender.who, &told);
            }
            Waiter::Worker(_) => (),
            // Whoever asked may have gone.
            Waiter::Answer(answer) => drop(answer.send(status)),
            Waiter::Stream(events) => drop(events.try_send(TaskEvent::End(Box::new(status)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_control::TaskState;

    #[test]
    fn who_has_hung_up_is_not_kept_until_the_end() {
        const TASK: TaskId = 7;
        let mut waiting = Waiting::new(Register::new(std::process::id()));
        let (sender, mut stays) = mpsc::channel(1);
        waiting.add(TASK, Waiter::Stream(sender));
        for _ in 0..1000 {
            waiting.add(TASK, Waiter::Stream(mpsc::channel(1).0));
            waiting.add(TASK, Waiter::Answer(oneshot::channel().0));
        }
        assert!(waiting.tasks[&TASK].len() < 10, "{} are kept", waiting.tasks[&TASK].len());
        let status = || TaskStatus {
            id: "7".to_owned(),
            state: TaskState::Done,
            result: None,
            error: None,
            attempts: 1,
            progress: None,
            queued_at: None,
        };
        waiting.tell_end(TASK, status);
        assert!(matches!(stays.try_recv(), Ok(TaskEvent::End(_))));
    }

    #[test]
    fn parts_have_room_whatever_progress_nobody_has_read() {
        let data: Box<RawValue> = serde_json::from_str("1").expect("it is JSON");
        let mut waiting = Waiting::new(Register::new(1));
        let (sender, mut events) = mpsc::channel(EVENTS_MAX);
        waiting.add(1, Waiter::Stream(sender));
        for _ in 0..2 * EVENTS_MAX {
            waiting.tell_progress(1, &data);
        }
        for _ in 0..2 * EVENTS_MAX {
            waiting.tell_part(1, &data);
        }
        let told: Vec<TaskEvent> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        let parts = told.iter().filter(|event| matches!(event, TaskEvent::Part(_))).count();
        assert_eq!((told.len(), parts), (EVENTS_MAX, PARTS_MIN));
        assert!(events.is_closed(), "it is let go of, and knows by its parts that some are missing");
    }
}
