//! `stead reset`: sets the counters of apps to zero.

use super::fleet::Fleet;
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use stead_control::RuntimeDirectory;

/// The arguments of `stead reset`.
#[derive(Args, Clone, Debug, Default)]
pub struct ResetArguments {
    /// Apps whose counters (restarts, requests, exits) become zero
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &ResetArguments) -> ExitCode {
    session::run(async |directory, output| reset(arguments, directory, output).await)
}

pub(super) async fn reset(
    arguments: &ResetArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    for aim in fleet.apps(&arguments.apps, "reset")? {
        aim.client.reset(&aim.app.name).await?;
        output.words(&format!("reset the counters of {}", aim.app.name));
    }
    Ok(ExitCode::Ok)
}
