//! `stead upgrade`: another binary takes the place of the running one; workers and their connections go on.

use super::fleet::Fleet;
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use clap::{Args, ValueHint};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stead_control::{Client, ClientError, Progress, RuntimeDirectory, Status};

/// For the new daemon to answer, and between two tries.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// The arguments of `stead upgrade`.
#[derive(Args, Clone, Debug, Default)]
pub struct UpgradeArguments {
    /// The new binary [default: the one that this command is]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub binary: Option<PathBuf>,

    /// Print each step as a JSON line
    #[arg(long)]
    pub json: bool,

    /// The running instance [default: the one in the background, else the only one]
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &UpgradeArguments) -> ExitCode {
    session::run(async |directory, output| upgrade(arguments, directory, output).await)
}

pub(super) async fn upgrade(
    arguments: &UpgradeArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let binary = binary(arguments.binary.as_deref())?;
    let fleet = Fleet::find(&arguments.target, directory).await?;
    if fleet.members.is_empty() {
        return Err(super::fleet::nothing_runs(directory));
    }
    let member = fleet.only()?;
    let started = Instant::now();
    let before = &member.status;
    let end = follow(&member.client, &binary, arguments.json, output).await;
    let after = status_after(&member.client).await?;
    // The old daemon tells the end if it can; whether another one answers now is what counts.
    if after.daemon_pid == before.daemon_pid {
        end?;
    }
    if !arguments.json {
        let seconds = started.elapsed().as_secs_f64();
        output.words(&format!(
            "{} in {seconds:.1} s, {}",
            what_changed(before, &after),
            what_stayed(before, &after)
        ));
    }
    Ok(ExitCode::Ok)
}

async fn follow(client: &Client, binary: &Path, json: bool, output: &mut Output) -> Result<(), Report> {
    let mut steps = client.upgrade(binary).await?;
    loop {
        let step = match steps.next().await {
            Ok(Some(step)) => step,
            Ok(None) => return Err(ClientError::Ended.into()),
            Err(error) => return Err(error.into()),
        };
        if json {
            output.data(&format!("{}\n", serde_json::json!(step)));
        }
        match step {
            Progress::Note { text } if !json => output.progress(&text),
            Progress::Note { .. } | Progress::Step { .. } => (),
            Progress::Done { .. } => return Ok(()),
            Progress::Failed { reason, hint, .. } => {
                let message = "failed to upgrade: the old version goes on, and so do all workers";
                return Err(Report { hint, ..Report::new(ExitCode::Failure, message).cause(reason) });
            }
        }
    }
}

/// The instance after the upgrade. Its socket may be between two daemons for a moment.
async fn status_after(client: &Client) -> Result<Status, Report> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    loop {
        match client.status().await {
            Err(ClientError::NotRunning { .. } | ClientError::Broken(_)) if Instant::now() < deadline => {
                tokio::time::sleep(TRY_AGAIN).await;
            }
            result => return Ok(result?),
        }
    }
}

fn what_changed(before: &Status, after: &Status) -> String {
    match before.version == after.version {
        true => format!("replaced version {} by the same version", before.version),
        false => format!("upgraded from {} to {}", before.version, after.version),
    }
}

/// How many processes are still the same.
fn what_stayed(before: &Status, after: &Status) -> String {
    let pids = |status: &Status| -> Vec<u32> {
        status.apps.iter().flat_map(|app| &app.workers).filter_map(|worker| worker.pid).collect()
    };
    let (before, after) = (pids(before), pids(after));
    let kept = before.iter().filter(|pid| after.contains(pid)).count();
    match before.len() {
        0 => "no workers were running".to_owned(),
        1 if kept == 1 => "its worker went on".to_owned(),
        count if kept == count => format!("all {count} workers went on"),
        count => format!("{kept} of {count} workers went on"),
    }
}

/// An absolute path that stays right when this command has ended.
fn binary(named: Option<&Path>) -> Result<PathBuf, Report> {
    let unusable = |path: &Path, error: &io::Error| {
        Report::new(ExitCode::Usage, format!("`{}` cannot be used as the new version", path.display()))
            .cause(error.to_string())
    };
    let path = match named {
        Some(path) => path.to_owned(),
        None => own().map_err(|error| unusable(Path::new("/proc/self/exe"), &error))?,
    };
    let whole = path.canonicalize().map_err(|error| unusable(&path, &error))?;
    let is_program =
        |path: &Path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file();
    match is_program(&whole) {
        true => Ok(whole),
        false => Err(unusable(&path, &io::ErrorKind::PermissionDenied.into())
            .hint("it has to be a file that may be executed: `chmod +x`")),
    }
}

/// Where this program is. When its file was replaced while it ran, the kernel says so behind the name.
fn own() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let name = path.as_os_str().as_bytes();
    Ok(match name.strip_suffix(b" (deleted)") {
        Some(name) => PathBuf::from(std::ffi::OsStr::from_bytes(name)),
        None => path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_can_be_the_new_version() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let text = |path: &Path| binary(Some(path)).unwrap_err().to_string();
        let place = folder.path().to_str().unwrap();
        let all = format!("{}\n{}\n{}", text(&folder.path().join("none")), text(&plain), text(folder.path()));
        insta::assert_snapshot!("binary", all.replace(place, "<folder>"));
        assert!(binary(None).unwrap().is_absolute());
    }
}
