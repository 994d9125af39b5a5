//! `stead status --json`, read: only what the promises look at.

use serde_json::Value;

/// One instance with its apps.
#[derive(Debug, Clone)]
pub(crate) struct Status(Value);

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) id: u64,
    pub(crate) slot: u64,
    /// 0 while nothing runs.
    pub(crate) pid: u32,
    pub(crate) state: String,
    pub(crate) restarts: u64,
    /// What its health check last came to.
    pub(crate) healthy: Option<bool>,
}

impl Status {
    /// Reads what `stead status --json` printed; nothing when it is not a status.
    pub(crate) fn parse(text: &str) -> Option<Status> {
        let mut value: Value = serde_json::from_str(text.trim()).ok()?;
        // Each test has an instance of its own, the only one in sight.
        let value = match value["instances"].as_array_mut() {
            Some(list) if list.len() == 1 => list.remove(0),
            _ => return None,
        };
        value.get("apps").is_some_and(Value::is_array).then_some(Status(value))
    }

    pub(crate) fn keeper_pid(&self) -> u32 {
        self.number("keeper_pid") as u32
    }

    pub(crate) fn daemon_pid(&self) -> u32 {
        self.number("daemon_pid") as u32
    }

    pub(crate) fn daemon_starts(&self) -> u64 {
        self.number("daemon_starts")
    }

    /// The same for one app alone, which is then the first.
    #[track_caller]
    pub(crate) fn of(&self, name: &str) -> Status {
        let app = self
            .apps()
            .iter()
            .find(|app| app["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {}", self.0));
        let mut value = self.0.clone();
        value["apps"] = Value::Array(vec![app.clone()]);
        Status(value)
    }

    /// Names of the apps, in the order they are shown.
    pub(crate) fn names(&self) -> Vec<String> {
        self.apps().iter().filter_map(|app| app["name"].as_str().map(str::to_owned)).collect()
    }

    /// How the first app is, in one word.
    pub(crate) fn state(&self) -> String {
        self.app()["state"].as_str().unwrap_or_default().to_owned()
    }

    /// The counter of the first app.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.app()["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {}", self.0))
    }

    /// Workers wanted and ready, of the first app.
    pub(crate) fn instances(&self) -> (u64, u64) {
        let instances = &self.app()["instances"];
        let read = |name: &str| {
            instances[name].as_u64().unwrap_or_else(|| panic!("no instances.{name} in {}", self.0))
        };
        (read("wanted"), read("ready"))
    }

    /// As many workers ready as wanted, no other worker about, and at least one public address where one is expected.
    pub(crate) fn is_complete(&self) -> bool {
        self.apps().iter().all(|app| {
            let wanted = app["instances"]["wanted"].as_u64();
            wanted.is_some()
                && app["instances"]["ready"].as_u64() == wanted
                && app["workers"].as_array().map(|workers| workers.len() as u64) == wanted
                && app["reload"].is_null()
        })
    }

    /// Public addresses of the first app.
    pub(crate) fn listens(&self) -> Vec<String> {
        let list = self.app()["listens"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|listen| listen["address"].as_str().map(str::to_owned)).collect()
    }

    /// The workers of the first app, in every state.
    pub(crate) fn workers(&self) -> Vec<Worker> {
        let list = self.app()["workers"].as_array().cloned().unwrap_or_default();
        list.iter().map(worker).collect()
    }

    /// Process numbers of the workers of the first app that get requests.
    pub(crate) fn ready_pids(&self) -> Vec<u32> {
        self.workers().into_iter().filter(|worker| worker.state == "ready").map(|worker| worker.pid).collect()
    }

    /// For how many seconds the first worker of the first app has been up.
    pub(crate) fn uptime(&self) -> f64 {
        self.app()["workers"][0]["uptime"].as_f64().unwrap_or_default()
    }

    /// What the first app uses: processors, and bytes of memory.
    pub(crate) fn used(&self) -> (f64, u64) {
        let app = self.app();
        (app["cpu"].as_f64().unwrap_or_default(), app["memory_bytes"].as_u64().unwrap_or_default())
    }

    fn apps(&self) -> &[Value] {
        self.0["apps"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn app(&self) -> &Value {
        self.apps().first().unwrap_or_else(|| panic!("no app in {}", self.0))
    }

    fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }
}

fn worker(value: &Value) -> Worker {
    let number = |name: &str| value[name].as_u64().unwrap_or(0);
    Worker {
        id: number("id"),
        slot: number("slot"),
        pid: number("pid") as u32,
        state: value["state"].as_str().unwrap_or("").to_owned(),
        restarts: number("restarts"),
        healthy: value["healthy"].as_bool(),
    }
}
