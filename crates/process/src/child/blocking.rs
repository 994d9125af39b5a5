//! The short forms for code that waits where it is called, without a runtime.
//!
//! Everything else has its own: [`Command::spawn`] needs no runtime, nor do [`Command::output_blocking`],
//! [`Child::wait_blocking`](super::Child::wait_blocking),
//! [`Pipeline::output_blocking`](super::Pipeline::output_blocking) and streams by
//! [`into_std`](super::ChildStdout::into_std).

use std::ffi::OsString;

use super::{Command, ExecError, Output};

/// Runs a line in `/bin/sh`, to its end; see [`Command::shell`].
///
/// ```
/// let output = stead_process::child::blocking::exec("echo one two | wc -w")?;
/// assert_eq!(output.stdout_text().trim(), "2");
/// # Ok::<(), stead_process::child::ExecError>(())
/// ```
///
/// # Errors
/// [`ExecError`]; an exit code other than 0 is one.
pub fn exec(line: impl Into<OsString>) -> Result<Output, ExecError> {
    Command::shell(line).exec_blocking()
}

/// Runs a program, without a shell, to its end.
///
/// # Errors
/// [`ExecError`]; an exit code other than 0 is one.
pub fn exec_file(
    program: impl Into<OsString>,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Output, ExecError> {
    Command::new(program).args(arguments).exec_blocking()
}
