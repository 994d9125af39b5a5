//! What all tasks of an instance share, and the list of its apps.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use stead_balancer::Lanes;
use stead_control::{AppStatus, Event as Heard, Home, Progress, Status, Text};
use stead_logs::Taps;
use stead_process::cgroup::Cgroups;
use stead_process::keeper::Keeper;
use stead_supervisor::App;
use stead_supervisor::fleet::Input;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use super::access::AccessLogs;
use super::app::{self, AppTask, Parts};
use super::children::Children;
use super::console::Console;
use super::definition::Origin;
use super::exchange::Exchange;
use super::fleet::Convoy;
use super::folder::Folder;
use super::listeners::{Listeners, conflict_in};
use super::message::Message;
use super::pool::Register;
use super::ports::{ListenError, Ports};
use super::registry::{AppHandle, Registry};
use super::sample::Sampler;
use super::settings::{Shown, for_supervisor};
use super::successor::Successor;
use crate::cli::{self, ExitCode, Report};
use crate::config::AppSettings;

/// What the tasks of one instance share.
pub(super) struct Shared {
    pub(super) keeper: Keeper,
    pub(super) lanes: Arc<Lanes>,
    pub(super) listeners: Arc<Listeners>,
    pub(super) children: Children,
    pub(super) console: Arc<Console>,
    pub(super) taps: Taps,
    pub(super) folder: Arc<Folder>,
    pub(super) cgroups: Arc<Cgroups>,
    pub(super) sampler: Arc<Sampler>,
    pub(super) events: broadcast::Sender<Heard>,
    pub(super) open_files_max: u64,
    pub(super) keeper_pid: u32,
    pub(super) daemon_starts: u32,
    pub(super) started: (SystemTime, Instant),
    pub(super) registry: Registry,
    pub(super) pools: Register,
    pub(super) convoy: Convoy,
    pub(super) upgrade: Mutex<Option<mpsc::Sender<Progress>>>,
    /// Takes in what the daemon before this one passes on, until that has left.
    pub(super) predecessor: Mutex<Option<JoinHandle<()>>>,
    /// Set once another daemon has taken over.
    pub(super) successor: Successor,
    /// It goes on when nothing runs, and has no terminal.
    pub(super) background: bool,
    pub(super) stopping: AtomicBool,
    pub(super) access: AccessLogs,
    pub(super) exchange: Arc<Exchange>,
    /// Where workers ask for what is theirs to ask for.
    pub(super) worker_socket: PathBuf,
    /// The first failure, which the instance ends with when nothing is left to run.
    pub(super) failure: Mutex<Option<Report>>,
}

impl Shared {
    /// Adds an app that has [joined](Convoy::join) the others, and starts it, as soon as all it needs is there, unless it is to
    /// rest.
    pub(super) fn add_app(
        self: &Arc<Self>,
        settings: AppSettings,
        origin: &Origin,
        rests: bool,
    ) -> Result<(), ListenError> {
        let (inbox, messages) = mpsc::unbounded_channel();
        let id = self.registry.next_id();
        let settings = Arc::new(settings);
        let mut ports = Ports::new(id, (&self.lanes, &self.listeners), self.keeper.clone(), inbox.clone());
        ports.access = self.access.open(&settings, &self.console, self.background);
        if rests {
            ports.stand_by(&settings, Vec::new());
        } else {
            ports.bind_configured(&settings)?;
        }
        self.console.know(&settings.name);
        let shown = Shown { serves: !ports.is_empty(), was_ready: false };
        let machine = App::new(for_supervisor(&settings, shown), self.seed());
        let name = settings.name.clone();
        let parts = Parts { id, settings, origin: origin.clone(), machine, ports, shown };
        let mut task = AppTask::new(parts, self, inbox);
        task.rests = rests;
        task.waits = !rests;
        self.registry.add(task.handle());
        task.introduce();
        // Before anything else happens, so that a crash cannot forget it.
        task.save();
        tokio::spawn(app::run(task, messages));
        if !rests {
            // It may have been waited for before it was there.
            let down = Input::Down { app: name.clone() };
            self.convoy.tell(&self.registry, &[down, Input::Wanted { app: name, wanted: true }]);
        }
        Ok(())
    }

    /// The longest grace period of an app.
    pub(super) fn grace(&self) -> Duration {
        self.registry.all().iter().map(|app| app.grace).max().unwrap_or_default()
    }

    /// Decides the jitter of backoffs.
    pub(super) fn seed(&self) -> u64 {
        u64::from(self.keeper_pid)
    }

    /// Messages to workers are numbered from here, so that an answer to the daemon before this one is not taken for one to us.
    pub(super) fn first_number(&self) -> u64 {
        u64::from(self.daemon_starts) << 32
    }

    /// There is, or will be, something to do.
    pub(super) fn goes_on(&self) -> bool {
        self.registry.is_busy() || (self.background && !self.is_stopping())
    }

    /// Who waits for the end of an upgrade.
    pub(super) fn upgrading(&self) -> MutexGuard<'_, Option<mpsc::Sender<Progress>>> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self, now: bool) {
        self.stopping.store(true, Ordering::Relaxed);
        if now {
            return self.registry.tell_all(|| Message::Stop { now });
        }
        // Those that others need are stopped after them.
        let unwanted = |app: AppHandle| Input::Wanted { app: app.name, wanted: false };
        let unwanted: Vec<Input> = self.registry.all().into_iter().map(unwanted).collect();
        self.convoy.tell(&self.registry, &unwanted);
        self.registry.tell_all(|| Message::Retire);
        // Without an app nobody else would.
        self.registry.ring();
    }

    /// An app never got ready and will not.
    pub(super) fn app_failed(&self, app: &AppSettings, reason: &str, refusal: Option<ListenError>) {
        let name = &app.name;
        let hint = match self.background {
            true => format!("`stead logs {name}` shows what it printed"),
            false => "see what it printed above".to_owned(),
        };
        let report = match refusal {
            Some(error) => refused(&error),
            None => {
                let message = format!("{} `{name}` did not start", app.kind());
                Report::new(ExitCode::Program, message).cause(reason).hint(hint)
            }
        };
        self.registry.set_failure(name, Some(&report.clone().into()));
        self.fail(report);
    }

    pub(super) fn fail(&self, report: Report) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(report);
    }

    pub(super) fn conclude(&self) -> ExitCode {
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
            background: self.background,
            home: Some(Text::from(Home::here().path())),
            apps,
        }
    }
}

/// What to tell about an address that could not be had.
pub(super) fn refused(error: &ListenError) -> Report {
    let report = Report::of(ExitCode::Address, error);
    if let Some(conflict) = conflict_in(&error.source) {
        return report.hint(conflict.hint());
    }
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
