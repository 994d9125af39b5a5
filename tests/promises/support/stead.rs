//! One running instance of the real binary in a directory of its own, and how it ends: in order, and with nothing left.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::output::Output;
use super::ports::{free_port, is_free};
use super::processes::{self, MARK, marked};
use super::status::Status;
use super::waiting::{eventually, pause_between, soon};

/// From the command to all workers ready, on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A verb, a reload of a few workers included.
const VERB_LIMIT: Duration = Duration::from_secs(60);
/// From the request to stop to the end.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// `stead status` is a process each time: not more often than this.
const STATUS_EVERY: Duration = Duration::from_millis(50);
/// Lines of output shown when a test fails.
const TAIL: usize = 40;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What is to be run, and how.
pub(crate) struct Plan {
    options: Vec<String>,
    program: Vec<String>,
    environment: Vec<(String, String)>,
    json: bool,
    unread: bool,
    directory: TempDir,
    port: u16,
}

/// A running instance. Dropping it ends it and checks that nothing is left.
pub(crate) struct Stead {
    child: Child,
    pub(crate) port: u16,
    pub(crate) output: Output,
    pub(crate) stderr: Output,
    mark: String,
    directory: TempDir,
    ended: bool,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that has not ended yet.
pub(crate) struct Verb {
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Plan {
    /// Sets an option and its value.
    pub(crate) fn option(mut self, name: &str, value: impl Display) -> Plan {
        self.options.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// `--instances`.
    pub(crate) fn instances(self, count: u32) -> Plan {
        self.option("--instances", count)
    }

    /// `--set KEY=VALUE`, as in stead.toml.
    pub(crate) fn set(self, key: &str, value: &str) -> Plan {
        self.option("--set", format!("{key}={value}"))
    }

    /// `--listen` on the port of this instance.
    pub(crate) fn listen(self) -> Plan {
        let port = self.port;
        self.option("--listen", format!("127.0.0.1:{port}"))
    }

    /// The same, for clients that speak TLS.
    pub(crate) fn listen_https(self) -> Plan {
        let port = self.port;
        self.option("--listen", format!("https://127.0.0.1:{port}"))
    }

    /// A variable in the environment of the binary, and so of its workers.
    pub(crate) fn env(mut self, name: &str, value: impl Display) -> Plan {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Output for people instead of JSON lines.
    pub(crate) fn plain(mut self) -> Plan {
        self.json = false;
        self
    }

    /// Nobody reads what it prints, until it ends.
    pub(crate) fn unread(mut self) -> Plan {
        self.unread = true;
        self
    }

    /// The directory it runs in; what is put there before the start is found there.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts it and waits until all workers are ready.
    #[track_caller]
    pub(crate) fn start(self) -> Stead {
        let stead = self.launch();
        stead.wait_complete();
        stead
    }

    /// Starts it and waits for nothing.
    #[track_caller]
    pub(crate) fn launch(self) -> Stead {
        let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let runtime = self.directory.path().join("run");
        std::fs::create_dir_all(&runtime).expect("a directory in a temporary directory can be made");
        let mut command = binary(self.directory.path(), &mark);
        command.arg("run").args(self.json.then_some("--json")).args(&self.options).args(&self.program);
        command.env("PORT", self.port.to_string());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let (mut child, output, stderr) = spawn(&mut command);
        if !self.unread {
            read(&mut child, &output, &stderr);
        }
        Stead { child, port: self.port, output, stderr, mark, directory: self.directory, ended: false }
    }
}

impl Stead {
    /// A plan to run this program: a script, or a command with its arguments.
    pub(crate) fn plan(program: impl IntoIterator<Item = impl Into<String>>) -> Plan {
        Plan {
            options: Vec::new(),
            program: program.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            json: true,
            unread: false,
            directory: tempfile::Builder::new()
                .prefix("stead-")
                .tempdir()
                .expect("there is room for a directory"),
            port: free_port(),
        }
    }

    /// A plan to run a script. On a loaded machine a server may need longer to listen than Stead waits for a program that never
    /// does, as the one that only talks.
    pub(crate) fn script(path: impl Into<String>) -> Plan {
        let path = path.into();
        let after = if path.ends_with("/talker.js") { "500ms" } else { "30s" };
        Stead::plan([path]).set("assume_ready_after", after)
    }

    /// The keeper: what was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory it runs in.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// All living processes of this instance.
    pub(crate) fn processes(&self) -> Vec<processes::Process> {
        marked(&self.mark)
    }

    /// Socket files of control APIs that are there.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        self.files_of("sock")
    }

    fn files_of(&self, ending: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("run")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == ending))
            .collect()
    }

    /// `stead status --json`, if it can be had at this moment.
    pub(crate) fn try_status(&self) -> Option<Status> {
        Status::parse(&self.verb(&["status", "--json"]).stdout)
    }

    /// `stead status --json`.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        self.wait_status("there is a status", START_LIMIT, |_| true)
    }

