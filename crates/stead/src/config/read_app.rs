//! Reads one `[app.NAME]` table. The order is that of `defaults.toml`.

use super::address::ListenAddress;
use super::document::{Entry, Problem, Value};
use super::instances::InstanceCount;
use super::reader::{Reader, boolean, choice, count, duration, list, size, string, table, unknown_key, wait};
use super::settings::{
    BalancerSettings, Mode, Ready, ReadyTimeout, RestartSettings, Serialization, StopSettings, Upstream,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What a table says, before its program is looked for.
#[derive(Debug)]
pub(super) struct AppTable {
    /// One string may hold a whole command line. Missing when the table does not say.
    pub(super) command: Option<Vec<OsString>>,
    pub(super) shell: bool,
    pub(super) cwd: PathBuf,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) instances: InstanceCount,
    pub(super) listen: Vec<ListenAddress>,
    pub(super) mode: Mode,
    pub(super) ports: BTreeMap<u16, Mode>,
    pub(super) upstream: Upstream,
    pub(super) remote_address: bool,
    pub(super) serialization: Serialization,
    pub(super) ready: Ready,
    pub(super) ready_interval: Duration,
    pub(super) ready_timeout: Duration,
    pub(super) on_ready_timeout: ReadyTimeout,
    pub(super) restart: RestartSettings,
    pub(super) stop: StopSettings,
    pub(super) reload_parallel: u32,
    pub(super) balancer: BalancerSettings,
}

/// Reads a table whole; what it does not know is an error.
pub(super) fn read_app(mut reader: Reader) -> Result<AppTable, Problem> {
    let app = AppTable {
        command: match reader.take("command") {
            Some(entry) => Some(command(&entry)?),
            None => None,
        },
        shell: reader.get("shell", boolean)?,
        cwd: reader.get("cwd", string)?.into(),
        env: reader.get("env", environment)?,
        instances: reader.get("instances", instances)?,
        listen: reader.get("listen", |entry| list(entry, address))?,
        mode: reader.get("mode", choice)?,
        ports: reader.get("ports", ports)?,
        upstream: reader.get("upstream", choice)?,
        remote_address: reader.get("remote_address", boolean)?,
        serialization: reader.get("serialization", choice)?,
        ready: reader.get("ready", ready)?,
        ready_interval: reader.get("ready_interval", wait)?,
        ready_timeout: reader.get("ready_timeout", wait)?,
        on_ready_timeout: reader.get("on_ready_timeout", choice)?,
        restart: restart(&mut reader)?,
        stop: StopSettings {
            grace: reader.get("grace", duration)?,
            terminate_after: reader.get("terminate_after", duration)?,
            kill_after: reader.get("kill_after", duration)?,
        },
        reload_parallel: reader.get("reload_parallel", count(1))?,
        balancer: balancer(&mut reader)?,
    };
    reader.finish()?;
    Ok(app)
}

fn restart(reader: &mut Reader) -> Result<RestartSettings, Problem> {
    Ok(RestartSettings {
        policy: reader.get("restart", choice)?,
        backoff_first: reader.get("backoff_first", wait)?,
        backoff_max: reader.get("backoff_max", wait)?,
        stable_after: reader.get("stable_after", duration)?,
        starts_max: reader.get("starts_max", count(1))?,
        restarts_max: reader.get("restarts_max", count(0))?,
        restarts_period: reader.get("restarts_period", wait)?,
        cool_down: reader.get("cool_down", wait)?,
    })
}

