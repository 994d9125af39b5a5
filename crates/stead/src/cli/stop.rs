//! `stead stop` lets the workers of apps finish and ends them; `stead delete` forgets the apps too; `stead kill` ends the
//! background instance with all it runs. Each returns when that has happened.

use super::ending::{Ending, end_instance, wait_for_apps};
use super::fleet::{Aim, Fleet, Member};
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use stead_control::{AppState, Client, RuntimeDirectory, StopRequest};

/// The arguments of `stead stop`.
#[derive(Args, Clone, Debug, Default)]
pub struct StopArguments {
    /// Apps to stop: name, number, namespace, `/pattern/`, the file that defines them, or `all` [default: the `stead run`
    /// that is running, if there is only one]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// Do not let requests finish
    #[arg(long)]
    pub now: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead delete`.
#[derive(Args, Clone, Debug, Default)]
pub struct DeleteArguments {
    /// Apps to stop and forget: name, number, namespace, `/pattern/`, the file that defines them, or `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The arguments of `stead kill`.
#[derive(Args, Clone, Debug, Default)]
pub struct KillArguments {
    /// Do not let requests finish
    #[arg(long)]
    pub now: bool,

    /// The running instance [default: the one in the background]
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries out `stead stop`.
pub fn execute(arguments: &StopArguments) -> ExitCode {
    session::run(async |directory, output| stop(arguments, directory, output).await)
}

/// Carries out `stead delete`.
pub fn execute_delete(arguments: &DeleteArguments) -> ExitCode {
    session::run(async |directory, output| delete(arguments, directory, output).await)
}

/// Carries out `stead kill`.
pub fn execute_kill(arguments: &KillArguments) -> ExitCode {
    session::run(async |directory, output| kill(arguments, directory, output).await)
}

pub(super) async fn stop(
    arguments: &StopArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aims = match arguments.apps.as_slice() {
        [] => everything(fleet.only()?)?,
        words => fleet.apps(words, "stop")?,
    };
    for member in &fleet.members {
        let apps = of(member, &aims);
        // In the foreground an instance without apps has nothing left to do.
        if !member.status.background && !apps.is_empty() && apps.len() == member.status.apps.len() {
            end_instance(&member.client, arguments.now, output).await?;
        } else {
            stop_apps(&member.client, apps, arguments.now, output).await?;
        }
    }
    Ok(ExitCode::Ok)
}

/// All apps of the instance on a terminal. One in the background has apps of many, and nobody stops them by a slip.
fn everything(member: &Member) -> Result<Vec<Aim>, Report> {
    if member.status.background {
        return Err(Report::new(ExitCode::Usage, "nothing was said to stop")
            .hint("name an app, or `stead stop all`; `stead kill` ends the background instance itself"));
    }
    Ok(member.status.apps.iter().map(|app| member.aim(app, None)).collect())
}

async fn stop_apps(client: &Client, apps: Vec<&Aim>, now: bool, output: &mut Output) -> Result<(), Report> {
    if apps.is_empty() {
        return Ok(());
    }
    // Before the requests, so that no end can be missed.
    let mut events = client.events().await?;
    let mut under_way = Vec::new();
    for aim in apps {
        let name = &aim.app.name;
        let begins_again = aim.app.state == AppState::Finished && aim.app.cron_restart.is_some();
        if aim.app.state.is_at_rest() && !begins_again {
            output.words(&format!("{name} is {} already", aim.app.state.as_str()));
            continue;
        }
        client.stop(&StopRequest { app: Some(name.clone()), now }).await?;
        under_way.push(name.clone());
    }
    wait_for_apps(&mut events, under_way, Ending::Stop, output).await;
    Ok(())
}

pub(super) async fn delete(
    arguments: &DeleteArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aims = fleet.apps(&arguments.apps, "delete")?;
    for member in &fleet.members {
        let names: Vec<String> = of(member, &aims).iter().map(|aim| aim.app.name.clone()).collect();
        if names.is_empty() {
            continue;
        }
        let mut events = member.client.events().await?;
        for name in &names {
            member.client.delete(name).await?;
        }
        wait_for_apps(&mut events, names, Ending::Delete, output).await;
    }
    Ok(ExitCode::Ok)
}

pub(super) async fn kill(
    arguments: &KillArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::find(&arguments.target, directory).await?;
    let is_named = arguments.target.pid.is_some() || arguments.target.socket.is_some();
    let member = if is_named { fleet.members.first() } else { fleet.background() };
    match member {
        Some(member) => end_instance(&member.client, arguments.now, output).await?,
        None => {
            output.words("no background instance is running");
            for member in &fleet.members {
                let pid = member.status.keeper_pid;
                output.note(&format!("a `stead run` has pid {pid}; `stead stop --pid {pid}` ends it"));
            }
        }
    }
    Ok(ExitCode::Ok)
}

fn of<'a>(member: &Member, aims: &'a [Aim]) -> Vec<&'a Aim> {
    aims.iter().filter(|aim| aim.client.socket() == member.client.socket()).collect()
}