    /// Looks at the status again and again until `is_true`; gives the status for which it was.
    #[track_caller]
    pub(crate) fn wait_status(
        &self,
        what: &str,
        limit: Duration,
        is_true: impl Fn(&Status) -> bool,
    ) -> Status {
        let mut last = None;
        let deadline = Instant::now() + limit;
        loop {
            last = self.try_status().or(last);
            if let Some(status) = last.take_if(|status| is_true(status)) {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "within {limit:?} it did not happen that {what}; last seen: {last:?}"
            );
            pause_between(STATUS_EVERY);
        }
    }

    /// Waits until all workers are ready and no other is about.
    #[track_caller]
    pub(crate) fn wait_complete(&self) -> Status {
        self.wait_status("all workers are ready", START_LIMIT, Status::is_complete)
    }

    /// Runs a verb against this instance to its end.
    #[track_caller]
    pub(crate) fn verb(&self, arguments: &[&str]) -> Finished {
        self.begin(arguments).finish(VERB_LIMIT)
    }

    /// Starts a verb against this instance.
    #[track_caller]
    pub(crate) fn begin(&self, arguments: &[&str]) -> Verb {
        Verb::start(binary(self.path(), &self.mark).args(arguments))
    }

    /// `stead reload`, which has to succeed.
    #[track_caller]
    pub(crate) fn reload(&self) {
        let reload = self.verb(&["reload"]);
        assert_eq!(reload.code, Some(0), "{reload:?}");
    }

    /// Sends a signal to the keeper alone, as a service manager does.
    pub(crate) fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// Waits for its own end.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        eventually("stead ends", limit, || child.try_wait().expect("a child can be waited for"))
    }

    /// SIGTERM, the end with code 0, nothing left.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.stop_in_order();
    }

    #[track_caller]
    fn stop_in_order(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait_exit(STOP_LIMIT);
        assert_eq!(status.code(), Some(0), "SIGTERM ends it in order");
        self.assert_nothing_left();
    }

    /// No process, no socket file, no listener is left.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&mut self) {
        self.ended = true;
        // The kernel takes a moment to end what has been killed.
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.processes().is_empty() && Instant::now() < deadline {
            pause_between(Duration::from_millis(5));
        }
        let left = self.processes();
        if !left.is_empty() {
            self.kill_all();
        }
        assert!(left.is_empty(), "processes are left: {left:#?}");
        let sockets = [self.sockets(), self.files_of("workers")].concat();
        assert!(sockets.is_empty(), "socket files are left: {sockets:?}");
        soon("the port is free again", || is_free(self.port));
    }

    /// Last resort: nothing of a failed test may stay.
    fn kill_all(&mut self) {
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            left.iter().for_each(|process| processes::kill(process.pid));
            pause_between(Duration::from_millis(10));
        }
        let _ = self.child.try_wait();
    }

    fn show_output(&self) {
        for (name, output) in [("stdout", &self.output), ("stderr", &self.stderr)] {
            let lines = output.lines();
            eprintln!("--- {name} of stead, last {TAIL} of {} lines", lines.len());
            lines.iter().skip(lines.len().saturating_sub(TAIL)).for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Stead {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_output();
            self.kill_all();
        } else if !self.ended {
            self.stop_in_order();
        }
    }
}

impl Verb {
    /// Starts a command whose output is kept.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Verb {
        let (mut child, stdout, stderr) = spawn(command);
        read(&mut child, &stdout, &stderr);
        Verb { child, stdout, stderr }
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// It has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits for its end; kills it and panics after `limit`.
    #[track_caller]
    pub(crate) fn finish(mut self, limit: Duration) -> Finished {
        let deadline = Instant::now() + limit;
        let mut wait = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!(
                    "not done within {limit:?}:\n{}\n{}",
                    self.stdout.lines().join("\n"),
                    self.stderr.lines().join("\n")
                );
            }
            pause_between(wait);
            wait = (wait * 2).min(Duration::from_millis(10));
        };
        let stdout = self.stdout.whole(Duration::from_secs(5));
        let stderr = self.stderr.whole(Duration::from_secs(5));
        Finished { code: status.code(), stdout, stderr }
    }
}

/// The binary under test: its directory, its mark, nothing of the surroundings that could disturb it.
pub(crate) fn binary(directory: &Path, mark: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command.current_dir(directory).env(MARK, mark).env("STEAD_RUNTIME_DIR", directory.join("run"));
    for name in
        ["NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "NO_COLOR", "NOTIFY_SOCKET", "STEAD_KEEPER_FD"]
    {
        command.env_remove(name);
    }
    command
}

fn spawn(command: &mut Command) -> (Child, Output, Output) {
    use std::os::unix::process::CommandExt;
    // A group of its own: a signal to the group of the tests is not one to it.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    (child, Output::default(), Output::default())
}

fn read(child: &mut Child, stdout: &Output, stderr: &Output) {
    stdout.collect(child.stdout.take().expect("stdout is a pipe"));
    stderr.collect(child.stderr.take().expect("stderr is a pipe"));
}
