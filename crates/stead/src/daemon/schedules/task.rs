//! One run that is a task of a pool: given once its record is on the disk, and followed to its end. Once taken it is the pool's,
//! and done also if the app is stopped. Its id is its own, so that whoever asks for the same run again gets the same task; the
//! next daemon asks for it by that.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_control::{Fault, Pools, TaskEvent, TaskRequest, TaskState, TaskStatus};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::super::app::AppTask;
use super::super::message::Message;
use super::super::operator::Desk;
use super::Run;
use super::plan::LATE_MAX;
use crate::config::CatchUp;

/// How often a pool that takes nothing is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a pool is to do.
pub(super) struct Order {
    schedule: String,
    pub(super) pool: String,
    input: Value,
    /// Of the task, another for each run.
    pub(super) id: String,
    /// How long a pool that takes nothing is asked again.
    patience: Duration,
    /// What is left of its time.
    limit: Duration,
    desk: Desk,
    inbox: mpsc::UnboundedSender<Message>,
}

/// A run.
pub(super) struct PoolTask {
    id: String,
    /// The pool is known not to have taken it. Before that is known, a crash loses it rather than have it done twice.
    pub(super) waits: bool,
    /// The pool is known to have taken it.
    taken: bool,
    task: JoinHandle<()>,
}

/// It, for the next daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedTask {
    id: String,
    waits: bool,
}

impl Drop for PoolTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PoolTask {
    /// Begins once its record is on the disk.
    pub(super) fn begin(order: Order, recorded: oneshot::Receiver<io::Result<()>>) -> Self {
        let id = order.id.clone();
        let task = tokio::spawn(async move {
            if let Ok(Err(error)) = recorded.await {
                let text = format!("schedule `{}` may run twice after a crash: {error}", order.schedule);
                order.tell(Message::Say(text));
            }
            order.see_through(true).await;
        });
        Self { id, waits: false, taken: false, task }
    }

    /// Goes on where the daemon before this one stopped. What a pool had taken is never given again.
    pub(super) fn resume(order: Order, SavedTask { id, waits }: SavedTask) -> Self {
        let order = Order { id: id.clone(), ..order };
        let task = tokio::spawn(async move { order.see_through(waits).await });
        Self { id, waits, taken: !waits, task }
    }

    pub(super) fn saved(&self) -> SavedTask {
        SavedTask { id: self.id.clone(), waits: self.waits }
    }

    /// Leaves it to the next daemon, and has told all that it will.
    pub(super) async fn let_go(&mut self) {
        self.task.abort();
        drop((&mut self.task).await);
        // Unless it has told just now that the pool took it, which is heard next, that one is to give it.
        self.waits = !self.taken;
    }
}

impl Order {
    async fn see_through(self, give: bool) {
        let outcome = match timeout(self.limit, self.carry_out(give)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // One that has ended just now, or never was, need not be called off.
                drop(self.desk.cancel(&self.pool, &self.id).await);
                Err("it took longer than its `timeout`".to_owned())
            }
        };
        let schedule = self.schedule.clone();
        self.tell(Message::ScheduleEnded { schedule, outcome });
    }

    async fn carry_out(&self, mut give: bool) -> Result<(), String> {
        loop {
            let mut events = self.taken(give).await?;
            while let Some(event) = events.recv().await {
                if let TaskEvent::End(status) = event
                    && status.state.has_ended()
                {
                    return outcome(&status);
                }
            }
            // Another daemon is about to go on with it; or the pool is gone, which is heard by asking.
            give = false;
            sleep(RETRY_AFTER).await;
        }
    }

    /// Asks until the pool takes the task, or has it.
    async fn taken(&self, give: bool) -> Result<mpsc::Receiver<TaskEvent>, String> {
        let since = Instant::now();
        loop {
            let fault = match self.hand_in(give).await {
                Ok(events) => {
                    if give {
                        self.tell(Message::ScheduleGiven { schedule: self.schedule.clone() });
                    }
                    return Ok(events);
                }
                Err(fault) => fault,
            };
            let may_pass = matches!(fault.code.as_str(), "full" | "unavailable" | "unknown_pool");
            let reason =
                fault.hint.map_or(fault.message.clone(), |hint| format!("{}; {hint}", fault.message));
            if !may_pass || since.elapsed() >= self.patience {
                return Err(reason);
            }
            if give {
                self.tell(Message::ScheduleWaits { schedule: self.schedule.clone(), reason });
            }
            sleep(RETRY_AFTER).await;
        }
    }

    async fn hand_in(&self, give: bool) -> Result<mpsc::Receiver<TaskEvent>, Fault> {
        if give {
            let (id, input) = (Some(self.id.clone()), self.input.to_string().into());
            let task = TaskRequest { input, id, wait: true, ..TaskRequest::default() };
            return self.desk.submit_and_watch(&self.pool, task).await;
        }
        self.desk.watch(&self.pool, &self.id).map_err(|fault| match fault.code.as_str() {
            "unknown_task" => {
                fault.with_hint("what a pool that is not `durable` had is lost with the daemon")
            }
            _ => fault,
        })
    }

    fn tell(&self, message: Message) {
        // An app that has ended meanwhile does not mind.
        drop(self.inbox.send(message));
    }
}

fn outcome(status: &TaskStatus) -> Result<(), String> {
    if status.state == TaskState::Done {
        return Ok(());
    }
    let error: Option<Value> = status.error.as_ref().and_then(|error| serde_json::from_str(error.get()).ok());
    let message = error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or("it does not say why");
    Err(format!("task `{}` ended as {}: {message}", status.id, status.state.as_str()))
}

impl AppTask {
    pub(super) fn order(
        &self,
        schedule: &str,
        (pool, input): (Option<String>, Value),
        (due, limit): (Timestamp, Duration),
    ) -> Order {
        let known = self.settings.schedules.iter().find(|own| own.name == schedule);
        let is_caught_up = known.is_some_and(|own| own.catch_up == CatchUp::One);
        Order {
            schedule: schedule.to_owned(),
            pool: pool.unwrap_or_else(|| self.settings.name.clone()),
            input,
            id: format!("{}.{schedule}.{}", self.settings.name, due.strftime("%Y%m%dT%H%M%S%.3fZ")),
            // What is not late is not missed, and what was missed is made up for if that is wanted. It ends before the limit,
            // because the pool's own words say more.
            patience: if is_caught_up { limit.saturating_sub(2 * RETRY_AFTER) } else { LATE_MAX },
            limit,
            desk: Desk(Arc::clone(&self.shared)),
            inbox: self.inbox.clone(),
        }
    }

    /// The task of a schedule has got into its pool.
    pub(in super::super) fn schedule_given(&mut self, name: &str) {
        let Some(known) = self.schedules.all.get_mut(name) else { return };
        let Some(Run::Task(given)) = &mut known.run else { return };
        (given.waits, given.taken) = (false, true);
        if known.last.as_mut().and_then(|last| last.reason.take()).is_some() {
            self.say(&format!("schedule `{name}`: its pool has taken the task"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_no_pool_is_known_to_have_is_given_by_the_next_daemon_and_not_after_a_crash() {
        for taken in [false, true] {
            let task = tokio::spawn(std::future::pending());
            let mut run = PoolTask { id: "shop.own.1".to_owned(), waits: false, taken, task };
            assert!(!run.saved().waits, "as a crash leaves it");
            run.let_go().await;
            assert_eq!(run.saved().waits, !taken);
        }
    }
}
