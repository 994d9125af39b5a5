//! Why there are no settings: what is wrong, where it stands, and what to do about it.

use super::document::{Place, Problem};
use super::foreign::ForeignError;
use super::program_error::ProgramError;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::io;
use std::path::PathBuf;
use stead_balancer::TlsError;

/// Columns a snippet of the file may take.
const SNIPPET_COLUMNS: usize = 100;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither a command nor a file.
    #[error("nothing to run: no command, and no `stead.toml` in `{}`", directory.display())]
    Nothing {
        /// Where `stead.toml` was looked for.
        directory: PathBuf,
    },
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// A file beside it.
        nearest: Option<String>,
        /// Why.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{message}")]
    Invalid {
        /// The sentence on top.
        message: String,
        /// Which file, as it was named.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The lines of the file, marked.
        snippet: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// An option is wrong, by itself or beside the file.
    #[error("{message}")]
    Option {
        /// The whole sentence.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A worker cannot run as the user that it is to run as.
    #[error("failed to start {what}: {reason}")]
    Identity {
        /// "app `shop`", or the command of an app without a name.
        what: String,
        /// A whole sentence.
        reason: String,
    },
    /// A file that others have written cannot be understood.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// Something in such a file is wrong.
    #[error("{what} in `{}`: {reason}", path.display())]
    ForeignValue {
        /// Which file, as it was named.
        path: PathBuf,
        /// "`kill_timeout` of app `shop`".
        what: String,
        /// A fragment.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A certificate or a key is no good.
    #[error("failed to read the certificates of {what}")]
    Tls {
        /// "app `shop`".
        what: String,
        /// Why.
        source: TlsError,
    },
    /// The current directory is gone.
    #[error("failed to find out the current directory")]
    NoCurrentDirectory(#[source] io::Error),
    /// A program cannot be started.
    #[error("failed to start {what}")]
    Program {
        /// "app `shop`", or the command of an app without a name.
        what: String,
        /// Why.
        source: ProgramError,
    },
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ConfigError::Nothing { .. } => {
                Some("name a script, `stead run server.js`; or `stead init` writes a stead.toml".to_owned())
            }
            ConfigError::Unreadable { nearest, .. } => {
                nearest.as_ref().map(|name| format!("did you mean `{name}`?"))
            }
            ConfigError::Invalid { hint, .. }
            | ConfigError::Option { hint, .. }
            | ConfigError::ForeignValue { hint, .. } => hint.clone(),
            ConfigError::Foreign(error) => error.hint(),
            ConfigError::Identity { .. } => {
                Some("run Stead as root, or leave `uid` and `gid` away".to_owned())
            }
            ConfigError::Tls { source, .. } => source.hint(),
            ConfigError::NoCurrentDirectory(_) => None,
            ConfigError::Program { source, .. } => source.hint(),
        }
    }

    /// The marked lines of the file, or what it said when it was run.
    pub fn snippet(&self) -> Option<&str> {
        match self {
            ConfigError::Invalid { snippet, .. } => Some(snippet),
            ConfigError::Foreign(error) => error.details(),
            _ => None,
        }
    }
}

/// The configuration file, as far as errors need it; the text of a foreign one is none that they could point at.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Turns a problem into the error a person reads. `file` is there when values came from one.
pub(super) fn explain(problem: Problem, file: Option<&Source>) -> ConfigError {
    let Problem { place, message, label, hint } = problem;
    match (place, file) {
        (Place::File(range), Some(file)) => {
            let before = &file.text[..range.start.min(file.text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let snippet = snippet(file, range, label.as_deref());
            ConfigError::Invalid { message, path: file.path.clone(), line, column, snippet, hint }
        }
        (Place::Foreign(what), Some(file)) => {
            let reason = label.unwrap_or(message);
            ConfigError::ForeignValue { path: file.path.clone(), what, reason, hint }
        }
        (Place::Flag(flag), _) => {
            let message = label.filter(|label| label != "unknown key").unwrap_or(message);
            ConfigError::Option { message: format!("`{flag}`: {message}"), hint }
        }
        (Place::Defaults | Place::File(_) | Place::Foreign(_), _) => {
            unreachable!("values with a problem come from a file or an option: {message}")
        }
    }
}

fn snippet(file: &Source, range: std::ops::Range<usize>, label: Option<&str>) -> String {
    let path = file.path.to_string_lossy();
    let end = range.end.min(file.text.len());
    let mut annotation = AnnotationKind::Primary.span(range.start.min(end)..end);
    if let Some(label) = label {
        annotation = annotation.label(label);
    }
    let report = [Level::ERROR
        .primary_title("")
        .element(Snippet::source(file.text.as_str()).path(path.as_ref()).annotation(annotation))];
    let rendered = Renderer::plain().term_width(SNIPPET_COLUMNS).render(&report);
    // The title stands above already.
    rendered.lines().skip(1).map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}
