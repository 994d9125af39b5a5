//! The one binary. `stead run` becomes the keeper at once: small, without a command-line parser or a runtime, because it
//! lives as long as everything else. The daemon it starts does the work; all other verbs talk to a running one.

use std::ffi::OsString;
use std::process::ExitCode;

use stead::cli::{self, Command};
use stead::daemon::{self, Purpose};
use stead_process::keeper::{self, DaemonCommand};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next();
    let daemon = DAEMONS.iter().find(|(public, _)| verb.as_deref() == Some(public.as_ref()));
    if let Some((_, daemon)) = daemon {
        if verb.as_deref() == Some("background".as_ref()) {
            cli::background::detach();
        }
        let code = keeper::run(daemon_command(daemon, arguments));
        daemon::remove_remains(std::process::id());
        return ExitCode::from(code);
    }
    if let Some(code) = cli::completions::answer(std::env::args_os()) {
        return code.into();
    }
    match cli::parse(std::env::args_os()) {
        Ok(Command::Daemon(_)) => daemon::run(&Purpose::Foreground(arguments.collect())).into(),
        Ok(Command::BackgroundDaemon(background)) => {
            daemon::run(&Purpose::Background { resurrect: background.resurrect }).into()
        }
        // `run` and `background` never come here, see above.
        Ok(command) => cli::execute(&command).unwrap_or(cli::ExitCode::Usage).into(),
        // Help, or a mistake; as the daemon it must not be started again for it.
        Err(code) => daemon::decline(code).into(),
    }
}

/// Verbs that become a keeper, and the verb of the daemon that does their work.
const DAEMONS: [(&str, &str); 2] = [("run", "daemon"), ("background", "background-daemon")];

/// This binary again, as the daemon, with the same arguments.
fn daemon_command(verb: &str, arguments: impl Iterator<Item = OsString>) -> DaemonCommand {
    let arguments = std::iter::once(verb.into()).chain(arguments).collect();
    DaemonCommand { program: "/proc/self/exe".into(), arguments }
}
