//! `stead reload` and `stead restart`: replace the workers of apps, by their definitions read again.

use super::fleet::{Aim, Fleet};
use super::output::Output;
use super::steps::{Renewal, renew};
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use stead_control::{Environment, RenewRequest, RuntimeDirectory, Text};

/// The arguments of `stead reload`.
#[derive(Args, Clone, Debug, Default)]
pub struct ReloadArguments {
    /// Apps to reload: name, number, namespace, `/pattern/`, the file that defines them, or `all` [default: all]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// How
    #[command(flatten)]
    pub how: HowArguments,
}

/// The arguments of `stead restart`.
#[derive(Args, Clone, Debug, Default)]
pub struct RestartArguments {
    /// Apps to restart: name, number, namespace, `/pattern/`, the file that defines them, or `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,

    /// How
    #[command(flatten)]
    pub how: HowArguments,
}

/// What restarts and reloads have in common.
#[derive(Args, Clone, Debug, Default)]
pub struct HowArguments {
    /// Run them in the environment of this command from now on, instead of the one they were started in
    #[arg(short = 'a', long)]
    pub update_env: bool,

    /// Print each step as a JSON line
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

impl HowArguments {
    pub(super) fn request(&self) -> RenewRequest {
        RenewRequest { environment: self.update_env.then(environment) }
    }
}

/// Of this process, as an instance wants it.
pub(super) fn environment() -> Environment {
    std::env::vars_os().map(|(name, value)| (Text::from(name), Text::from(value))).collect()
}

/// Carries out `stead reload`.
pub fn execute(arguments: &ReloadArguments) -> ExitCode {
    session::run(async |directory, output| reload(arguments, directory, output).await)
}

/// Carries out `stead restart`.
pub fn execute_restart(arguments: &RestartArguments) -> ExitCode {
    session::run(async |directory, output| restart(arguments, directory, output).await)
}

pub(super) async fn reload(
    arguments: &ReloadArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let how = &arguments.how;
    let fleet = Fleet::running(&how.target, directory, output).await?;
    let aims = match arguments.apps.as_slice() {
        [] => running(fleet.apps(&["all".to_owned()], "reload")?),
        [all] if all == "all" => running(fleet.apps(&arguments.apps, "reload")?),
        words => fleet.apps(words, "reload")?,
    };
    if aims.is_empty() {
        output.words("all apps are stopped; nothing to reload");
    }
    Ok(renew(aims, (Renewal::Reload, &how.request()), how.json, output).await)
}

pub(super) async fn restart(
    arguments: &RestartArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let how = &arguments.how;
    let fleet = Fleet::running(&how.target, directory, output).await?;
    let aims = fleet.apps(&arguments.apps, "restart")?;
    Ok(renew(aims, (Renewal::Restart, &how.request()), how.json, output).await)
}

/// Those that are not at rest: who says `all` does not mean to start what was stopped.
fn running(aims: Vec<Aim>) -> Vec<Aim> {
    aims.into_iter().filter(|aim| !aim.app.state.is_at_rest() && aim.app.failure.is_none()).collect()
}
