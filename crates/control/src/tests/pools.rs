//! A pool for the tests of the paths for workers: one task there is, one that was set aside, and what was asked is written down.

use super::workers::FakeMessenger;
use crate::{DeadTask, Fault, PoolStatus, Pools, TaskEvent, TaskRequest, TaskState, TaskStatus};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// As a task with this state is told.
fn told(id: &str, state: TaskState) -> TaskStatus {
    let result = (state == TaskState::Done).then(|| RawValue::from_string("[1, 2]".to_owned()).unwrap());
    TaskStatus { id: id.to_owned(), state, result, error: None, attempts: 1, progress: None, queued_at: None }
}

fn known<T>(pool: &str, id: &str, value: T) -> Result<T, Fault> {
    match (pool, id) {
        ("resize", "7") => Ok(value),
        ("resize", _) => Err(Fault::new("unknown_task", format!("no task `{id}`"))),
        _ => Err(Fault::new("unknown_pool", format!("no pool `{pool}`"))),
    }
}

impl Pools for FakeMessenger {
    fn pools(&self) -> Vec<PoolStatus> {
        Vec::new()
    }

    fn pool(&self, pool: &str) -> Result<PoolStatus, Fault> {
        Err(Fault::new("unknown_pool", format!("no pool `{pool}`")))
    }

    async fn submit(&self, pool: &str, task: TaskRequest) -> Result<TaskStatus, Fault> {
        match (task.id.as_deref(), task.wait) {
            (Some("full"), _) => Err(Fault::new("full", "so many tasks wait already")),
            (Some("bad"), _) => known(pool, "7", told("7", TaskState::Failed)),
            (_, true) | (Some("done"), _) => known(pool, "7", told("7", TaskState::Done)),
            (name, false) => known(pool, "7", told(name.unwrap_or("7"), TaskState::Queued)),
        }
    }

    async fn submit_and_watch(
        &self,
        pool: &str,
        _task: TaskRequest,
    ) -> Result<mpsc::Receiver<TaskEvent>, Fault> {
        self.watch(pool, "7")
    }

    fn task(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault> {
        known(pool, id, told(id, TaskState::Running))
    }

    fn watch(&self, pool: &str, id: &str) -> Result<mpsc::Receiver<TaskEvent>, Fault> {
        let (sender, receiver) = mpsc::channel(2);
        let half = RawValue::from_string("0.5".to_owned()).unwrap();
        sender.try_send(TaskEvent::Progress(half)).unwrap();
        sender.try_send(TaskEvent::End(Box::new(told(id, TaskState::Done)))).unwrap();
        known(pool, id, receiver)
    }

    async fn cancel(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault> {
        known(pool, id, told(id, TaskState::Cancelled))
    }

    fn dead(&self, pool: &str) -> Result<Vec<DeadTask>, Fault> {
        known(pool, "7", Vec::new())
    }

    fn dead_task(&self, pool: &str, id: &str) -> Result<DeadTask, Fault> {
        Err(known(pool, id, ()).err().unwrap_or_else(|| Fault::new("unknown_task", "nothing is set aside")))
    }

    fn retry_dead(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault> {
        known(pool, id, told(id, TaskState::Queued))
    }

    fn drop_dead(&self, pool: &str, id: &str) -> Result<(), Fault> {
        known(pool, id, ())
    }
}
