//! Reads one `[pool.NAME]` table: its own keys in the order of `defaults.toml`, and those that it shares with apps.

use super::document::{Entry, Member, Problem, Value};
use super::form::{Form, Shape, boolean, count, duration, some_bytes, table, wait};
use super::instances::{INSTANCES_MAX, InstanceCount, cores};
use super::layers::{Defaults, Layers};
use super::read_app::{AppTable, instances, read_app};
use super::reader::{Key, Reader, unknown_key};
use super::settings::{HealthCheck, PoolSettings, ScheduledWork};

/// Keys of an app that make no sense for a pool, and why.
const NOT_FOR_POOLS: [(&str, &[&str]); 4] = [
    ("a pool has `size` workers: write size = 4, or size = { min = 1, max = \"max\" }", &["instances"]),
    (
        "a pool has no address, its workers take tasks; a server is an app: [app.NAME]",
        &[
            "listen",
            "routes",
            "tls",
            "tls_client_ca",
            "redirect_https",
            "mode",
            "ports",
            "proxy_protocol",
            "send_proxy",
            "upstream",
            "remote_address",
            "access_log",
            "access_log_query",
        ],
    ),
    (
        "Stead sees by itself when a worker of a pool is ready, and tasks wait until then",
        &["ready", "ready_interval", "ready_timeout", "on_ready_timeout", "assume_ready_after"],
    ),
    (
        "a pool has tasks and no requests: see [pool.NAME] in `stead config defaults`",
        &[
            "recycle_requests",
            "slow_start",
            "balance",
            "trust_forwarded",
            "request_id",
            "trace_context",
            "head_bytes_max",
            "header_count_max",
            "body_bytes_max",
            "replay_body_bytes_max",
            "small_answer_bytes_max",
            "http2",
            "http2_streams_max",
            "upstream_protocol",
            "header_timeout",
            "body_timeout",
            "idle_timeout",
            "answer_timeout",
            "connections_max",
            "held_requests_max",
            "hold_timeout",
            "queue_wait_max",
            "upstream_connections_max",
            "upstream_idle",
            "untaken_max",
            "taken_within",
            "move_after",
            "wedged_after",
            "replays_max",
            "weights",
            "priorities",
            "shard",
            "sticky",
            "eject_failures",
            "eject_slower",
        ],
    ),
];

/// What a `[pool.NAME]` table says of the pool itself; numbers of workers are not counted from the cores yet.
#[derive(Debug)]
pub(super) struct PoolTable {
    size: (InstanceCount, InstanceCount),
    rest: PoolSettings,
}

impl PoolTable {
    /// On this machine.
    pub(super) fn settings(&self) -> PoolSettings {
        let (least, most) = (self.size.0.here(), self.size.1.here());
        PoolSettings { size: (least.min(most), most), ..self.rest.clone() }
    }

    /// By how many it is fewer than the cores of this machine, if that is more than there are.
    pub(super) fn beyond(&self) -> Option<u32> {
        self.size.1.beyond(cores())
    }
}

/// What is surprising about the size that was written.
pub(super) fn one_worker(name: &str, fewer: u32) -> String {
    format!("pool `{name}` has one worker: -{fewer} is as many fewer than the {} cores here", cores())
}

/// Why this key of an app cannot stand in the table of a pool.
fn why_not(key: &str) -> Option<&'static str> {
    NOT_FOR_POOLS.iter().find(|(_, keys)| keys.contains(&key)).map(|(hint, _)| *hint)
}

fn refuse_keys_of_apps(members: &[Member]) -> Result<(), Problem> {
    let found = members.iter().find_map(|member| Some((member, why_not(&member.key)?)));
    found.map_or(Ok(()), |(member, hint)| {
        let message = format!("`{}` is not for a pool", member.key);
        Err(Problem::new(&member.key_place, message).hint(Some(hint.to_owned())))
    })
}

impl Layers {
    /// Reads the members of `[pool.NAME]`.
    pub(super) fn pool(&self, name: &str, members: &[Member]) -> Result<AppTable, Problem> {
        refuse_keys_of_apps(members)?;
        let app = self.read_pool(&format!("`[pool.{name}]`"), members)?;
        let health = members.iter().find(|member| member.key == "health");
        if let (Some(member), Some(HealthCheck::Http { .. } | HealthCheck::Tcp)) =
            (health, &app.care.health.check)
        {
            let problem = Problem::new(&member.entry.place, "a pool has no address that could be asked");
            return Err(problem.hint(Some("write { command = \"./check\" } or \"watchdog\"".to_owned())));
        }
        let schedules = members.iter().find(|member| member.key == "schedule");
        let mut says =
            app.schedules.iter().filter(|schedule| matches!(schedule.work, ScheduledWork::Message(_)));
        if let (Some(member), Some(schedule)) = (schedules, says.next()) {
            let message = format!(
                "schedule `{}` has a `message`, and the workers of a pool take tasks instead",
                schedule.name
            );
            let hint = "write `task` in the place of `message`";
            return Err(Problem::new(&member.key_place, message).hint(Some(hint.to_owned())));
        }
        Ok(app)
    }

    /// A pool that the options alone describe.
    pub(super) fn pool_of_flags(&self) -> Result<AppTable, Problem> {
        refuse_keys_of_apps(&self.flags)?;
        self.read_pool("a pool", &[])
    }

