//! Verbs whose answers are for scripts: `stead pid`, `stead id`, `stead ping`, and the list in the shape that scripts
//! written for PM2 read, `stead jlist`.

use super::fleet::{Aim, Fleet};
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stead_control::{AppState, AppStatus, RuntimeDirectory, Status, WorkerState, WorkerStatus};

/// The arguments of `stead pid` and `stead id`.
#[derive(Args, Clone, Debug, Default)]
pub struct NumbersArguments {
    /// Apps, or workers (`shop.1`) [default: all apps]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead ping` and `stead jlist`.
#[derive(Args, Clone, Debug, Default)]
pub struct PlainArguments {
    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries out `stead pid`.
pub fn execute_pid(arguments: &NumbersArguments) -> ExitCode {
    session::run(async |directory, output| pid(arguments, directory, output).await)
}

/// Carries out `stead id`.
pub fn execute_id(arguments: &NumbersArguments) -> ExitCode {
    session::run(async |directory, output| id(arguments, directory, output).await)
}

/// Carries out `stead ping`.
pub fn execute_ping(arguments: &PlainArguments) -> ExitCode {
    session::run(async |directory, output| ping(arguments, directory, output).await)
}

/// Carries out `stead jlist`, and `stead prettylist`.
pub fn execute_jlist(arguments: &PlainArguments, pretty: bool) -> ExitCode {
    session::run(async |directory, output| jlist(arguments, pretty, directory, output).await)
}

async fn aims(
    arguments: &NumbersArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<Vec<Aim>, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    match arguments.apps.is_empty() {
        false => fleet.aims(&arguments.apps),
        true => {
            let of = |member: &super::fleet::Member| {
                let aims = member.status.apps.iter().map(|app| member.aim(app, None));
                aims.collect::<Vec<_>>()
            };
            Ok(fleet.members.iter().flat_map(of).collect())
        }
    }
}

pub(super) async fn pid(
    arguments: &NumbersArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    for Aim { app, slot, .. } in aims(arguments, directory, output).await? {
        let meant = app.workers.iter().filter(|worker| slot.is_none_or(|slot| worker.slot == slot));
        meant.filter_map(|worker| worker.pid).for_each(|pid| output.data(&format!("{pid}\n")));
    }
    Ok(ExitCode::Ok)
}

pub(super) async fn id(
    arguments: &NumbersArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    for Aim { app, .. } in aims(arguments, directory, output).await? {
        output.data(&format!("{}\n", app.id));
    }
    Ok(ExitCode::Ok)
}

pub(super) async fn ping(
    arguments: &PlainArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    output.data("pong\n");
    for status in fleet.members.iter().map(|member| &member.status) {
        output.words(&super::list::head(status));
    }
    Ok(ExitCode::Ok)
}

pub(super) async fn jlist(
    arguments: &PlainArguments,
    pretty: bool,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::find(&arguments.target, directory).await?;
    let now = SystemTime::now();
    let items = fleet.members.iter().flat_map(|member| items(&member.status, now));
    let list = Value::Array(items.collect());
    output.data(&if pretty { format!("{list:#}\n") } else { format!("{list}\n") });
    Ok(ExitCode::Ok)
}

/// One item for each worker, and one for an app without any, with the fields that scripts for PM2 read.
fn items(status: &Status, now: SystemTime) -> Vec<Value> {
    let of = |app: &AppStatus| {
        let mut workers: Vec<Value> = app.workers.iter().map(|worker| item(app, Some(worker), now)).collect();
        if workers.is_empty() {
            workers.push(item(app, None, now));
        }
        workers
    };
    status.apps.iter().flat_map(of).collect()
}

fn item(app: &AppStatus, worker: Option<&WorkerStatus>, now: SystemTime) -> Value {
    let started = worker.and_then(|worker| worker.uptime).and_then(|uptime| now.checked_sub(uptime));
    let exit = worker.and_then(|worker| worker.last_exit);
    json!({
        "name": app.name,
        "pid": worker.and_then(|worker| worker.pid).unwrap_or(0),
        "pm_id": app.id,
        "monit": {
            "cpu": worker.map_or(0.0, |worker| f64::from(worker.cpu * 1000.0).round() / 10.0),
            "memory": worker.and_then(|worker| worker.memory_bytes).unwrap_or(0),
        },
        "pm2_env": {
            "name": app.name,
            "namespace": app.namespace,
            "status": worker.map_or(of_app(app.state), |worker| of_worker(worker.state, app.state)),
            "pm_uptime": started.map(millis),
            "created_at": app.started.map(millis),
            "restart_time": worker.map_or(0, |worker| worker.restarts),
            "instances": app.instances.wanted,
            "NODE_APP_INSTANCE": worker.map(|worker| worker.slot),
            "exec_mode": if app.listens.is_empty() { "fork_mode" } else { "cluster_mode" },
            "pm_cwd": app.directory,
            "watch": app.watch,
            "cron_restart": app.cron_restart,
            "exit_code": exit.and_then(|exit| exit.code),
        },
    })
}

fn millis(moment: SystemTime) -> u64 {
    let since: Duration = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn of_worker(worker: WorkerState, app: AppState) -> &'static str {
    match worker {
        WorkerState::Starting => "launching",
        WorkerState::Ready => "online",
        WorkerState::Draining | WorkerState::Stopping => "stopping",
        WorkerState::Failed => "errored",
        WorkerState::Down if app.is_at_rest() => "stopped",
        WorkerState::Down => "waiting restart",
    }
}

fn of_app(state: AppState) -> &'static str {
    match state {
        AppState::Starting => "launching",
        AppState::Running | AppState::Reloading => "online",
        AppState::Stopping => "stopping",
        AppState::Stopped | AppState::Finished => "stopped",
        AppState::Failed => "errored",
        AppState::Waiting => "waiting restart",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;

    #[test]
    fn scripts_for_pm2_find_their_fields() {
        let mut status = status();
        status.apps[0].workers.truncate(1);
        status.apps[1].workers.clear();
        status.apps[1].state = AppState::Stopped;
        let items = items(&status, UNIX_EPOCH + Duration::from_secs(1_700_011_531));
        insta::assert_snapshot!("jlist", format!("{:#}", Value::Array(items)));
    }
}
