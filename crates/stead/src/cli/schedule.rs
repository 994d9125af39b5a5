//! `stead schedule`: what apps do by the clock, when it is due and how it went; and one of it done now.

use super::fleet::Fleet;
use super::format::{age, short};
use super::output::Output;
use super::table::{Column, draw, none, number, words};
use super::{ExitCode, Report, TargetArguments, session};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use stead_control::{AppStatus, RuntimeDirectory, ScheduleOutcome, ScheduleRun, ScheduleStatus};

/// The arguments of `stead schedule`.
#[derive(Args, Clone, Debug)]
pub struct ScheduleArguments {
    /// What is to be done
    #[command(subcommand)]
    pub what: ScheduleCommand,
}

/// What `stead schedule` can do.
#[derive(Subcommand, Clone, Debug)]
pub enum ScheduleCommand {
    /// Show what apps do by the clock: when it ran last and how that went, and when it runs next
    #[command(visible_alias = "ls")]
    List(ScheduleListArguments),
    /// Run a schedule of an app now, whatever the clock says
    Run(ScheduleRunArguments),
}

/// The arguments of `stead schedule list`.
#[derive(Args, Clone, Debug, Default)]
pub struct ScheduleListArguments {
    /// Apps [default: all that do something by the clock]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// Print JSON: a list of schedules, each as in `stead show --json`, with its `app`
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead schedule run`.
#[derive(Args, Clone, Debug, Default)]
pub struct ScheduleRunArguments {
    /// The app
    #[arg(value_name = "APP")]
    pub app: String,

    /// The schedule: [app.APP.schedule.NAME]
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &ScheduleArguments) -> ExitCode {
    session::run(async |directory, output| match &arguments.what {
        ScheduleCommand::List(arguments) => list(arguments, directory, output).await,
        ScheduleCommand::Run(arguments) => run(arguments, directory, output).await,
    })
}

pub(super) async fn list(
    arguments: &ScheduleListArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let apps: Vec<AppStatus> = match arguments.apps.as_slice() {
        [] => fleet.members.into_iter().flat_map(|member| member.status.apps).collect(),
        words => fleet.aims(words)?.into_iter().map(|aim| aim.app).collect(),
    };
    let of = |app: AppStatus| app.schedules.into_iter().map(move |schedule| (app.name.clone(), schedule));
    let all: Vec<(String, ScheduleStatus)> = apps.into_iter().flat_map(of).collect();
    if arguments.json {
        let with_app = |(app, schedule): &(String, ScheduleStatus)| {
            let mut schedule = json!(schedule);
            schedule["app"] = app.as_str().into();
            schedule
        };
        output.data(&format!("{:#}\n", all.iter().map(with_app).collect::<Value>()));
    } else if all.is_empty() {
        output.words(
            "nothing is done by the clock; a schedule is a table of stead.toml: [app.NAME.schedule.NAME]",
        );
    } else {
        output.data(&table_of(&all, SystemTime::now(), output.columns()));
    }
    Ok(ExitCode::Ok)
}

const COLUMNS: [Column; 8] = [
    words("app", 0),
    words("schedule", 0),
    words("when", 0),
    words("does", 3),
    words("last run", 1),
    words("outcome", 0),
    number("took", 2),
    words("next run", 0),
];

/// The longest text in a cell; `stead show` has the whole.
const CELL_CHARACTERS_MAX: usize = 40;

fn table_of(all: &[(String, ScheduleStatus)], now: SystemTime, columns: u16) -> String {
    let row = |(app, schedule): &(String, ScheduleStatus)| {
        let ScheduleStatus { name, last, .. } = schedule;
        let outcome = last.as_ref().map(|last| word(last).to_owned());
        let took = last.as_ref().and_then(|last| last.took).map(short);
        let began = last.as_ref().map(|last| format!("{} ago", age(since(last.began, now))));
        let does = cut(&what(schedule));
        let last = began.unwrap_or_else(|| "never".to_owned());
        let (outcome, took) = (outcome.unwrap_or_else(none), took.unwrap_or_else(none));
        let next = if schedule.next.is_some() { next(schedule, now) } else { "stopped".to_owned() };
        [app.clone(), name.clone(), when(schedule), does, last, outcome, took, next]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let mut text = format!("{}\n", draw(&COLUMNS, &rows, columns));
    let told = all.iter().filter_map(|(app, schedule)| {
        let last = schedule.last.as_ref()?;
        Some(format!("{} of {app} {}: {}\n", schedule.name, word(last), last.reason.as_ref()?))
    });
    let told: String = told.collect();
    if !told.is_empty() {
        text.push_str(&format!("\n{told}"));
    }
    text
}

/// What became of a run; one that does not go on yet has a reason.
fn word(run: &ScheduleRun) -> &'static str {
    match (run.outcome, &run.reason) {
        (ScheduleOutcome::Running, Some(_)) => "waits",
        (outcome, _) => outcome.as_str(),
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(CELL_CHARACTERS_MAX).collect();
    if cut.len() < text.len() {
        cut.push_str("..");
    }
    cut
}

fn since(moment: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(moment).unwrap_or_default()
}

pub(super) async fn run(
    arguments: &ScheduleRunArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aim = fleet.one_app(&arguments.app)?;
    let (app, name) = (&aim.app.name, &arguments.name);
    let known: Vec<&str> = aim.app.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    if !known.contains(&name.as_str()) {
        return Err(unknown(app, name, &known));
    }
    aim.client.run_schedule(app, name).await?;
    output.words(&format!(
        "schedule `{name}` of app `{app}` begins; `stead show {app}` tells how it ended, `stead logs {app}` what it printed"
    ));
    Ok(ExitCode::Ok)
}

fn unknown(app: &str, name: &str, known: &[&str]) -> Report {
    let hint = match known {
        [] => format!("it has none: write [app.{app}.schedule.{name}]"),
        known => {
            format!("it has {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    };
    Report::new(ExitCode::NotRunning, format!("app `{app}` has no schedule `{name}`")).hint(hint)
}

/// Part of `stead show`: each schedule, when it comes next, and how it went the last time.
pub(super) fn shown(schedules: &[ScheduleStatus], now: SystemTime) -> String {
    let head = if schedules.is_empty() { "" } else { "\nby the clock:\n" };
    schedules.iter().fold(head.to_owned(), |text, schedule| {
        let (name, when, what, next) = (&schedule.name, when(schedule), what(schedule), next(schedule, now));
        let last = schedule.last.as_ref().map_or_else(|| "never".to_owned(), |last| run_shown(last, now));
        format!("{text}\n  {name}  {when}: {what}\n    next  {next}\n    last  {last}\n")
    })
}

/// `0 3 * * * (Europe/Berlin), up to 5m later`.
fn when(schedule: &ScheduleStatus) -> String {
    let zone = schedule.time_zone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    let jitter = schedule.jitter.map(|jitter| format!(", up to {} later", age(jitter))).unwrap_or_default();
    format!("{}{zone}{jitter}", schedule.cron)
}

/// The command, the message, or the task and its pool.
fn what(schedule: &ScheduleStatus) -> String {
    let pool = schedule.pool.as_ref().map(|pool| format!(" for pool {pool}")).unwrap_or_default();
    format!("{}{pool}", schedule.work)
}

fn next(schedule: &ScheduleStatus, now: SystemTime) -> String {
    let next = schedule.next.map(|next| format!("in {}", age(next.duration_since(now).unwrap_or_default())));
    next.unwrap_or_else(|| "when the app is started".to_owned())
}

fn run_shown(run: &ScheduleRun, now: SystemTime) -> String {
    let ago = age(since(run.began, now));
    let late = run.began.duration_since(run.due).unwrap_or_default();
    let late = match late < LATE_WORTH_TELLING {
        true => String::new(),
        false => format!(", {} after its time", age(late)),
    };
    let took = run.took.map(|took| format!(" after {}", short(took))).unwrap_or_default();
    let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{ago} ago{late}, {}{took}{reason}", run.outcome.as_str())
}

/// What begins sooner after its time begins at that time.
const LATE_WORTH_TELLING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_show_what_comes_and_what_was() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let before = |seconds| now - Duration::from_secs(seconds);
        let run = |took, outcome, reason: Option<&str>| ScheduleRun {
            due: before(if reason.is_some() { 260 } else { 60 }),
            began: before(60),
            took,
            outcome,
            reason: reason.map(str::to_owned),
        };
        let schedule = |name: &str, last| ScheduleStatus {
            name: name.to_owned(),
            cron: "0 3 * * *".to_owned(),
            time_zone: (name == "nightly").then(|| "Europe/Berlin".to_owned()),
            jitter: (name == "broken").then(|| Duration::from_secs(300)),
            work: if name == "now" { "{\"all\":true}" } else { "node cleanup.js" }.to_owned(),
            pool: (name == "now").then(|| "resize".to_owned()),
            next: (name != "stopped").then(|| now + Duration::from_secs(7200)),
            last,
        };
        let took = Some(Duration::from_millis(1234));
        let all = [
            schedule("nightly", Some(run(took, ScheduleOutcome::Succeeded, None))),
            schedule("broken", Some(run(took, ScheduleOutcome::Failed, Some("exit code 1: no disk")))),
            schedule("now", Some(run(None, ScheduleOutcome::Running, None))),
            schedule("stopped", None),
        ];
        insta::assert_snapshot!(shown(&all, now));
        insta::assert_snapshot!(format!(
            "{}\n{}",
            unknown("shop", "x", &["nightly", "now"]),
            unknown("shop", "x", &[])
        ));
        assert_eq!(shown(&[], now), "");
        let mut waits =
            schedule("late", Some(run(None, ScheduleOutcome::Running, Some("pool `resize` is stopped"))));
        waits.pool = Some("resize".to_owned());
        let all: Vec<_> = all.into_iter().chain([waits]).map(|one| ("shop".to_owned(), one)).collect();
        let tables = [80, 100, 140].map(|columns| table_of(&all, now, columns));
        insta::assert_snapshot!(tables.join("\n"));
    }
}
