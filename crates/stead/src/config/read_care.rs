//! Reads the keys of an app's table about its care, its confinement and its logs. The order is that of `defaults.toml`.

use super::choices::{Choice, LogFormat, choose};
use super::cron::parse_cron;
use super::document::{Entry, Member, Place, Problem, Value};
use super::form::{
    Form, Shape, amount, boolean, choice, count, duration, expected, integer, large_count, list, some_bytes,
    string, table, wait,
};
use super::quantity::parse_size;
use super::read_app::{NAME, check_name, request_path};
use super::reader::Reader;
use super::settings::{
    AccessForm, CgroupSettings, Dependency, DependencyCondition, HealthCheck, HealthSettings, HookSettings,
    RecycleSettings, ResourceName,
};
use super::tagged::tagged;
use super::users::{KnownUser, find_group, find_user};
use std::path::PathBuf;
use std::time::Duration;

/// What these keys say; directories and users are not put in their places yet.
#[derive(Debug)]
pub(super) struct CareTable {
    /// With the place of each name, for what can only be checked when all apps are known.
    pub(super) depends_on: Vec<(Dependency, Place)>,
    pub(super) recycle: RecycleSettings,
    pub(super) slow_start: Option<Duration>,
    /// Nothing: off. Relative to the app's directory.
    pub(super) watch: Option<Vec<PathBuf>>,
    pub(super) watch_ignore: Vec<String>,
    pub(super) watch_delay: Duration,
    pub(super) cron_restart: Option<String>,
    pub(super) uid: Option<KnownUser>,
    pub(super) gid: Option<u32>,
    pub(super) umask: Option<u32>,
    pub(super) limits: Vec<(ResourceName, Option<u64>)>,
    pub(super) no_new_privileges: bool,
    pub(super) cgroup: CgroupSettings,
    pub(super) hooks: HookSettings,
    pub(super) health: HealthSettings,
    pub(super) logs: LogTable,
}

/// The keys about logs.
#[derive(Debug)]
pub(super) struct LogTable {
    /// "auto", "off" or a directory.
    pub(super) place: String,
    pub(super) json: bool,
    pub(super) rotate_bytes: u64,
    pub(super) rotate_age: Duration,
    pub(super) total_bytes_max: u64,
    pub(super) compress: bool,
    pub(super) line_bytes_max: u64,
    pub(super) access: Option<AccessForm>,
    pub(super) access_query: bool,
}

pub(super) fn care(reader: &mut Reader) -> Result<CareTable, Problem> {
    Ok(CareTable {
        depends_on: reader.get("depends_on", dependencies())?,
        recycle: RecycleSettings {
            memory_bytes: reader.get("recycle_memory", some_bytes().or_off())?,
            age: reader.get("recycle_age", wait().or_off())?,
            requests: reader.get("recycle_requests", large_count().or_off())?,
        },
        slow_start: reader.get("slow_start", wait().or_off())?,
        watch: reader.get("watch", watch())?,
        watch_ignore: reader.get("watch_ignore", list(string()))?,
        watch_delay: reader.get("watch_delay", duration())?,
        cron_restart: reader
            .get("cron_restart", string().check(|text| parse_cron(&text).map(|_| text)).or_off())?,
        uid: reader.get("uid", name_or_number().check(|text| find_user(&text)).or_off())?,
        gid: reader.get("gid", name_or_number().check(|text| find_group(&text)).or_off())?,
        umask: reader.get("umask", umask().or_off())?,
        limits: reader.get("limits", limits())?,
        no_new_privileges: reader.get("no_new_privileges", boolean())?,
        cgroup: CgroupSettings {
            memory_bytes_max: reader.get("memory_max", some_bytes().or_off())?,
            cpu_max: reader.get("cpu_max", amount().or_off())?,
            tasks_max: reader.get("tasks_max", large_count().or_off())?,
        },
        hooks: HookSettings {
            before_start: reader.get("before_start", shell_line().or_off())?,
            after_ready: reader.get("after_ready", shell_line().or_off())?,
            timeout: reader.get("hook_timeout", wait())?,
        },
        health: HealthSettings {
            check: reader.get("health", health())?,
            interval: reader.get("health_interval", wait())?,
            timeout: reader.get("health_timeout", wait())?,
            failures_max: reader.get("health_failures_max", count(1))?,
            replace_after: reader.get("health_replace_after", duration())?,
        },
        logs: logs(reader)?,
    })
}

fn logs(reader: &mut Reader) -> Result<LogTable, Problem> {
    Ok(LogTable {
        place: reader.get("logs", string().check(not_empty))?,
        json: reader.get("log_format", choice::<LogFormat>())? == LogFormat::Json,
        rotate_bytes: reader.get("log_rotate_bytes", some_bytes())?,
        rotate_age: reader.get("log_rotate_age", wait())?,
        total_bytes_max: reader.get("log_total_bytes_max", some_bytes())?,
        compress: reader.get("log_compress", boolean())?,
        line_bytes_max: reader.get("log_line_bytes_max", some_bytes())?,
        access: reader.get("access_log", choice::<AccessForm>().or_off())?,
        access_query: reader.get("access_log_query", boolean())?,
    })
}

