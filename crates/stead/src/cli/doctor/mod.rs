//! `stead doctor`: looks at what usually goes wrong on a machine, and says what to do about it. Changes nothing.
//!
//! | file | looks at |
//! |---|---|
//! | `finding.rs` | what was found, as text and JSON |
//! | `storage.rs` | the home and its disk |
//! | `instances.rs` | the runtime directory, what runs, what is left over |
//! | `saved.rs` | the apps that are kept over a reboot |
//! | `boot.rs` | whether something starts them |
//! | `system.rs` | kernel, limits, cgroups, ports, clock |
//! | `programs.rs` | Node.js and Python |
//!
//! Each of them gathers facts and judges them apart, so that the judging can be tested.

mod boot;
mod finding;
mod instances;
mod programs;
mod saved;
mod storage;
mod system;

#[cfg(test)]
mod tests;

use super::{ExitCode, session};
use clap::Args;
use finding::{Findings, Verdict};
use stead_control::{Home, RuntimeDirectory};

/// The arguments of `stead doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Carries it out.
pub fn execute(arguments: &DoctorArguments) -> ExitCode {
    session::run(async |directory, output| {
        let findings = examine(&Home::here(), directory).await;
        match arguments.json {
            true => output.data(&findings.json()),
            false => output.data(&findings.text()),
        }
        Ok(if findings.count(Verdict::Failure) > 0 { ExitCode::Failure } else { ExitCode::Ok })
    })
}

async fn examine(home: &Home, directory: &RuntimeDirectory) -> Findings {
    let mut all = Findings::default();
    all.extend(storage::examine(home.path()));
    let running = instances::Running::look(directory).await;
    all.extend(instances::judge(&running));
    let saved = saved::look(home);
    all.extend([saved::judge(&saved, running.background.as_ref())]);
    all.extend([boot::judge(&boot::look(home), saved.is_worth_starting(), running.background.is_some())]);
    let keeper = running.background.as_ref().map(|status| status.keeper_pid);
    all.extend(system::judge(&system::look(home.path(), keeper)));
    all.extend(programs::examine());
    all
}
