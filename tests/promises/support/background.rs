//! The background instance of a user of its own: a home, a runtime directory, and the verbs typed by that user.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::processes::{self, marked};
use super::status::Status;
use super::stead::{Finished, Verb, binary};
use super::waiting::{eventually, pause_between};

/// A verb that waits for workers, on a loaded machine.
const VERB_LIMIT: Duration = Duration::from_secs(60);
/// Until something that was asked for is seen.
const SEEN_LIMIT: Duration = Duration::from_secs(30);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A user. Dropping it ends what runs and checks that nothing is left.
pub(crate) struct Background {
    directory: TempDir,
    mark: String,
    environment: Vec<(String, String)>,
}

impl Background {
    /// A user of whom nothing runs yet.
    pub(crate) fn new() -> Background {
        let directory = tempfile::Builder::new().prefix("stead-").tempdir().expect("there is room");
        let mark = format!("background-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir_all(directory.path().join("run")).expect("there is room for a directory");
        Background { directory, mark, environment: Vec::new() }
    }

    /// A variable of this user's shell.
    pub(crate) fn env(mut self, name: &str, value: impl Display) -> Background {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Where this user works.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `$STEAD_HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// A file in the directory this user works in.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("there is room for a file");
        path
    }

    /// A verb as this user types it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = binary(self.path(), &self.mark);
        command.env("STEAD_HOME", self.home()).args(words);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb to its end.
    #[track_caller]
    pub(crate) fn verb(&self, words: &[&str]) -> Finished {
        Verb::start(&mut self.command(words)).finish(VERB_LIMIT)
    }

    /// Starts a verb, and does not wait for its end.
    pub(crate) fn begin(&self, words: &[&str]) -> Verb {
        Verb::start(&mut self.command(words))
    }

    /// Runs a verb that has to succeed; what it printed.
    #[track_caller]
    pub(crate) fn done(&self, words: &[&str]) -> Finished {
        let finished = self.verb(words);
        assert_eq!(finished.code, Some(0), "{words:?}: {finished:?}");
        finished
    }

    /// What runs, if the instance answers.
    pub(crate) fn try_status(&self) -> Option<Status> {
        Status::parse(&self.verb(&["list", "--json"]).stdout)
    }

    /// Looks again and again until `is_true`.
    #[track_caller]
    pub(crate) fn wait_status(&self, what: &str, is_true: impl Fn(&Status) -> bool) -> Status {
        eventually(what, SEEN_LIMIT, || self.try_status().filter(&is_true))
    }

    /// All workers are ready and no other is about.
    #[track_caller]
    pub(crate) fn complete(&self) -> Status {
        self.wait_status("all workers are ready", Status::is_complete)
    }

    /// All living processes of this user.
    pub(crate) fn processes(&self) -> Vec<processes::Process> {
        marked(&self.mark)
    }

    /// Everything this app has printed and the log files hold.
    #[track_caller]
    pub(crate) fn logs(&self, app: &str) -> String {
        self.done(&["logs", app, "--lines", "1000000"]).stdout
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.home().join("daemon.log")).unwrap_or_default();
            eprintln!("--- daemon.log\n{log}");
        } else if self.try_status().is_some() {
            self.done(&["kill"]);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.processes().is_empty() && Instant::now() < deadline {
            pause_between(Duration::from_millis(10));
        }
        let left = self.processes();
        left.iter().for_each(|process| processes::kill(process.pid));
        assert!(left.is_empty() || std::thread::panicking(), "processes are left: {left:#?}");
    }
}
