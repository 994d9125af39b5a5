//! One instance of Stead: starts the apps of the configuration, hears signals and the control API, and ends when they have.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use stead_balancer::Lanes;
use stead_control::{Definition, RuntimeDirectory, Server};
use stead_logs::Taps;
use stead_process::cgroup::Cgroups;
use stead_process::keeper::{Event, Events, Inheritance, Keeper, Welcome};
use tokio::sync::{broadcast, watch};

use super::access::AccessLogs;
use super::children::Children;
use super::console::Console;
use super::definition::{self, Origin};
use super::exchange::Exchange;
use super::fleet::Convoy;
use super::folder::Folder;
use super::held::{self, Held};
use super::listeners::Listeners;
use super::operator::Desk;
use super::pool::Register;
use super::registry::Registry;
use super::resume::Estate;
use super::sample::Sampler;
use super::shared::{Shared, refused};
use super::successor::Successor;
use super::{relief, signals, start, state};
use crate::cli::{self, ExitCode, Report};
use crate::config::{self, AppSettings, ConfigError, Settings};

/// Events that may wait for a slow reader of the control API.
const EVENTS_MAX: usize = 1024;
/// The name of what holds for the whole instance.
const FRAME: &str = "frame";
/// What a service manager waits for.
const READY: &str = "READY=1";
/// Descriptors a worker may have, and this process: as many as the system permits up to this.
const OPEN_FILES_MAX: u64 = 65_536;

/// What this instance is for.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// `stead run`: these words, on this terminal, until they have ended.
    Foreground(Vec<OsString>),
    /// `stead start` and its kind: whatever it is asked for, until it is ended.
    Background {
        /// Start what was saved.
        resurrect: bool,
    },
}

