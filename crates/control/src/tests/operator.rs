//! An operator that does as the test says, and a server for it.

use crate::{
    AppState, AppStatus, Bucket, Client, Counters, Definition, Environment, Event, ExitRecord, ExitReport,
    Instances, Latency, ListenStatus, Mode, Operator, PoisonedRequest, Progress, Refusal, RefusalKind,
    RenewRequest, SavedApp, Server, ShardSlot, ShardTable, StartAnswer, StartRequest, Status, Steps,
    StopRequest, Text, WorkerState, WorkerStatus, bind,
};
use std::path::Path;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(super) fn status() -> Status {
    Status {
        version: "1.2.3".to_owned(),
        keeper_pid: 1,
        daemon_pid: 2,
        daemon_starts: 1,
        started: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        uptime: Duration::from_secs(90),
        background: true,
        home: Some(Text::from("/var/lib/stead")),
        apps: vec![shop()],
    }
}

fn killed() -> ExitRecord {
    ExitRecord {
        at: UNIX_EPOCH + Duration::from_secs(1_700_000_020),
        worker: 0,
        slot: 0,
        pid: 99,
        uptime: Some(Duration::from_secs(10)),
        exit: ExitReport { code: None, signal: Some(9), out_of_memory: false, expected: false },
        why: "it was killed; replaced at once".to_owned(),
        last_lines: vec!["listening".to_owned()],
    }
}

fn shop() -> AppStatus {
    let worker = |slot, state| WorkerStatus {
        id: u64::from(slot),
        slot,
        pid: Some(100 + slot),
        state,
        uptime: Some(Duration::from_millis(1_500)),
        restarts: 2,
        last_exit: Some(ExitReport { code: None, signal: Some(9), out_of_memory: false, expected: false }),
        retry_in: None,
        memory_bytes: Some(1_048_576),
        cpu: 0.25,
        healthy: None,
        requests: 10,
        in_flight: 1,
        replayed: 0,
    };
    AppStatus {
        id: 0,
        name: "shop".to_owned(),
        namespace: "default".to_owned(),
        state: AppState::Reloading,
        command: "node server.js".to_owned(),
        directory: Text::from("/srv/shop"),
        file: None,
        watch: true,
        cron_restart: Some("0 4 * * *".to_owned()),
        leader: None,
        schedules: Vec::new(),
        failure: None,
        started: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_010)),
        logs: Some(Text::from("/var/lib/stead/logs/shop")),
        restarts: 4,
        cpu: 0.75,
        memory_bytes: 3_145_728,
        requests_per_second: 12.5,
        exits: vec![killed()],
        mode: Mode::Auto,
        instances: Instances { wanted: 2, ready: 1 },
        listens: vec![ListenStatus { address: "127.0.0.1:8080".to_owned(), mode: Mode::Http, tls: false }],
        routes: vec!["shop.example.org".to_owned()],
        workers: [(0, WorkerState::Ready), (1, WorkerState::Draining), (1, WorkerState::Starting)]
            .map(|(slot, state)| worker(slot, state))
            .into(),
        reload: None,
        counters: Counters { requests: 21, in_flight: 3, replayed: 1, held: 4, ..Counters::default() },
        latency: Latency {
            buckets: vec![
                Bucket { up_to: Duration::from_millis(1), count: 15 },
                Bucket { up_to: Duration::from_millis(10), count: 4 },
            ],
            count: 20,
            sum: Duration::from_millis(250),
            p50: Some(Duration::from_micros(800)),
            p99: Some(Duration::from_millis(20)),
        },
        tasks: None,
        pool: None,
    }
}

/// Says yes to `shop` and no to others; a reload and the events send what they are given.
pub(super) struct FakeOperator {
    pub(super) asked: Mutex<Vec<String>>,
    pub(super) steps: Mutex<Vec<Progress>>,
    pub(super) events: Mutex<Option<mpsc::Receiver<Event>>>,
}

impl FakeOperator {
    fn check(&self, app: &str, what: String) -> Result<(), Refusal> {
        self.asked.lock().unwrap().push(what);
        match app {
            "shop" => Ok(()),
            "stopping" => Err(Refusal::new(RefusalKind::Conflict, "app `stopping` stops")),
            "broken" => Err(Refusal {
                details: Some("  1 | command =".to_owned()),
                exit_code: Some(3),
                ..Refusal::new(RefusalKind::Failed, "something went wrong")
                    .with_cause("it broke")
                    .with_hint("repair it")
            }),
            other => Err(Refusal::no_such_app(other, &["shop"])),
        }
    }

    fn steps(&self) -> mpsc::Receiver<Progress> {
        let steps = std::mem::take(&mut *self.steps.lock().unwrap());
        let (sender, receiver) = mpsc::channel(8);
        for step in steps {
            sender.try_send(step).unwrap();
        }
        receiver
    }
}

fn renew(request: &RenewRequest) -> String {
    request.environment.as_ref().map(|variables| format!(" with {variables:?}")).unwrap_or_default()
}

impl Operator for FakeOperator {
    async fn status(&self) -> Status {
        status()
    }

