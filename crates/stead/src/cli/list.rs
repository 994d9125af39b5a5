//! `stead list`: the apps of all running instances, as a table or as JSON.

use super::fleet::{Fleet, Member, nothing_runs};
use super::format::{age, cpu, ended, grouped, memory, rate};
use super::output::Output;
use super::table::{Column, draw, none, number, paint, words};
use super::{ExitCode, Report, TargetArguments, pool_view, session};
use clap::{Args, ValueEnum};
use std::cmp::Ordering;
use std::time::Duration;
use stead_control::{AppState, AppStatus, RuntimeDirectory, Status, WorkerState, WorkerStatus};

/// The arguments of `stead list`.
#[derive(Args, Clone, Debug, Default)]
pub struct ListArguments {
    /// Apps to show [default: all of all running instances]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// Print JSON: `{"instances": [..]}`, see docs/json.md
    #[arg(long)]
    pub json: bool,

    /// In this order; with `:desc` behind it the other way around
    #[arg(long, value_name = "FIELD", value_parser = parse_sort)]
    pub sort: Option<Sort>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// What to sort by, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    field: Field,
    descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Field {
    Id,
    Name,
    Namespace,
    Status,
    Uptime,
    Restarts,
    Cpu,
    #[value(alias = "mem")]
    Memory,
    Requests,
    Failed,
}

fn parse_sort(text: &str) -> Result<Sort, String> {
    let (field, order) = text.split_once(':').unwrap_or((text, "asc"));
    let descending = match order {
        "asc" => false,
        "desc" => true,
        _ => return Err(format!("`{order}` is neither `asc` nor `desc`")),
    };
    let names = || {
        let names = Field::value_variants().iter().filter_map(Field::to_possible_value);
        names.map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    };
    let field = Field::from_str(field, true).map_err(|_| format!("expected one of {}", names()))?;
    Ok(Sort { field, descending })
}

impl Sort {
    fn compare(self, left: &AppStatus, right: &AppStatus) -> Ordering {
        let ordering = match self.field {
            Field::Id => left.id.cmp(&right.id),
            Field::Name => left.name.cmp(&right.name),
            Field::Namespace => left.namespace.cmp(&right.namespace),
            Field::Status => left.state.as_str().cmp(right.state.as_str()),
            Field::Uptime => uptime(left).cmp(&uptime(right)),
            Field::Restarts => left.restarts.cmp(&right.restarts),
            Field::Cpu => left.cpu.total_cmp(&right.cpu),
            Field::Memory => left.memory_bytes.cmp(&right.memory_bytes),
            Field::Requests => left.requests_per_second.total_cmp(&right.requests_per_second),
            Field::Failed => left.counters.failed.cmp(&right.counters.failed),
        };
        if self.descending { ordering.reverse() } else { ordering }
    }
}

const COLUMNS: [Column; 14] = [
    number("id", 0),
    words("name", 0),
    words("namespace", 10),
    words("mode", 9),
    words("listens on", 8),
    number("ready", 1),
    number("pid", 6),
    number("uptime", 4),
    number("restarts", 3),
    words("status", 0),
    number("cpu", 2),
    number("mem", 2),
    number("req/s", 5),
    number("failed", 7),
];

/// Carries it out.
pub fn execute(arguments: &ListArguments) -> ExitCode {
    session::run(async |directory, output| list(arguments, directory, output).await)
}

pub(super) async fn list(
    arguments: &ListArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let mut fleet = Fleet::find(&arguments.target, directory).await?;
    if !arguments.apps.is_empty() {
        if fleet.members.is_empty() {
            return Err(nothing_runs(directory));
        }
        keep_only(&arguments.apps, &mut fleet)?;
    }
    if let Some(sort) = arguments.sort {
        fleet.members.iter_mut().for_each(|member| {
            member.status.apps.sort_by(|left, right| sort.compare(left, right));
        });
    }
    let statuses: Vec<&Status> = fleet.members.iter().map(|member| &member.status).collect();
    if arguments.json {
        output.data(&format!("{:#}\n", serde_json::json!({ "instances": statuses })));
        return Ok(ExitCode::Ok);
    }
    fleet.tell_versions(output);
    for (found, error) in &fleet.silent {
        let why = super::in_one_line(error);
        output.note(&format!("the instance with pid {} does not answer: {why}", found.keeper_pid));
    }
    if statuses.is_empty() {
        output.report(&nothing_runs(directory));
        return Ok(ExitCode::NotRunning);
    }
    let text = statuses.iter().map(|status| instance(status, output.columns(), output.is_coloured()));
    output.data(&text.collect::<Vec<_>>().join("\n"));
    Ok(ExitCode::Ok)
}

fn keep_only(words: &[String], fleet: &mut Fleet) -> Result<(), Report> {
    let aims = fleet.aims(words)?;
    for Member { client, status } in &mut fleet.members {
        let is_meant = |app: &AppStatus| {
            aims.iter().any(|aim| aim.client.socket() == client.socket() && aim.app.id == app.id)
        };
        status.apps.retain(is_meant);
    }
    fleet.members.retain(|member| !member.status.apps.is_empty());
    Ok(())
}

/// One instance: its line, the table of its apps, and what is wrong with them.
pub(super) fn instance(status: &Status, columns: u16, coloured: bool) -> String {
    let mut text = head(status);
    if status.apps.is_empty() {
        text.push_str("\n\nno apps; `stead start server.js` adds one\n");
        return text;
    }
    let rows: Vec<_> = status.apps.iter().filter(|app| app.tasks.is_none()).map(cells).collect();
    let apps = if rows.is_empty() { String::new() } else { draw(&COLUMNS, &rows, columns) };
    for table in [apps, pool_view::table(status.apps.iter(), columns)] {
        if !table.is_empty() {
            let table = if coloured { paint(&table, "status", colour) } else { table };
            text.push_str(&format!("\n\n{table}"));
        }
    }
    text.push('\n');
    let failures: String =
        status.apps.iter().filter(|app| app.state == AppState::Failed).map(failed).collect();
    if !failures.is_empty() {
        text.push_str(&format!("\n{failures}"));
    }
    text
}

/// `api has failed: its last worker exited with code 1; tried again in 29s; `stead show api` says more`.
fn failed(app: &AppStatus) -> String {
    let last =
        app.workers.iter().find_map(|worker| worker.last_exit).or(app.exits.last().map(|record| record.exit));
    let told = app.failure.as_ref().filter(|failure| failure.exit_code == Some(ExitCode::Address.into()));
    let how = match (told, last) {
        (Some(failure), _) => format!(": {}", failure.message),
        (None, Some(last)) => format!(": its last worker {}", ended(&last)),
        (None, None) => String::new(),
    };
    let retry = app.workers.iter().filter_map(|worker| worker.retry_in).min();
    let retry = retry.map(|wait| format!("tried again in {}; ", age(wait))).unwrap_or_default();
    format!("{} has failed{how}; {retry}`stead show {}` says more\n", app.name, app.name)
}

/// `stead 1.2.3 in the background, pid 4242, up 3h 12m`.
pub(super) fn head(status: &Status) -> String {
    let place = if status.background { "in the background" } else { "on a terminal" };
    let mut text =
        format!("stead {} {place}, pid {}, up {}", status.version, status.keeper_pid, age(status.uptime));
    if status.daemon_starts > 1 {
        text.push_str(&format!(", daemon started {} times", status.daemon_starts));
    }
    text
}

fn cells(app: &AppStatus) -> [String; 14] {
    let listens: Vec<&str> = app.listens.iter().map(|listen| listen.address.as_str()).collect();
    let rests = app.state.is_at_rest();
    let if_runs = |text: String| if rests { none() } else { text };
    [
        app.id.to_string(),
        app.name.clone(),
        app.namespace.clone(),
        mode(app),
        if listens.is_empty() { none() } else { listens.join(", ") },
        format!("{}/{}", app.instances.ready, app.instances.wanted),
        pids(app),
        uptime(app).map_or_else(none, age),
        grouped(app.restarts),
        state(app),
        if_runs(cpu(app.cpu)),
        if_runs(memory(app.memory_bytes)),
        if_runs(rate(app.requests_per_second)),
        grouped(app.counters.failed),
    ]
}

/// What is really done with connections, when all ports agree; else what is configured.
pub(super) fn mode(app: &AppStatus) -> String {
    let first = app.listens.first().map_or(app.mode, |listen| listen.mode);
    let mode = if app.listens.iter().all(|listen| listen.mode == first) { first } else { app.mode };
    mode.as_str().to_owned()
}

/// The first, and how many more there are.
fn pids(app: &AppStatus) -> String {
    let pids: Vec<u32> = app.workers.iter().filter_map(|worker| worker.pid).collect();
    match pids.as_slice() {
        [] => none(),
        [only] => only.to_string(),
        [first, others @ ..] => format!("{first} +{}", others.len()),
    }
}

/// Of the youngest worker that gets requests, because that is where a restart shows.
pub(super) fn uptime(app: &AppStatus) -> Option<Duration> {
    let of = |fits: &dyn Fn(&WorkerStatus) -> bool| {
        app.workers.iter().filter(|worker| fits(worker)).filter_map(|worker| worker.uptime).min()
    };
    of(&|worker| worker.state == WorkerState::Ready).or_else(|| of(&|_| true))
}

pub(super) fn state(app: &AppStatus) -> String {
    let word = app.state.as_str();
    match (app.state, app.reload) {
        (AppState::Reloading, Some(reload)) => format!("{word} {}/{}", reload.done, reload.of),
        _ => word.to_owned(),
    }
}

/// Green, red, yellow or grey, by the word a cell begins with.
pub(super) fn colour(cell: &str) -> Option<u8> {
    match cell.split([' ', ',']).next()? {
        "running" | "ready" => Some(32),
        "failed" => Some(31),
        "starting" | "reloading" | "stopping" | "waiting" | "draining" | "down" => Some(33),
        "stopped" | "finished" => Some(90),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::{resize, status};

    #[test]
    fn the_table_fits_the_terminal() {
        let mut long = status();
        long.apps[0].name = "shop-of-the-year-2026-eu-west".to_owned();
        for columns in [40, 60, 80, 100, 140] {
            let text = instance(&status(), columns, false);
            let table = text.lines().skip(2).take(3);
            for line in table {
                assert!(line.chars().count() <= usize::from(columns), "{columns}: {line}");
            }
            insta::assert_snapshot!(format!("list_{columns}"), text);
        }
        insta::assert_snapshot!("list_long_name", instance(&long, 80, false));
    }

    #[test]
    fn pools_have_a_table_of_their_own() {
        let mut with_pool = status();
        with_pool.apps.push(resize());
        let mut alone = status();
        alone.apps = vec![resize()];
        let texts = [
            (40, &with_pool),
            (60, &with_pool),
            (80, &with_pool),
            (100, &with_pool),
            (140, &with_pool),
            (80, &alone),
        ]
        .map(|(columns, status)| (columns, instance(status, columns, false)));
        for (columns, text) in &texts {
            let is_narrow = |line: &str| line.chars().count() <= usize::from(*columns);
            let mut tables = text.lines().filter(|line| !line.contains("stead "));
            assert!(tables.all(is_narrow), "{columns}: {text}");
        }
        insta::assert_snapshot!("list_pools", texts.map(|(_, text)| text).join("\n\n"));
    }

    #[test]
    fn states_have_colours_on_a_terminal_and_only_there() {
        let text = instance(&status(), 80, true);
        assert!(
            text.contains("\x1b[33mreloading 1/2\x1b[0m") && text.contains("\x1b[31mfailed\x1b[0m"),
            "{text}"
        );
        assert!(!instance(&status(), 80, false).contains('\x1b'));
    }

    #[test]
    fn apps_are_sorted_by_what_was_asked() {
        let check = |text: &str, expected: &[&str]| {
            let sort = parse_sort(text).unwrap();
            let mut apps = status().apps;
            apps.sort_by(|left, right| sort.compare(left, right));
            let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
            assert_eq!(names, expected, "{text}");
        };
        check("id", &["shop", "api"]);
        check("name", &["api", "shop"]);
        check("name:desc", &["shop", "api"]);
        check("mem:asc", &["api", "shop"]);
        check("restarts:desc", &["api", "shop"]);
        check("cpu:desc", &["shop", "api"]);
        assert!(parse_sort("size").unwrap_err().starts_with("expected one of id, name, "));
        assert_eq!(parse_sort("id:up").unwrap_err(), "`up` is neither `asc` nor `desc`");
    }
}
