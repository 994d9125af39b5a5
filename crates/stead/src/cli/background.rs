//! The background instance: one per user and home, started by whoever needs it first, and gone only when it is told to.
//!
//! It is a session of its own, its words go to `daemon.log`, and its environment holds only what every program needs: apps
//! bring their own. It is there when it has written its number and answers; that is waited for by event, and so is its
//! early end. A lock keeps two from starting one at once.

use super::ending::end_instance;
use super::output::Output;
use super::{ExitCode, Report};
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock, inotify};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stead_control::{Client, Found, Home, RuntimeDirectory};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// For it to be there. It starts no apps before.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Of its log, to say why it did not start.
const LOG_TAIL_BYTES: u64 = 4096;

/// Variables that it takes over from whoever starts it, by name or by the beginning of it.
const KEPT_VARIABLES: [&str; 8] = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"];
const KEPT_PREFIXES: [&str; 4] = ["STEAD_", "XDG_", "LC_", "RUST_"];

/// The arguments of `stead background`.
#[derive(Args, Clone, Debug, Default)]
pub struct BackgroundArguments {
    /// Start what `stead save` has saved
    #[arg(long)]
    pub resurrect: bool,
}

/// Leaves the terminal for good; for the process that is to stay.
pub fn detach() {
    // Refused to one that leads a session already, as under a service manager.
    let _leader = rustix::process::setsid();
}

/// The background instance.
#[derive(Debug)]
pub(super) struct Background {
    pub(super) client: Client,
    /// This command has started it.
    is_new: bool,
}

impl Background {
    /// Ends it if it was started for apps of which none could be started: whoever is refused finds everything as it was.
    pub(super) async fn end_unused(&self, output: &mut Output) {
        if self.is_new && self.client.status().await.is_ok_and(|status| status.apps.is_empty()) {
            // What was refused is told; that this failed too, the next command tells.
            drop(end_instance(&self.client, false, output).await);
        }
    }
}

/// The background instance, which is started if it does not run.
pub(super) async fn ensure(
    directory: &RuntimeDirectory,
    home: &Home,
    output: &mut Output,
) -> Result<Background, Report> {
    ensure_by(&own_program(), directory, home, output).await
}

/// This very program, by its name if that still leads to it, so that it can be told from others in lists of processes.
fn own_program() -> PathBuf {
    const SELF: &str = "/proc/self/exe";
    let place = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let named = std::env::current_exe()
        .ok()
        .filter(|path| place(path).is_some() && place(path) == place(Path::new(SELF)));
    named.unwrap_or_else(|| PathBuf::from(SELF))
}

async fn ensure_by(
    program: &Path,
    directory: &RuntimeDirectory,
    home: &Home,
    output: &mut Output,
) -> Result<Background, Report> {
    let known = |found: Found| Background { client: Client::new(found.socket), is_new: false };
    directory.create()?;
    if let Some(found) = directory.background()? {
        return Ok(known(found));
    }
    let lock = lock(directory).await?;
    // Who held the lock may have started it.
    if let Some(found) = directory.background()? {
        return Ok(known(found));
    }
    output.progress("starting the background instance");
    let pid = start(program, directory, home)?;
    drop(lock);
    output.words(&format!("started the background instance (pid {pid}, home {})", home.path().display()));
    Ok(Background { client: Client::new(directory.socket(pid)), is_new: true })
}

/// Waits for others who start one.
async fn lock(directory: &RuntimeDirectory) -> Result<File, Report> {
    let path = directory.background_lock();
    let failed = |error: &io::Error| {
        Report::new(ExitCode::Failure, format!("failed to lock `{}`", path.display()))
            .cause(error.to_string())
            .hint("STEAD_RUNTIME_DIR names another directory")
    };
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|error| failed(&error))?;
    let locking = spawn_blocking(move || {
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => (),
                result => return result.map(|()| file).map_err(io::Error::from),
            }
        }
    });
    match timeout(START_TIMEOUT, locking).await {
        Ok(Ok(locked)) => locked.map_err(|error| failed(&error)),
        Ok(Err(_)) => Err(failed(&io::ErrorKind::Interrupted.into())),
        Err(_) => {
            Err(Report::new(ExitCode::Failure, "another command has been starting the background instance")
                .cause(format!("it has held `{}` for {} s", path.display(), START_TIMEOUT.as_secs()))
                .hint("see what it waits for, or end it, and try again"))
        }
    }
}

