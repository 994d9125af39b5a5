//! `stead show`: everything about an app: what it is, how its workers are, how its requests fare, and why it restarted.

use super::fleet::{Aim, Fleet};
use super::format::{age, cpu, exit, grouped, latency, memory, rate};
use super::list::{colour, head, mode, state};
use super::output::Output;
use super::table::{Column, draw, none, number, paint, words};
use super::{ExitCode, Report, TargetArguments, pool_view, schedule, session};
use clap::Args;
use std::time::{Duration, SystemTime};
use stead_control::{AppStatus, ExitRecord, Leadership, RuntimeDirectory, WorkerStatus};

/// The arguments of `stead show`.
#[derive(Args, Clone, Debug, Default)]
pub struct ShowArguments {
    /// Apps to show: name, number, namespace, `/pattern/`, the file that defines them, or `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,

    /// Print JSON: a list of apps, each as in `stead list --json`
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

const WORKER_COLUMNS: [Column; 12] = [
    words("worker", 0),
    number("pid", 0),
    words("state", 0),
    words("health", 8),
    number("uptime", 1),
    number("cpu", 3),
    number("mem", 3),
    number("requests", 2),
    number("in flight", 5),
    number("replayed", 7),
    number("restarts", 0),
    words("last exit", 4),
];

/// Of a pool.
const POOL_COLUMNS: [Column; 11] = [
    words("worker", 0),
    number("pid", 0),
    words("state", 0),
    words("health", 8),
    number("uptime", 2),
    number("cpu", 3),
    number("mem", 4),
    number("done", 0),
    words("runs now", 1),
    number("restarts", 5),
    words("last exit", 6),
];

/// Carries it out.
pub fn execute(arguments: &ShowArguments) -> ExitCode {
    session::run(async |directory, output| show(arguments, directory, output).await)
}

pub(super) async fn show(
    arguments: &ShowArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aims = fleet.aims(&arguments.apps)?;
    if arguments.json {
        let apps: Vec<&AppStatus> = aims.iter().map(|aim| &aim.app).collect();
        output.data(&format!("{:#}\n", serde_json::json!(apps)));
        return Ok(ExitCode::Ok);
    }
    let now = SystemTime::now();
    for (index, Aim { client, app, slot }) in aims.iter().enumerate() {
        let member = fleet.members.iter().find(|member| member.client.socket() == client.socket());
        let instance = member.map(|member| head(&member.status)).unwrap_or_default();
        let app = of_slot(app.clone(), *slot);
        let gap = if index > 0 { "\n" } else { "" };
        let text = draw_app(&app, &instance, now, (output.columns(), output.is_coloured()));
        output.data(&format!("{gap}{text}"));
    }
    Ok(ExitCode::Ok)
}

/// With one worker alone, when one was named.
fn of_slot(mut app: AppStatus, slot: Option<u32>) -> AppStatus {
    if let Some(slot) = slot {
        app.workers.retain(|worker| worker.slot == slot);
        app.exits.retain(|record| record.slot == slot);
    }
    app
}

pub(super) fn draw_app(
    app: &AppStatus,
    instance: &str,
    now: SystemTime,
    (columns, coloured): (u16, bool),
) -> String {
    let mut text = section(&what(app, instance, now));
    if !app.workers.is_empty() {
        let table = match app.tasks {
            Some(_) => {
                let rows: Vec<_> = app.workers.iter().map(|worker| pool_cells(app, worker)).collect();
                draw(&POOL_COLUMNS, &rows, columns)
            }
            None => {
                let rows: Vec<_> = app.workers.iter().map(|worker| cells(app, worker)).collect();
                draw(&WORKER_COLUMNS, &rows, columns)
            }
        };
        let table = if coloured { paint(&table, "state", colour) } else { table };
        text.push_str(&format!("\n{table}\n"));
    }
    text.push_str(&format!("\n{}", section(&requests(app))));
    text.push_str(&schedule::shown(&app.schedules, now));
    text.push_str(&pool_view::errors(app, now));
    text.push_str(&exits(app, now));
    text
}

type Lines = Vec<(&'static str, String)>;

fn what(app: &AppStatus, instance: &str, now: SystemTime) -> Lines {
    let listens = app.listens.iter().map(|listen| format!("{} ({})", listen.address, listen.mode.as_str()));
    let listens: Vec<String> = listens.collect();
    let mut lines = vec![
        ("name", format!("{} (id {}, namespace {})", app.name, app.id, app.namespace)),
        ("status", status(app)),
        ("command", app.command.clone()),
        ("directory", app.directory.to_string()),
        ("defined by", app.file.as_ref().map_or_else(|| "the command line".to_owned(), ToString::to_string)),
    ];
    match &app.pool {
        Some(pool) => lines.extend(pool_view::setup(pool)),
        None => lines.extend([
            ("listens on", if listens.is_empty() { none() } else { listens.join(", ") }),
            ("routes", app.routes.join(", ")),
            ("mode", mode(app)),
        ]),
    }
    lines.extend([
        ("watch", if app.watch { "yes, reloads when files change".to_owned() } else { "no".to_owned() }),
        ("cron", app.cron_restart.clone().unwrap_or_else(none)),
        ("leader", app.leader.as_ref().map(leader).unwrap_or_default()),
        ("logs", app.logs.as_ref().map_or_else(none, ToString::to_string)),
    ]);
    if let Some(started) = app.started {
        lines.push(("started", format!("{} ago", age(since(started, now)))));
    }
    if let Some(failure) = &app.failure {
        let parts = std::iter::once(&failure.message).chain(&failure.causes).chain(&failure.hint);
        lines.push(("given up", parts.map(String::as_str).collect::<Vec<_>>().join("; ")));
    }
    lines.push(("uses", format!("cpu {}, memory {}", cpu(app.cpu), memory(app.memory_bytes))));
    lines.push(("instance", instance.to_owned()));
    lines.retain(|(_, text)| !text.is_empty());
    lines
}

fn leader(leader: &Leadership) -> String {
    leader.who.as_ref().map(|who| format!("{who}, term {}", leader.term)).unwrap_or_default()
}

fn status(app: &AppStatus) -> String {
    let retry = app.workers.iter().filter_map(|worker| worker.retry_in).min();
    let retry = retry.map(|wait| format!(", tried again in {}", age(wait))).unwrap_or_default();
    format!("{}{retry}, {} of {} workers ready", state(app), app.instances.ready, app.instances.wanted)
}

fn requests(app: &AppStatus) -> Lines {
    let counters = &app.counters;
    if let Some(tasks) = &app.tasks {
        return pool_view::work(app, tasks);
    }
    let count = |name: &str, number: u64| (number > 0).then(|| format!("{} {name}", grouped(number)));
    let join = |parts: [Option<String>; 3]| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { none() } else { parts.join(", ") }
    };
    vec![
        (
            "requests",
            format!(
                "{}, {} per second; {} connections",
                grouped(counters.requests),
                rate(app.requests_per_second),
                grouped(counters.connections)
            ),
        ),
        (
            "now",
            join([
                count("in flight", counters.in_flight),
                count("waiting for a worker", counters.waiting),
                None,
            ]),
        ),
        (
            "saved",
            join([
                count("sent to another worker", counters.replayed),
                count("held until a worker was ready", counters.held),
                None,
            ]),
        ),
        (
            "not served",
            join([
                count("failed", counters.failed),
                count("refused", counters.refused),
                count("poisoned", counters.poisoned),
            ]),
        ),
        ("p50 / p99", latency(&app.latency)),
        ("restarts", grouped(app.restarts)),
    ]
}

/// How and why its processes ended, the last one first.
fn exits(app: &AppStatus, now: SystemTime) -> String {
    let head = if app.exits.is_empty() {
        String::new()
    } else {
        "\nwhy its workers ended, the last first:\n".to_owned()
    };
    app.exits.iter().rev().fold(head, |text, record| text + &one_exit(&app.name, record, now))
}

/// How one of the processes of an app ended, with what it printed last.
pub(super) fn one_exit(app: &str, record: &ExitRecord, now: SystemTime) -> String {
    let ago = age(since(record.at, now));
    let life = record.uptime.map(|uptime| format!(" after {}", age(uptime))).unwrap_or_default();
    let ExitRecord { slot, pid, why, .. } = record;
    let mut text = format!("\n  {ago} ago  {app}.{slot} (pid {pid}){life}: {why}\n");
    for line in &record.last_lines {
        text.push_str(&format!("    | {line}\n"));
    }
    text
}

fn since(moment: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(moment).unwrap_or_default()
}

fn section(lines: &Lines) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, text)| format!("{name:width$}  {text}\n")).collect()
}

