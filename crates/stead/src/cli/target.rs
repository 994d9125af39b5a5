//! Which running instance a verb talks to.
//!
//! Named by `--socket` or `--pid`; else the only one; else the only one that runs the named apps.

use super::{ExitCode, Report};
use clap::{Args, ValueHint};
use std::path::PathBuf;
use stead_control::{Client, Found, RuntimeDirectory};

/// How the running instance is named.
#[derive(Args, Clone, Debug, Default)]
pub struct TargetArguments {
    /// The running instance, by the process id of its keeper (the `stead run` that started it)
    #[arg(long, value_name = "PID", conflicts_with = "socket", value_parser = parse_pid)]
    pub pid: Option<u32>,

    /// The running instance, by the path of its control socket
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
}

fn parse_pid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is not a process id"))
}

/// Finds the instance. `apps` are the names a verb was given, which may say enough.
pub(super) async fn find(
    target: &TargetArguments,
    apps: &[String],
    directory: &RuntimeDirectory,
) -> Result<Client, Report> {
    if let Some(socket) = &target.socket {
        return Ok(Client::new(socket));
    }
    let running = directory.running()?;
    if let Some(pid) = target.pid {
        return match running.iter().find(|found| found.keeper_pid == pid) {
            Some(found) => Ok(Client::new(&found.socket)),
            None => Err(no_such_pid(pid, &running)),
        };
    }
    match running.as_slice() {
        [] => Err(Report::new(ExitCode::NotRunning, "nothing is running")
            .hint("`stead run server.js` starts a program; other users' instances need `--socket`")),
        [only] => Ok(Client::new(&only.socket)),
        several => choose(several, apps).await,
    }
}

fn no_such_pid(pid: u32, running: &[Found]) -> Report {
    let report = Report::new(ExitCode::NotRunning, format!("no instance with pid {pid} is running"));
    let pids: Vec<String> = running.iter().map(|found| found.keeper_pid.to_string()).collect();
    match pids.is_empty() {
        true => report,
        false => report.hint(format!("running: {}", pids.join(", "))),
    }
}

/// One of several: the one that runs all named apps, if there is only one.
async fn choose(several: &[Found], apps: &[String]) -> Result<Client, Report> {
    let mut fitting = Vec::new();
    let mut list = String::new();
    for found in several {
        let client = Client::new(&found.socket);
        // One that does not answer is listed too; it just cannot say what it runs.
        let status = client.status().await.ok();
        let names: Vec<String> =
            status.into_iter().flat_map(|status| status.apps).map(|app| app.name).collect();
        let text = if names.is_empty() { "(does not answer)".to_owned() } else { names.join(", ") };
        list.push_str(&format!("  pid {}: {text}\n", found.keeper_pid));
        if !apps.is_empty() && apps.iter().all(|app| names.contains(app)) {
            fitting.push(client);
        }
    }
    match (fitting.len(), fitting.pop()) {
        (1, Some(client)) => Ok(client),
        (0, _) if !apps.is_empty() => {
            let names: Vec<String> = apps.iter().map(|app| format!("`{app}`")).collect();
            let message = format!("no running instance has {}", names.join(" and "));
            Err(Report::new(ExitCode::NotRunning, message).details(list))
        }
        _ => Err(Report::new(ExitCode::Usage, "several instances are running")
            .details(list)
            .hint("choose one with `--pid PID`, or name an app that only one of them runs")),
    }
}
