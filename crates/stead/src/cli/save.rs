//! `stead save` keeps the list of apps in the home; `stead resurrect` starts what is in it and does not run.

use super::background::ensure;
use super::fleet::Fleet;
use super::follow::until_started;
use super::output::Output;
use super::saved::{self, Saved, SavedError};
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use std::io;
use stead_control::{Client, Home, RuntimeDirectory, SavedApp, StartRequest, Status};

/// The arguments of `stead save`.
#[derive(Args, Clone, Debug, Default)]
pub struct SaveArguments {
    /// Save an empty list too
    #[arg(long)]
    pub force: bool,

    /// The running instance [default: the one in the background]
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead resurrect`.
#[derive(Args, Clone, Debug, Default)]
pub struct ResurrectArguments {
    /// Do not wait until workers are ready
    #[arg(long)]
    pub no_wait: bool,
}

/// Carries out `stead save`.
pub fn execute(arguments: &SaveArguments) -> ExitCode {
    session::run(async |directory, output| save(arguments, (directory, &Home::here()), output).await)
}

/// Carries out `stead resurrect`.
pub fn execute_resurrect(arguments: &ResurrectArguments) -> ExitCode {
    session::run(async |directory, output| resurrect(arguments, (directory, &Home::here()), output).await)
}

pub(super) async fn save(
    arguments: &SaveArguments,
    (directory, home): (&RuntimeDirectory, &Home),
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let member = match fleet.background() {
        Some(member) => member,
        None => fleet.only()?,
    };
    let apps = member.client.definitions().await?;
    if apps.is_empty() && !arguments.force {
        return Err(Report::new(
            ExitCode::Failure,
            "there are no apps to save, so what was saved before is kept",
        )
        .hint("`stead save --force` saves an empty list"));
    }
    let home = of(&member.status, home);
    let path = saved::store(&home, &apps)?;
    let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
    let what = if names.is_empty() { "an empty list".to_owned() } else { names.join(", ") };
    output.words(&format!("saved {what} in {}", path.display()));
    Ok(ExitCode::Ok)
}

/// Where the instance keeps its things: its environment may have said otherwise than that of this command.
fn of(status: &Status, home: &Home) -> Home {
    match &status.home {
        Some(path) => Home::of(|name| (name == "STEAD_HOME").then(|| path.as_os_str().to_owned())),
        None => home.clone(),
    }
}

pub(super) async fn resurrect(
    arguments: &ResurrectArguments,
    (directory, home): (&RuntimeDirectory, &Home),
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let Saved { apps, notes } = saved::load(home)?;
    notes.iter().for_each(|note| output.note(note));
    let background = ensure(directory, home, output).await?;
    let client = &background.client;
    let status = client.status().await?;
    let events = client.events().await?;
    let (there, missing): (Vec<SavedApp>, Vec<SavedApp>) =
        apps.into_iter().partition(|app| status.app(&app.name).is_some());
    there.iter().for_each(|app| output.words(&format!("{} is there already", app.name)));
    let mut code = ExitCode::Ok;
    let mut started = Vec::new();
    for app in missing {
        match bring_back(client, &app).await {
            Ok(()) if app.wanted => started.push(app.name),
            Ok(()) => output.words(&format!("added {}, which was stopped when it was saved", app.name)),
            // One that is gone must not keep the others from coming back.
            Err(report) => {
                output.report(&Report {
                    message: format!("failed to bring back `{}`: {}", app.name, report.message),
                    ..report.clone()
                });
                code = if code == ExitCode::Ok { report.code } else { code };
            }
        }
    }
    background.end_unused(output).await;
    if !arguments.no_wait && !started.is_empty() {
        let up = until_started(client, events, started, output).await?;
        code = if code == ExitCode::Ok { up } else { code };
    }
    Ok(code)
}

async fn bring_back(client: &Client, app: &SavedApp) -> Result<(), Report> {
    let request = StartRequest {
        definition: app.definition.clone(),
        only: vec![app.name.clone()],
        redefine: false,
        stopped: !app.wanted,
    };
    client.start(&request).await?;
    if let Some(instances) = app.instances {
        client.scale(&app.name, instances).await?;
    }
    Ok(())
}

impl From<SavedError> for Report {
    fn from(error: SavedError) -> Report {
        let report = Report::of(ExitCode::Failure, &error);
        match error {
            SavedError::Nothing { .. } => report.hint("`stead save` saves the apps that are in the list"),
            SavedError::Refused { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => report
                    .hint("the disk is full: make room and try again; what was saved before is still there"),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    report.hint("STEAD_HOME names another place, which has to be the same for `stead start`")
                }
                _ => report,
            },
            SavedError::Newer { .. } => report.hint("use the version that wrote it, or move the file away"),
            SavedError::Damaged { notes, .. } => {
                report.details(notes.iter().map(|note| format!("  {note}\n")).collect::<String>()).hint(
                    "start the apps again and `stead save`; the damaged files may still hold what they were",
                )
            }
        }
    }
}