/// `shop.2`, and whether it leads.
fn name_of(app: &AppStatus, worker: &WorkerStatus) -> String {
    let name = format!("{}.{}", app.name, worker.slot);
    let leads = app.leader.as_ref().and_then(|leader| leader.who.as_ref()) == Some(&name);
    // While one takes the place of another, the leader may be either.
    let is_alone = app.workers.iter().filter(|other| other.slot == worker.slot).count() == 1;
    if leads && is_alone { format!("{name} (leads)") } else { name }
}

fn pool_cells(app: &AppStatus, worker: &WorkerStatus) -> [String; 11] {
    let [name, pid, state, health, uptime, cpu, memory, done, _, _, restarts, last_exit] = cells(app, worker);
    let now = pool_view::now(app, worker);
    [name, pid, state, health, uptime, cpu, memory, done, now, restarts, last_exit]
}

fn cells(app: &AppStatus, worker: &WorkerStatus) -> [String; 12] {
    let state = match worker.retry_in {
        Some(wait) => format!("{}, retry in {}", worker.state.as_str(), age(wait)),
        None => worker.state.as_str().to_owned(),
    };
    [
        name_of(app, worker),
        worker.pid.map_or_else(none, |pid| pid.to_string()),
        state,
        worker.healthy.map_or_else(none, |healthy| if healthy { "good" } else { "bad" }.to_owned()),
        worker.uptime.map_or_else(none, age),
        worker.pid.map_or_else(none, |_| cpu(worker.cpu)),
        worker.memory_bytes.map_or_else(none, memory),
        grouped(worker.requests),
        grouped(worker.in_flight),
        grouped(worker.replayed),
        grouped(worker.restarts),
        worker.last_exit.as_ref().map_or_else(none, exit),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::{resize, status as example};
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_pool_is_shown_with_its_tasks() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_011_531);
        let text = |columns| draw_app(&resize(), &head(&example()), now, (columns, false));
        insta::assert_snapshot!("show_pool", format!("{}\n\n{}", text(80), text(120)));
    }

    #[test]
    fn an_app_is_shown_whole() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_011_531);
        let status = example();
        let mut text = String::new();
        for app in &status.apps {
            text.push_str(&draw_app(app, &head(&status), now, (100, false)));
            text.push_str("\n\n");
        }
        text.push_str(&draw_app(&of_slot(status.apps[0].clone(), Some(0)), &head(&status), now, (60, false)));
        insta::assert_snapshot!("show", text);
    }
}
