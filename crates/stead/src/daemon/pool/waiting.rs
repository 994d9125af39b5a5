//! Who waits for a task, and what they are told of it.

use std::collections::HashMap;

use serde_json::value::RawValue;
use stead_control::{TaskEvent, TaskStatus};
use stead_jobs::TaskId;
use stead_process::node::Channel;
use tokio::sync::{mpsc, oneshot};

use super::hand::say;
use super::speech;

/// Events of a task that may wait for a slow reader.
pub(super) const EVENTS_MAX: usize = 1024;

/// Somebody who waits for a task.
pub(super) enum Waiter {
    /// A worker of an app, which calls the task by a name of its own.
    Worker(Sender),
    /// A request that is answered once.
    Answer(oneshot::Sender<TaskStatus>),
    /// A request that is told everything.
    Stream(mpsc::Sender<TaskEvent>),
}

/// A worker that gave a task.
pub(super) struct Sender {
    pub(super) channel: Channel,
    /// What it calls the task: JSON.
    pub(super) id: Box<RawValue>,
    pub(super) wants_progress: bool,
    pub(super) wants_parts: bool,
    /// Parts it has got.
    pub(super) parts: u64,
}

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Waiting(HashMap<TaskId, Vec<Waiter>>);

impl Waiting {
    pub(super) fn add(&mut self, task: TaskId, waiter: Waiter) {
        self.0.entry(task).or_default().push(waiter);
    }

    /// How far a task is. Whoever reads slowly misses some of it.
    pub(super) fn tell_progress(&mut self, task: TaskId, data: &RawValue) {
        for waiter in self.0.get_mut(&task).into_iter().flatten() {
            match waiter {
                Waiter::Worker(sender) if sender.wants_progress => {
                    say(
                        &sender.channel,
                        &speech::tell(&sender.id, "progress", "", Some(data.get().as_bytes())),
                    );
                }
                Waiter::Stream(events) => drop(events.try_send(TaskEvent::Progress(data.to_owned()))),
                Waiter::Worker(_) | Waiter::Answer(_) => (),
            }
        }
    }

    /// A part of a result. A stream that has no room for it ends, because half a result must not look like a whole one.
    pub(super) fn tell_part(&mut self, task: TaskId, data: &RawValue) {
        let Some(waiting) = self.0.get_mut(&task) else { return };
        waiting.retain_mut(|waiter| match waiter {
            Waiter::Worker(sender) => {
                if sender.wants_parts {
                    sender.parts += 1;
                    let number = format!(",\"part\":{}", sender.parts);
                    say(
                        &sender.channel,
                        &speech::tell(&sender.id, "part", &number, Some(data.get().as_bytes())),
                    );
                }
                true
            }
            Waiter::Stream(events) => events.try_send(TaskEvent::Part(data.to_owned())).is_ok(),
            Waiter::Answer(_) => true,
        });
    }

    /// It has ended; nobody waits any more.
    pub(super) fn tell_end(&mut self, task: TaskId, status: impl Fn() -> TaskStatus) {
        for waiter in self.0.remove(&task).into_iter().flatten() {
            tell(waiter, status());
        }
    }

    /// Lets go of all who can be told elsewhere how it ends; they hear nothing from here.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Tells one who waits how a task ended.
pub(super) fn tell(waiter: Waiter, status: TaskStatus) {
    match waiter {
        Waiter::Worker(sender) => {
            let more = status.error.as_ref().map(|error| format!(",\"error\":{error}")).unwrap_or_default();
            let data = status.result.as_ref().map(|result| result.get().as_bytes());
            say(&sender.channel, &speech::tell(&sender.id, status.state.as_str(), &more, data));
        }
        // Whoever asked may have gone.
        Waiter::Answer(answer) => drop(answer.send(status)),
        Waiter::Stream(events) => drop(events.try_send(TaskEvent::End(Box::new(status)))),
    }
}
