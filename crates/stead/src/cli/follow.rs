//! Stays with apps while they start, and says how it went.

use super::format::{age, ended};
use super::list::state;
use super::output::Output;
use super::{ExitCode, Report};
use std::time::{Duration, Instant};
use stead_control::{AppState, AppStatus, Client, ClientError, Event, ExitRecord, Stream, WorkerState};
use tokio::time::timeout;

/// What has not got ready after this time, and has not failed, is left to itself.
const PATIENCE: Duration = Duration::from_secs(15);

/// Things that happen without an event, a dependency for example, are seen after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where an app is on its way up.
#[derive(Debug, PartialEq)]
enum Stage {
    /// Not yet; the words say how far.
    UnderWay(String),
    /// As far as it will get for now; the words say how it is.
    There(String),
    Failed(Box<Report>),
}

/// Waits until these apps run, or do not. Failures are printed; the code of the first is given back.
pub(super) async fn until_started(
    client: &Client,
    mut events: Stream<Event>,
    mut apps: Vec<String>,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let started = Instant::now();
    let mut code = ExitCode::Ok;
    loop {
        let status = client.status().await?;
        let mut lines = Vec::new();
        apps.retain(|name| match status.app(name).map(|app| stage(app, started.elapsed())) {
            Some(Stage::UnderWay(line)) => {
                lines.push(line);
                true
            }
            Some(Stage::There(line)) => {
                output.words(&line);
                false
            }
            Some(Stage::Failed(report)) => {
                output.report(&report);
                code = if code == ExitCode::Ok { report.code } else { code };
                false
            }
            None => {
                output.words(&format!("{name} was deleted meanwhile"));
                false
            }
        });
        if apps.is_empty() {
            return Ok(code);
        }
        if started.elapsed() > PATIENCE {
            lines.iter().for_each(|line| output.words(line));
            output.note(&format!("{} still starting; `stead list` shows how it goes", are(&apps)));
            return Ok(code);
        }
        output.progress(&lines.join(", "));
        match timeout(LOOK_AGAIN, events.next()).await {
            // A newer daemon may tell of things this version does not know.
            Ok(Ok(Some(_)) | Err(ClientError::NotUnderstood { .. })) | Err(_) => (),
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(None)) => return Err(ClientError::Ended.into()),
        }
    }
}

fn are(apps: &[String]) -> String {
    match apps {
        [app] => format!("{app} is"),
        apps => format!("{} are", apps.join(", ")),
    }
}

fn stage(app: &AppStatus, after: Duration) -> Stage {
    let (name, ready, wanted) = (&app.name, app.instances.ready, app.instances.wanted);
    let workers = if wanted == 1 { "1 worker".to_owned() } else { format!("{wanted} workers") };
    match app.state {
        AppState::Running if ready >= wanted => {
            let seconds = after.as_secs_f64();
            Stage::There(format!("started {name} (id {}, {workers}) in {seconds:.1} s", app.id))
        }
        AppState::Failed => Stage::Failed(Box::new(failure(app))),
        AppState::Finished => Stage::There(format!("{name} has finished already")),
        AppState::Stopped => Stage::There(format!("added {name} (id {}), which is not started", app.id)),
        AppState::Waiting => Stage::There(format!("{name} (id {}) waits for what it depends on", app.id)),
        AppState::Starting | AppState::Running | AppState::Reloading | AppState::Stopping => {
            let deaths = match app.restarts {
                0 => String::new(),
                deaths => format!(", {deaths} died"),
            };
            Stage::UnderWay(format!("{name}: {ready} of {workers} ready{deaths}"))
        }
    }
}

