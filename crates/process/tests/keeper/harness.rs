//! A keeper under test, its daemons, and what can be seen of processes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command as Program, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use stead_process::keeper::{ChildId, Exit, Role, Signal};
use stead_process::spawn::SpawnSpec;
use tempfile::TempDir;

use crate::commands::{Command, Inherited, Report};

/// Longer than anything here takes; only a hanging test waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Stead {
    pub(crate) keeper: Child,
    listener: UnixListener,
    directory: TempDir,
}

impl Stead {
    pub(crate) fn start() -> Self {
        Self::start_as(|program| program)
    }

    /// With the keeper's process prepared by the test.
    pub(crate) fn start_as(prepare: impl FnOnce(&mut Program) -> &mut Program) -> Self {
        Self::start_program(Program::new(puppet()), prepare)
    }

    /// By a shell script, which is to `exec "$0" "$@"`.
    pub(crate) fn start_by(script: &str, prepare: impl FnOnce(&mut Program) -> &mut Program) -> Self {
        let mut program = Program::new("/bin/sh");
        program.arg("-c").arg(script).arg(puppet());
        Self::start_program(program, prepare)
    }

    fn start_program(mut program: Program, prepare: impl FnOnce(&mut Program) -> &mut Program) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("control");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let errors = File::create(directory.path().join("stderr")).expect("a file");
        program.arg("keeper").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let keeper = prepare(&mut program).spawn().expect("the puppet runs");
        Self { keeper, listener, directory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.keeper.id()
    }

    /// The daemon that connects next, and has taken over.
    #[track_caller]
    pub(crate) fn daemon(&self) -> Daemon {
        let mut daemon = self.successor();
        daemon.hear_inheritance();
        daemon
    }

    /// The daemon that connects next, whatever it is to do.
    #[track_caller]
    pub(crate) fn successor(&self) -> Daemon {
        wait_readable(&self.listener, "a daemon");
        let (stream, _) = self.listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut daemon = Daemon {
            stream: BufReader::new(stream),
            exits: Vec::new(),
            pid: 0,
            starts: 0,
            role: Role::First,
            held: Vec::new(),
            lost: 0,
            children: Vec::new(),
            peer: false,
        };
        let Report::Hello { pid, daemon_starts, keeper_pid, role } = daemon.hear() else {
            panic!("a daemon says hello first");
        };
        assert_eq!(keeper_pid, self.pid());
        Daemon { pid, starts: daemon_starts, role, ..daemon }
    }

    /// A path that is gone with this test.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("a plain path").to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file that was written")
    }

    /// What keeper and daemons wrote to standard error so far.
    pub(crate) fn words(&self) -> String {
        self.read("stderr")
    }

    /// Waits for the keeper's end.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait_end(self.pid());
        self.keeper.wait().expect("our own child").code()
    }

    /// Presses Ctrl-C until the keeper has ended.
    pub(crate) fn interrupt_until_end(&mut self) -> Option<i32> {
        let pidfd = pidfd_open(process(self.pid()), PidfdFlags::empty()).expect("our own child");
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        while poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&pause)).expect("a poll") == 0 {
            self.signal(Signal::INT);
        }
        self.exit_code()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_process(self.pid(), signal);
    }

    /// All children of the keeper, zombies too.
    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("procfs");
        children.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
    }
}

