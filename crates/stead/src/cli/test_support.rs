//! A fake instance behind a real control socket, and streams that remember what was printed.

use super::output::Output;
use std::cell::RefCell;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use stead_control::{
    AppStatus, Counters, Event, ExitReport, Instances, Latency, ListenStatus, Mode, Operator,
    PoisonedRequest, Progress, Refusal, ReloadStatus, RuntimeDirectory, Server, Status, StopRequest,
    WorkerState, WorkerStatus, bind,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Two apps: one that works and reloads, one that fails.
pub(super) fn status() -> Status {
    Status {
        version: "1.2.3".to_owned(),
        keeper_pid: 4242,
        daemon_pid: 4243,
        daemon_starts: 2,
        started: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        uptime: Duration::from_secs(11_531),
        apps: vec![shop(), api()],
    }
}

fn shop() -> AppStatus {
    let worker = |slot, state, replayed, last_exit| WorkerStatus {
        id: u64::from(slot) + 7,
        slot,
        pid: Some(5000 + slot),
        state,
        uptime: Some(Duration::from_secs(3725)),
        restarts: u64::from(slot),
        last_exit,
        retry_in: None,
        memory_bytes: Some(58_720_256),
        requests: 1_234_567,
        in_flight: 12,
        replayed,
    };
    let killed = ExitReport { code: None, signal: Some(9), out_of_memory: false, expected: false };
    AppStatus {
        name: "shop".to_owned(),
        mode: Mode::Auto,
        instances: Instances { wanted: 2, ready: 2 },
        listens: vec![ListenStatus { address: "[::]:8080".to_owned(), mode: Mode::Http }],
        workers: vec![
            worker(0, WorkerState::Ready, 0, None),
            worker(1, WorkerState::Draining, 3, Some(killed)),
            worker(1, WorkerState::Ready, 0, Some(ExitReport { code: Some(1), signal: None, ..killed })),
        ],
        reload: Some(ReloadStatus { done: 1, of: 2 }),
        counters: Counters {
            requests: 2_469_134,
            in_flight: 24,
            replayed: 3,
            held: 17,
            waiting: 5,
            poisoned: 1,
            refused: 8,
            failed: 2,
            connections: 200,
        },
        latency: Latency {
            p50: Some(Duration::from_micros(1_230)),
            p99: Some(Duration::from_millis(45)),
            ..Latency::default()
        },
    }
}

fn api() -> AppStatus {
    AppStatus {
        name: "api".to_owned(),
        mode: Mode::Http,
        instances: Instances { wanted: 1, ready: 0 },
        listens: Vec::new(),
        workers: vec![WorkerStatus {
            id: 9,
            slot: 0,
            pid: None,
            state: WorkerState::Failed,
            uptime: None,
            restarts: 11,
            last_exit: Some(ExitReport { code: None, signal: Some(9), out_of_memory: true, expected: false }),
            retry_in: Some(Duration::from_secs(29)),
            memory_bytes: None,
            requests: 0,
            in_flight: 0,
            replayed: 0,
        }],
        reload: None,
        counters: Counters::default(),
        latency: Latency::default(),
    }
}

/// An operator that does as the test says and writes down what it was asked.
pub(super) struct FakeOperator {
    pub(super) status: Status,
    /// What a reload reports.
    pub(super) steps: Vec<Progress>,
    pub(super) asked: Mutex<Vec<String>>,
    /// Ended by a stop, as a keeper would.
    keeper: Mutex<Child>,
    events: Mutex<Vec<mpsc::Sender<Event>>>,
}

impl FakeOperator {
    fn ask(&self, text: String) {
        self.asked.lock().unwrap().push(text);
    }

    fn check(&self, app: &str) -> Result<(), Refusal> {
        let known: Vec<&str> = self.status.apps.iter().map(|app| app.name.as_str()).collect();
        if known.contains(&app) { Ok(()) } else { Err(Refusal::no_such_app(app, &known)) }
    }
}

impl Operator for FakeOperator {
    async fn status(&self) -> Status {
        self.status.clone()
    }

    async fn reload(&self, app: Option<&str>) -> Result<mpsc::Receiver<Progress>, Refusal> {
        self.ask(format!("reload {app:?}"));
        app.map_or(Ok(()), |app| self.check(app))?;
        let (sender, receiver) = mpsc::channel(self.steps.len().max(1));
        for step in &self.steps {
            sender.try_send(step.clone()).unwrap();
        }
        Ok(receiver)
    }

    async fn scale(&self, app: &str, instances: u32) -> Result<(), Refusal> {
        self.ask(format!("scale {app} {instances}"));
        self.check(app)
    }

    async fn stop(&self, request: StopRequest) -> Result<(), Refusal> {
        self.ask(format!("stop {:?} now={}", request.app, request.now));
        match &request.app {
            Some(app) => {
                self.check(app)?;
                for sender in self.events.lock().unwrap().iter() {
                    sender.try_send(Event::AppStopped { app: app.clone() }).unwrap();
                }
            }
            None => {
                self.events.lock().unwrap().clear();
                let mut keeper = self.keeper.lock().unwrap();
                keeper.kill().unwrap();
                keeper.wait().unwrap();
            }
        }
        Ok(())
    }

    async fn send_message(&self, app: &str, message: serde_json::Value) -> Result<u32, Refusal> {
        self.ask(format!("message {app} {message}"));
        self.check(app).map(|()| 2)
    }

    async fn events(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(8);
        self.events.lock().unwrap().push(sender);
        receiver
    }

    async fn poisoned(&self) -> Vec<PoisonedRequest> {
        Vec::new()
    }
}

/// A running fake instance; ends with the test.
pub(super) struct Instance {
    pub(super) operator: Arc<FakeOperator>,
    server: JoinHandle<()>,
}

impl Instance {
    /// `change` makes its status and its steps what the test needs.
    pub(super) fn start(directory: &RuntimeDirectory, change: impl FnOnce(&mut FakeOperator)) -> Instance {
        directory.create().unwrap();
        let keeper = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut operator = FakeOperator {
            status: Status { keeper_pid: keeper.id(), ..status() },
            steps: Vec::new(),
            asked: Mutex::default(),
            keeper: Mutex::new(keeper),
            events: Mutex::default(),
        };
        change(&mut operator);
        let operator = Arc::new(operator);
        let path = directory.socket(operator.status.keeper_pid);
        let server = Server::new(bind(&path).unwrap(), path).unwrap();
        let serving = server.serve(operator.clone(), std::future::pending());
        Instance { operator, server: tokio::spawn(async move { serving.await.unwrap() }) }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.operator.asked.lock().unwrap().clone()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.server.abort();
        let mut keeper = self.operator.keeper.lock().unwrap();
        let _ = keeper.kill();
        let _ = keeper.wait();
    }
}

/// A runtime directory of its own.
pub(super) fn directory() -> (tempfile::TempDir, RuntimeDirectory) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let directory = RuntimeDirectory::of(|name| (name == "STEAD_RUNTIME_DIR").then(|| path.clone().into()));
    (folder, directory)
}

/// What a verb printed.
#[derive(Clone, Default)]
pub(super) struct Printed(Rc<RefCell<Vec<u8>>>);

impl Printed {
    /// An output whose data and words both end up here, in order.
    pub(super) fn output(&self, live: bool) -> Output {
        Output::to(Box::new(self.clone()), Box::new(self.clone()), live)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
