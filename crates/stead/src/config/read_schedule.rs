//! Reads the tables `[app.NAME.schedule.NAME]`. The order of the keys is that of `defaults.toml`.

use super::choices::Choice;
use super::cron::{parse_cron, parse_zone};
use super::document::{Entry, Member, Problem};
use super::form::{Form, Shape, choice, duration, string, table, wait};
use super::layers::Defaults;
use super::read_app::check_name;
use super::read_care::shell_line;
use super::reader::{Key, Reader};
use super::schema::json;
use super::settings::{CatchUp, Overlap, ScheduleSettings, ScheduledWork};
use serde_json::Value;
use std::time::Duration;

/// What such a table says.
pub(super) struct ScheduleTable {
    cron: Option<String>,
    time_zone: Option<String>,
    jitter: Duration,
    command: Option<String>,
    message: Option<Value>,
    task: Option<Value>,
    pool: Option<String>,
    overlap: Overlap,
    catch_up: CatchUp,
    timeout: Duration,
}

/// All of an app.
pub(super) fn schedules() -> Form<Vec<ScheduleSettings>> {
    // The schema has more to say about it.
    Form::new(Shape::Anything, |entry| table(entry)?.iter().map(schedule).collect())
}

fn schedule(member: &Member) -> Result<ScheduleSettings, Problem> {
    let wrong = |message: String, hint: &str| {
        Err(Problem::new(&member.key_place, message).hint(Some(hint.to_owned())))
    };
    let name = check_name(member.key.clone()).map_err(|message| Problem::new(&member.key_place, message))?;
    let layers = Defaults::read().schedule.into_iter().chain(table(&member.entry)?.iter().cloned());
    let (table, _) = read_schedule(Reader::new(format!("schedule `{name}`"), layers))?;
    let Some(cron) = table.cron else {
        return wrong(format!("schedule `{name}` has no `cron`"), "for example: cron = \"0 3 * * *\"");
    };
    if table.pool.is_some() && table.task.is_none() {
        let hint = "write what a worker of the pool gets, any value: task = { file = \"a.png\" }";
        return wrong(format!("schedule `{name}` has a `pool` and no `task`"), hint);
    }
    let work = match (table.command, table.message, table.task) {
        (Some(command), None, None) => ScheduledWork::Command(command),
        (None, Some(message), None) => ScheduledWork::Message(message),
        (None, None, Some(input)) => ScheduledWork::Task { pool: table.pool, input },
        (None, None, None) => {
            let hint = "write a `command`, a `message` for one of the workers, or a `task` for a `pool`";
            return wrong(format!("schedule `{name}` has nothing to do"), hint);
        }
        (command, _, task) => {
            let first = if command.is_some() { "command" } else { "message" };
            let second = if task.is_some() { "task" } else { "message" };
            let hint = "write two schedules with the same `cron`";
            return wrong(format!("schedule `{name}` has a `{first}` and a `{second}`"), hint);
        }
    };
    let ScheduleTable { time_zone, jitter, overlap, catch_up, timeout, .. } = table;
    Ok(ScheduleSettings { name, cron, time_zone, jitter, work, overlap, catch_up, timeout })
}

/// A task of an app's schedule is for a pool that it names; only a pool has one of its own.
pub(super) fn check_pools(schedules: &[ScheduleSettings], members: &[Member]) -> Result<(), Problem> {
    let is_lost = |own: &&ScheduleSettings| matches!(own.work, ScheduledWork::Task { pool: None, .. });
    let tables = members.iter().find(|member| member.key == "schedule");
    let (Some(lost), Some(tables)) = (schedules.iter().find(is_lost), tables) else { return Ok(()) };
    let place = table(&tables.entry)?.iter().find(|member| member.key == lost.name);
    let message = format!("schedule `{}` has a `task` and no `pool`", lost.name);
    let hint = "write for which: pool = \"resize\", which is a table [pool.resize]";
    Err(Problem::new(&place.unwrap_or(tables).key_place, message).hint(Some(hint.to_owned())))
}

/// Reads one table whole, and tells which keys there are.
pub(super) fn read_schedule(mut reader: Reader) -> Result<(ScheduleTable, Vec<(Key, Shape)>), Problem> {
    let table = ScheduleTable {
        cron: reader.take("cron", string().check(|text| parse_cron(&text).map(|_| text)))?,
        time_zone: reader.get("time_zone", zone())?,
        jitter: reader.get("jitter", duration())?,
        command: reader.take("command", shell_line())?,
        message: reader.take("message", json_value())?,
        task: reader.take("task", json_value())?,
        pool: reader.take("pool", string().check(check_name))?,
        overlap: reader.get("overlap", choice())?,
        catch_up: reader.get("catch_up", choice())?,
        timeout: reader.get("timeout", wait())?,
    };
    Ok((table, reader.finish()?))
}

fn zone() -> Form<Option<String>> {
    string().check(|name| match name.as_str() {
        "local" => Ok(None),
        _ => parse_zone(Some(&name)).map(|_| Some(name)),
    })
}

/// Anything that JSON has a word for.
fn json_value() -> Form<Value> {
    Form::new(Shape::Anything, |entry: &Entry| {
        json(entry).ok_or_else(|| Problem::new(&entry.place, "JSON has no dates: write it in quotes"))
    })
}

impl Choice for Overlap {
    const WORDS: &'static [(&'static str, Self)] = &[("skip", Overlap::Skip), ("queue", Overlap::Queue)];
}

impl Choice for CatchUp {
    const WORDS: &'static [(&'static str, Self)] = &[("none", CatchUp::None), ("one", CatchUp::One)];
}