/// What its last worker died of, and what it said.
fn failure(app: &AppStatus) -> Report {
    let name = &app.name;
    let report = match &app.failure {
        // The instance has given it up and knows why.
        Some(failure) => Report::from(failure.clone()),
        None => Report::new(ExitCode::Program, format!("app `{name}` did not start")),
    };
    let last = app.exits.last().map(|record| record.exit);
    let last = last.or_else(|| app.workers.iter().find_map(|worker| worker.last_exit));
    let report = match last {
        _ if !report.causes.is_empty() => report,
        Some(last) => report.cause(format!("its last worker {}", ended(&last))),
        None => report.cause("none of its workers could be started"),
    };
    let report = match last_lines(&app.exits) {
        // Who failed for an address printed nothing that says more.
        _ if report.code == ExitCode::Address => return report,
        [] => report,
        lines => report.details(lines.iter().map(|line| format!("  | {line}\n")).collect::<String>()),
    };
    let failed = app.workers.iter().filter(|worker| worker.state == WorkerState::Failed);
    match failed.filter_map(|worker| worker.retry_in).min() {
        Some(wait) => report.hint(format!(
            "it is tried again in {}; `stead logs {name}` shows what it printed, `stead delete {name}` gives it up",
            age(wait)
        )),
        None if report.hint.is_none() => report.hint(format!("`stead logs {name}` shows what it printed")),
        None => report,
    }
}

/// What the last worker printed. That may still be read; one before it that ended in the same way has said it too.
fn last_lines(exits: &[ExitRecord]) -> &[String] {
    let same =
        exits.iter().rev().take_while(|record| Some(record.exit) == exits.last().map(|last| last.exit));
    same.map(|record| record.last_lines.as_slice()).find(|lines| !lines.is_empty()).unwrap_or_default()
}

/// `shop runs already (id 0, running, 2 of 2 workers ready): node server.js`.
pub(super) fn already(app: &AppStatus) -> String {
    format!(
        "{} runs already (id {}, {}, {} of {} workers ready): {}",
        app.name,
        app.id,
        state(app),
        app.instances.ready,
        app.instances.wanted,
        app.command
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;
    use stead_control::{Refusal, RefusalKind};

    #[test]
    fn stages_are_told_in_words() {
        let [shop, api]: [AppStatus; 2] = status().apps.try_into().unwrap();
        let check = |app: &AppStatus, state: AppState, ready: u32, expected: Stage| {
            let mut app = AppStatus { state, ..app.clone() };
            app.instances.ready = ready;
            assert_eq!(stage(&app, Duration::from_millis(1_240)), expected, "{state:?}");
        };
        let there = |text: &str| Stage::There(text.to_owned());
        let under_way = |text: &str| Stage::UnderWay(text.to_owned());
        check(&shop, AppState::Running, 2, there("started shop (id 0, 2 workers) in 1.2 s"));
        check(&shop, AppState::Running, 1, under_way("shop: 1 of 2 workers ready, 2 died"));
        check(&api, AppState::Starting, 0, under_way("api: 0 of 1 worker ready, 11 died"));
        check(&api, AppState::Finished, 0, there("api has finished already"));
        check(&api, AppState::Waiting, 0, there("api (id 1) waits for what it depends on"));
        check(&api, AppState::Stopped, 0, there("added api (id 1), which is not started"));
    }

    #[test]
    fn a_failure_says_what_was_seen() {
        let [shop, api]: [AppStatus; 2] = status().apps.try_into().unwrap();
        let silent = failure(&api).to_string();
        let talking = failure(&AppStatus { exits: shop.exits.clone(), ..api.clone() }).to_string();
        let nothing = failure(&AppStatus { workers: Vec::new(), ..api }).to_string();
        let given_up =
            Refusal { exit_code: Some(3), ..Refusal::new(RefusalKind::Failed, "app `api` did not start") };
        let given_up = Some(given_up.with_cause("it failed 5 times"));
        let given_up = failure(&AppStatus { failure: given_up, ..shop }).to_string();
        insta::assert_snapshot!("failure", format!("{silent}\n{talking}\n{nothing}\n{given_up}"));
    }
}