/// Starts it and returns its pid when it is there.
fn start(program: &Path, directory: &RuntimeDirectory, home: &Home) -> Result<u32, Report> {
    let failed = |what: String, error: &io::Error| {
        let report = Report::new(ExitCode::Failure, "failed to start the background instance")
            .cause(format!("{what}: {error}"));
        match error.kind() {
            io::ErrorKind::StorageFull => {
                report.hint("the disk is full: make room, or name another place in STEAD_HOME")
            }
            _ => report.hint("STEAD_HOME names another place for its files"),
        }
    };
    home.create().map_err(|error| failed(format!("`{}` cannot be made", home.path().display()), &error))?;
    let path = home.daemon_log();
    let log = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path);
    let mut log = log.map_err(|error| failed(format!("`{}` cannot be written", path.display()), &error))?;
    let before = log.seek(SeekFrom::End(0)).unwrap_or(0);
    // Before it starts, so that nothing it does is missed.
    let changes = watch(directory)
        .map_err(|error| failed(format!("`{}` cannot be watched", directory.path().display()), &error))?;
    let to_log =
        || log.try_clone().map_err(|error| failed("its log cannot be given to it".to_owned(), &error));
    let child = command(program, directory, home).stdout(to_log()?).stderr(to_log()?).spawn();
    let mut child = child.map_err(|error| failed("its program cannot be run".to_owned(), &error))?;
    match wait(&mut child, directory, &changes) {
        Ok(Waited::Started) => Ok(child.id()),
        Ok(Waited::Ended(status)) => {
            let said = tail(&mut log, before);
            // One that cannot say anything may have no room for it.
            if let (true, Err(error)) = (said.is_empty(), log.write_all(b"\n")) {
                return Err(failed(format!("`{}` cannot be written", path.display()), &error));
            }
            let code = status.code().and_then(|code| ExitCode::of(u8::try_from(code).ok()?));
            let report =
                Report::new(code.unwrap_or(ExitCode::Failure), "the background instance did not start");
            Err(report.details(said).cause(status.to_string()))
        }
        Ok(Waited::Silent) => {
            // What does not get ready is no use to anybody, and would surprise later.
            drop(child.kill().and_then(|()| child.wait()));
            Err(Report::new(ExitCode::Failure, "the background instance did not get ready and was ended")
                .details(tail(&mut log, before))
                .cause(format!("it did not answer within {} s", START_TIMEOUT.as_secs())))
        }
        Err(error) => Err(failed("it cannot be waited for".to_owned(), &error)),
    }
}

fn command(program: &Path, directory: &RuntimeDirectory, home: &Home) -> Command {
    let mut command = Command::new(program);
    command.arg("background").stdin(Stdio::null()).env_clear().envs(kept(std::env::vars_os()));
    // Said in full, because it does not stay in this directory.
    command.env("STEAD_HOME", home.path()).env("STEAD_RUNTIME_DIR", directory.path()).current_dir("/");
    command
}

