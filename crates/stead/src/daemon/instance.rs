//! One instance of Stead: starts the apps of the configuration, hears signals and the control API, and ends when they have.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stead_balancer::Lanes;
use stead_control::{AppStatus, Event as Heard, RuntimeDirectory, Server, Status};
use stead_process::keeper::{Event, Events, Keeper, Signal, Welcome};
use stead_supervisor::App;
use tokio::sync::{broadcast, mpsc, watch};

use super::app::{self, AppTask};
use super::children::Children;
use super::console::Console;
use super::folder::Folder;
use super::message::Message;
use super::operator::Desk;
use super::ports::{ListenError, Ports};
use super::settings::{Shown, for_supervisor};
use crate::cli::{self, ExitCode, Report, RunArguments};
use crate::config::{self, AppSettings, Settings};

/// Events that may wait for a slow reader of the control API.
const EVENTS_MAX: usize = 1024;
/// Descriptors a worker may have, and this process: as many as the system permits up to this.
const OPEN_FILES_MAX: u64 = 65_536;

/// What the tasks of one instance share.
pub(super) struct Shared {
    pub(super) keeper: Keeper,
    pub(super) lanes: Arc<Lanes>,
    pub(super) children: Children,
    pub(super) console: Arc<Console>,
    pub(super) folder: Arc<Folder>,
    pub(super) events: broadcast::Sender<Heard>,
    pub(super) open_files_max: u64,
    keeper_pid: u32,
    daemon_starts: u32,
    started: (SystemTime, Instant),
    apps: Mutex<Vec<AppHandle>>,
    stopping: AtomicBool,
    /// The first failure, which the instance ends with when nothing is left to run.
    failure: Mutex<Option<Report>>,
    /// Rung when an app has ended.
    ended: watch::Sender<u32>,
}

/// A running app, to talk to.
#[derive(Clone)]
pub(super) struct AppHandle {
    pub(super) name: String,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
}

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
    let held = welcome.held.into_iter().collect();
    Ok(Instance { shared: Arc::new(shared), held, settings, socket, server })
}

impl Instance {
    async fn serve(mut self, arguments: &RunArguments, mut events: Events) -> ExitCode {
        self.announce();
        for settings in std::mem::take(&mut self.settings.apps) {
            if let Err(error) = self.start_app(settings) {
                let report = refused(&error);
                self.shared.fail(report);
                self.shared.stop(true);
                break;
            }
        }
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
                    Event::Exited { child, exit } => shared.children.exited(child, exit),
                    Event::Signal(signal) => hear_signal(&shared, arguments, signal),
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

    fn start_app(&mut self, settings: AppSettings) -> Result<(), ListenError> {
        let (inbox, messages) = mpsc::unbounded_channel();
        let lanes = Arc::clone(&self.shared.lanes);
        let own = format!("{} ", settings.name);
        let held = self.held.extract_if(|name, _| name.starts_with(&own)).collect();
        let mut ports = Ports::new(&settings.name, lanes, (self.shared.keeper.clone(), held), inbox.clone());
        ports.bind_configured(&settings)?;
        let serves = !ports.is_empty();
        let shown = Shown { serves, was_ready: false };
        let config = for_supervisor(&settings, shown);
        let handle = AppHandle { name: settings.name.clone(), inbox: inbox.clone() };
        let mut task = AppTask {
            settings: Arc::new(settings),
            shared: Arc::clone(&self.shared),
            machine: App::new(config, u64::from(self.shared.keeper_pid)),
            workers: std::collections::BTreeMap::new(),
            ports,
            inbox,
            reloads: HashMap::new(),
            next_reload: 1,
            shown,
            refusal: None,
            last_exits: HashMap::new(),
            exits: super::report::Exits::default(),
            ended: false,
        };
        if !task.settings.program.is_node {
            task.serve_configured();
        }
        self.shared.lock_apps().push(handle);
        tokio::spawn(app::run(task, messages));
        Ok(())
    }
}

fn refused(error: &ListenError) -> Report {
    let report = Report::of(ExitCode::Address, error);
    let hint = match error.source.kind() {
        std::io::ErrorKind::AddrInUse => "another program listens there: stop it, or choose another address",
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one"
        }
        std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => return report,
    };
    report.hint(hint)
}

fn hear_signal(shared: &Arc<Shared>, arguments: &RunArguments, signal: Signal) {
    if signal == Signal::INT || signal == Signal::TERM {
        let again = shared.is_stopping();
        let text = if again { "ending at once" } else { "stopping; once more ends it at once" };
        shared.console.say(None, text);
        shared.stop(again);
    } else if signal == Signal::USR2 {
        shared.console.say(None, "reloading");
        shared.tell_all(|| Message::Reload { progress: None });
    } else if signal == Signal::HUP {
        reread(shared, arguments);
    }
}

/// Takes over what changed in the configuration: for apps that run, by a rolling reload.
fn reread(shared: &Arc<Shared>, arguments: &RunArguments) {
    let settings = match config::load(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            let text = format!("the configuration was not taken over: {}", cli::in_one_line(&error));
            return shared.console.say(None, &text);
        }
    };
    shared.console.say(None, "configuration read again; reloading");
    let apps = shared.apps();
    for settings in settings.apps {
        match apps.iter().find(|app| app.name == settings.name) {
            Some(app) => {
                // An app that ends at this moment takes nothing over.
                drop(app.inbox.send(Message::Reconfigure(Box::new(settings))));
                drop(app.inbox.send(Message::Reload { progress: None }));
            }
            None => {
                let text = format!("app `{}` is new: it is started with the next `stead run`", settings.name);
                shared.console.say(None, &text);
            }
        }
    }
}

impl Shared {
    pub(super) fn apps(&self) -> Vec<AppHandle> {
        self.lock_apps().clone()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self, now: bool) {
        self.stopping.store(true, Ordering::Relaxed);
        self.tell_all(|| Message::Stop { now });
    }

    fn tell_all(&self, message: impl Fn() -> Message) {
        for app in self.apps() {
            // An app that ends at this moment needs not be told.
            drop(app.inbox.send(message()));
        }
    }

    pub(super) fn app_ended(&self, name: &str) {
        self.lock_apps().retain(|app| app.name != name);
        self.ended.send_modify(|count| *count += 1);
    }

    /// An app never got ready and will not.
    pub(super) fn app_failed(&self, name: &str, reason: &str, refusal: Option<ListenError>) {
        let report = match refusal {
            Some(error) => refused(&error),
            None => Report::new(ExitCode::Program, format!("app `{name}` did not start"))
                .cause(reason)
                .hint("see what it printed above"),
        };
        self.fail(report);
    }

    fn fail(&self, report: Report) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(report);
    }

    fn conclude(&self) -> ExitCode {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        // What workers printed comes first: it is the reason.
        self.console.end();
        failure.map_or(ExitCode::Ok, |report| cli::output::error(&report))
    }

    pub(super) fn status(&self, apps: Vec<AppStatus>) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            keeper_pid: self.keeper_pid,
            daemon_pid: std::process::id(),
            daemon_starts: self.daemon_starts,
            started: self.started.0,
            uptime: self.started.1.elapsed(),
            apps,
        }
    }

    fn lock_apps(&self) -> MutexGuard<'_, Vec<AppHandle>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
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
