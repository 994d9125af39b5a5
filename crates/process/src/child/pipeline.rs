//! Programs of which each reads what the one before writes.

use std::io;

use super::collect::{Collected, Collector};
use super::command::Command;
use super::exec::ExecError;
use super::start::{Streams, spawn_with};
use super::stdio::Stdio;
use super::{Child, Exit, SpawnError};

/// `a | b | c`, each with its own exit state.
///
/// ```
/// # use stead_process::child::Command;
/// let pipeline = Command::new("printf").arg("b\\na\\n").pipe(&mut Command::new("sort"));
/// let output = pipeline.pipe(Command::new("head").arg("-n1")).output_blocking()?;
/// assert_eq!(output.stdout, b"a\n");
/// assert!(output.success());
/// # Ok::<(), stead_process::child::ExecError>(())
/// ```
#[derive(Debug)]
pub struct Pipeline {
    commands: Vec<Command>,
}

/// What a pipeline has left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PipelineOutput {
    /// How each of the programs ended, in order. One that was still writing when the next had enough was killed by
    /// SIGPIPE, which is nothing bad.
    pub exits: Vec<Exit>,
    /// What the last one wrote.
    pub stdout: Vec<u8>,
    /// What each wrote to its standard error.
    pub stderr: Vec<Vec<u8>>,
}

impl PipelineOutput {
    /// Whether all have ended with exit code 0, as a shell says with `set -o pipefail`.
    #[must_use]
    pub fn success(&self) -> bool {
        self.exits.iter().all(Exit::success)
    }
}

impl Command {
    /// This command's standard output becomes the other's standard input. All that was said about the two goes into the
    /// pipeline; what is left are commands without a program.
    pub fn pipe(&mut self, next: &mut Command) -> Pipeline {
        Pipeline { commands: vec![self.take(), next.take()] }
    }

    fn take(&mut self) -> Command {
        std::mem::replace(self, Command::new(""))
    }
}

impl Pipeline {
    /// One program more at the end.
    #[must_use]
    pub fn pipe(mut self, next: &mut Command) -> Self {
        self.commands.push(next.take());
        self
    }

    /// Starts all, in order. The first one's standard input and the last one's standard output are as their commands
    /// say, and are inherited if those say nothing.
    ///
    /// # Errors
    /// Of the first that cannot be started; those before it are killed then.
    pub fn spawn(self) -> Result<Vec<Child>, SpawnError> {
        self.spawn_with(&[Stdio::Inherit, Stdio::Inherit, Stdio::Inherit])
    }

    /// Runs all to their end, and collects what the last one writes and what all write to standard error, each up to the
    /// last one's [`max_buffer`](Command::max_buffer). What [`Command::input`] says goes to the first.
    ///
    /// When this is dropped before it is done, all are killed.
    ///
    /// # Errors
    /// [`ExecError`], but an exit code is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O.
    pub async fn output(self) -> Result<PipelineOutput, ExecError> {
        let names = self.names();
        judge(&names, self.collector()?.run().await)
    }

    /// Like [`Self::output`], and stops the thread for so long. Needs no runtime.
    ///
    /// # Errors
    /// As there.
    pub fn output_blocking(self) -> Result<PipelineOutput, ExecError> {
        let names = self.names();
        judge(&names, self.collector()?.run_blocking())
    }

    fn names(&self) -> Vec<String> {
        self.commands.iter().map(Command::name).collect()
    }

    fn collector(mut self) -> Result<Collector, SpawnError> {
        let input = self.commands[0].input.take();
        let max = self.commands.last().map_or(0, |command| command.max_buffer);
        let children = match input {
            Some(_) => self.spawn_with(&[Stdio::Piped, Stdio::Piped, Stdio::Piped])?,
            None => self.spawn_with(&[Stdio::Null, Stdio::Piped, Stdio::Piped])?,
        };
        Ok(Collector::new(children, input, max))
    }

    fn spawn_with(mut self, streams: Streams) -> Result<Vec<Child>, SpawnError> {
        let mut children: Vec<Child> = Vec::new();
        for index in 0..self.commands.len() {
            let started = self.link(index).and_then(|()| spawn_with(&mut self.commands[index], streams));
            match started {
                Ok(child) => children.push(child),
                Err(error) => {
                    children.iter_mut().for_each(Child::kill_on_drop);
                    return Err(error);
                }
            }
        }
        Ok(children)
    }

    /// Connects a command to the next one.
    fn link(&mut self, index: usize) -> Result<(), SpawnError> {
        if index + 1 < self.commands.len() {
            let (reader, writer) = io::pipe().map_err(|error| self.commands[index].failed(&error))?;
            self.commands[index].stdout(writer);
            self.commands[index + 1].stdin(reader);
        }
        Ok(())
    }
}

fn judge(names: &[String], collected: io::Result<Vec<Collected>>) -> Result<PipelineOutput, ExecError> {
    let collected = collected.map_err(|source| ExecError::Io { program: names.join(" | "), source })?;
    let mut all = PipelineOutput::default();
    for (name, collected) in names.iter().zip(collected) {
        let output = collected.judge(|| name.clone())?;
        all.exits.push(output.exit);
        all.stderr.push(output.stderr);
        all.stdout = output.stdout;
    }
    Ok(all)
}
