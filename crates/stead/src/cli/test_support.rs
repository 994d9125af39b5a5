//! A fake instance behind a real control socket, and streams that remember what was printed.

use super::output::Output;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use stead_control::{
    AppState, AppStatus, Counters, Environment, Event, ExitRecord, ExitReport, Instances, Latency,
    Leadership, ListenStatus, Mode, Operator, PoisonedRequest, PoolDetails, Progress, Refusal, ReloadStatus,
    RenewRequest, RunningTask, RuntimeDirectory, SavedApp, Server, ShardTable, StartAnswer, StartRequest,
    Status, Steps, StopRequest, TaskCounts, TaskFailure, TaskState, Text, WorkerState, WorkerStatus, bind,
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
        background: false,
        home: None,
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
        cpu: 0.25,
        healthy: None,
        requests: 1_234_567,
        in_flight: 12,
        replayed,
    };
    let killed = ExitReport { code: None, signal: Some(9), out_of_memory: false, expected: false };
    AppStatus {
        id: 0,
        name: "shop".to_owned(),
        namespace: "default".to_owned(),
        state: AppState::Reloading,
        command: "node server.js".to_owned(),
        directory: Text::from("/srv/shop"),
        file: Some(Text::from("/srv/shop/stead.toml")),
        watch: false,
        cron_restart: None,
        tasks: None,
        pool: None,
        leader: None,
        schedules: Vec::new(),
        failure: None,
        started: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_100)),
        logs: Some(Text::from("/var/lib/stead/logs/shop")),
        restarts: 2,
        cpu: 0.75,
        memory_bytes: 176_160_768,
        requests_per_second: 512.4,
        exits: vec![crash()],
        mode: Mode::Auto,
        instances: Instances { wanted: 2, ready: 2 },
        listens: vec![ListenStatus { address: "[::]:8080".to_owned(), mode: Mode::Http, tls: false }],
        routes: vec!["shop.example.org".to_owned(), "/api".to_owned()],
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

/// A pool that has much to do.
pub(super) fn resize() -> AppStatus {
    let shop = shop();
    let workers = shop.workers.iter().filter(|worker| worker.state == WorkerState::Ready);
    let failure = |seconds, task: &str, state, message: &str| TaskFailure {
        at: UNIX_EPOCH + Duration::from_secs(seconds),
        task: task.to_owned(),
        state,
        message: message.to_owned(),
    };
    let running = |worker, task: &str, seconds| RunningTask {
        worker,
        task: task.to_owned(),
        age: Some(Duration::from_secs(seconds)),
    };
    AppStatus {
        id: 2,
        name: "resize".to_owned(),
        state: AppState::Running,
        command: "node resize.js".to_owned(),
        listens: Vec::new(),
        routes: Vec::new(),
        reload: None,
        exits: Vec::new(),
        counters: Counters::default(),
        latency: Latency::default(),
        workers: workers.cloned().collect(),
        tasks: Some(TaskCounts {
            queued: 1204,
            running: 24,
            done: 2_469_134,
            failed: 12,
            refused: 3,
            dead: 2,
        }),
        pool: Some(PoolDetails {
            size: (1, 4),
            concurrency: None,
            queue_max: 10_000,
            task_timeout: Some(Duration::from_secs(30)),
            retries: 2,
            durable: true,
            retried: 40,
            oldest_waiting: Some(Duration::from_secs(95)),
            running: vec![running(7, "order-17", 12), running(8, "48213", 0)],
            errors: vec![
                failure(1_700_011_000, "order-3", TaskState::Failed, "no such file: a.png"),
                failure(1_700_011_500, "48190", TaskState::Poison, "the workers that were given it died"),
            ],
        }),
        ..shop
    }
}

fn crash() -> ExitRecord {
    ExitRecord {
        at: UNIX_EPOCH + Duration::from_secs(1_700_007_806),
        worker: 6,
        slot: 1,
        pid: 4999,
        uptime: Some(Duration::from_secs(3981)),
        exit: ExitReport { code: Some(1), signal: None, out_of_memory: false, expected: false },
        why: "exit code 1; replaced at once".to_owned(),
        last_lines: vec!["TypeError: cart is undefined".to_owned(), "    at pay (cart.js:17:9)".to_owned()],
    }
}