fn balancer(reader: &mut Reader) -> Result<BalancerSettings, Problem> {
    Ok(BalancerSettings {
        balance: reader.get("balance", choice)?,
        trust_forwarded: reader.get("trust_forwarded", boolean)?,
        head_bytes_max: reader.get("head_bytes_max", size)?,
        header_count_max: reader.get("header_count_max", count(1))?,
        body_bytes_max: reader.get("body_bytes_max", size)?,
        replay_body_bytes_max: reader.get("replay_body_bytes_max", size)?,
        small_answer_bytes_max: reader.get("small_answer_bytes_max", size)?,
        header_timeout: reader.get("header_timeout", wait)?,
        body_timeout: reader.get("body_timeout", wait)?,
        idle_timeout: reader.get("idle_timeout", wait)?,
        answer_timeout: reader.get("answer_timeout", wait)?,
        connections_max: reader.get("connections_max", count(1))?,
        held_requests_max: reader.get("held_requests_max", count(0))?,
        hold_timeout: reader.get("hold_timeout", duration)?,
        upstream_connections_max: reader.get("upstream_connections_max", count(1))?,
        upstream_idle: reader.get("upstream_idle", duration)?,
        untaken_max: reader.get("untaken_max", count(1))?,
        taken_within: reader.get("taken_within", wait)?,
        move_after: reader.get("move_after", wait)?,
        wedged_after: reader.get("wedged_after", wait)?,
        poison_deaths_max: reader.get("poison_deaths_max", count(1))?,
        replays_max: reader.get("replays_max", count(0))?,
    })
}

fn command(entry: &Entry) -> Result<Vec<OsString>, Problem> {
    Ok(list(entry, string)?.into_iter().map(OsString::from).collect())
}

fn environment(entry: &Entry) -> Result<Vec<(OsString, OsString)>, Problem> {
    let mut variables = Vec::new();
    for member in table(entry)? {
        if member.key.is_empty() || member.key.contains('=') {
            return Err(Problem::new(
                &member.key_place,
                format!("`{}` is not the name of a variable", member.key),
            ));
        }
        // Numbers are what ports and flags look like.
        let value = match &member.entry.value {
            Value::Integer(number) => number.to_string(),
            _ => string(&member.entry)?,
        };
        variables.push((OsString::from(&member.key), OsString::from(value)));
    }
    Ok(variables)
}

fn instances(entry: &Entry) -> Result<InstanceCount, Problem> {
    let parsed = match &entry.value {
        Value::Integer(number) => InstanceCount::try_from(*number),
        Value::String(text) => text.parse(),
        other => Err(format!("expected a number or \"max\", found {}", other.kind())),
    };
    parsed.map_err(|message| Problem::new(&entry.place, message))
}

fn address(entry: &Entry) -> Result<ListenAddress, Problem> {
    let text = match &entry.value {
        Value::Integer(number) => number.to_string(),
        _ => string(entry)?,
    };
    text.parse().map_err(|error: super::AddressError| Problem::new(&entry.place, error.to_string()))
}

fn ports(entry: &Entry) -> Result<BTreeMap<u16, Mode>, Problem> {
    let mut ports = BTreeMap::new();
    for member in table(entry)? {
        let port = member.key.parse().map_err(|_| {
            Problem::new(&member.key_place, format!("`{}` is not a port (0 to 65535)", member.key))
        })?;
        ports.insert(port, choice(&member.entry)?);
    }
    Ok(ports)
}

fn ready(entry: &Entry) -> Result<Ready, Problem> {
    let known = [
        ("auto", Ready::Auto),
        ("listen", Ready::Listen),
        ("message", Ready::Message),
        ("notify", Ready::Notify),
        ("tcp", Ready::Tcp),
    ];
    match &entry.value {
        Value::Table(members) => match members.as_slice() {
            [member] if member.key == "http" => {
                let path = string(&member.entry)?;
                match path.starts_with('/') {
                    true => Ok(Ready::Http { path }),
                    false => Err(Problem::new(&member.entry.place, "a path starts with `/`")),
                }
            }
            [] => Err(Problem::new(&entry.place, "expected { http = \"/path\" }")),
            members => {
                let member = members.iter().find(|member| member.key != "http").unwrap_or(&members[0]);
                let hint = Some("write { http = \"/path\" }".to_owned());
                Err(unknown_key(&member.key, &member.key_place, "`ready`", &["http"]).hint(hint))
            }
        },
        _ => {
            let word = string(entry)?;
            let found = known.iter().find(|(name, _)| *name == word).map(|(_, ready)| ready.clone());
            found.ok_or_else(|| {
                let names = known.map(|(name, _)| format!("`{name}`")).join(", ");
                Problem::new(&entry.place, format!("`{word}` is not one of {names}, {{ http = \"/path\" }}"))
            })
        }
    }
}
