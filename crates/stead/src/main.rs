//! The one binary. `stead run` becomes the keeper at once: small, without a command-line parser or a runtime, because it
//! lives as long as everything else. The daemon it starts does the work; all other verbs talk to a running one.

use std::ffi::OsString;
use std::process::ExitCode;

use stead::cli::{self, Command};
use stead::daemon;
use stead_process::keeper::{self, DaemonCommand};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|verb| verb == "run") {
        let code = keeper::run(daemon_command(arguments));
        daemon::remove_remains(std::process::id());
        return ExitCode::from(code);
    }
    match cli::parse(std::env::args_os()) {
        Ok(Command::Daemon(arguments)) => daemon::run(&arguments).into(),
        // `run` never comes here, see above.
        Ok(command) => cli::execute(&command).unwrap_or(cli::ExitCode::Usage).into(),
        // Help, or a mistake; as the daemon it must not be started again for it.
        Err(code) => daemon::decline(code).into(),
    }
}

/// This binary again, as the daemon, with the same arguments.
fn daemon_command(arguments: impl Iterator<Item = OsString>) -> DaemonCommand {
    let arguments = std::iter::once("daemon".into()).chain(arguments).collect();
    DaemonCommand { program: "/proc/self/exe".into(), arguments }
}
