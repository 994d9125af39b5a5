//! `{}` in the command: one process per task, as GNU parallel and xargs do it.
//!
//! The task stands where `{}` stands, in the one argument and never split; exit code 0 is success, standard output is the result. A line
//! for a shell gets the task as `"$1"`, so nothing in it is ever obeyed.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use bytes::Bytes;
use stead_jobs::{Input, Ready, TaskId, WorkerId};
use stead_process::child::{ChildStdout, Command, Exit, Handle, Signal, SpawnError, Stdio};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::Sender;

use super::Heard;
use super::input::LINE_BYTES_MAX;

/// Where the task stands.
const PLACE: &[u8] = b"{}";

/// What the task is called in a shell.
const IN_SHELL: &[u8] = b"\"$1\"";

/// Results are read so much at a time at least.
const CHUNK_BYTES: usize = 1 << 13;

/// A process that prints more is killed: its result would have to be in memory as a whole.
const RESULT_BYTES_MAX: usize = LINE_BYTES_MAX;

/// A command with places for the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<OsString>);

impl Template {
    /// Nothing if the command has no place for the task.
    pub(super) fn of(arguments: &[OsString], shell: bool) -> Option<Template> {
        let has_place = arguments.iter().any(|argument| find(argument).is_some());
        if !shell {
            return has_place.then(|| Template(arguments.to_vec()));
        }
        let line = replace(&arguments.join(OsStr::new(" ")), IN_SHELL);
        let words = [OsString::from("/bin/sh"), "-c".into(), line, "sh".into(), "{}".into()];
        has_place.then(|| Template(words.to_vec()))
    }

    /// The command for a task.
    pub(super) fn with(&self, task: &[u8]) -> Vec<OsString> {
        // In a shell line, the only place that is left is the argument at its end.
        self.0.iter().map(|argument| replace(argument, task)).collect()
    }
}

fn find(argument: &OsStr) -> Option<usize> {
    memchr::memmem::find(argument.as_bytes(), PLACE)
}

fn replace(argument: &OsStr, with: &[u8]) -> OsString {
    let mut replaced = Vec::new();
    let mut rest = argument;
    while let Some(at) = find(rest) {
        let bytes = rest.as_bytes();
        replaced.extend_from_slice(&bytes[..at]);
        replaced.extend_from_slice(with);
        rest = OsStr::from_bytes(&bytes[at + PLACE.len()..]);
    }
    replaced.extend_from_slice(rest.as_bytes());
    OsString::from_vec(replaced)
}

/// The places for processes, and those that run.
#[derive(Debug)]
pub(super) struct Each {
    template: Template,
    environment: Vec<(OsString, OsString)>,
    heard: Sender<Heard>,
    running: HashMap<WorkerId, (TaskId, Handle)>,
}

impl Each {
    pub(super) fn new(
        template: Template,
        environment: Vec<(OsString, OsString)>,
        heard: Sender<Heard>,
    ) -> Each {
        Each { template, environment, heard, running: HashMap::new() }
    }

    /// A place for a process is a worker to the pool: it never dies, and takes one task at a time.
    pub(super) fn place(slot: u32) -> Ready {
        Ready {
            worker: u64::from(slot) + 1,
            slot,
            concurrency: 1,
            prefetch_max: 0,
            abortable: true,
            gathers: false,
        }
    }

