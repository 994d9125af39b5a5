//! `stead env`: the environment that workers of an app are started with; secrets are masked.

use super::fleet::Fleet;
use super::output::Output;
use super::secrets::shown;
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use serde_json::{Map, Value};
use stead_control::{RuntimeDirectory, Text};

/// The arguments of `stead env`.
#[derive(Args, Clone, Debug, Default)]
pub struct EnvArguments {
    /// The app
    #[arg(value_name = "APP")]
    pub app: String,

    /// Do not mask what looks like a secret
    #[arg(long)]
    pub secrets: bool,

    /// Print a JSON object
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &EnvArguments) -> ExitCode {
    session::run(async |directory, output| env(arguments, directory, output).await)
}

pub(super) async fn env(
    arguments: &EnvArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aim = fleet.one_app(&arguments.app)?;
    let variables = aim.client.environment(&aim.app.name).await?;
    let show = |(name, value): (Text, Text)| {
        let (name, value) = (name.to_string(), value.to_string());
        let value = if arguments.secrets { value } else { shown(&name, &value) };
        (name, value)
    };
    let variables = variables.into_iter().map(show);
    if arguments.json {
        let object: Map<String, Value> =
            variables.map(|(name, value)| (name, Value::String(value))).collect();
        output.data(&format!("{:#}\n", Value::Object(object)));
    } else {
        variables.for_each(|(name, value)| output.data(&format!("{name}={value}\n")));
    }
    Ok(ExitCode::Ok)
}
