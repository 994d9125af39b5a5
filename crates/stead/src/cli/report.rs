//! What a person reads when something failed: what, why, and what to do about it.
//!
//! ```text
//! error: failed to start app `web`
//!   caused by: program `nod` not found
//!
//! hint: did you mean `node`?
//! ```

use super::ExitCode;
use crate::config::{ConfigError, ProgramError};
use std::error::Error;
use std::fmt;
use std::io;
use stead_control::{ClientError, Refusal, RefusalKind, RuntimeDirectoryError};

/// A failure, ready to be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How the command ends.
    pub code: ExitCode,
    /// A lowercase sentence without a full stop.
    pub message: String,
    /// Lines below it: the place in a file, or a list.
    pub details: Option<String>,
    /// Why, from the nearest reason to the farthest.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Report {
    /// A report with a message alone.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Report {
        Report { code, message: message.into(), details: None, causes: Vec::new(), hint: None }
    }

    /// Of an error and its sources.
    pub fn of(code: ExitCode, error: &dyn Error) -> Report {
        let mut report = Report::new(code, error.to_string());
        report.causes = causes(error);
        report
    }

    /// With one more reason.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Report {
        self.causes.push(cause.into());
        self
    }

    /// With lines below the message.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Report {
        self.details = Some(details.into());
        self
    }

    /// The message and its causes, for the middle of a sentence.
    pub fn in_one_line(&self) -> String {
        let parts = std::iter::once(&self.message).chain(&self.causes);
        parts.map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    /// With something to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Report {
        self.hint = Some(hint.into());
        self
    }
}

/// An error and its sources, for the middle of a sentence: `failed to listen on *:8080: Address already in use`.
pub fn in_one_line(error: &dyn Error) -> String {
    std::iter::once(error.to_string()).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

/// The sources of an error, nearest first.
pub(super) fn causes(error: &dyn Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "error: {}", self.message)?;
        if let Some(details) = &self.details {
            writeln!(formatter, "{}", details.trim_end())?;
        }
        for cause in &self.causes {
            writeln!(formatter, "  caused by: {cause}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(formatter, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<&ConfigError> for Report {
    fn from(error: &ConfigError) -> Report {
        let code = match error {
            ConfigError::Program { source: ProgramError::Empty | ProgramError::Quote { .. }, .. } => {
                ExitCode::Usage
            }
            ConfigError::Program { .. } => ExitCode::Program,
            _ => ExitCode::Usage,
        };
        let details = error.snippet().map(str::to_owned);
        Report { details, hint: error.hint(), ..Report::of(code, error) }
    }
}

impl From<RuntimeDirectoryError> for Report {
    fn from(error: RuntimeDirectoryError) -> Report {
        let report = Report::of(ExitCode::Failure, &error);
        match error {
            RuntimeDirectoryError::Unsafe { .. } => {
                report.hint("it has to be yours alone: `chmod go-w` if it is yours; act as its owner, or name another one in STEAD_RUNTIME_DIR")
            }
            RuntimeDirectoryError::Refused { .. } => report.hint(
                "if HOME is another user's, `sudo -H` sets it right; STEAD_HOME names another place for this and all else",
            ),
        }
    }
}

impl From<ClientError> for Report {
    fn from(error: ClientError) -> Report {
        let report = |code| Report::of(code, &error);
        match error {
            ClientError::NotRunning { ref source, .. } => {
                report(ExitCode::NotRunning).hint(match source.kind() {
                    io::ErrorKind::NotFound => "no instance has this socket; `stead list` shows those that run",
                    io::ErrorKind::PermissionDenied => {
                        "it belongs to another user: run the command as that user, or with sudo"
                    }
                    io::ErrorKind::ConnectionRefused => {
                        "the instance has ended, or its daemon is just being started again: try once more in a moment"
                    }
                    _ => "`stead list` shows the instances that run",
                })
            }
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::OtherVersion { .. } => report(ExitCode::Failure)
                .hint("`stead upgrade` puts this version in its place; until then use the `stead` it was started with"),
            ClientError::NotUnderstood { .. } => report(ExitCode::Failure)
                .hint("is the running instance of another version? `stead list` shows it"),
            ClientError::Silent => {
                report(ExitCode::Failure).hint("its daemon hangs; the keeper replaces it when it is killed")
            }
            ClientError::Broken(_) | ClientError::Ended => {
                report(ExitCode::Failure).hint("`stead list` shows what runs now")
            }
        }
    }
}

impl From<Refusal> for Report {
    fn from(refusal: Refusal) -> Report {
        let of_kind = match refusal.kind {
            RefusalKind::NoSuchApp | RefusalKind::NoSuchWorker => ExitCode::NotRunning,
            RefusalKind::Invalid => ExitCode::Usage,
            _ => ExitCode::Failure,
        };
        let code = refusal.exit_code.and_then(ExitCode::of).unwrap_or(of_kind);
        let Refusal { message, details, causes, hint, .. } = refusal;
        Report { code, message, details, causes, hint }
    }
}

/// What the daemon found out travels to the command line that asked.
impl From<Report> for Refusal {
    fn from(report: Report) -> Refusal {
        let kind = match report.code {
            ExitCode::Usage => RefusalKind::Invalid,
            ExitCode::NotRunning => RefusalKind::NoSuchApp,
            _ => RefusalKind::Failed,
        };
        let exit_code = Some(report.code.into());
        let Report { message, details, causes, hint, .. } = report;
        Refusal { kind, message, details, causes, hint, exit_code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_way_through_the_api() {
        let whole = Report::new(ExitCode::Program, "failed to start app `web`")
            .details("  1 | command")
            .cause("program `nod` not found")
            .hint("did you mean `node`?");
        for report in [whole, Report::new(ExitCode::Address, "short")] {
            let json = serde_json::to_string(&Refusal::from(report.clone())).unwrap();
            assert_eq!(Report::from(serde_json::from_str::<Refusal>(&json).unwrap()), report);
        }
    }
}
