//! Evaluates a file that is a program, by the user's own Node.js in a process of its own.
//!
//! The file may do whatever programs do, so it is bounded: in time, and in what it may say.

use super::error::ForeignError;
use crate::config::search::{Found, in_path};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const EVALUATE: &str = include_str!("evaluate.mjs");

/// How long a file may take. It only has to say what to run.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it may say.
const BYTES_MAX: u64 = 16 << 20;

/// Lines of an error that are shown.
const LINES_MAX: usize = 8;

/// Where and how a file is evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a> {
    /// As it was named, for sentences.
    pub(super) name: &'a Path,
    /// Absolute.
    pub(super) file: &'a Path,
    /// Where it was called.
    pub(super) directory: &'a Path,
    pub(super) environment: &'a BTreeMap<OsString, OsString>,
}

/// What the file exports.
pub(super) fn evaluate(program: Program<'_>) -> Result<Value, ForeignError> {
    evaluate_within(program, PATIENCE)
}

fn evaluate_within(program: Program<'_>, patience: Duration) -> Result<Value, ForeignError> {
    let path = || program.name.to_owned();
    let search = program.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let Found::Program(node) = in_path(OsStr::new("node"), &search, program.directory) else {
        return Err(ForeignError::NoNode { path: path() });
    };
    let failed = |source| ForeignError::NodeFailed { path: path(), source };
    let mut child = Command::new(node)
        .args(["--input-type=module", "--eval", EVALUATE])
        .arg(program.file)
        .current_dir(program.directory)
        .env_clear()
        .envs(program.environment.iter().filter(|(name, _)| !is_channel(name)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let said = listen(&mut child);
    let ended = wait(&child, Instant::now() + patience).map_err(failed)?;
    // Also what it started and left behind.
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // Nobody is left in most cases.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().map_err(failed)?;
    if !ended {
        return Err(ForeignError::Endless { path: path(), patience });
    }
    let (output, words) = said.recv().unwrap_or_default();
    let answer = output.rsplit(|byte| *byte == 0).next().filter(|answer| answer.len() < output.len());
    let Some(answer) = answer.filter(|_| status.success()) else {
        return Err(ForeignError::Threw { path: path(), said: shorten(&words) });
    };
    serde_json::from_slice(answer).map_err(|error| ForeignError::Malformed {
        path: path(),
        format: "what can be written as JSON",
        reason: error.to_string(),
    })
}

/// Variables that would make Node.js think that it was forked by Node.js.
fn is_channel(name: &OsStr) -> bool {
    ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID"]
        .iter()
        .any(|channel| name == *channel)
}

/// Collects both streams of the child; given once both have ended.
fn listen(child: &mut Child) -> mpsc::Receiver<(Vec<u8>, Vec<u8>)> {
    let (sender, receiver) = mpsc::channel();
    let (output, words) = (child.stdout.take(), child.stderr.take());
    let read = |stream: Option<Box<dyn Read + Send>>| {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = stream.map(|stream| stream.take(BYTES_MAX).read_to_end(&mut bytes));
        bytes
    };
    let boxed = |stream| Box::new(stream) as Box<dyn Read + Send>;
    let output = output.map(|stream| Box::new(stream) as Box<dyn Read + Send>);
    let words = words.map(boxed);
    thread::spawn(move || {
        let words = thread::spawn(move || read(words));
        let output = read(output);
        // The receiver is gone when nobody waits any more.
        let _ = sender.send((output, words.join().unwrap_or_default()));
    });
    receiver
}

/// Whether the child has ended before the deadline. It is not reaped.
fn wait(child: &Child, deadline: Instant) -> io::Result<bool> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The first lines of an error, without the insides of Node.js.
fn shorten(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let own_words = |line: &&str| !["node:internal", "[eval"].iter().any(|own| line.contains(own));
    let lines = text.lines().filter(|line| !line.trim().is_empty()).filter(own_words);
    let lines: Vec<&str> = lines.take(LINES_MAX).collect();
    match lines.is_empty() {
        true => "it ended without a word".to_owned(),
        false => lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_support::Folder;

    fn check(name: &str, text: &str, expected: &str) {
        let folder = Folder::new();
        folder.file("helper.js", "module.exports = (name) => ({ name, script: `${name}.js` });");
        let file = folder.file(name, text);
        let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let program = Program {
            name: Path::new(name),
            file: &file,
            directory: folder.path(),
            environment: &environment,
        };
        let actual = match evaluate_within(
            program,
            Duration::from_secs(if text.contains("Infinity") { 1 } else { 30 }),
        ) {
            Ok(value) => value.to_string(),
            Err(error) => format!("{error}: {}", error.details().unwrap_or_default()),
        };
        assert_eq!(folder.neutral(&actual), expected, "{text}");
    }

    #[test]
    fn programs_say_what_they_export() {
        check(
            "a.config.js",
            "module.exports = { apps: [require('./helper')('shop')] }",
            r#"{"apps":[{"name":"shop","script":"shop.js"}]}"#,
        );
        check("a.config.cjs", "exports.apps = []", r#"{"apps":[]}"#);
        check("a.config.mjs", "export default { apps: [await Promise.resolve(1)] }", r#"{"apps":[1]}"#);
        check("a.config.mjs", "export const apps = [process.argv.length]", r#"{"apps":[2]}"#);
        check("a.config.js", "module.exports = async () => ({ apps: [] })", r#"{"apps":[]}"#);
        check(
            "a.config.js",
            "console.log('hello'); module.exports = { a: /x+/, b: undefined, c: 1n, d() {} }",
            r#"{"a":"/x+/","c":"1"}"#,
        );
        let printed = "require('fs').writeSync(1, '{}'); module.exports = { apps: [] }";
        check("a.config.js", printed, r#"{"apps":[]}"#);
        check(
            "a.config.js",
            "module.exports = { text: 'x'.repeat(3e5) }",
            &format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000)),
        );
    }

    #[test]
    fn what_a_program_starts_and_leaves_does_not_hold_us_up() {
        let text =
            "require('child_process').spawn('sleep', ['1000'], { stdio: 'inherit' }); module.exports = {}";
        check("a.config.js", text, "{}");
    }

    #[test]
    fn programs_that_fail_say_why() {
        let thrown =
            "`a.config.js` failed: Error: no database\n    at Object.<anonymous> (<folder>/a.config.js:1:7)";
        check("a.config.js", "throw new Error('no database')", thrown);
        check("a.config.js", "process.exit(0)", "`a.config.js` failed: it ended without a word");
        check(
            "a.config.mjs",
            "await new Promise(() => setTimeout(() => {}, 1e9)); // Infinity",
            "`a.config.mjs` did not end within 1 s: ",
        );
        check("a.config.js", "for (;;); // Infinity", "`a.config.js` did not end within 1 s: ");
    }

    #[test]
    fn without_node_a_program_cannot_be_evaluated() {
        let environment = BTreeMap::from([("PATH".into(), "/nonexistent".into())]);
        let (name, directory) = (Path::new("a.config.js"), Path::new("/"));
        let error = evaluate(Program { name, file: name, directory, environment: &environment }).unwrap_err();
        assert_eq!(error.to_string(), "`a.config.js` is a program, and `node`, which runs it, was not found");
    }
}
