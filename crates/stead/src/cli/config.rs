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
    output.words(&format!("{} is valid: {}", file.display(), counted(&settings.apps)));
    Ok(ExitCode::Ok)
}

/// `2 apps, 1 pool`; of what there is none it says nothing.
fn counted(apps: &[AppSettings]) -> String {
    let pools = apps.iter().filter(|app| app.pool.is_some()).count();
    let counts = [("app", apps.len() - pools), ("pool", pools)].into_iter().filter(|(_, count)| *count > 0);
    counts.map(|(word, count)| format!("{count} {word}{}", plural(count))).collect::<Vec<_>>().join(", ")
}

/// What would be started of an app.
fn line(app: &AppSettings) -> String {
    let mut line = format!("{}: {}, {}", app.name, app.program.display, workers(app));
    for address in app.listen.iter().chain(&app.datagrams) {
        line.push_str(&format!(", on {address}"));
    }
    line.push_str(&format!(", in {}", app.directory.display()));
    if !app.autostart {
        line.push_str(", when it is asked for");
    }
    line
}

/// `3 workers`, or of a pool that has as many as the queue needs `1 to 3 workers`.
fn workers(app: &AppSettings) -> String {
    let (least, most) = app.pool.as_ref().map_or((app.instances, app.instances), |pool| pool.size);
    let from = if least < most { format!("{least} to ") } else { String::new() };
    format!("{from}{most} worker{}", plural(most as usize))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
