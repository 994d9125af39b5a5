//! How the running instance that a verb talks to is named on the command line; `fleet.rs` finds it.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// How the running instance is named.
#[derive(Args, Clone, Debug, Default)]
pub struct TargetArguments {
    /// The running instance, by the process id of its keeper (in the first line of `stead list`)
    #[arg(long, value_name = "PID", conflicts_with = "socket", value_parser = parse_pid)]
    pub pid: Option<u32>,

    /// The running instance, by the path of its control socket
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
}

fn parse_pid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is not a process id"))
}
