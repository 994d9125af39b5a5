//! Reads one `[app.NAME]` table. The order is that of `defaults.toml`.

use super::address::Listen;
use super::document::{Entry, Problem, Value};
use super::form::{
    Form, Shape, boolean, choice, count, duration, expected, integer, list, map, size, string, wait,
};
use super::instances::{INSTANCES_MAX, InstanceCount};
use super::read_care::{self, CareTable};
use super::read_choosing::choosing;
use super::read_messages::messages;
use super::read_pool::PoolTable;
use super::read_proxy;
use super::read_routes::routes;
use super::read_schedule::schedules;
use super::read_tls::{self, TlsTable};
use super::reader::{Key, Reader};
use super::settings::{
    BalancerSettings, ChoosingSettings, MessageSettings, Mode, Ready, ReadyTimeout, RestartSettings,
    RouteSettings, ScheduleSettings, Serialization, StopSettings, Upstream,
};
use super::shell;
use super::signal::parse_signal;
use super::tagged::tagged;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;
use stead_balancer::{ProxyFrom, ProxyVersion};

/// Variables as they are written.
pub(super) type Variables = Vec<(OsString, OsString)>;

/// What a table says, before its program is looked for.
#[derive(Debug)]
pub(super) struct AppTable {
    /// One string may hold a whole command line. Missing when the table does not say.
    pub(super) command: Option<Vec<OsString>>,
    pub(super) args: Vec<OsString>,
    /// Nothing: by the script's extension.
    pub(super) interpreter: Option<String>,
    pub(super) interpreter_args: Vec<OsString>,
    pub(super) shell: bool,
    pub(super) cwd: PathBuf,
    pub(super) env: Variables,
    /// By the name of the profile.
    pub(super) profiles: BTreeMap<String, Variables>,
    pub(super) namespace: String,
    pub(super) autostart: bool,
    pub(super) instances: InstanceCount,
    pub(super) listen: Vec<Listen>,
    pub(super) routes: Vec<RouteSettings>,
    pub(super) tls: TlsTable,
    pub(super) mode: Mode,
    pub(super) ports: BTreeMap<u16, Mode>,
    pub(super) proxy_protocol: ProxyFrom,
    pub(super) send_proxy: Option<ProxyVersion>,
    pub(super) upstream: Upstream,
    pub(super) remote_address: bool,
    pub(super) serialization: Serialization,
    pub(super) ready: Ready,
    pub(super) ready_interval: Duration,
    pub(super) ready_timeout: Duration,
    pub(super) on_ready_timeout: ReadyTimeout,
    pub(super) assume_ready_after: Duration,
    pub(super) restart: RestartSettings,
    pub(super) stop_exit_codes: Vec<i32>,
    pub(super) stop: StopSettings,
    pub(super) reload_parallel: u32,
    pub(super) care: CareTable,
    pub(super) balancer: BalancerSettings,
    pub(super) choosing: ChoosingSettings,
    pub(super) messages: MessageSettings,
    /// It is a pool.
    pub(super) pool: Option<PoolTable>,
    pub(super) schedules: Vec<ScheduleSettings>,
}

