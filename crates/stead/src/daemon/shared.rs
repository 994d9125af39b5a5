//! What all tasks of an instance share, and the list of its apps.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use stead_balancer::Lanes;
use stead_control::{AppStatus, Event as Heard, Status};
use stead_process::keeper::Keeper;
use stead_supervisor::App;
use tokio::sync::{broadcast, mpsc};

use super::app::{self, AppTask};
use super::children::Children;
use super::console::Console;
use super::definition::Definition;
use super::folder::Folder;
use super::message::Message;
use super::ports::{ListenError, Ports};
use super::registry::{AppHandle, Registry};
use super::settings::{Shown, for_supervisor};
use crate::cli::{self, ExitCode, Report};
use crate::config::AppSettings;

/// What the tasks of one instance share.
pub(super) struct Shared {
    pub(super) keeper: Keeper,
    pub(super) lanes: Arc<Lanes>,
    pub(super) children: Children,
    pub(super) console: Arc<Console>,
    pub(super) folder: Arc<Folder>,
    pub(super) events: broadcast::Sender<Heard>,
    pub(super) open_files_max: u64,
    pub(super) keeper_pid: u32,
    pub(super) daemon_starts: u32,
    pub(super) started: (SystemTime, Instant),
    pub(super) registry: Registry,
    /// It goes on when nothing runs, and has no terminal.
    pub(super) background: bool,
    pub(super) stopping: AtomicBool,
    /// The first failure, which the instance ends with when nothing is left to run.
    pub(super) failure: Mutex<Option<Report>>,
}

impl Shared {
    /// Starts an app. It takes over the listeners of its name that `held` has, from the daemon before this one.
    pub(super) fn start_app(
        self: &Arc<Self>,
        settings: AppSettings,
        definition: &Arc<Definition>,
        held: &mut HashMap<String, OwnedFd>,
    ) -> Result<(), ListenError> {
        let (inbox, messages) = mpsc::unbounded_channel();
        let lanes = Arc::clone(&self.lanes);
        let own = format!("{} ", settings.name);
        let held = held.extract_if(|name, _| name.starts_with(&own)).collect();
        let mut ports = Ports::new(&settings.name, lanes, (self.keeper.clone(), held), inbox.clone());
        ports.bind_configured(&settings)?;
        let shown = Shown { serves: !ports.is_empty(), was_ready: false };
        let config = for_supervisor(&settings, shown);
        let id = self.registry.next_id();
        self.registry.add(AppHandle {
            id,
            name: settings.name.clone(),
            definition: Arc::clone(definition),
            inbox: inbox.clone(),
            rests: false,
        });
        self.console.know(&settings.name);
        let task = AppTask {
            id,
            settings: Arc::new(settings),
            shared: Arc::clone(self),
            machine: App::new(config, u64::from(self.keeper_pid)),
            workers: std::collections::BTreeMap::new(),
            ports,
            inbox,
            reloads: HashMap::new(),
            next_reload: 1,
            shown,
            refusal: None,
            last_exits: HashMap::new(),
            exits: super::report::Exits::default(),
            rests: false,
            leaving: false,
        };
        tokio::spawn(app::run(task, messages));
        Ok(())
    }

    /// There is, or will be, something to do.
    pub(super) fn goes_on(&self) -> bool {
        self.registry.is_busy() || (self.background && !self.is_stopping())
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self, now: bool) {
        self.stopping.store(true, Ordering::Relaxed);
        self.registry.tell_all(|| Message::Stop { now });
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
            apps,
        }
    }
}

/// What to tell about an address that could not be had.
pub(super) fn refused(error: &ListenError) -> Report {
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
