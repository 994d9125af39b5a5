//! `stead flush`: removes what was logged.
//!
//! Done on the files: whoever writes to them notices and goes on in an empty one, and it works for apps that do not run.

use super::output::Output;
use super::places::Places;
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use stead_control::RuntimeDirectory;

/// The arguments of `stead flush`.
#[derive(Args, Clone, Debug, Default)]
pub struct FlushArguments {
    /// Apps whose logs become empty; all without one
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &FlushArguments) -> ExitCode {
    session::run(async |directory, output| flush(arguments, directory, output).await)
}

pub(super) async fn flush(
    arguments: &FlushArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let places = Places::find(&arguments.target, directory).await?.choose(&arguments.apps)?;
    if let Some(place) = places.iter().find(|place| place.instance.is_some()) {
        let app = &place.app;
        return Err(Report::new(ExitCode::Usage, format!("all workers of `{app}` share one log"))
            .hint(format!("`stead flush {app}` empties it")));
    }
    for place in &places {
        let access = stead_logs::access_directory(&place.directory);
        let flushed = stead_logs::flush(&place.directory).and_then(|()| stead_logs::flush(&access));
        flushed.map_err(|error| {
            let message = format!("failed to empty the logs of `{}`", place.app);
            Report::new(ExitCode::Failure, message).cause(format!("{}: {error}", place.directory.display()))
        })?;
        output.words(&format!("emptied the logs of {}", place.app));
    }
    if places.is_empty() {
        output.words("there are no logs");
    }
    Ok(ExitCode::Ok)
}