/// Reads a table whole, and tells which keys there are; what it does not know is an error.
pub(super) fn read_app(mut reader: Reader) -> Result<(AppTable, Vec<(Key, Shape)>), Problem> {
    let app = AppTable {
        command: reader.take("command", command())?,
        args: reader.get("args", words())?,
        interpreter: reader.get("interpreter", interpreter())?,
        interpreter_args: reader.get("interpreter_args", words())?,
        shell: reader.get("shell", boolean())?,
        cwd: reader.get("cwd", string())?.into(),
        env: reader.get("env", environment())?,
        profiles: reader.take_all("env_", environment())?,
        namespace: reader.get("namespace", string().check(check_name).written(NAME))?,
        autostart: reader.get("autostart", boolean())?,
        instances: reader.get("instances", instances())?,
        listen: reader.get("listen", list(address()))?,
        routes: reader.get("routes", routes())?,
        tls: read_tls::tls(&mut reader)?,
        mode: reader.get("mode", choice())?,
        ports: reader.get("ports", ports())?,
        proxy_protocol: reader.get("proxy_protocol", read_proxy::proxy_from())?,
        send_proxy: reader.get("send_proxy", choice::<ProxyVersion>().or_off())?,
        upstream: reader.get("upstream", choice())?,
        remote_address: reader.get("remote_address", boolean())?,
        serialization: reader.get("serialization", choice())?,
        ready: reader.get("ready", ready())?,
        ready_interval: reader.get("ready_interval", wait())?,
        ready_timeout: reader.get("ready_timeout", wait())?,
        on_ready_timeout: reader.get("on_ready_timeout", choice())?,
        assume_ready_after: reader.get("assume_ready_after", wait())?,
        restart: restart(&mut reader)?,
        stop_exit_codes: reader.get("stop_exit_codes", list(integer(0, 255).map(|code| code as i32)))?,
        stop: StopSettings {
            grace: reader.get("grace", duration())?,
            stop_signal: reader.get("stop_signal", stop_signal())?,
            terminate_after: reader.get("terminate_after", duration())?,
            kill_after: reader.get("kill_after", duration())?,
        },
        reload_parallel: reader.get("reload_parallel", count(1))?,
        care: read_care::care(&mut reader)?,
        balancer: balancer(&mut reader)?,
        choosing: choosing(&mut reader)?,
        messages: messages(&mut reader)?,
        pool: None,
        schedules: reader.take("schedule", schedules())?.unwrap_or_default(),
    };
    Ok((app, reader.finish()?))
}

fn restart(reader: &mut Reader) -> Result<RestartSettings, Problem> {
    Ok(RestartSettings {
        policy: reader.get("restart", choice())?,
        backoff_first: reader.get("backoff_first", wait())?,
        backoff_max: reader.get("backoff_max", wait())?,
        stable_after: reader.get("stable_after", duration())?,
        starts_max: reader.get("starts_max", count(1))?,
        restarts_max: reader.get("restarts_max", count(0))?,
        restarts_period: reader.get("restarts_period", wait())?,
        cool_down: reader.get("cool_down", wait())?,
    })
}

fn balancer(reader: &mut Reader) -> Result<BalancerSettings, Problem> {
    Ok(BalancerSettings {
        balance: reader.get("balance", choice())?,
        trust_forwarded: reader.get("trust_forwarded", boolean())?,
        request_id: reader.get("request_id", boolean())?,
        trace_context: reader.get("trace_context", choice())?,
        head_bytes_max: reader.get("head_bytes_max", size())?,
        header_count_max: reader.get("header_count_max", count(1))?,
        body_bytes_max: reader.get("body_bytes_max", size())?,
        replay_body_bytes_max: reader.get("replay_body_bytes_max", size())?,
        small_answer_bytes_max: reader.get("small_answer_bytes_max", size())?,
        http2: reader.get("http2", boolean())?,
        http2_streams_max: reader.get("http2_streams_max", count(1))?,
        upstream_protocol: reader.get("upstream_protocol", choice())?,
        header_timeout: reader.get("header_timeout", wait())?,
        body_timeout: reader.get("body_timeout", wait())?,
        idle_timeout: reader.get("idle_timeout", wait())?,
        answer_timeout: reader.get("answer_timeout", wait())?,
        connections_max: reader.get("connections_max", count(1))?,
        held_requests_max: reader.get("held_requests_max", count(0))?,
        hold_timeout: reader.get("hold_timeout", duration())?,
        queue_wait_max: reader.get("queue_wait_max", wait())?,
        upstream_connections_max: reader.get("upstream_connections_max", count(1))?,
        upstream_idle: reader.get("upstream_idle", duration())?,
        untaken_max: reader.get("untaken_max", count(1))?,
        taken_within: reader.get("taken_within", wait())?,
        move_after: reader.get("move_after", wait())?,
        wedged_after: reader.get("wedged_after", wait())?,
        poison_deaths_max: reader.get("poison_deaths_max", count(1))?,
        replays_max: reader.get("replays_max", count(0))?,
    })
}

/// How names look, as a regular expression.
pub(super) const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";

