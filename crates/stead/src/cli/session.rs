//! Runs a verb that talks to a running instance: a small runtime, the streams, and the failure printed at the end.

use super::output::Output;
use super::{ExitCode, Report};
use stead_control::RuntimeDirectory;

/// Carries out a verb with this process's environment and streams.
pub(super) fn run(
    verb: impl AsyncFnOnce(&RuntimeDirectory, &mut Output) -> Result<ExitCode, Report>,
) -> ExitCode {
    let mut output = Output::standard();
    let result = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(verb(&RuntimeDirectory::here(), &mut output)),
        Err(error) => Err(Report::new(ExitCode::Failure, "failed to start").cause(error.to_string())),
    };
    output.finish(result)
}
