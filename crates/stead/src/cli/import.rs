//! `stead import`: a file that was written for another manager, as a commented `stead.toml`; and what of it was not taken over.

use super::output::Output;
use super::{ExitCode, Report, RunArguments};
use crate::config::{self, FILE_NAME, Imported, Weight};
use clap::{Args, ValueHint};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The arguments of `stead import`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "Examples:\n  stead import\n  stead import ecosystem.config.js\n  stead import Procfile -o -"
)]
pub struct ImportArguments {
    /// An ecosystem file (.js .cjs .mjs .json .yaml), package.json or Procfile [default: the one that is here]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,

    /// Where to write it; `-` is standard output [default: stead.toml beside FILE]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
}

/// Carries it out.
pub fn execute(arguments: &ImportArguments) -> ExitCode {
    let mut output = Output::standard();
    let here = std::env::current_dir().map_err(|error| {
        Report::new(ExitCode::Failure, "failed to find out the current directory").cause(error.to_string())
    });
    let imported = here.and_then(|here| import(arguments, &here, &mut output));
    output.finish(imported.map(|()| ExitCode::Ok))
}

fn import(arguments: &ImportArguments, here: &Path, output: &mut Output) -> Result<(), Report> {
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => config::foreign_here(here).map(PathBuf::from).ok_or_else(|| nothing_to_import(here))?,
    };
    let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    output.progress(&format!("reading {}", file.display()));
    let imported = config::import(&file, here, &environment)
        .map_err(|error| Report::from(&config::ConfigError::from(error)))?;
    let text = imported.to_toml();
    if arguments.output.as_deref() == Some(Path::new("-")) {
        output.data(&text);
        tell(&imported, output);
        return Ok(());
    }
    let written = arguments.output.clone().unwrap_or_else(|| file.with_file_name(FILE_NAME));
    write(&here.join(&written), &written, &text, arguments.force)?;
    let names: Vec<&str> = imported.apps.iter().map(|app| app.name.as_str()).collect();
    output.words(&format!("wrote {}: {}", written.display(), names.join(", ")));
    tell(&imported, output);
    if here.join(&file).parent() != here.join(&written).parent() {
        output.note(&format!("relative paths in it were relative to where {} is", file.display()));
    }
    let arguments = RunArguments { config: Some(written.clone()), ..RunArguments::default() };
    match config::load_from(&arguments, here, &environment) {
        Ok(_) => output.words(&format!("look it over, then `stead start{}`", option(&written))),
        Err(error) => {
            output.report(&Report::from(&error));
            output.words("correct this in it, or in the file it comes from, before it is started");
        }
    }
    Ok(())
}

/// Says what was not taken over, once for all apps that it is about.
fn tell(imported: &Imported, output: &mut Output) {
    let told = imported.told();
    let headings = [
        (Weight::Mistake, "mistakes in it:"),
        (Weight::Lost, "not taken over:"),
        (Weight::Needless, "not needed any more:"),
    ];
    for (weight, heading) in headings {
        let mut notes = told.iter().filter(|told| told.note.weight == weight).peekable();
        if notes.peek().is_some() {
            output.words(heading);
        }
        notes.for_each(|told| output.words(&format!("  {told}")));
    }
}

fn option(written: &Path) -> String {
    if written == Path::new(FILE_NAME) { String::new() } else { format!(" {}", written.display()) }
}

/// Writes a file that is not there yet, or is to be written over. `name` is for sentences.
pub(super) fn write(path: &Path, name: &Path, text: &str, force: bool) -> Result<(), Report> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Report::new(ExitCode::Usage, format!("`{}` is there already", name.display()))
                .hint("`--force` writes over it, `-o FILE` writes elsewhere, `-o -` prints it")
        }
        _ => Report::new(ExitCode::Failure, format!("failed to write `{}`", name.display()))
            .cause(error.to_string())
            .hint("`-o FILE` writes elsewhere, `-o -` prints it"),
    };
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(|error| {
        if !force {
            // Half of it is worth nothing, and would stand in the way of the next try.
            drop(std::fs::remove_file(path));
        }
        failed(error)
    })
}

fn nothing_to_import(here: &Path) -> Report {
    Report::new(ExitCode::Usage, "nothing to import: no file was named")
        .cause(format!("`{}` has no ecosystem file, no Procfile and no package.json", here.display()))
        .hint("`stead import FILE` names one; `stead init` writes a stead.toml where there is nothing to import")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::Printed;

    const APPS: &str = "apps:\n\
        - { name: shop, script: server.js, exec_mode: cluster, instances: 2, pid_file: x }\n\
        - { name: mail, script: server.js, exec_mode: fork, kill_timeout: soon }\n";

    fn run(folder: &Path, arguments: &ImportArguments) -> String {
        let printed = Printed::default();
        let result = import(arguments, folder, &mut printed.output(false));
        let failure = result.err().map(|report| report.to_string()).unwrap_or_default();
        format!("{}{failure}", printed.text()).replace(folder.to_str().unwrap(), "<here>")
    }

    #[test]
    fn what_is_written_and_what_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let nothing = run(here, &ImportArguments::default());
        std::fs::write(here.join("server.js"), "").unwrap();
        std::fs::write(here.join("ecosystem.yml"), APPS).unwrap();
        let first = run(here, &ImportArguments::default());
        let again = run(here, &ImportArguments::default());
        let printed = run(here, &ImportArguments { output: Some("-".into()), ..ImportArguments::default() });
        let text = std::fs::read_to_string(here.join(FILE_NAME)).unwrap();
        assert!(printed.contains(&text));
        std::fs::write(here.join("ecosystem.yml"), "- { script: server.js }").unwrap();
        let forced = run(here, &ImportArguments { force: true, ..ImportArguments::default() });
        let story = [nothing, first, text, again, forced].join("\n---\n");
        insta::assert_snapshot!("import", story);
    }
}
