//! Keeper and daemon in one program, like `stead`, but the daemon only does what a test tells it.
//!
//! `puppet keeper <socket>` runs the keeper; its daemons, `puppet daemon <socket>`, connect to the test's socket.

mod commands;
mod obedience;
mod raw;

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use commands::{Command, Report};
use obedience::{Puppet, Reports, take_over};
use stead_process::keeper::{DaemonCommand, FORMATS_VERB, Formats, Keeper, Role, run};
use tokio::runtime::Runtime;

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
        [verb] if verb == FORMATS_VERB => {
            let formats = serde_json::to_string(&Formats::new("0.0.1", 1)).expect("plain data");
            // Whoever asked has gone.
            let _ = writeln!(io::stdout(), "{formats}");
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

fn daemon(socket: &str) -> Result<u8, Box<dyn Error>> {
    // Two threads: one obeys and may wait or hang, one listens to the keeper.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let (keeper, events, welcome) = Keeper::connect()?;
    let stream = UnixStream::connect(socket)?;
    let puppet = Puppet::new(keeper.clone(), Reports::new(stream.try_clone()?));
    puppet.reports.send(&Report::Hello {
        pid: std::process::id(),
        daemon_starts: welcome.daemon_starts,
        keeper_pid: welcome.keeper_pid,
        role: welcome.role,
    });
    if welcome.role != Role::Successor {
        runtime.block_on(take_over(puppet.clone()));
    }
    runtime.spawn(puppet.clone().listen(events));
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
                puppet.reports.send(&Report::Done);
                // Until the test is over.
                lines.by_ref().for_each(drop);
                runtime.shutdown_background();
                return Ok(0);
            }
            Command::Flood { requests } => {
                stop_reading(&runtime);
                raw::flood(requests)?;
                runtime.shutdown_background();
                return Err("the keeper takes everything".into());
            }
            Command::TakeOver => drop(runtime.spawn(take_over(puppet.clone()))),
            command => {
                let report = runtime.block_on(puppet.obey(command))?;
                puppet.reports.send(&report);
            }
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
