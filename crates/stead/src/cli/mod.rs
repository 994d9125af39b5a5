//! The command line: what can be typed, and the verbs that talk to a running instance.
//!
//! | file | holds |
//! |---|---|
//! | `run.rs` | the arguments of `stead run` (carried out by the daemon) |
//! | `reload.rs`, `stop.rs`, `scale.rs`, `status.rs` | one verb each, complete |
//! | `monit/` | the same live, on the whole terminal |
//! | `format.rs` | numbers and times as people read them |
//! | `table.rs` | the table of `stead status` |
//! | `target.rs` | which running instance a verb talks to |
//! | `output.rs` | the only place that prints |
//! | `exit_code.rs` | what the codes mean |

pub mod exit_code;
mod format;
pub mod monit;
pub mod output;
pub mod reload;
mod report;
pub mod run;
pub mod scale;
mod session;
pub mod status;
pub mod stop;
mod table;
mod target;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use exit_code::ExitCode;
pub use report::{Report, in_one_line};
pub use run::RunArguments;
pub use target::TargetArguments;

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;

/// Keeps a service up: supervised copies of any server program behind one address, and no request is lost.
#[derive(Parser, Debug)]
#[command(
    name = "stead",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What was typed.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Run a program as supervised copies, in the foreground
    Run(RunArguments),
    // The part of `run` that does the work. The keeper starts it with the arguments of `run`, so this is what says what
    // is wrong with them, and it must not look like another verb.
    /// Run a program as supervised copies, in the foreground
    #[command(hide = true)]
    Daemon(RunArguments),
    /// Keep running whatever `stead start` asks for
    #[command(hide = true)]
    Background(BackgroundArguments),
    /// The part of `background` that does the work
    #[command(hide = true)]
    BackgroundDaemon(BackgroundArguments),
    /// Replace workers one by one, without losing a request
    Reload(reload::ReloadArguments),
    /// Let workers finish their requests, then end them
    Stop(stop::StopArguments),
    /// Change the number of workers
    Scale(scale::ScaleArguments),
    /// Show apps and workers
    #[command(alias = "list")]
    Status(status::StatusArguments),
    /// Watch apps, workers, logs and events live
    Monit(monit::MonitArguments),
    /// Print every setting with its default and its reason
    Defaults,
}

/// Reads the command line, the program's own name first.
///
/// # Errors
/// `--help` and `--version` are printed and end with [`ExitCode::Ok`]; a mistake is printed and ends with
/// [`ExitCode::Usage`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ExitCode> {
    match CommandLine::try_parse_from(arguments) {
        Ok(line) => Ok(line.command),
        Err(error) => {
            output::usage(&error);
            Err(if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok })
        }
    }
}

/// The arguments of `stead background`.
#[derive(Args, Clone, Debug, Default)]
pub struct BackgroundArguments {
    /// Start what `stead save` has saved
    #[arg(long)]
    pub resurrect: bool,
}

/// Reads words as they stand after `stead run`.
///
/// # Errors
/// What is wrong with them.
pub fn parse_run(words: &[OsString]) -> Result<RunArguments, Report> {
    RunArguments::from_words(words.iter().cloned())
        .map_err(|error| Report::new(ExitCode::Usage, output::complaint(&error)))
}

/// Carries out a verb that talks to a running instance, or prints; nothing for `run` and `daemon`, which are not done here.
pub fn execute(command: &Command) -> Option<ExitCode> {
    match command {
        Command::Run(_) | Command::Daemon(_) => None,
        Command::Background(_) | Command::BackgroundDaemon(_) => None,
        Command::Reload(arguments) => Some(reload::execute(arguments)),
        Command::Stop(arguments) => Some(stop::execute(arguments)),
        Command::Scale(arguments) => Some(scale::execute(arguments)),
        Command::Status(arguments) => Some(status::execute(arguments)),
        Command::Monit(arguments) => Some(monit::execute(arguments)),
        Command::Defaults => Some(output::data(crate::config::DEFAULTS)),
    }
}
