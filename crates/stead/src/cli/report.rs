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
use stead_control::{ClientError, RefusalKind, RuntimeDirectoryError};

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
                report.hint("make it yours alone (`chmod go-w`), or name another one in STEAD_RUNTIME_DIR")
            }
            RuntimeDirectoryError::Refused { .. } => report.hint("name another one in STEAD_RUNTIME_DIR"),
        }
    }
}

impl From<ClientError> for Report {
    fn from(error: ClientError) -> Report {
        let code = match &error {
            ClientError::NotRunning { .. } => ExitCode::NotRunning,
            ClientError::Refused(refusal) if refusal.kind == RefusalKind::NoSuchApp => ExitCode::NotRunning,
            _ => ExitCode::Failure,
        };
        let report = Report::of(code, &error);
        match error {
            ClientError::NotRunning { .. } => report
                .hint("nothing runs there, or it is just being started again: try once more in a moment"),
            ClientError::Refused(refusal) => Report { hint: refusal.hint, ..report },
            ClientError::NotUnderstood { .. } => {
                report.hint("is the running instance of another version? `stead status` shows it")
            }
            ClientError::Silent => report.hint("its daemon hangs; the keeper replaces it when it is killed"),
            ClientError::Broken(_) | ClientError::Ended => report.hint("`stead status` shows what runs now"),
        }
    }
}
