//! `stead signal`: a signal to the workers of apps.

use super::fleet::Fleet;
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use stead_control::RuntimeDirectory;
use stead_process::keeper::Signal;

/// The arguments of `stead signal`.
#[derive(Args, Clone, Debug)]
pub struct SignalArguments {
    /// Which: `SIGHUP`, `HUP`, `hup` or 1
    #[arg(value_name = "SIGNAL", value_parser = parse_signal)]
    pub signal: Signal,

    /// Apps whose workers get it, or workers (`shop.1`)
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

fn parse_signal(text: &str) -> Result<Signal, String> {
    Signal::from_name(text)
        .ok_or_else(|| format!("`{text}` is not a signal; for example HUP, USR1, TERM, 10"))
}

/// Carries it out.
pub fn execute(arguments: &SignalArguments) -> ExitCode {
    session::run(async |directory, output| signal(arguments, directory, output).await)
}

pub(super) async fn signal(
    arguments: &SignalArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    for aim in fleet.aims(&arguments.apps)? {
        let count = aim.client.signal(&aim.app.name, aim.slot, arguments.signal.number()).await?;
        output.words(&format!("sent {} to {}", arguments.signal, aim.receivers(count)));
    }
    Ok(ExitCode::Ok)
}
