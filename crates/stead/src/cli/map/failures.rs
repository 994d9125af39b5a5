//! What becomes of tasks that failed: a line of JSON each in a file, or a few words on standard error.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use stead_jobs::{Fault, Outcome};

use super::protocol::{Format, as_json, message};
use crate::cli::Report;
use crate::cli::exit_code::ExitCode;

/// So many failures are told one by one where nobody keeps them.
const TOLD_MAX: u64 = 10;

/// A task that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// A JSON object with `code` and `message`.
    pub(super) error: Vec<u8>,
    pub(super) attempts: u32,
}

impl Failure {
    /// The failure that an outcome is. Nothing if it is none.
    pub(super) fn of(outcome: &Outcome, attempts: u32) -> Option<Failure> {
        let (code, words) = match outcome {
            Outcome::Done(_) | Outcome::Cancelled => return None,
            Outcome::Failed(Fault::Told(error)) if error.starts_with(b"{") => {
                return Some(Failure { error: error.to_vec(), attempts });
            }
            Outcome::Failed(Fault::Told(_)) => ("failed", "the worker gave no reason"),
            Outcome::Failed(Fault::Timeout) => ("timeout", "it took too long"),
            Outcome::Poison(_) => ("poison", "too many workers died of it"),
        };
        Some(Failure::new(code, words, attempts))
    }

    pub(super) fn new(code: &str, message: &str, attempts: u32) -> Failure {
        let error = serde_json::json!({ "code": code, "message": message }).to_string().into_bytes();
        Failure { error, attempts }
    }
}

/// Where failures go.
#[derive(Debug)]
pub(super) struct Failures {
    file: Option<(PathBuf, BufWriter<File>)>,
    told: u64,
}

impl Failures {
    /// A file is begun anew: after a resumption the failures of earlier runs are written again.
    pub(super) fn open(path: Option<&Path>) -> Result<Failures, Report> {
        let open = |path: &Path| match File::create(path) {
            Ok(file) => Ok((path.to_owned(), BufWriter::new(file))),
            Err(error) => Err(cannot(ExitCode::Usage, path, &error)),
        };
        Ok(Failures { file: path.map(open).transpose()?, told: 0 })
    }

    /// Keeps a failure. Gives back what is to be said about it, if anything is.
    pub(super) fn add(
        &mut self,
        (line, input): (u64, &[u8]),
        format: Format,
        failure: &Failure,
    ) -> Result<Option<String>, Report> {
        let Some((path, file)) = &mut self.file else {
            self.told += 1;
            return Ok(match self.told {
                1..=TOLD_MAX => Some(format!("line {line} failed: {}", message(&failure.error))),
                told if told == TOLD_MAX + 1 => {
                    Some("more lines fail; `--failures FILE` keeps all of them".to_owned())
                }
                _ => None,
            });
        };
        let mut text = format!("{{\"line\":{line},\"input\":").into_bytes();
        as_json(input, format, &mut text);
        text.extend_from_slice(b",\"error\":");
        text.extend_from_slice(&failure.error);
        text.extend_from_slice(format!(",\"attempts\":{}}}\n", failure.attempts).as_bytes());
        file.write_all(&text).map_err(|error| cannot(ExitCode::Failure, path, &error))?;
        Ok(None)
    }

    /// Where they are, if in a file.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    pub(super) fn flush(&mut self) -> Result<(), Report> {
        match &mut self.file {
            Some((path, file)) => file.flush().map_err(|error| cannot(ExitCode::Failure, path, &error)),
            None => Ok(()),
        }
    }
}

fn cannot(code: ExitCode, path: &Path, error: &io::Error) -> Report {
    let report = Report::new(code, format!("failed to write failures to `{}`", path.display()));
    let report = report.cause(error.to_string());
    match code {
        ExitCode::Usage => report.hint("name a file in a folder that you may write to"),
        _ => report,
    }
}
