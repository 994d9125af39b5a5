//! One instance of Stead: starts the apps of the configuration, hears signals and the control API, and ends when they have.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stead_balancer::Lanes;
use stead_control::{RuntimeDirectory, Server};
use stead_process::keeper::{Event, Events, Keeper, Signal, Welcome};
use tokio::sync::{broadcast, watch};

use super::children::Children;
use super::console::Console;
use super::folder::Folder;
use super::operator::Desk;
use super::shared::{Shared, refused};
use super::signals;
use crate::cli::{self, ExitCode, Report, RunArguments};
use crate::config::{self, Settings};

/// Events that may wait for a slow reader of the control API.
const EVENTS_MAX: usize = 1024;
/// Descriptors a worker may have, and this process: as many as the system permits up to this.
const OPEN_FILES_MAX: u64 = 65_536;

/// Runs the daemon: connects to the keeper that started it, and carries out what `stead run` was asked.
pub fn run(arguments: &RunArguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::output::error(&Report::of(ExitCode::Failure, &error)),
    };
    runtime.block_on(async {
        let (keeper, events, welcome) = match Keeper::connect() {
            Ok(connected) => connected,
            Err(error) => {
                let report = Report::of(ExitCode::Usage, &error).hint("use `stead run`, which starts it");
                return cli::output::error(&report);
            }
        };
        let code = match start(arguments, &keeper, welcome).await {
            Ok(instance) => instance.serve(arguments, events).await,
            Err(report) => cli::output::error(&report),
        };
        keeper.finish(code.into());
        code
    })
}

/// Tells the keeper that the command line was wrong, and how to end.
pub fn decline(code: ExitCode) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Ok(runtime) = runtime {
        runtime.block_on(async {
            if let Ok((keeper, ..)) = Keeper::connect() {
                keeper.finish(code.into());
            }
        });
    }
    code
}

struct Instance {
    shared: Arc<Shared>,
    held: HashMap<String, OwnedFd>,
    settings: Settings,
    socket: PathBuf,
    server: Server,
}

/// Everything that can fail before the first worker is started.
async fn start(arguments: &RunArguments, keeper: &Keeper, welcome: Welcome) -> Result<Instance, Report> {
    let settings = config::load(arguments).map_err(|error| Report::from(&error))?;
    let failed = |what: &str, error: &dyn std::error::Error| {
        Report::new(ExitCode::Failure, format!("failed to {what}")).cause(cli::in_one_line(error))
    };
    let directory = RuntimeDirectory::here();
    directory.create().map_err(|error| failed("make the runtime directory", &error))?;
    // Others' remains; what cannot be removed harms nobody.
    drop(directory.sweep());
    let folder = Folder::create(directory.path(), welcome.keeper_pid)
        .map_err(|error| failed("make a folder for sockets", &error))?;
    let socket = directory.socket(welcome.keeper_pid);
    let listener = stead_control::bind(&socket).map_err(|error| failed("open the control socket", &error))?;
    let server =
        Server::new(listener, socket.clone()).map_err(|error| failed("open the control socket", &error))?;
    let lanes = Lanes::start(settings.lanes as usize).map_err(|error| failed("start threads", &error))?;
    let names = settings.apps.iter().map(|app| app.name.clone()).collect();
    let shared = Shared {
        keeper: keeper.clone(),
        lanes: Arc::new(lanes),
        children: Children::default(),
        console: Arc::new(Console::start(settings.json, names)),
        folder: Arc::new(folder),
        events: broadcast::Sender::new(EVENTS_MAX),
        open_files_max: raise_open_files(),
        keeper_pid: welcome.keeper_pid,
        daemon_starts: welcome.daemon_starts,
        started: (SystemTime::now(), Instant::now()),
        apps: Mutex::default(),
        stopping: AtomicBool::new(false),
        failure: Mutex::default(),
        ended: watch::Sender::new(0),
    };
    let inheritance =
        keeper.take_over().await.map_err(|error| failed("take over from the keeper", &error))?;
    // Workers are started afresh; those of an earlier daemon are ended.
    for child in inheritance.children {
        match child.exit {
            Some(_) => keeper.bury(child.id),
            None => keeper.signal(child.id, Signal::KILL),
        }
    }
    let held = inheritance.held.into_iter().collect();
    Ok(Instance { shared: Arc::new(shared), held, settings, socket, server })
}

impl Instance {
    async fn serve(mut self, arguments: &RunArguments, mut events: Events) -> ExitCode {
        self.announce();
        for settings in std::mem::take(&mut self.settings.apps) {
            if let Err(error) = self.shared.start_app(settings, &mut self.held) {
                self.shared.fail(refused(&error));
                self.shared.stop(true);
                break;
            }
        }
        self.shared.keeper.serving();
        let (end, ended) = watch::channel(false);
        let desk = Arc::new(Desk(Arc::clone(&self.shared)));
        let serving = tokio::spawn(self.server.serve(desk, async move {
            let mut ended = ended;
            // A sender that is gone means the same.
            drop(ended.wait_for(|ended| *ended).await);
        }));
        let shared = self.shared;
        let mut apps_ended = shared.ended.subscribe();
        while !shared.apps().is_empty() {
            tokio::select! {
                event = events.next() => match event {
                    Event::Exited { child, exit } => {
                        shared.children.exited(child, exit);
                        shared.keeper.bury(child);
                    }
                    Event::Signal(signal) => signals::hear(&shared, arguments, signal),
                    // Nothing asks for a successor.
                    Event::HandOver { .. } | Event::UpgradeFailed { .. } => (),
                    // The keeper was killed: its children have been ended with it, and nobody waits for an answer.
                    Event::Lost => break,
                },
                _ = apps_ended.changed() => (),
            }
        }
        end.send_replace(true);
        // What it says about its end is of no consequence any more.
        drop(serving.await);
        drop(self.socket);
        shared.conclude()
    }

    fn announce(&self) {
        let shared = &self.shared;
        if shared.daemon_starts > 1 {
            return shared
                .console
                .say(None, "the daemon died and was started again; all workers are started afresh");
        }
        for app in &self.settings.apps {
            let count = app.instances;
            let workers = if count == 1 { "worker" } else { "workers" };
            shared.console.say(None, &format!("{}: {} ({count} {workers})", app.name, app.program.display));
        }
        let pid = shared.keeper_pid;
        shared.console.say(None, &format!("pid {pid}; `stead status` shows what runs, Ctrl-C ends it"));
    }
}

/// Lets this process have as many descriptors as it may; returns how many workers may have.
fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(OPEN_FILES_MAX).min(OPEN_FILES_MAX);
    let wanted = most.max(limit.current.unwrap_or(0));
    // What the system refuses is less than we could use, nothing worse.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    wanted
}
