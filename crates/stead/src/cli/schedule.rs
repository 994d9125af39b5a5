//! `stead schedule run`: what an app does by the clock, done now. When it is due is in `stead show`.

use super::fleet::Fleet;
use super::format::{age, short};
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use clap::{Args, Subcommand};
use std::time::SystemTime;
use stead_control::{RuntimeDirectory, ScheduleRun, ScheduleStatus};

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
    /// Run a schedule of an app now, whatever the clock says
    Run(ScheduleRunArguments),
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
    let ScheduleCommand::Run(arguments) = &arguments.what;
    session::run(async |directory, output| run(arguments, directory, output).await)
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
        let ScheduleStatus { name, cron, time_zone, work, next, last } = schedule;
        let zone = time_zone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
        let next = next.map(|next| format!("in {}", age(next.duration_since(now).unwrap_or_default())));
        let next = next.unwrap_or_else(|| "when the app is started".to_owned());
        let last = last.as_ref().map_or_else(|| "never".to_owned(), |last| run_shown(last, now));
        format!("{text}\n  {name}  {cron}{zone}: {work}\n    next  {next}\n    last  {last}\n")
    })
}

fn run_shown(run: &ScheduleRun, now: SystemTime) -> String {
    let ago = age(now.duration_since(run.began).unwrap_or_default());
    let took = run.took.map(|took| format!(" after {}", short(took))).unwrap_or_default();
    let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{ago} ago, {}{took}{reason}", run.outcome.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use stead_control::ScheduleOutcome;

    #[test]
    fn schedules_show_what_comes_and_what_was() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let before = |seconds| now - Duration::from_secs(seconds);
        let run = |took, outcome, reason: Option<&str>| ScheduleRun {
            due: before(60),
            began: before(60),
            took,
            outcome,
            reason: reason.map(str::to_owned),
        };
        let schedule = |name: &str, last| ScheduleStatus {
            name: name.to_owned(),
            cron: "0 3 * * *".to_owned(),
            time_zone: (name == "nightly").then(|| "Europe/Berlin".to_owned()),
            work: "node cleanup.js".to_owned(),
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
    }
}
