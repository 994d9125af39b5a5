//! `stead reload` and `stead restart`: replace the workers of apps, by their definitions read again.

use super::fleet::{Aim, Fleet};
use super::output::Output;
use super::run::{EnvironmentOption, environment_option};
use super::start::{Running, StartArguments, start};
use super::steps::{Renewal, renew};
use super::{ExitCode, Report, RunArguments, TargetArguments, session};
use crate::config::names_apps;
use clap::Args;
use std::path::Path;
use stead_control::{Environment, Home, RenewRequest, RuntimeDirectory, Text};

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

    /// Of a file: the variables of `env_PROFILE` (or NAME=VALUE); what of it does not run is started
    #[arg(long, value_name = "PROFILE", value_parser = environment_option(), conflicts_with_all = ["pid", "socket"])]
    pub env: Vec<EnvironmentOption>,

    /// Of a file: only these apps (separated by commas, repeatable); what of them does not run is started
    #[arg(long, value_name = "APP", value_delimiter = ',', conflicts_with_all = ["pid", "socket"])]
    pub only: Vec<String>,

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

    /// What `stead startOrReload` would have been told, when a file is meant with one of its profiles or some of its apps.
    fn as_start(&self, words: &[String]) -> Result<Option<StartArguments>, Report> {
        if self.env.is_empty() && self.only.is_empty() {
            return Ok(None);
        }
        match words {
            [file] if names_apps(Path::new(file)) => {
                let (env, only, json) = (self.env.clone(), self.only.clone(), self.json);
                let what =
                    RunArguments { config: Some(file.into()), env, only, json, ..RunArguments::default() };
                Ok(Some(StartArguments { what, ..StartArguments::default() }))
            }
            _ => Err(Report::new(ExitCode::Usage, "`--env` and `--only` need the file that defines the apps")
                .hint("`stead reload stead.toml --env production`; apps that were started by a command line are told by `stead startOrReload ..` with all its words")),
        }
    }
}

/// Of this process, as an instance wants it.
pub(super) fn environment() -> Environment {
    std::env::vars_os().map(|(name, value)| (Text::from(name), Text::from(value))).collect()
}

/// Carries out `stead reload`.
pub fn execute(arguments: &ReloadArguments) -> ExitCode {
    session::run(async |directory, output| match arguments.how.as_start(&arguments.apps)? {
        Some(file) => start(&file, Running::Reloads, (directory, &Home::here()), output).await,
        None => reload(arguments, directory, output).await,
    })
}

/// Carries out `stead restart`.
pub fn execute_restart(arguments: &RestartArguments) -> ExitCode {
    session::run(async |directory, output| match arguments.how.as_start(&arguments.apps)? {
        Some(file) => start(&file, Running::Restarts, (directory, &Home::here()), output).await,
        None => restart(arguments, directory, output).await,
    })
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
