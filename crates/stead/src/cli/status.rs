//! `stead status`: apps and workers of a running instance, as a table or as JSON.

use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session, table, target};
use clap::Args;
use stead_control::{ClientError, Refusal, RuntimeDirectory};

/// The arguments of `stead status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusArguments {
    /// Apps to show [default: all of the instance]
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &StatusArguments) -> ExitCode {
    session::run(async |directory, output| status(arguments, directory, output).await)
}

pub(super) async fn status(
    arguments: &StatusArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let client = target::find(&arguments.target, &arguments.apps, directory).await?;
    let mut status = client.status().await?;
    for name in &arguments.apps {
        if status.app(name).is_none() {
            let names: Vec<&str> = status.apps.iter().map(|app| app.name.as_str()).collect();
            return Err(ClientError::Refused(Refusal::no_such_app(name, &names)).into());
        }
    }
    if !arguments.apps.is_empty() {
        status.apps.retain(|app| arguments.apps.contains(&app.name));
    }
    match arguments.json {
        true => output.data(&format!("{:#}\n", serde_json::json!(status))),
        false => output.data(&table::draw(&status, output.columns())),
    }
    Ok(ExitCode::Ok)
}