    pub(super) fn give(&mut self, worker: WorkerId, task: TaskId, input: &[u8]) -> Result<(), SpawnError> {
        let arguments = self.template.with(input);
        let mut command = Command::new(&arguments[0]);
        command.args(&arguments[1..]).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::Null).stdout(Stdio::Piped).stderr(Stdio::Inherit);
        command.own_group(true).sweep_group(true).kill_with_parent(true).kill_on_drop(true);
        let mut child = command.spawn()?;
        self.running.insert(worker, (task, child.handle()));
        let heard = self.heard.clone();
        tokio::spawn(async move {
            let mut output = Vec::with_capacity(CHUNK_BYTES);
            let read = match child.stdout.take() {
                Some(stdout) => read_result(stdout, &mut output).await,
                None => Ok(()),
            };
            if read.is_err() {
                // A process of another user ends by itself, as nobody reads it.
                let _ = child.kill_tree();
            }
            let exit = child.wait().await.and_then(|exit| read.map(|()| exit));
            // The batch may have ended before its last process.
            let _ = heard.send(Heard::Ended { worker, exit, output }).await;
        });
        Ok(())
    }

    /// The process is asked to end, or made to.
    pub(super) fn signal(&self, worker: WorkerId, signal: Signal) {
        if let Some((_, handle)) = self.running.get(&worker) {
            // A process of another user ends by itself.
            let _ = handle.signal_tree(signal);
        }
    }

    pub(super) fn kill_all(&self) {
        self.running.keys().for_each(|worker| self.signal(*worker, Signal::KILL));
    }

    /// What the end of a process means for the pool.
    pub(super) fn ended(
        &mut self,
        worker: WorkerId,
        exit: io::Result<Exit>,
        output: Vec<u8>,
    ) -> Option<Input> {
        let (task, _) = self.running.remove(&worker)?;
        let failed = |message: String| {
            let error = serde_json::json!({ "code": "failed", "message": message }).to_string().into();
            Input::Failed { worker, task, error, retry: true }
        };
        Some(match exit {
            Ok(exit) if exit.success() => Input::Done { worker, task, result: Bytes::from(output) },
            Ok(exit) => failed(exit.to_string()),
            Err(error) => failed(error.to_string()),
        })
    }
}

async fn read_result(stdout: ChildStdout, output: &mut Vec<u8>) -> io::Result<()> {
    // One more than there may be, so that too many are noticed.
    stdout.take(RESULT_BYTES_MAX as u64 + 1).read_to_end(output).await?;
    match output.len() > RESULT_BYTES_MAX {
        true => Err(io::Error::other(format!("it printed more than {} MiB", RESULT_BYTES_MAX >> 20))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn process_that_prints_without_end_is_killed_and_its_task_has_failed() {
        let template = Template::of(&["yes".into(), "{}".into()], false).unwrap();
        let (heard, mut ends) = tokio::sync::mpsc::channel(1);
        let mut each = Each::new(template, std::env::vars_os().collect(), heard);
        each.give(1, 7, b"y").unwrap();
        let Some(Heard::Ended { worker, exit, output }) = ends.recv().await else { panic!("it ends") };
        let Some(Input::Failed { task: 7, error, .. }) = each.ended(worker, exit, output) else {
            panic!("it has failed");
        };
        let error = String::from_utf8_lossy(&error).into_owned();
        assert!(error.contains("it printed more than 64 MiB"), "{error}");
    }

    #[track_caller]
    fn check(command: &[&str], shell: bool, task: &str, expected: Option<&[&str]>) {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let found = Template::of(&command, shell).map(|template| template.with(task.as_bytes()));
        let expected: Option<Vec<OsString>> =
            expected.map(|words| words.iter().map(OsString::from).collect());
        assert_eq!(found, expected);
    }

    #[test]
    fn task_stands_where_its_place_is() {
        check(&["cat"], false, "a", None);
        check(&["cat", "{}"], false, "a b", Some(&["cat", "a b"]));
        check(&["cp", "{}", "{}.{}"], false, "x", Some(&["cp", "x", "x.x"]));
        check(&["echo", "{}"], false, "{}", Some(&["echo", "{}"]));
    }

    #[test]
    fn shell_obeys_nothing_in_a_task() {
        check(
            &["wc -l < {}"],
            true,
            "$(reboot)",
            Some(&["/bin/sh", "-c", "wc -l < \"$1\"", "sh", "$(reboot)"]),
        );
        check(&["wc -l"], true, "a", None);
    }
}