    /// A key of pools alone in `[app.NAME]` is meant for a pool, or for its namesake.
    pub(super) fn refuse_keys_of_pools(&self, name: &str, members: &[Member]) -> Result<(), Problem> {
        let is_in = |all: &[Member], key: &str| all.iter().any(|member| member.key == key);
        let Defaults { app, pool, .. } = &self.defaults;
        let found = members.iter().find(|member| is_in(pool, &member.key) && !is_in(app, &member.key));
        let Some(Member { key, key_place, .. }) = found else { return Ok(()) };
        let instances = if key == "size" { "an app has `instances`; " } else { "" };
        let hint = format!("{instances}`{key}` is for a pool: [pool.{name}]");
        let message = format!("unknown key `{key}` in `[app.{name}]`");
        Err(Problem::new(key_place, message).label("unknown key").hint(Some(hint)))
    }

    fn read_pool(&self, table: &str, members: &[Member]) -> Result<AppTable, Problem> {
        // An option that is for the apps beside it is not for a pool.
        let flags = self.flags.iter().filter(|flag| flag.key != "lanes" && why_not(&flag.key).is_none());
        let layers = self.defaults.app.iter().chain(&self.defaults.pool).chain(members).chain(flags);
        Ok(read_pool(Reader::new(table.to_owned(), layers.cloned()))?.0)
    }
}

/// Reads a table whole, and tells which keys there are.
pub(super) fn read_pool(mut reader: Reader) -> Result<(AppTable, Vec<(Key, Shape)>), Problem> {
    let size = reader.get("size", size())?;
    let mut rest = PoolSettings {
        size: (1, 1),
        concurrency: reader.get("concurrency", concurrency())?,
        task_timeout: reader.get("task_timeout", wait().or_off())?,
        abort_grace: reader.get("abort_grace", duration())?,
        retries: reader.get("retries", count(0))?,
        retry_after: reader.get("retry_after", wait())?,
        retry_after_max: reader.get("retry_after_max", wait())?,
        poison_deaths_max: 0,
        dead_max: reader.get("dead_max", count(0))?,
        queue_max: reader.get("queue_max", count(1))?,
        queue_bytes_max: reader.get("queue_bytes_max", some_bytes())?,
        task_bytes_max: reader.get("task_bytes_max", some_bytes())?,
        results_kept: reader.get("results_kept", duration())?,
        results_max: reader.get("results_max", count(0))?,
        results_bytes_max: reader.get("results_bytes_max", some_bytes())?,
        durable: reader.get("durable", boolean())?,
        grow_after: reader.get("grow_after", wait())?,
        shrink_after: reader.get("shrink_after", wait())?,
    };
    let (mut app, mut asked) = read_app(reader)?;
    // Apps have this key too, where it is about requests.
    rest.poison_deaths_max = app.balancer.poison_deaths_max;
    app.pool = Some(PoolTable { size, rest });
    asked.retain(|(key, _)| !matches!(key, Key::Name(name) if why_not(name).is_some()));
    Ok((app, asked))
}

/// A number of workers, or at least and at most.
fn size() -> Form<(InstanceCount, InstanceCount)> {
    let bounds = Shape::Keys(vec!["min", "max"], Box::new(instances().into_shape()));
    let shape = Shape::Any(vec![instances().into_shape(), bounds]);
    Form::new(shape, |entry: &Entry| match &entry.value {
        Value::Table(_) => bounds_of(entry),
        _ => workers("size", entry).map(|count| (count, count)),
    })
}

fn bounds_of(entry: &Entry) -> Result<(InstanceCount, InstanceCount), Problem> {
    let (mut least, mut most) = (InstanceCount::Exactly(1), InstanceCount::Max);
    for member in table(entry)? {
        match member.key.as_str() {
            "min" => least = workers("min", &member.entry)?,
            "max" => most = workers("max", &member.entry)?,
            key => return Err(unknown_key(key, &member.key_place, "`size`", &["min", "max"])),
        }
    }
    match (least, most) {
        (InstanceCount::Exactly(min), InstanceCount::Exactly(max)) if min > max => {
            Err(Problem::new(&entry.place, format!("at least {min} is more than at most {max}")))
        }
        bounds => Ok(bounds),
    }
}

/// As `instances` of an app, except that 0 is no word for all cores: who writes it for a pool means none.
fn workers(key: &str, entry: &Entry) -> Result<InstanceCount, Problem> {
    let is_zero = match &entry.value {
        Value::Integer(number) => *number == 0,
        Value::String(text) => text.parse() == Ok(0),
        _ => false,
    };
    if is_zero {
        let problem = Problem::new(&entry.place, format!("`{key}` is 0, and a pool has at least one worker"));
        let allowed = format!("1 to {INSTANCES_MAX}, \"max\" (one for each core), or -N (N fewer than max)");
        return Err(problem.hint(Some(format!("write {allowed}; a worker without tasks only waits"))));
    }
    instances().read(entry)
}

/// A number, or "auto".
fn concurrency() -> Form<Option<u32>> {
    let shape = Shape::Any(vec![count(1).into_shape(), Shape::Words(vec!["auto"])]);
    Form::new(shape, |entry: &Entry| match &entry.value {
        Value::String(word) if word == "auto" => Ok(None),
        Value::Integer(_) => count(1).read(entry).map(Some),
        _ => Err(Problem::new(&entry.place, "expected a whole number or \"auto\"")),
    })
}