    async fn start(&self, request: StartRequest) -> Result<StartAnswer, Refusal> {
        let app = request.definition.arguments.first().map(Text::to_string).unwrap_or_default();
        let what = format!(
            "start {:?} in {} only {:?} redefine={} stopped={}",
            request.definition.arguments,
            request.definition.directory,
            request.only,
            request.redefine,
            request.stopped
        );
        self.check(&app, what)?;
        Ok(StartAnswer { started: vec![app], ..StartAnswer::default() })
    }

    async fn start_app(&self, app: &str) -> Result<(), Refusal> {
        self.check(app, format!("start {app}"))
    }

    async fn stop(&self, request: StopRequest) -> Result<(), Refusal> {
        self.check(
            request.app.as_deref().unwrap_or("shop"),
            format!("stop {:?} now={}", request.app, request.now),
        )
    }

    async fn restart(&self, app: &str, request: RenewRequest) -> Steps {
        self.check(app, format!("restart {app}{}", renew(&request)))?;
        Ok(self.steps())
    }

    async fn reload(&self, app: Option<&str>, request: RenewRequest) -> Steps {
        self.check(app.unwrap_or("shop"), format!("reload {app:?}{}", renew(&request)))?;
        Ok(self.steps())
    }

    async fn delete(&self, app: &str) -> Result<(), Refusal> {
        self.check(app, format!("delete {app}"))
    }

    async fn scale(&self, app: &str, instances: u32) -> Result<(), Refusal> {
        self.check(app, format!("scale {app} {instances}"))
    }

    async fn signal(&self, app: &str, slot: Option<u32>, signal: i32) -> Result<u32, Refusal> {
        self.check(app, format!("signal {app} {slot:?} {signal}")).map(|()| 2)
    }

    async fn send_message(
        &self,
        app: &str,
        slot: Option<u32>,
        message: serde_json::Value,
    ) -> Result<u32, Refusal> {
        self.check(app, format!("message {app} {slot:?} {message}")).map(|()| 2)
    }

    async fn environment(&self, app: &str) -> Result<Environment, Refusal> {
        self.check(app, format!("environment {app}"))?;
        Ok(vec![(Text::from("PORT"), Text::from("8080"))])
    }

    async fn run_schedule(&self, app: &str, schedule: &str) -> Result<(), Refusal> {
        self.check(app, format!("run {schedule} of {app}"))
    }

    async fn shards(&self, app: &str, key: Option<String>) -> Result<ShardTable, Refusal> {
        self.check(app, format!("shards {app} {key:?}"))?;
        let slots = vec![ShardSlot { slot: 0, share: 1.0, pid: Some(4711) }];
        Ok(ShardTable { shard: "client".to_owned(), slots, owner: key.map(|_| 0) })
    }

    async fn reset(&self, app: &str) -> Result<(), Refusal> {
        self.check(app, format!("reset {app}"))
    }

    async fn flush(&self, app: &str) -> Result<(), Refusal> {
        self.check(app, format!("flush {app}"))
    }

    async fn definitions(&self) -> Vec<SavedApp> {
        let definition = Definition { arguments: vec![Text::from("server.js")], ..Definition::default() };
        vec![SavedApp { name: "shop".to_owned(), definition, wanted: true, ..SavedApp::default() }]
    }

    async fn upgrade(&self, binary: &Path) -> Steps {
        self.check("shop", format!("upgrade {}", binary.display()))?;
        Ok(self.steps())
    }

    async fn shut_down(&self, now: bool) -> Result<(), Refusal> {
        self.check("shop", format!("shut down now={now}"))
    }

    async fn events(&self) -> mpsc::Receiver<Event> {
        self.events.lock().unwrap().take().unwrap()
    }

    async fn poisoned(&self) -> Vec<PoisonedRequest> {
        vec![PoisonedRequest {
            app: "shop".to_owned(),
            at: UNIX_EPOCH + Duration::from_secs(1_700_000_001),
            method: "GET".to_owned(),
            target: "/crash".to_owned(),
            headers: vec![("Host".to_owned(), "shop.example".to_owned())],
            deaths: Vec::new(),
        }]
    }
}

/// A server, its operator, and a client for it.
pub(super) struct Bench {
    pub(super) operator: Arc<FakeOperator>,
    pub(super) client: Client,
    pub(super) socket: PathBuf,
    end: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(super) fn start() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("stead.sock");
        let operator = Arc::new(FakeOperator {
            asked: Mutex::default(),
            steps: Mutex::default(),
            events: Mutex::default(),
        });
        let server = Server::new(bind(&socket).unwrap(), socket.clone()).unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let serving = server.serve(operator.clone(), async {
            let _ = ended.await;
        });
        Bench {
            operator,
            client: Client::new(&socket),
            socket,
            end: Some(end),
            serving: tokio::spawn(serving),
            _folder: folder,
        }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.operator.asked.lock().unwrap().clone()
    }

    /// Ends the server and waits until it has.
    pub(super) async fn end(&mut self) {
        drop(self.end.take());
        (&mut self.serving).await.unwrap();
    }
}