fn not_empty(text: String) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text) }
}

/// A line for a shell.
pub(super) fn shell_line() -> Form<String> {
    string().check(|line| match line.trim() {
        "" => Err("the command is empty".to_owned()),
        _ => Ok(line),
    })
}

fn dependencies() -> Form<Vec<(Dependency, Place)>> {
    let name = Shape::Pattern(NAME);
    let names = Shape::List(Box::new(name.clone()));
    let conditions = choice::<DependencyCondition>();
    let by_name = Shape::Map(NAME, Box::new(choice::<DependencyCondition>().into_shape()));
    Form::new(Shape::Any(vec![names, by_name, name]), move |entry| match &entry.value {
        Value::Table(members) => {
            let read = |member: &Member| {
                let condition = conditions.read(&member.entry)?;
                Ok((Dependency { app: member.key.clone(), condition }, member.key_place.clone()))
            };
            members.iter().map(read).collect()
        }
        Value::Array(entries) => entries.iter().map(dependency).collect(),
        Value::String(_) => Ok(vec![dependency(entry)?]),
        _ => Err(expected(entry, "a list of apps, or { db = \"ready\" }")),
    })
}

fn dependency(entry: &Entry) -> Result<(Dependency, Place), Problem> {
    let app = string().check(check_name).read(entry)?;
    Ok((Dependency { app, condition: DependencyCondition::Ready }, entry.place.clone()))
}

fn watch() -> Form<Option<Vec<PathBuf>>> {
    let paths = list(string().check(not_empty));
    let shape = Shape::Any(vec![Shape::Boolean, paths.shape().clone()]);
    Form::new(shape, move |entry| match &entry.value {
        Value::Boolean(false) => Ok(None),
        Value::Boolean(true) => Ok(Some(vec![PathBuf::from(".")])),
        Value::String(_) | Value::Array(_) => {
            let paths: Vec<PathBuf> = paths.read(entry)?.into_iter().map(PathBuf::from).collect();
            Ok((!paths.is_empty()).then_some(paths))
        }
        _ => Err(expected(entry, "true, false, or a list of paths")),
    })
}

fn name_or_number() -> Form<String> {
    Form::new(Shape::Any(vec![Shape::Text, Shape::Integer(0, u32::MAX.into())]), |entry| match &entry.value {
        Value::Integer(_) => Ok(integer(0, u32::MAX.into()).read(entry)?.to_string()),
        Value::String(name) => Ok(name.clone()),
        _ => Err(expected(entry, "a name or a number")),
    })
}

fn umask() -> Form<u32> {
    Form::new(Shape::Pattern("^0*[0-7]{1,3}$"), |entry| match &entry.value {
        Value::String(text) => match u32::from_str_radix(text, 8) {
            Ok(mask) if mask <= 0o777 && !text.starts_with('+') => Ok(mask),
            _ => Err(Problem::new(
                &entry.place,
                format!("`{text}` is not a mask: three octal digits, as \"027\""),
            )),
        },
        // Whether 27 means 27 or 033 is anybody's guess.
        _ => Err(expected(entry, "a string of octal digits, as \"027\"")),
    })
}

fn limits() -> Form<Vec<(ResourceName, Option<u64>)>> {
    let value = Shape::Any(vec![Shape::Integer(0, i64::MAX), Shape::Size, Shape::Words(vec!["unlimited"])]);
    let shape = Shape::Keys(ResourceName::WORDS.iter().map(|(word, _)| *word).collect(), Box::new(value));
    Form::new(shape, |entry| table(entry)?.iter().map(limit).collect())
}

fn limit(member: &Member) -> Result<(ResourceName, Option<u64>), Problem> {
    let name: ResourceName = choose(&member.key)
        .map_err(|error| Problem::new(&member.key_place, error.message).hint(error.hint))?;
    let in_bytes = !matches!(name, ResourceName::Nofile | ResourceName::Nproc | ResourceName::Cpu);
    let limit = match &member.entry.value {
        Value::String(word) if word == "unlimited" => None,
        Value::Integer(number) if *number >= 0 => Some(number.unsigned_abs()),
        Value::String(text) if in_bytes && parse_size(text).is_ok() => parse_size(text).ok(),
        _ if in_bytes => {
            return Err(expected(&member.entry, "bytes, a size such as \"64MiB\", or \"unlimited\""));
        }
        _ => return Err(expected(&member.entry, "a number or \"unlimited\"")),
    };
    Ok((name, limit))
}

fn health() -> Form<Option<HealthCheck>> {
    let words =
        vec![("off", None), ("tcp", Some(HealthCheck::Tcp)), ("watchdog", Some(HealthCheck::Watchdog))];
    let tags = vec![
        ("http", "/path", request_path().map(|path| Some(HealthCheck::Http { path }))),
        ("command", "...", shell_line().map(|line| Some(HealthCheck::Command(line)))),
    ];
    tagged("`health`", words, tags)
}