/// The name of an app, a group or a namespace.
pub(crate) fn check_name(name: String) -> Result<String, String> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    match name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(allowed) {
        true => Ok(name),
        false => {
            Err(format!("`{name}` is not a name: letters, digits, `-`, `_` and `.`, a letter or digit first"))
        }
    }
}

fn command() -> Form<Vec<OsString>> {
    list(string()).map(|words| words.into_iter().map(OsString::from).collect())
}

/// A list of words, or a line of them.
fn words() -> Form<Vec<OsString>> {
    let shape = Shape::Any(vec![Shape::Text, Shape::List(Box::new(Shape::Text))]);
    Form::new(shape, |entry| match &entry.value {
        Value::String(line) => shell::split(OsStr::new(line))
            .ok_or_else(|| Problem::new(&entry.place, "a quote in it is not closed")),
        _ => command().read(entry),
    })
}

fn interpreter() -> Form<Option<String>> {
    string().check(|name| match name.as_str() {
        "" => Err("expected \"auto\", \"none\", or a program".to_owned()),
        "auto" => Ok(None),
        _ => Ok(Some(name)),
    })
}

fn environment() -> Form<Variables> {
    let shape = Shape::Any(vec![Shape::Text, Shape::Integer(i64::MIN, i64::MAX)]);
    map("^[^=]+$", shape, |member| {
        if member.key.is_empty() || member.key.contains('=') {
            return Err(Problem::new(
                &member.key_place,
                format!("`{}` is not the name of a variable", member.key),
            ));
        }
        // Numbers are what ports and flags look like.
        let value = match &member.entry.value {
            Value::Integer(number) => number.to_string(),
            _ => string().read(&member.entry)?,
        };
        Ok((OsString::from(&member.key), OsString::from(value)))
    })
}

/// A number of workers.
pub(super) fn instances() -> Form<InstanceCount> {
    let most = i64::from(INSTANCES_MAX);
    let shape = Shape::Any(vec![
        Shape::Integer(-most, most),
        Shape::Words(vec!["max"]),
        Shape::Pattern("^[+-]?[0-9]+$"),
    ]);
    Form::new(shape, |entry| {
        let parsed = match &entry.value {
            Value::Integer(number) => InstanceCount::try_from(*number),
            Value::String(text) => text.parse(),
            _ => return Err(expected(entry, "a whole number or \"max\"")),
        };
        parsed.map_err(|message| Problem::new(&entry.place, message))
    })
}

fn address() -> Form<Listen> {
    Form::new(Shape::Any(vec![Shape::Text, Shape::Integer(0, i64::from(u16::MAX))]), |entry: &Entry| {
        let text = match &entry.value {
            Value::Integer(number) => number.to_string(),
            _ => string().read(entry)?,
        };
        text.parse().map_err(|error: super::AddressError| Problem::new(&entry.place, error.to_string()))
    })
}

fn ports() -> Form<BTreeMap<u16, Mode>> {
    let modes = choice::<Mode>();
    let shape = choice::<Mode>().into_shape();
    let pairs = map("^[0-9]{1,5}$", shape, move |member| {
        let port = member.key.parse().map_err(|_| {
            Problem::new(&member.key_place, format!("`{}` is not a port (0 to 65535)", member.key))
        })?;
        Ok((port, modes.read(&member.entry)?))
    });
    pairs.map(|pairs| pairs.into_iter().collect())
}

fn ready() -> Form<Ready> {
    let known = vec![
        ("auto", Ready::Auto),
        ("listen", Ready::Listen),
        ("message", Ready::Message),
        ("notify", Ready::Notify),
        ("tcp", Ready::Tcp),
    ];
    tagged("`ready`", known, vec![("http", "/path", request_path().map(|path| Ready::Http { path }))])
}

/// The path of a request.
pub(super) fn request_path() -> Form<String> {
    let path = string().check(|path| match path.starts_with('/') {
        true => Ok(path),
        false => Err("a path starts with `/`".to_owned()),
    });
    path.written("^/")
}

fn stop_signal() -> Form<i32> {
    string().check(|name| match parse_signal(&name)? {
        signal if signal == Signal::KILL.as_raw() || signal == Signal::STOP.as_raw() => {
            Err(format!("`{name}` is no polite request: a program cannot answer it"))
        }
        signal => Ok(signal),
    })
}
