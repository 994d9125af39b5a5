//! Runs a program to its end and hands over what it wrote.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;

use super::collect::{Collected, Collector};
use super::command::Command;
use super::start::{Streams, spawn_with};
use super::stdio::Stdio;
use super::{Cause, Exit, SpawnError};

const COLLECTED: Streams = &[Stdio::Null, Stdio::Piped, Stdio::Piped];
const FED: Streams = &[Stdio::Piped, Stdio::Piped, Stdio::Piped];

/// What a program has left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to its standard output, as far as it was collected.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error, as far as it was collected.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Standard error as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn stderr_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}

/// Why there is no output of a program, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// It was not started.
    #[error(transparent)]
    Spawn(SpawnError),
    /// It ended with another exit code than 0, or by a signal. Only where that is asked for ([`exec`], [`exec_file`]).
    #[error("`{program}` failed ({})", output.exit)]
    Failed {
        /// The program.
        program: String,
        /// All of its output.
        output: Box<Output>,
    },
    /// We have ended it: by time-out, by cancellation, or because it wrote too much. It may also have been cancelled before it
    /// began, and then has left nothing, or have written too much at once and ended by itself.
    #[error("`{program}` was ended: {cause}")]
    Ended {
        /// The program.
        program: String,
        /// Why.
        cause: Cause,
        /// What it had written until then.
        output: Box<Output>,
    },
    /// Its streams could not be read or it could not be waited for; it was killed.
    #[error("output of `{program}` could not be read")]
    Io {
        /// The program.
        program: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl ExecError {
    /// What was collected nevertheless.
    #[must_use]
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Failed { output, .. } | Self::Ended { output, .. } => Some(output),
            Self::Spawn(_) | Self::Io { .. } => None,
        }
    }
}

/// One that was cancelled before it began is the same to whoever cancelled it as one that was cancelled a moment later.
impl From<SpawnError> for ExecError {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Other { program, source, .. } if source.raw_os_error() == Some(libc::ECANCELED) => {
                Self::Ended { program, cause: Cause::Cancelled, output: Box::default() }
            }
            error => Self::Spawn(error),
        }
    }
}

/// Runs a line in `/bin/sh`, to its end; see [`Command::shell`].
///
/// # Errors
/// [`ExecError`]; an exit code other than 0 is one.
pub async fn exec(line: impl Into<OsString>) -> Result<Output, ExecError> {
    Command::shell(line).exec().await
}

/// Runs a program, without a shell, to its end.
///
/// # Errors
/// [`ExecError`]; an exit code other than 0 is one.
pub async fn exec_file(
    program: impl Into<OsString>,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Output, ExecError> {
    Command::new(program).args(arguments).exec().await
}

impl Command {
    /// Runs the program to its end and collects what it writes, up to [`Self::max_buffer`] of each stream. Its standard
    /// input is empty, or what [`Self::input`] says; streams that are connected elsewhere stay that.
    ///
    /// Nobody hears of the child when this is dropped before it is done: it is killed then.
    ///
    /// # Errors
    /// [`ExecError`], but an exit code is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O.
    pub async fn output(&mut self) -> Result<Output, ExecError> {
        let collected = self.collector()?.run().await;
        self.judge(collected)
    }

    /// Like [`Self::output`], and stops the thread for so long. Needs no runtime.
    ///
    /// # Errors
    /// As there.
    pub fn output_blocking(&mut self) -> Result<Output, ExecError> {
        let collected = self.collector()?.run_blocking();
        self.judge(collected)
    }

    /// Like [`Self::output`], where only exit code 0 will do.
    ///
    /// # Errors
    /// [`ExecError`].
    ///
    /// # Panics
    /// As there.
    pub async fn exec(&mut self) -> Result<Output, ExecError> {
        let output = self.output().await?;
        self.must_succeed(output)
    }

    /// Like [`Self::exec`], and stops the thread for so long. Needs no runtime.
    ///
    /// # Errors
    /// As there.
    pub fn exec_blocking(&mut self) -> Result<Output, ExecError> {
        let output = self.output_blocking()?;
        self.must_succeed(output)
    }

    fn collector(&mut self) -> Result<Collector, SpawnError> {
        let streams = if self.input.is_some() { FED } else { COLLECTED };
        let child = spawn_with(self, streams)?;
        Ok(Collector::new(vec![child], self.input.clone(), self.max_buffer))
    }

    fn judge(&self, collected: io::Result<Vec<Collected>>) -> Result<Output, ExecError> {
        let mut collected = collected.map_err(|source| ExecError::Io { program: self.name(), source })?;
        let collected = collected.pop().expect("one child was collected");
        collected.judge(|| self.name())
    }

    fn must_succeed(&self, output: Output) -> Result<Output, ExecError> {
        if output.exit.success() {
            return Ok(output);
        }
        Err(ExecError::Failed { program: self.name(), output: Box::new(output) })
    }
}

impl Collected {
    pub(super) fn judge(self, program: impl FnOnce() -> String) -> Result<Output, ExecError> {
        let output = Output { exit: self.exit, stdout: self.stdout, stderr: self.stderr };
        match self.cause {
            None => Ok(output),
            Some(cause) => Err(ExecError::Ended { program: program(), cause, output: Box::new(output) }),
        }
    }
}