/// Runs the daemon: connects to the keeper that started it, and carries out what it is for.
pub fn run(purpose: &Purpose) -> ExitCode {
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
        let outcome = match prepare(purpose, &keeper, welcome).await {
            Ok(instance) => instance.serve(events).await,
            Err(report) => Outcome::Ended(cli::output::error(&report)),
        };
        match outcome {
            Outcome::Relieved => ExitCode::Ok,
            Outcome::Ended(code) => {
                keeper.finish(code.into());
                code
            }
        }
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

/// How a daemon's work ended.
enum Outcome {
    /// With everything that ran.
    Ended(ExitCode),
    /// Another daemon does it now.
    Relieved,
}

struct Instance {
    shared: Arc<Shared>,
    frame: Frame,
    begin: Beginning,
    server: Server,
    /// For workers alone.
    counter: Server,
}

/// What an instance begins with.
enum Beginning {
    /// The apps of these words.
    Apps(Arc<Definition>, Settings),
    /// Nothing: apps come later, or from what was saved.
    Empty,
    /// What the daemon before this one left, and the way to it if it is still there.
    Estate(Estate, Option<OwnedFd>),
}

/// What holds for the whole instance, and outlives its daemons.
#[derive(Debug, Serialize, Deserialize)]
struct Frame {
    background: bool,
    json: bool,
    lanes: u32,
    /// What was saved is not all started yet.
    #[serde(default)]
    resurrects: bool,
}

/// The frame of a new instance, and what it begins with.
fn plan(purpose: &Purpose) -> Result<(Frame, Beginning), Report> {
    let arguments = match purpose {
        Purpose::Foreground(arguments) => arguments,
        Purpose::Background { resurrect } => {
            let lanes = config::lanes_default();
            let frame = Frame { background: true, json: false, lanes, resurrects: *resurrect };
            return Ok((frame, Beginning::Empty));
        }
    };
    let definition =
        definition::here(arguments).map_err(|error| Report::from(&ConfigError::NoCurrentDirectory(error)))?;
    let settings = definition::evaluate(&definition)?;
    let frame = Frame { background: false, json: settings.json, lanes: settings.lanes, resurrects: false };
    Ok((frame, Beginning::Apps(Arc::new(definition), settings)))
}

/// Everything that can fail before the first worker is started.
async fn prepare(purpose: &Purpose, keeper: &Keeper, welcome: Welcome) -> Result<Instance, Report> {
    let failed = |what: &str, error: &dyn std::error::Error| {
        Report::new(ExitCode::Failure, format!("failed to {what}")).cause(cli::in_one_line(error))
    };
    let directory = RuntimeDirectory::here();
    directory.create()?;
    // Others' remains; what cannot be removed harms nobody.
    drop(directory.sweep());
    let Inheritance { children, held, lost, peer } =
        keeper.take_over().await.map_err(|error| failed("take over from the keeper", &error))?;
    // No other daemon starts workers any more.
    let cgroups = Cgroups::of_parent();
    cgroups.sweep();
    let mut held = Held::new(held);
    let (frame, begin) = match held.take(FRAME).and_then(|memory| state::read(memory).ok()) {
        Some(frame) => (frame, None),
        None => plan(purpose).map(|(frame, begin)| (frame, Some(begin)))?,
    };
    let frame: Frame = frame;
    let folder = Folder::open(directory.path(), welcome.keeper_pid, welcome.daemon_starts)
        .map_err(|error| failed("make a folder for sockets", &error))?;
    let server = control(&directory, &welcome, keeper, &mut held)?;
    let worker_socket = directory.worker_socket(welcome.keeper_pid);
    let counter = counter(&directory, &worker_socket, keeper, &mut held)?;
    if frame.background {
        own(&directory, &welcome, keeper, &mut held)?;
    }
    let lanes = Lanes::start(frame.lanes as usize).map_err(|error| failed("start threads", &error))?;
    let lanes = Arc::new(lanes);
    let shared = Shared {
        keeper: keeper.clone(),
        listeners: Arc::new(Listeners::new(Arc::clone(&lanes), keeper.clone())),
        lanes,
        children: Children::default(),
        console: Arc::new(Console::start(frame.json)),
        taps: Taps::start().map_err(|error| failed("start threads", &error))?,
        folder: Arc::new(folder),
        cgroups: Arc::new(cgroups),
        sampler: Sampler::start(),
        events: broadcast::Sender::new(EVENTS_MAX),
        open_files_max: raise_open_files(),
        keeper_pid: welcome.keeper_pid,
        daemon_starts: welcome.daemon_starts,
        started: (SystemTime::now(), Instant::now()),
        registry: Registry::new(),
        pools: Register::new(welcome.keeper_pid),
        convoy: Convoy::default(),
        background: frame.background,
        stopping: AtomicBool::new(false),
        access: AccessLogs::default(),
        exchange: Arc::new(Exchange::open(keeper, &mut held, welcome.daemon_starts)),
        worker_socket,
        failure: Mutex::default(),
        upgrade: Mutex::default(),
        predecessor: Mutex::default(),
        successor: Successor::default(),
    };
    if !lost.is_empty() {
        let text =
            format!("{} descriptors could not be taken over; the limit of open files is too low", lost.len());
        shared.console.say(None, &text);
    }
    let estate = Estate::new(held, children);
    let begin = match begin {
        None => Beginning::Estate(estate, peer),
        Some(begin) => {
            // Of a daemon that was killed while it began: now it begins anew.
            estate.discard(keeper);
            begin
        }
    };
    Ok(Instance { shared: Arc::new(shared), frame, begin, server, counter })
}

/// The control API: on the socket of the daemon before this one, where clients may be waiting, or on a new one.
fn control(
    directory: &RuntimeDirectory,
    welcome: &Welcome,
    keeper: &Keeper,
    held: &mut Held,
) -> Result<Server, Report> {
    let failed = |error: &dyn std::error::Error| {
        Report::new(ExitCode::Failure, "failed to open the control socket").cause(cli::in_one_line(error))
    };
    let socket = directory.socket(welcome.keeper_pid);
    let listener = match held.take(held::CONTROL) {
        Some(listener) => listener.into(),
        None => {
            let listener = stead_control::bind(&socket).map_err(|error| failed(&error))?;
            keeper.hold(held::CONTROL, listener.as_fd()).map_err(|error| failed(&error))?;
            listener
        }
    };
    Server::new(listener, socket).map_err(|error| failed(&error))
}

/// The socket for workers: on that of the daemon before this one, or on a new one. Those that run as another user have to get there.
fn counter(
    directory: &RuntimeDirectory,
    socket: &Path,
    keeper: &Keeper,
    held: &mut Held,
) -> Result<Server, Report> {
    let failed = |error: &dyn std::error::Error| {
        Report::new(ExitCode::Failure, "failed to open the socket for workers").cause(cli::in_one_line(error))
    };
    let listener = match held.take(held::WORKERS) {
        Some(listener) => listener.into(),
        None => {
            let listener = stead_control::bind_for_workers(socket).map_err(|error| failed(&error))?;
            keeper.hold(held::WORKERS, listener.as_fd()).map_err(|error| failed(&error))?;
            listener
        }
    };
    // Only root can run workers as others.
    if rustix::process::geteuid().is_root() {
        directory.let_through().map_err(|error| failed(&error))?;
    }
    Server::new(listener, socket.to_owned()).map_err(|error| failed(&error))
}

/// Makes this the user's only instance in the background, for as long as the keeper lives.
fn own(
    directory: &RuntimeDirectory,
    welcome: &Welcome,
    keeper: &Keeper,
    held: &mut Held,
) -> Result<(), Report> {
    let failed = |error: &dyn std::error::Error| {
        Report::new(ExitCode::Failure, "failed to become the background instance")
            .cause(cli::in_one_line(error))
    };
    if held.take(held::OWNER).is_none() {
        let path = directory.path().join("background.owner");
        let file = std::fs::File::options().create(true).write(true).truncate(false).open(path);
        let file = file.map_err(|error| failed(&error))?;
        // The lock belongs to the open file, which the keeper holds from here on.
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(runs_already(directory));
        }
        keeper.hold(held::OWNER, file.as_fd()).map_err(|error| failed(&error))?;
    }
    directory.register_background(welcome.keeper_pid).map_err(|error| failed(&error))
}

