//! `stead serve`: the files of a directory, served by an app of its own.

use super::start::{Running, StartArguments, execute as start};
use super::{ExitCode, Report, RunArguments, output};
use crate::config::{InstanceCount, Listen, ListenAddress, fit_name};
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where it listens when nothing is said, as with PM2.
const PORT: u16 = 8080;

/// The arguments of `stead serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:\n  stead serve\n  stead serve dist 3000 --spa\n  \
                        stead serve public --listen 127.0.0.1:8080 --name assets\n\n\
                        Files whose names begin with a dot are not served, but for .well-known. `file.js.br`, `.zst` and `.gz` \
                        are sent in place of `file.js` to clients that take them; 404.html is what is answered where \
                        nothing is.")]
pub struct ServeArguments {
    /// The directory
    #[arg(value_name = "DIRECTORY", default_value = ".", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,

    /// Public port [default: 8080]
    #[arg(value_name = "PORT", conflicts_with = "listen")]
    pub port: Option<u16>,

    /// Public address, as with `stead start` (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<Listen>,

    /// Answer with index.html where there is no file: its program knows the paths
    #[arg(long)]
    pub spa: bool,

    /// Name of the app [default: that of the directory]
    #[arg(short, long)]
    pub name: Option<String>,

    /// How many workers
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub instances: Option<InstanceCount>,

    /// Run on this terminal
    #[arg(long, visible_alias = "foreground")]
    pub no_daemon: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Carries it out.
pub fn execute(arguments: &ServeArguments) -> ExitCode {
    match as_start(arguments) {
        Ok(arguments) => start(&arguments, Running::Stays),
        Err(report) => output::error(&report),
    }
}

/// What `stead start` would be told.
fn as_start(arguments: &ServeArguments) -> Result<StartArguments, Report> {
    let named = arguments.directory.display();
    let refused = |message: String| Report::new(ExitCode::Usage, message);
    let directory = arguments.directory.canonicalize().map_err(|error| {
        refused(format!("`{named}` cannot be served"))
            .cause(error.to_string())
            .hint("`stead serve DIRECTORY [PORT]`")
    })?;
    if !directory.is_dir() {
        return Err(refused(format!("`{named}` is not a directory")).hint("`stead serve DIRECTORY [PORT]`"));
    }
    let program = std::env::current_exe().map_err(|error| {
        Report::new(ExitCode::Failure, "failed to find out which file this program is")
            .cause(error.to_string())
    })?;
    let listen = match arguments.listen.as_slice() {
        [] => {
            let address = ListenAddress::Port(arguments.port.unwrap_or(PORT));
            vec![Listen { scheme: None, datagrams: false, address }]
        }
        listen => listen.to_vec(),
    };
    let words: [OsString; 5] =
        ["file-server".into(), "--socket".into(), "{socket}".into(), "--directory".into(), directory.into()];
    let what = RunArguments {
        name: Some(arguments.name.clone().unwrap_or_else(|| name(&arguments.directory))),
        command: vec![program.into()],
        arguments: words.into_iter().chain(arguments.spa.then(|| "--spa".into())).collect(),
        instances: arguments.instances,
        listen,
        json: arguments.json,
        ..RunArguments::default()
    };
    Ok(StartArguments { what, no_daemon: arguments.no_daemon, ..StartArguments::default() })
}

fn name(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_default();
    fit_name(&directory.file_name().unwrap_or_default().to_string_lossy())
}
