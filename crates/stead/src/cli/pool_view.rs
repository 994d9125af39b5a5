//! Pools as people see them: the table of all of them in `stead list` and `stead pool list`, and what `stead show` tells of one.

use super::format::{age, cpu, grouped, rate};
use super::list::{state, uptime};
use super::table::{Column, draw, none, number, words};
use std::time::SystemTime;
use stead_control::{AppStatus, PoolDetails, TaskCounts, WorkerStatus};

const COLUMNS: [Column; 14] = [
    number("id", 6),
    words("pool", 0),
    words("status", 0),
    number("ready", 3),
    number("busy", 7),
    number("uptime", 8),
    number("restarts", 9),
    number("queued", 0),
    number("running", 2),
    number("done", 0),
    number("failed", 1),
    number("dead", 1),
    number("cpu", 4),
    number("mem", 5),
];

/// A row for each; apps that are no pools are left out.
pub(super) fn table<'a>(apps: impl Iterator<Item = &'a AppStatus>, columns: u16) -> String {
    let rows: Vec<_> = apps.filter_map(|app| Some(cells(app, app.tasks?))).collect();
    if rows.is_empty() { String::new() } else { draw(&COLUMNS, &rows, columns) }
}

fn cells(app: &AppStatus, tasks: TaskCounts) -> [String; 14] {
    let TaskCounts { queued, running, done, failed, dead, .. } = tasks;
    let [queued, running, done, failed, dead] = [queued, running, done, failed, dead].map(grouped);
    let rests = app.state.is_at_rest();
    let if_runs = |text: String| if rests { none() } else { text };
    [
        app.id.to_string(),
        app.name.clone(),
        state(app),
        format!("{}/{}", app.instances.ready, app.instances.wanted),
        app.workers.iter().filter(|worker| worker.in_flight > 0).count().to_string(),
        uptime(app).map_or_else(none, age),
        grouped(app.restarts),
        queued,
        running,
        done,
        failed,
        dead,
        if_runs(cpu(app.cpu)),
        if_runs(short_memory(app.memory_bytes)),
    ]
}

/// `168M`: there are many columns.
fn short_memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 { format!("{mebibytes:.0}M") } else { format!("{:.1}G", mebibytes / 1024.0) }
}

/// Tasks in the place of requests, for whoever shows both in the same columns.
pub(super) fn count_tasks(app: &mut AppStatus) {
    if let Some(TaskCounts { queued, running, done, failed, refused, dead }) = app.tasks {
        let counters = &mut app.counters;
        (counters.requests, counters.failed, counters.refused) = (done + failed, failed, refused);
        (counters.in_flight, counters.waiting, counters.poisoned) = (running, queued, dead);
    }
}

/// What becomes of its tasks, each number with its name.
pub(super) fn numbers(tasks: &TaskCounts) -> [(&'static str, u64); 6] {
    let TaskCounts { queued, running, done, failed, refused, dead } = *tasks;
    [
        ("queued", queued),
        ("running", running),
        ("done", done),
        ("failed", failed),
        ("refused", refused),
        ("dead", dead),
    ]
}

/// How a pool was set up, in the place of an app's addresses.
pub(super) fn setup(pool: &PoolDetails) -> Vec<(&'static str, String)> {
    let (least, most) = pool.size;
    let workers = match least == most {
        true => format!("{most}"),
        false => format!("{least} to {most}, as many as the queue needs"),
    };
    let at_once = match pool.concurrency {
        Some(1) => "1 task at a time for each".to_owned(),
        Some(tasks) => format!("{tasks} tasks at a time for each"),
        None => "as many tasks at a time as each says".to_owned(),
    };
    let timeout = pool.task_timeout.map_or_else(|| "none".to_owned(), age);
    let durable = match pool.durable {
        true => "yes, every task is on disk before it is accepted",
        false => "no, only tasks whose sender does not wait are on disk",
    };
    let limits =
        format!("{} tasks wait, timeout {timeout}, retries {}", grouped(pool.queue_max.into()), pool.retries);
    vec![("workers", format!("{workers}; {at_once}")), ("at most", limits), ("durable", durable.to_owned())]
}

/// What becomes of the tasks of a pool.
pub(super) fn work(app: &AppStatus, tasks: &TaskCounts) -> Vec<(&'static str, String)> {
    let TaskCounts { queued, running, done, failed, refused, dead } = tasks;
    let pool = app.pool.as_ref();
    let oldest = pool.and_then(|pool| pool.oldest_waiting);
    let oldest = oldest.map(|oldest| format!(", the oldest for {}", age(oldest))).unwrap_or_default();
    let retried = pool.map_or(0, |pool| pool.retried);
    let [done, failed, refused] = [*done, *failed, *refused].map(grouped);
    vec![
        ("tasks", format!("{} queued{oldest}; {} running", grouped(*queued), grouped(*running))),
        (
            "ended",
            format!("{done} done, {failed} failed, {refused} refused; {} tried again", grouped(retried)),
        ),
        ("rate", format!("{} per second", rate(app.requests_per_second))),
        (
            "set aside",
            match dead {
                0 => none(),
                dead => format!("{}; `stead pool dead list {}` shows them", grouped(*dead), app.name),
            },
        ),
        ("restarts", grouped(app.restarts)),
    ]
}

/// What a worker does now: `order-17 for 12s, 3 more`.
pub(super) fn now(app: &AppStatus, worker: &WorkerStatus) -> String {
    let running =
        app.pool.as_ref().and_then(|pool| pool.running.iter().find(|task| task.worker == worker.id));
    let Some(task) = running else { return none() };
    let since = task.age.map(|since| format!(" for {}", age(since))).unwrap_or_default();
    let more = match worker.in_flight {
        0 | 1 => String::new(),
        tasks => format!(", {} more", tasks - 1),
    };
    format!("{}{since}{more}", task.task)
}

/// The tasks that failed lately, the last first.
pub(super) fn errors(app: &AppStatus, now: SystemTime) -> String {
    let errors = app.pool.as_ref().map(|pool| pool.errors.as_slice()).unwrap_or_default();
    let head = if errors.is_empty() { "" } else { "\ntasks that failed, the last first:\n\n" };
    errors.iter().rev().fold(head.to_owned(), |text, error| {
        let ago = age(now.duration_since(error.at).unwrap_or_default());
        format!("{text}  {ago} ago  {} {}: {}\n", error.task, error.state.as_str(), error.message)
    })
}