fn kept(variables: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (OsString, OsString)> {
    variables.filter(|(name, _)| is_kept(name))
}

fn is_kept(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    KEPT_VARIABLES.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn watch(directory: &RuntimeDirectory) -> io::Result<std::os::fd::OwnedFd> {
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(
        &changes,
        directory.path(),
        inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO,
    )?;
    Ok(changes)
}

enum Waited {
    Started,
    Ended(std::process::ExitStatus),
    Silent,
}

/// Until it has registered itself or ended.
fn wait(child: &mut Child, directory: &RuntimeDirectory, changes: &impl AsFd) -> io::Result<Waited> {
    let deadline = Instant::now() + START_TIMEOUT;
    let process = super::ending::watch(child.id());
    let mut drained = [0; 4096];
    loop {
        if directory.background().ok().flatten().is_some_and(|found| found.keeper_pid == child.id()) {
            return Ok(Waited::Started);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Waited::Ended(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Waited::Silent);
        }
        let mut waiting = vec![PollFd::new(changes, PollFlags::IN)];
        waiting.extend(process.as_ref().map(|process| PollFd::new(process, PollFlags::IN)));
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut waiting, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
        // What happened is seen by looking; the reports themselves are only thrown away.
        while rustix::io::read(changes, &mut drained).is_ok_and(|count| count > 0) {}
    }
}

/// What it said since it was started.
fn tail(log: &mut File, before: u64) -> String {
    let end = log.seek(SeekFrom::End(0)).unwrap_or(before);
    let from = before.max(end.saturating_sub(LOG_TAIL_BYTES));
    let mut text = Vec::new();
    // What cannot be read is not worth another error.
    drop(log.seek(SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut text)));
    let text = String::from_utf8_lossy(&text);
    text.lines().map(|line| format!("  | {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::{Printed, directory};
    use std::os::unix::fs::PermissionsExt;

    struct Stage {
        folder: tempfile::TempDir,
        directory: RuntimeDirectory,
        home: Home,
    }

    fn stage() -> Stage {
        let (folder, directory) = directory();
        let path = folder.path().join("home");
        let home = Home::of(|name| (name == "STEAD_HOME").then(|| path.clone().into()));
        Stage { folder, directory, home }
    }

    impl Stage {
        /// A program in the place of the real one.
        fn program(&self, script: &str) -> PathBuf {
            let path = self.folder.path().join("program");
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            path
        }

        async fn ensure(&self, program: &Path) -> (Result<Background, Report>, String) {
            let printed = Printed::default();
            let result = ensure_by(program, &self.directory, &self.home, &mut printed.output(false)).await;
            (result, printed.text())
        }
    }

    /// Registers itself as the real one does; the socket need not answer while its keeper lives.
    const REGISTER: &str = r#"
        : > "$STEAD_RUNTIME_DIR/$$.sock"
        echo $$ > "$STEAD_RUNTIME_DIR/new" && mv "$STEAD_RUNTIME_DIR/new" "$STEAD_RUNTIME_DIR/background.pid""#;

    #[tokio::test]
    async fn it_is_started_once_and_found_afterwards() {
        let stage = stage();
        let program = stage.program(&format!(
            "echo hello; env > \"$STEAD_HOME/env\"; {REGISTER}; exec cat \"$STEAD_HOME/hold\""
        ));
        std::fs::create_dir(stage.home.path()).unwrap();
        // It lives as long as nobody opens the other end.
        Command::new("mkfifo").arg(stage.home.path().join("hold")).status().unwrap();
        let (first, said) = stage.ensure(&program).await;
        let (second, silent) = stage.ensure(Path::new("/nonexistent")).await;
        assert_eq!(first.unwrap().client.socket(), second.unwrap().client.socket());
        assert!(said.contains("started the background instance (pid "), "{said}");
        assert_eq!(silent, "");
        assert_eq!(std::fs::read_to_string(stage.home.daemon_log()).unwrap(), "hello\n");
        let variables = std::fs::read_to_string(stage.home.path().join("env")).unwrap();
        assert!(variables.contains("STEAD_HOME=/") && !variables.contains("CARGO"), "{variables}");
        // Lets it end.
        drop(OpenOptions::new().write(true).open(stage.home.path().join("hold")).unwrap());
    }

    #[tokio::test]
    async fn one_that_ends_at_once_is_quoted() {
        let stage = stage();
        let program = stage.program("echo 'error: no room'; exit 4");
        let report = stage.ensure(&program).await.0.unwrap_err();
        let expected =
            "error: the background instance did not start\n  | error: no room\n  caused by: exit status: 4\n";
        assert_eq!((report.to_string().as_str(), report.code), (expected, ExitCode::Address));
    }

    #[tokio::test]
    async fn a_home_that_cannot_be_made_is_named() {
        let stage = stage();
        std::fs::write(stage.home.path(), "a file").unwrap();
        let report = stage.ensure(Path::new("/nonexistent")).await.0.unwrap_err();
        let text = report.to_string().replace(stage.folder.path().to_str().unwrap(), "<folder>");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn it_takes_over_only_what_every_program_needs() {
        let check = |name: &str, expected: bool| assert_eq!(is_kept(OsStr::new(name)), expected, "{name}");
        check("PATH", true);
        check("STEAD_RUNTIME_DIR", true);
        check("LC_ALL", true);
        check("DATABASE_PASSWORD", false);
        check("NODE_OPTIONS", false);
        check("NOTIFY_SOCKET", false);
    }
}
