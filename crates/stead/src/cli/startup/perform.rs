//! Writes or removes the unit and runs the commands, and tells each of it.

use super::command;
use super::plan::Change;
use super::quote::shell_line;
use super::unit::MARK;
use crate::cli::output::Output;
use crate::cli::{ExitCode, Report};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Carries out a change below `root`, which is `/` except in tests.
pub(super) fn perform(change: &Change, root: &Path, output: &mut Output) -> Result<ExitCode, Report> {
    let path = below(root, &change.path);
    require_ours(&path)?;
    match &change.unit {
        Some(unit) => {
            write(&path, unit).map_err(|error| failed("write", &path, &error))?;
            output.data(&format!("{unit}\n"));
            output.words(&format!("wrote {}", path.display()));
        }
        None if !path.exists() => {
            output.words(&format!("there is no {}: nothing to undo", path.display()));
            return Ok(ExitCode::Ok);
        }
        None => {
            change.first.iter().try_for_each(|words| run(words, output))?;
            fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
            output.words(&format!("removed {}", path.display()));
        }
    }
    change.then.iter().try_for_each(|words| run(words, output))?;
    change.words.iter().for_each(|line| output.words(line));
    Ok(ExitCode::Ok)
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// A unit that somebody else has written is theirs.
fn require_ours(path: &Path) -> Result<(), Report> {
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) || text.trim().is_empty() => Ok(()),
        Ok(_) => {
            Err(Report::new(ExitCode::Failure, format!("`{}` was not written by Stead", path.display()))
                .hint("remove it, or choose another name with `--service-name`"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("read", path, &error)),
    }
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let new = folder.join(format!(".stead-startup-{}", std::process::id()));
    let written = fs::File::create(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _gone_already = fs::remove_file(&new);
    }
    written
}

fn run(words: &[String], output: &mut Output) -> Result<(), Report> {
    let line = shell_line(words);
    output.words(&format!("running {line}"));
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let report = || Report::new(ExitCode::Failure, format!("failed to run `{line}`"));
    let ended = command::run(Command::new(program).args(arguments), command::LONG);
    let ended = ended.map_err(|error| report().cause(error.to_string()))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said: String = said.lines().map(|line| format!("  | {line}\n")).collect();
    let report = report()
        .cause(ended.status.to_string())
        .hint("run it by hand to see what is missing; the rest is done");
    Err(if said.is_empty() { report } else { report.details(said) })
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Report {
    let report = Report::new(ExitCode::Failure, format!("failed to {what} `{}`", path.display()))
        .cause(error.to_string());
    match error.kind() {
        io::ErrorKind::PermissionDenied => report.hint("run it as root, or with `--rootless`"),
        _ => report,
    }
}
