//! Keeper and daemon in one program, like `stead`, but the daemon only does what a test tells it.
//!
//! `puppet keeper <socket>` runs the keeper; its daemons, `puppet daemon <socket>`, connect to the test's socket.

mod commands;

use std::error::Error;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use commands::{Command, Report};
use stead_process::descriptors;
use stead_process::keeper::{DaemonCommand, Keeper, Signal, run};
use stead_process::spawn::{SpawnError, SpawnSpec};
use tokio::runtime::Runtime;

/// Where the keeper puts the daemon's end of their socket.
const KEEPER_SOCKET: i32 = 3;

const EXIT_AFTER_FINISH: u8 = 99;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1..).unwrap_or_default() {
        [role, socket] if role == "keeper" => {
            let arguments = vec!["daemon".into(), socket.into()];
            ExitCode::from(run(DaemonCommand { program: "/proc/self/exe".into(), arguments }))
        }
        [role, socket] if role == "daemon" => match daemon(socket) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                // The test has gone, or the keeper has.
                let _ = writeln!(io::stderr(), "puppet: {error}");
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::FAILURE,
    }
}

fn daemon(socket: &str) -> Result<u8, Box<dyn Error>> {
    // Two threads: one obeys and may wait or hang, one listens to the keeper.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let (keeper, mut events, welcome) = Keeper::connect()?;
    let stream = UnixStream::connect(socket)?;
    let reports = Reports(Arc::new(Mutex::new(stream.try_clone()?)));
    let held = welcome.held.iter().map(|(name, descriptor)| Ok((name.clone(), path_of(descriptor)?)));
    reports.send(&Report::Hello {
        pid: std::process::id(),
        daemon_starts: welcome.daemon_starts,
        keeper_pid: welcome.keeper_pid,
        held: held.collect::<io::Result<_>>()?,
    });
    let heard = reports.clone();
    runtime.spawn(async move {
        loop {
            let report = Report::from(events.next().await);
            heard.send(&report);
            if report == Report::Lost {
                return;
            }
        }
    });
    drop(entered);
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        match serde_json::from_str(&line?)? {
            Command::Finish { code } => {
                keeper.finish(code);
                return Ok(EXIT_AFTER_FINISH);
            }
            Command::Exit { code } => return Ok(code),
            Command::Hang => {
                stop_reading(&runtime);
                reports.send(&Report::Done);
                // Until the test is over.
                lines.by_ref().for_each(drop);
                runtime.shutdown_background();
                return Ok(0);
            }
            Command::Flood { requests } => {
                stop_reading(&runtime);
                flood(requests)?;
                runtime.shutdown_background();
                return Err("the keeper takes everything".into());
            }
            command => reports.send(&runtime.block_on(obey(&keeper, command))?),
        }
    }
    Ok(0)
}

/// Occupies the one thread that would read from the keeper.
fn stop_reading(runtime: &Runtime) {
    let (sender, occupied) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        // Received below.
        let _ = sender.send(());
        loop {
            std::thread::park();
        }
    });
    occupied.recv().expect("the task runs");
}

async fn obey(keeper: &Keeper, command: Command) -> io::Result<Report> {
    match command {
        Command::Spawn { spec, files } => {
            let spawned = keeper.spawn(spec, open(&files)?).await;
            return Ok(match spawned {
                Ok(child) => Report::Spawned { child: child.id, pid: child.pid },
                Err(error) => Report::NotSpawned { error: in_words(&error) },
            });
        }
        Command::SpawnAndForget { spec, files } => {
            let descriptors = open(&files)?;
            let mut spawning = pin!(keeper.spawn(spec, descriptors));
            // Polled once, so that the request is sent, and dropped, mostly before anybody could answer.
            let answer = poll_fn(|context| Poll::Ready(spawning.as_mut().poll(context))).await;
            if let Poll::Ready(Ok(child)) = answer {
                keeper.signal(child.id, Signal::KILL);
            }
        }
        Command::Signal { child, signal } => keeper.signal(child, signal),
        Command::Hold { name, file } => {
            for descriptor in open(&[file])? {
                keeper.hold(&name, descriptor.as_fd())?;
            }
        }
        Command::Release { name } => keeper.release(&name),
        Command::FinishAndStay { code } => keeper.finish(code),
        Command::Raw { bytes } => write_raw(&bytes)?,
        Command::Finish { .. } | Command::Exit { .. } | Command::Hang | Command::Flood { .. } => {
            unreachable!("ends the daemon")
        }
    }
    Ok(Report::Done)
}

#[derive(Clone)]
struct Reports(Arc<Mutex<UnixStream>>);

impl Reports {
    fn send(&self, report: &Report) {
        let line = serde_json::to_string(report).expect("reports are plain data") + "\n";
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The test may be over.
        let _ = stream.write_all(line.as_bytes());
    }
}

fn open(files: &[String]) -> io::Result<Vec<OwnedFd>> {
    let open = |file| File::options().read(true).write(true).create(true).truncate(false).open(file);
    files.iter().map(|file| open(file).map(OwnedFd::from)).collect()
}

fn path_of(descriptor: &OwnedFd) -> io::Result<String> {
    use std::os::fd::AsRawFd;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))?;
    Ok(path.to_string_lossy().into_owned())
}

fn in_words(error: &SpawnError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Requests that fail before a process is created, so that only the answers cost anything.
fn flood(requests: u32) -> io::Result<()> {
    let spec = SpawnSpec { descriptors: vec![7], ..SpawnSpec::new("nothing") };
    let message = serde_json::json!({ "type": "spawn", "request": 0, "spec": spec }).to_string();
    let header = [(message.len() as u32).to_le_bytes(), 0_u32.to_le_bytes()].concat();
    for _ in 0..requests {
        // The keeper gives up on a daemon like this one, and then there is nobody to write to.
        write_raw(&[header.as_slice(), message.as_bytes()].concat())?;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the client owns the socket, and no client would write this")]
fn write_raw(mut bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the client keeps it open as long as this process lives.
    let socket = unsafe { BorrowedFd::borrow_raw(KEEPER_SOCKET) };
    while !bytes.is_empty() {
        match descriptors::send(socket, bytes, &[]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut polled = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::OUT)];
                rustix::event::poll(&mut polled, None)?;
            }
            taken => bytes = &bytes[taken?..],
        }
    }
    Ok(())
}
