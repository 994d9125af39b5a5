//! Reads the tables `[app.NAME.schedule.NAME]`. The order of the keys is that of `defaults.toml`.

use super::choices::Choice;
use super::cron::{parse_cron, parse_zone};
use super::document::{Entry, Member, Problem};
use super::form::{Form, Shape, choice, string, table, wait};
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
    command: Option<String>,
    message: Option<Value>,
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
    let work = match (table.command, table.message) {
        (Some(command), None) => ScheduledWork::Command(command),
        (None, Some(message)) => ScheduledWork::Message(message),
        (Some(_), Some(_)) => {
            let hint = "write two schedules with the same `cron`";
            return wrong(format!("schedule `{name}` has a `command` and a `message`"), hint);
        }
        (None, None) => {
            let hint = "write a `command`, or a `message` for one of the workers";
            return wrong(format!("schedule `{name}` has nothing to do"), hint);
        }
    };
    let ScheduleTable { time_zone, overlap, catch_up, timeout, .. } = table;
    Ok(ScheduleSettings { name, cron, time_zone, work, overlap, catch_up, timeout })
}

/// Reads one table whole, and tells which keys there are.
pub(super) fn read_schedule(mut reader: Reader) -> Result<(ScheduleTable, Vec<(Key, Shape)>), Problem> {
    let table = ScheduleTable {
        cron: reader.take("cron", string().check(|text| parse_cron(&text).map(|_| text)))?,
        time_zone: reader.get("time_zone", zone())?,
        command: reader.take("command", shell_line())?,
        message: reader.take("message", message())?,
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
fn message() -> Form<Value> {
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