impl Drop for Stead {
    fn drop(&mut self) {
        // Already over in most tests.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

pub(crate) struct Daemon {
    stream: BufReader<UnixStream>,
    /// Ends that were heard of while waiting for something else.
    exits: Vec<(ChildId, Exit)>,
    pub(crate) pid: u32,
    pub(crate) starts: u32,
    pub(crate) role: Role,
    /// Names, and the files they stand for.
    pub(crate) held: Vec<(String, String)>,
    /// How many names came without what they stand for.
    pub(crate) lost: usize,
    pub(crate) children: Vec<Inherited>,
    /// There is a connection to the daemon before.
    pub(crate) peer: bool,
}

impl Daemon {
    pub(crate) fn tell(&mut self, command: &Command) {
        let line = serde_json::to_string(command).expect("plain data") + "\n";
        self.stream.get_mut().write_all(line.as_bytes()).expect("the daemon listens");
    }

    pub(crate) fn hear(&mut self) -> Report {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the daemon speaks in time");
        serde_json::from_str(&line).expect("a report")
    }

    #[track_caller]
    pub(crate) fn hear_inheritance(&mut self) {
        match self.hear() {
            Report::Inherited { children, held, lost, peer } => {
                (self.children, self.held, self.lost, self.peer) = (children, held, lost, peer);
            }
            other => panic!("not an inheritance: {other:?}"),
        }
    }

    /// The answer to a command. A short-lived child may be dead before its start is reported.
    pub(crate) fn ask(&mut self, command: &Command) -> Report {
        self.tell(command);
        loop {
            match self.hear() {
                Report::Exited { child, exit } => self.exits.push((child, exit)),
                answer => return answer,
            }
        }
    }

    /// Carries out a command that has no answer.
    #[track_caller]
    pub(crate) fn obey(&mut self, command: &Command) {
        assert_eq!(self.ask(command), Report::Done);
    }

    #[track_caller]
    pub(crate) fn spawn(&mut self, spec: SpawnSpec, files: &[&str]) -> (ChildId, u32) {
        let files = files.iter().map(ToString::to_string).collect();
        match self.ask(&Command::Spawn { spec, files }) {
            Report::Spawned { child, pid, .. } => (child, pid),
            other => panic!("not spawned: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn spawn_error(&mut self, spec: SpawnSpec) -> String {
        match self.ask(&Command::Spawn { spec, files: Vec::new() }) {
            Report::NotSpawned { error } => error,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A shell whose standard output is a new file; returns once the script wrote a line.
    #[track_caller]
    pub(crate) fn shell(&mut self, stead: &Stead, script: &str) -> (ChildId, u32, String) {
        let path = stead.path("first-line");
        let pipe = open_fifo(&path);
        let (child, pid) = self.spawn(SpawnSpec { descriptors: vec![1], ..shell(script) }, &[&path]);
        wait_readable(&pipe, "a line");
        let mut line = String::new();
        BufReader::new(pipe).read_line(&mut line).expect("a line");
        std::fs::remove_file(&path).expect("our own file");
        (child, pid, line.trim().to_owned())
    }

    /// Waits until the child is reaped. What it took from the machine is left out.
    #[track_caller]
    pub(crate) fn exit_of(&mut self, child: ChildId) -> Exit {
        if let Some(known) = self.exits.iter().position(|(exited, _)| *exited == child) {
            return plain(self.exits.remove(known).1);
        }
        match self.hear() {
            Report::Exited { child: exited, exit } if exited == child => plain(exit),
            other => panic!("not the end of {child}: {other:?}"),
        }
    }

    /// Returns once the keeper has read everything that was sent to it before.
    pub(crate) fn settle(&mut self) {
        self.spawn_error(SpawnSpec::new(""));
    }

    /// Waits until this daemon is the keeper's only child. Nothing tells when another process reaps, so the keeper is
    /// kept turning meanwhile.
    #[track_caller]
    pub(crate) fn settle_alone(&mut self, stead: &Stead) {
        let deadline = Instant::now() + PATIENCE;
        while stead.children() != [self.pid] {
            assert!(Instant::now() < deadline, "left: {:?}", stead.children());
            self.settle();
        }
    }

    pub(crate) fn kill(&self) {
        signal_process(self.pid, Signal::KILL);
    }
}

/// An exit without what it took, which is never twice the same.
pub(crate) fn plain(exit: Exit) -> Exit {
    assert!(exit.rusage.is_some(), "the system tells it always");
    Exit { rusage: None, ..exit }
}

pub(crate) fn puppet() -> PathBuf {
    let test = std::env::current_exe().expect("a running test");
    let built = test.parent().and_then(|deps| deps.parent()).expect("target/debug/deps");
    let puppet = built.join("examples/puppet");
    assert!(
        puppet.exists(),
        "`cargo test -p stead-process` builds the puppet, `--test keeper` alone does not"
    );
    puppet
}

/// A shell script with the `PATH` of the tests.
pub(crate) fn shell(script: &str) -> SpawnSpec {
    SpawnSpec {
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())],
        ..SpawnSpec::new("/bin/sh")
    }
}

pub(crate) fn exit_code(code: i32) -> Exit {
    Exit { code: Some(code), ..Exit::default() }
}

pub(crate) fn killed_by(signal: Signal) -> Exit {
    Exit { signal: Some(signal.number()), ..Exit::default() }
}

/// A line of `/proc/<pid>/status`.
pub(crate) fn status_field(status: &str, field: &str) -> String {
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {field} in {status}")).trim().to_owned()
}

pub(crate) fn signal_process(pid: u32, signal: Signal) {
    let signal = rustix::process::Signal::from_named_raw(signal.number()).expect("a named signal");
    rustix::process::kill_process(process(pid), signal).expect("a process of the test");
}

/// Waits until a process is dead; it may be a zombie still, or gone since long.
#[track_caller]
pub(crate) fn wait_end(pid: u32) {
    match pidfd_open(process(pid), PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => (),
        pidfd => wait_readable(&pidfd.expect("a pidfd"), "the end of a process"),
    }
}

pub(crate) fn exists(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

#[track_caller]
fn wait_readable(descriptor: &impl std::os::fd::AsFd, what: &str) {
    let patience = Timespec::try_from(PATIENCE).expect("a short time");
    let ready = poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&patience)).expect("a poll");
    assert!(ready > 0, "waited in vain for {what}");
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).expect("a pid")
}

fn open_fifo(path: &str) -> File {
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("a fifo");
    // For writing too, so that neither opening nor the end of a writer matters.
    File::options().read(true).write(true).open(path).expect("a fifo")
}
