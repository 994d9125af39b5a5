//! Waits for the end of a task that was given by hand, also if the daemon that has it dies or is replaced: the next one goes on with a
//! task that is kept, and is asked for it by its id. A task without one gets one here: its number in the pool may be that of
//! another task once a daemon has died.
//!
//! A result in parts is not put together from what two streams told: some may have been told in between, and a task that was begun
//! again tells all of them again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stead_control::{Client, ClientError, TaskEvent, TaskRequest, TaskStream};
use tokio::time::{Instant, sleep};

use super::{ExitCode, Report};

/// The next daemon is usually there within tens of milliseconds.
const BACK_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Gives a task to a pool, and shows `each` what happens to it until that tells how the command ends.
pub(super) async fn run(
    client: &Client,
    pool: &str,
    task: &TaskRequest,
    mut each: impl FnMut(&TaskEvent) -> Result<Option<ExitCode>, Report>,
) -> Result<ExitCode, Report> {
    let id = task.id.clone().unwrap_or_else(own_id);
    let task = TaskRequest { id: Some(id.clone()), ..task.clone() };
    let mut events = client.run_task(pool, &task).await?;
    let (mut has_parts, mut is_torn) = (false, false);
    loop {
        match events.next().await {
            Ok(Some(event)) if !is_handed_over(&event) => {
                has_parts |= matches!(event, TaskEvent::Part(_));
                if has_parts && is_torn {
                    return Err(incomplete());
                }
                if let Some(code) = each(&event)? {
                    return Ok(code);
                }
            }
            Ok(_) | Err(ClientError::Broken(_)) => {
                if has_parts {
                    return Err(incomplete());
                }
                is_torn = true;
                events = again(client, pool, &id).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A name that no other task has.
fn own_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("run-{}-{:x}", std::process::id(), now.as_nanos())
}

/// Whether the next daemon tells more.
fn is_handed_over(event: &TaskEvent) -> bool {
    matches!(event, TaskEvent::End(task) if !task.state.has_ended())
}

/// Half a result must not look like a whole one.
fn incomplete() -> Report {
    let message = "parts of the result are missing: they were not read as fast as they came, or another daemon has taken over";
    Report::new(ExitCode::Failure, message).hint("give the task again, with another `--id` if it had one")
}

/// Events of the same task from the daemon that has come.
async fn again(client: &Client, pool: &str, id: &str) -> Result<TaskStream, Report> {
    let deadline = Instant::now() + BACK_WITHIN;
    loop {
        // Before the first time too: a daemon that is being replaced still answers.
        sleep(LOOK_EVERY).await;
        match client.watch_task(pool, id).await {
            Err(ClientError::NotRunning { .. } | ClientError::Broken(_)) if Instant::now() < deadline => {}
            Err(ClientError::Refused(refusal)) => {
                let hint = "with `durable = true` the pool keeps its tasks on disk; run the same command again to have it done";
                let report = Report::new(ExitCode::Failure, "the daemon ended before the task");
                return Err(report.cause(refusal.message).hint(hint));
            }
            outcome => return Ok(outcome?),
        }
    }
}