fn runs_already(directory: &RuntimeDirectory) -> Report {
    let report = Report::new(ExitCode::Failure, "the background instance runs already");
    let pid = std::fs::read_to_string(directory.background_pid()).unwrap_or_default();
    match directory.background() {
        Ok(None) if !pid.is_empty() => report
            .cause("its control socket has been removed, so that no command reaches it")
            .hint(format!("`kill {}` ends it and its apps in order", pid.trim())),
        _ => report.hint("`stead list` shows what it runs, `stead kill` ends it"),
    }
}

impl Instance {
    async fn serve(self, mut events: Events) -> Outcome {
        let Self { shared, frame, begin, server, counter } = self;
        begin_with(&shared, begin);
        // From here on the next daemon goes on instead of beginning.
        keep(&shared, &frame);
        if frame.resurrects {
            tokio::spawn(resurrect(Arc::clone(&shared), frame));
        } else if shared.goes_on() && !shared.is_stopping() {
            shared.keeper.notify(READY);
        }
        shared.keeper.serving();
        let (end, ended) = watch::channel(false);
        let desk = Arc::new(Desk(Arc::clone(&shared)));
        let ending = |mut ended: watch::Receiver<bool>| async move {
            // A sender that is gone means the same.
            drop(ended.wait_for(|ended| *ended).await);
        };
        tokio::spawn(Arc::clone(&shared.exchange).keep_time());
        let attending = tokio::spawn(counter.serve_workers(Arc::clone(&desk), ending(ended.clone())));
        let serving = tokio::spawn(server.also_for_workers(&desk).serve(desk, ending(ended)));
        let mut changes = shared.registry.changes();
        while shared.goes_on() {
            tokio::select! {
                event = events.next() => match event {
                    Event::Exited { child, exit } => shared.children.exited(child, exit),
                    Event::Signal(signal) => signals::hear(&shared, signal),
                    Event::UpgradeFailed { reason } => relief::failed(&shared, &reason),
                    Event::HandOver { peer } => {
                        end.send_replace(true);
                        relief::hand_over(&shared, peer).await;
                        return Outcome::Relieved;
                    }
                    // The keeper was killed: its children have been ended with it, and nobody waits for an answer.
                    Event::Lost => break,
                },
                _ = changes.changed() => (),
            }
        }
        end.send_replace(true);
        // What it says about its end is of no consequence any more.
        drop((serving.await, attending.await));
        shared.keeper.release(held::CONTROL);
        shared.keeper.release(held::WORKERS);
        shared.access.flush().await;
        Outcome::Ended(shared.conclude())
    }
}

/// Starts what it begins with, or goes on with it.
fn begin_with(shared: &Arc<Shared>, begin: Beginning) {
    let say = |text: &str| shared.console.say(None, text);
    match begin {
        Beginning::Apps(definition, settings) => {
            let origin = Origin::new(&definition, &settings);
            let Settings { apps, notes, .. } = settings;
            notes.iter().for_each(|note| shared.console.say(None, note));
            announce(shared, &apps);
            if let Err(error) = shared.convoy.join(&apps.iter().collect::<Vec<_>>(), &origin.groups) {
                shared.fail(Report::of(ExitCode::Usage, &error));
                return shared.stop(true);
            }
            for settings in apps {
                let rests = !settings.autostart;
                if let Err(error) = shared.add_app(settings, &origin, rests) {
                    shared.fail(refused(&error));
                    return shared.stop(true);
                }
            }
        }
        Beginning::Empty => say("ready for `stead start`"),
        Beginning::Estate(estate, peer) => {
            let workers = shared.resume(estate);
            match peer {
                Some(peer) => {
                    say(&format!("version {} has taken over", env!("CARGO_PKG_VERSION")));
                    let taking = tokio::spawn(relief::take_in(Arc::clone(shared), peer));
                    shared.predecessor.lock().unwrap_or_else(PoisonError::into_inner).replace(taking);
                }
                None => say(&format!("the daemon died and was started again; {workers} workers go on")),
            }
        }
    }
}

/// Lets the keeper keep the frame for the next daemon.
fn keep(shared: &Shared, frame: &Frame) {
    let kept = state::write(frame).and_then(|memory| shared.keeper.hold(FRAME, memory.as_fd()));
    if let Err(error) = kept {
        shared.console.say(None, &format!("a crash of the daemon would restart everything: {error}"));
    }
}

/// Starts what was saved, or what is left of it to start: the daemon before this one may have died meanwhile.
async fn resurrect(shared: Arc<Shared>, frame: Frame) {
    start::resurrect(Arc::clone(&shared)).await;
    keep(&shared, &Frame { resurrects: false, ..frame });
    shared.keeper.notify(READY);
}

fn announce(shared: &Shared, apps: &[AppSettings]) {
    apps.iter().for_each(|app| shared.console.know(&app.name));
    for app in apps {
        let count = app.instances;
        let workers = if count == 1 { "worker" } else { "workers" };
        shared.console.say(None, &format!("{}: {} ({count} {workers})", app.name, app.program.display));
    }
    let pid = shared.keeper_pid;
    shared.console.say(None, &format!("pid {pid}; `stead status` shows what runs, Ctrl-C ends it"));
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
