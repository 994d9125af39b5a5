//! `stead send`: a message to the Node.js workers of apps (`process.on('message')`).

use super::fleet::Fleet;
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use serde_json::Value;
use stead_control::RuntimeDirectory;

/// The arguments of `stead send`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  stead send shop '{\"type\": \"clear-cache\"}'\n  stead send shop.0 '\"hello\"'"
)]
pub struct SendArguments {
    /// App whose workers get it, or one worker (`shop.1`)
    #[arg(value_name = "APP")]
    pub app: String,

    /// What they get, as JSON
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub message: String,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &SendArguments) -> ExitCode {
    session::run(async |directory, output| send(arguments, directory, output).await)
}

pub(super) async fn send(
    arguments: &SendArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let message: Value = serde_json::from_str(&arguments.message).map_err(|error| {
        Report::new(ExitCode::Usage, "the message is not JSON").cause(error.to_string()).hint(
            "a text is written with quotes inside quotes: '\"hello\"'; an object as '{\"type\": \"hello\"}'",
        )
    })?;
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    for aim in fleet.aims(std::slice::from_ref(&arguments.app))? {
        let count = aim.client.send_message(&aim.app.name, aim.slot, message.clone()).await?;
        if count == 0 {
            let message = format!("no worker of `{}` takes messages", aim.app.name);
            return Err(Report::new(ExitCode::Failure, message).hint(
                "only Node.js programs do, over their IPC channel; `stead signal` reaches every program",
            ));
        }
        output.words(&format!("sent to {}", aim.receivers(count)));
    }
    Ok(ExitCode::Ok)
}
