//! `stead init`: writes a first `stead.toml` for what is in a directory, with the keys worth knowing explained in it.

use super::import::write;
use super::output::Output;
use super::{ExitCode, Report, RunArguments};
use crate::config::{
    ConfigError, FILE_NAME, Start, check_name, discover, file_here, join_words, load, sample,
};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The arguments of `stead init`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    override_usage = "stead init [OPTIONS] [COMMAND]...",
    after_help = "Examples:\n  stead init\n  stead init --name shop npm start\n  stead init --stdout"
)]
pub struct InitArguments {
    /// What the app runs, as with `stead start`; its options after `--` [default: what is found in the directory]
    #[arg(value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new(), value_hint = ValueHint::FilePath)]
    pub command: Vec<String>,

    /// Name of the app [default: that of the package or directory]
    #[arg(short, long)]
    pub name: Option<String>,

    /// Write this file [default: stead.toml]; `-` prints it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Print it
    #[arg(long, conflicts_with = "output")]
    pub stdout: bool,

    /// Write over a file that is there
    #[arg(short, long)]
    pub force: bool,
}

/// Carries it out.
pub fn execute(arguments: &InitArguments) -> ExitCode {
    let mut output = Output::standard();
    let result = init(arguments, &mut output);
    output.finish(result)
}

fn init(arguments: &InitArguments, output: &mut Output) -> Result<ExitCode, Report> {
    let here =
        std::env::current_dir().map_err(|error| Report::from(&ConfigError::NoCurrentDirectory(error)))?;
    let mut file = arguments.output.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    if arguments.output.is_some() && file.is_dir() {
        file.push(FILE_NAME);
    }
    let prints = arguments.stdout || file.as_os_str() == "-";
    let at = here.join(&file);
    if !prints && !arguments.force && at.symlink_metadata().is_ok() {
        return Err(there_already(&file));
    }
    // What runs there is looked for where the file will be.
    let directory = if prints { here.as_path() } else { at.parent().unwrap_or(Path::new("/")) };
    let mut start = match arguments.command.as_slice() {
        [] => found(directory, output)?,
        [line] => Start::of(line.clone(), directory),
        words => {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            Start::of(join_words(&words).to_string_lossy().into_owned(), directory)
        }
    };
    if let Some(name) = &arguments.name {
        start.name = check_name(name.clone()).map_err(|message| Report::new(ExitCode::Usage, message))?;
    }
    let text = sample(&start);
    if prints {
        output.data(&text);
        return Ok(ExitCode::Ok);
    }
    write(&at, &file, &text, arguments.force)?;
    output.words(&format!("wrote {}: app {} runs `{}`", file.display(), start.name, start.command));
    tell_next(&start, arguments.output.as_ref().map(|_| file.as_path()), output);
    Ok(ExitCode::Ok)
}

/// The program of the directory; a placeholder, if it has none.
fn found(directory: &Path, output: &mut Output) -> Result<Start, Report> {
    if let Some(foreign) = file_here(directory).filter(|file| *file != FILE_NAME) {
        let report = Report::new(ExitCode::Usage, format!("there is `{foreign}`, which says what to run"));
        return Err(report.hint(format!(
            "`stead import {foreign}` makes a stead.toml of it; `stead init COMMAND` writes one without it"
        )));
    }
    Ok(discover(directory).unwrap_or_else(|| {
        output.note("nothing here looks like a server: `node server.js` stands for your command");
        Start::of("node server.js".to_owned(), directory)
    }))
}

/// `file` is nothing when it is the usual one.
fn tell_next(start: &Start, file: Option<&Path>, output: &mut Output) {
    if let Some(note) = start.note {
        output.note(note);
    }
    let arguments = RunArguments { config: file.map(Path::to_owned), ..RunArguments::default() };
    if let Err(error) = load(&arguments) {
        let report = Report::from(&error);
        let why = report.causes.first().unwrap_or(&report.message);
        output.note(&format!("as it stands it does not start: {why}"));
    }
    let file = file.map(|file| format!(" {}", file.display())).unwrap_or_default();
    output.words(&format!("next: `stead config check{file}` after changes, then `stead start{file}`"));
}

fn there_already(file: &Path) -> Report {
    let name = file.display();
    Report::new(ExitCode::Usage, format!("`{name}` is there already")).hint(format!(
        "`stead config check {name}` checks it; `--force` writes over it, `-o FILE` writes elsewhere, `-o -` prints it"
    ))
}