fn api() -> AppStatus {
    AppStatus {
        id: 1,
        name: "api".to_owned(),
        namespace: "back".to_owned(),
        state: AppState::Failed,
        command: "gunicorn api:app".to_owned(),
        directory: Text::from("/srv/api"),
        file: None,
        watch: true,
        cron_restart: Some("0 4 * * *".to_owned()),
        tasks: None,
        pool: None,
        leader: Some(Leadership { who: Some("api.0".to_owned()), term: 3 }),
        schedules: Vec::new(),
        failure: None,
        started: None,
        logs: None,
        restarts: 11,
        cpu: 0.0,
        memory_bytes: 0,
        requests_per_second: 0.0,
        exits: Vec::new(),
        mode: Mode::Http,
        instances: Instances { wanted: 1, ready: 0 },
        listens: Vec::new(),
        routes: Vec::new(),
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
            cpu: 0.0,
            healthy: None,
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
    /// What a reload, a restart and an upgrade report.
    pub(super) steps: Vec<Progress>,
    /// What becomes of a start.
    pub(super) answer: Result<StartAnswer, Refusal>,
    /// What there is to save.
    pub(super) saved: Vec<SavedApp>,
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

    fn tell(&self, event: &Event) {
        for sender in self.events.lock().unwrap().iter() {
            // Who listened to an earlier verb has gone.
            drop(sender.try_send(event.clone()));
        }
    }

    fn steps(&self) -> mpsc::Receiver<Progress> {
        let (sender, receiver) = mpsc::channel(self.steps.len().max(1));
        for step in &self.steps {
            sender.try_send(step.clone()).unwrap();
        }
        receiver
    }

    fn end(&self) {
        self.events.lock().unwrap().clear();
        let mut keeper = self.keeper.lock().unwrap();
        keeper.kill().unwrap();
        keeper.wait().unwrap();
    }
}

impl Operator for FakeOperator {
    async fn status(&self) -> Status {
        self.status.clone()
    }

    async fn start(&self, request: StartRequest) -> Result<StartAnswer, Refusal> {
        let words: Vec<String> = request.definition.arguments.iter().map(Text::to_string).collect();
        let only = if request.only.is_empty() {
            String::new()
        } else {
            format!(", only {}", request.only.join(" "))
        };
        self.ask(format!("start {}{only}", words.join(" ")));
        self.answer.clone()
    }

    async fn start_app(&self, app: &str) -> Result<(), Refusal> {
        self.ask(format!("start {app} again"));
        self.check(app)
    }

    async fn stop(&self, request: StopRequest) -> Result<(), Refusal> {
        self.ask(format!("stop {:?} now={}", request.app, request.now));
        match &request.app {
            Some(app) => {
                self.check(app)?;
                self.tell(&Event::AppStopped { app: app.clone() });
            }
            None => self.end(),
        }
        Ok(())
    }

    async fn restart(&self, app: &str, request: RenewRequest) -> Steps {
        self.ask(format!(
            "restart {app}{}",
            if request.environment.is_some() { " with environment" } else { "" }
        ));
        self.check(app)?;
        Ok(self.steps())
    }

    async fn reload(&self, app: Option<&str>, request: RenewRequest) -> Steps {
        self.ask(format!(
            "reload {app:?}{}",
            if request.environment.is_some() { " with environment" } else { "" }
        ));
        app.map_or(Ok(()), |app| self.check(app))?;
        Ok(self.steps())
    }

    async fn delete(&self, app: &str) -> Result<(), Refusal> {
        self.ask(format!("delete {app}"));
        self.check(app)?;
        self.tell(&Event::AppDeleted { app: app.to_owned(), tasks: 0 });
        Ok(())
    }

    async fn scale(&self, app: &str, instances: u32) -> Result<(), Refusal> {
        self.ask(format!("scale {app} {instances}"));
        self.check(app)
    }

    async fn signal(&self, app: &str, slot: Option<u32>, signal: i32) -> Result<u32, Refusal> {
        self.ask(format!("signal {app} {slot:?} {signal}"));
        self.check(app).map(|()| 2)
    }

    async fn send_message(
        &self,
        app: &str,
        slot: Option<u32>,
        message: serde_json::Value,
    ) -> Result<u32, Refusal> {
        self.ask(format!("message {app} {slot:?} {message}"));
        self.check(app).map(|()| 2)
    }

    async fn environment(&self, app: &str) -> Result<Environment, Refusal> {
        self.ask(format!("environment {app}"));
        self.check(app)?;
        let pair = |name: &str, value: &str| (Text::from(name), Text::from(value));
        Ok(vec![pair("DATABASE_PASSWORD", "hunter2"), pair("PORT", "8080")])
    }

    async fn run_schedule(&self, app: &str, schedule: &str) -> Result<(), Refusal> {
        self.ask(format!("run {schedule} of {app}"));
        self.check(app)
    }

    async fn shards(&self, app: &str, key: Option<String>) -> Result<ShardTable, Refusal> {
        self.ask(format!("shards {app} {key:?}"));
        self.check(app)?;
        Ok(ShardTable { shard: "client".to_owned(), slots: Vec::new(), owner: None })
    }

    async fn reset(&self, app: &str) -> Result<(), Refusal> {
        self.ask(format!("reset {app}"));
        self.check(app)
    }

    async fn flush(&self, app: &str) -> Result<(), Refusal> {
        self.ask(format!("flush {app}"));
        self.check(app)
    }

    async fn definitions(&self) -> Vec<SavedApp> {
        self.saved.clone()
    }

    async fn upgrade(&self, binary: &Path) -> Steps {
        self.ask(format!("upgrade {}", binary.display()));
        Ok(self.steps())
    }

    async fn shut_down(&self, now: bool) -> Result<(), Refusal> {
        self.ask(format!("shut down now={now}"));
        self.end();
        Ok(())
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
            status: Status {
                keeper_pid: keeper.id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..status()
            },
            steps: Vec::new(),
            answer: Ok(StartAnswer::default()),
            saved: Vec::new(),
            asked: Mutex::default(),
            keeper: Mutex::new(keeper),
            events: Mutex::default(),
        };
        change(&mut operator);
        let operator = Arc::new(operator);
        let path = directory.socket(operator.status.keeper_pid);
        let server = Server::new(bind(&path).unwrap(), path).unwrap();
        let serving = server.serve(operator.clone(), std::future::pending());
        Instance { operator, server: tokio::spawn(serving) }
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
