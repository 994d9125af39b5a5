//! `stead startup` and `stead unstartup`: what is saved runs again after a reboot.
//!
//! | file | holds |
//! |---|---|
//! | `surroundings.rs` | which init system there is |
//! | `account.rs` | for whom: a user, a home, where their commands look |
//! | `plan.rs` | what is to be written, run and said: pure |
//! | `unit.rs` | the systemd unit as text |
//! | `others.rs` | the same for other init systems, as instructions |
//! | `quote.rs` | words as shells and systemd read them |
//! | `perform.rs` | writes the file and runs the commands |
//! | `command.rs` | another program run to its end, within a time |

mod account;
pub(super) mod command;
mod others;
mod perform;
mod plan;
mod quote;
pub(super) mod surroundings;
mod unit;

#[cfg(test)]
mod tests;

pub(super) use account::Account;
pub(super) use plan::{default_name, unit_path};

use super::output::Output;
use super::{ExitCode, Report, session};
use clap::Args;
use plan::{Plan, Wishes};
use std::path::{Path, PathBuf};
use surroundings::Init;

/// The arguments of `stead startup`.
#[derive(Args, Clone, Debug, Default)]
pub struct StartupArguments {
    /// The init system: systemd, openrc, runit, sysvinit [default: found out]
    #[arg(value_name = "PLATFORM", value_parser = surroundings::parse)]
    pub platform: Option<Init>,

    /// User whose apps these are [default: you; under sudo, whoever called it]
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,

    /// Home directory of the user [default: as the system has it]
    #[arg(long, value_name = "DIRECTORY")]
    pub hp: Option<PathBuf>,

    /// Name of the service [default: stead-USER]
    #[arg(long, value_name = "NAME", value_parser = quote::parse_service_name)]
    pub service_name: Option<String>,

    /// Without root: a unit of your own systemd (`systemctl --user`)
    #[arg(long, conflicts_with = "user")]
    pub rootless: bool,

    /// Only print what would be written and run
    #[arg(long)]
    pub print: bool,

    // Always so.
    #[arg(long, hide = true)]
    wait_ip: bool,
}

/// Carries out `stead startup`.
pub fn execute(arguments: &StartupArguments) -> ExitCode {
    session::run(async |_directory, output| {
        let plan = plan::startup(&wishes(arguments, "startup")?);
        carry_out(&plan, arguments.print, output)
    })
}

/// Carries out `stead unstartup`.
pub fn execute_undo(arguments: &StartupArguments) -> ExitCode {
    session::run(async |_directory, output| {
        let plan = plan::unstartup(&wishes(arguments, "unstartup")?);
        carry_out(&plan, arguments.print, output)
    })
}

fn carry_out(plan: &Plan, only_print: bool, output: &mut Output) -> Result<ExitCode, Report> {
    match plan {
        Plan::Change(change) if only_print => {
            output.data(&change.text());
            Ok(ExitCode::Ok)
        }
        Plan::Change(change) => perform::perform(change, Path::new("/"), output),
        Plan::AsRoot { line } => {
            output.words("this needs root; run this line (or `stead startup --rootless`):");
            output.data(&format!("{line}\n"));
            Ok(if only_print { ExitCode::Ok } else { ExitCode::Failure })
        }
        Plan::Instructions { text } => {
            output.data(text);
            Ok(ExitCode::Ok)
        }
    }
}

fn wishes(arguments: &StartupArguments, verb: &'static str) -> Result<Wishes, Report> {
    let init = match arguments.platform {
        Some(init) => init,
        None => surroundings::look(Path::new("/")),
    };
    let account = Account::find(arguments.user.as_deref(), arguments.hp.as_deref())?;
    let binary = std::env::current_exe().map_err(|error| {
        Report::new(ExitCode::Failure, "failed to find out where this program is").cause(error.to_string())
    })?;
    Ok(Wishes {
        verb,
        init,
        named_init: arguments.platform.is_some(),
        systemd_runs: Path::new("/run/systemd/system").is_dir(),
        root: rustix::process::geteuid().is_root(),
        rootless: arguments.rootless,
        service_name: arguments.service_name.clone(),
        path: std::env::var("PATH").unwrap_or_default(),
        binary,
        account,
    })
}
