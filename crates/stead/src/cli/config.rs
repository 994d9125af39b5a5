//! `stead config`: the defaults with their reasons, a look at a file before it is used, and its schema for editors.

use super::output::{self, Output};
use super::{ExitCode, Report};
use crate::config::{AppSettings, DEFAULTS, file_here, schema};
use crate::daemon::settings_of;
use clap::{Args, Subcommand, ValueHint};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What can follow `stead config`.
#[derive(Subcommand, Clone, Debug)]
pub enum ConfigCommand {
    /// Print every setting with its default and its reason
    #[command(alias = "default")]
    Defaults,
    /// Say what is wrong with a file, or what it would start; nothing is started
    Check(CheckArguments),
    /// Print the JSON schema of stead.toml, for editors
    #[command(
        after_help = "In editors with Taplo (Even Better TOML):\n  stead config schema > stead.schema.json\n\
                      and in the first line of stead.toml:\n  #:schema ./stead.schema.json"
    )]
    Schema,
}

/// The arguments of `stead config check`.
#[derive(Args, Clone, Debug, Default)]
pub struct CheckArguments {
    /// The file, also one of another manager [default: stead.toml]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,

    /// With the variables of `env_PROFILE`
    #[arg(long, value_name = "PROFILE")]
    pub env: Option<String>,
}

/// Carries it out.
pub fn execute(command: &ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Defaults => output::data(DEFAULTS),
        ConfigCommand::Schema => output::data(&format!("{:#}\n", schema())),
        ConfigCommand::Check(arguments) => {
            let mut output = Output::standard();
            let result = check(arguments, &mut output);
            output.finish(result)
        }
    }
}

fn check(arguments: &CheckArguments, output: &mut Output) -> Result<ExitCode, Report> {
    let usual = || file_here(Path::new(".")).map(PathBuf::from);
    let Some(file) = arguments.file.clone().or_else(usual) else {
        return Err(Report::new(ExitCode::Usage, "nothing to check: there is no stead.toml here")
            .hint("`stead config check FILE` names another file; `stead init` writes a stead.toml"));
    };
    let mut words: Vec<OsString> = vec!["--config".into(), file.clone().into()];
    words.extend(arguments.env.iter().flat_map(|profile| ["--env".into(), profile.into()]));
    let settings = settings_of(&words)?;
    settings.apps.iter().for_each(|app| output.data(&format!("{}\n", line(app))));
    settings.notes.iter().for_each(|note| output.note(note));
    let apps = settings.apps.len();
    output.words(&format!("{} is valid: {apps} app{}", file.display(), plural(apps)));
    Ok(ExitCode::Ok)
}

/// What would be started of an app.
fn line(app: &AppSettings) -> String {
    let workers = app.instances as usize;
    let mut line = format!("{}: {}, {workers} worker{}", app.name, app.program.display, plural(workers));
    for address in app.listen.iter().chain(&app.datagrams) {
        line.push_str(&format!(", on {address}"));
    }
    line.push_str(&format!(", in {}", app.directory.display()));
    if !app.autostart {
        line.push_str(", when it is asked for");
    }
    line
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
