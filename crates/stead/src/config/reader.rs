//! Typed reading of one table whose values come from several layers.
//!
//! A key that nobody asks for is unknown: the code that reads the settings is the list of settings.

use super::choices::{Choice, choose};
use super::document::{Entry, Member, Place, Problem, Value};
use super::quantity::{parse_duration, parse_size};
use super::suggest::nearest;
use std::collections::BTreeMap;
use std::time::Duration;

/// The values of one table, later layers over earlier ones.
pub(super) struct Reader {
    members: BTreeMap<String, Member>,
    /// For sentences: `[app.shop]`.
    table: String,
    asked: Vec<&'static str>,
}

impl Reader {
    pub(super) fn new(table: String, layers: impl IntoIterator<Item = Member>) -> Reader {
        let members = layers.into_iter().map(|member| (member.key.clone(), member)).collect();
        Reader { members, table, asked: Vec::new() }
    }

    /// The value of a key that may be missing.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.asked.push(key);
        self.members.remove(key).map(|member| member.entry)
    }

    /// The value of a key that has a default.
    ///
    /// # Panics
    /// When `defaults.toml` does not name the key; a test reads every one.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Entry) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let entry =
            self.take(key).unwrap_or_else(|| panic!("defaults.toml must name every setting, and so `{key}`"));
        read(&entry).map_err(|problem| name(problem, key))
    }

    /// What is left is unknown; the first of it is the error.
    pub(super) fn finish(self) -> Result<(), Problem> {
        let unknown = self.members.into_values().min_by_key(|member| match &member.key_place {
            Place::File(range) => range.start,
            Place::Defaults | Place::Flag(_) => 0,
        });
        let Some(Member { key, key_place, .. }) = unknown else { return Ok(()) };
        Err(unknown_key(&key, &key_place, &self.table, &self.asked))
    }
}

/// The error for a key that does not exist.
pub(super) fn unknown_key(key: &str, place: &Place, table: &str, known: &[&str]) -> Problem {
    let hint = match nearest(key, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`stead defaults` prints every setting".to_owned(),
    };
    Problem::new(place, format!("unknown key `{key}` in {table}")).label("unknown key").hint(Some(hint))
}

/// A problem with a value says whose value it is; the label beside it says what it should be.
fn name(problem: Problem, key: &str) -> Problem {
    let label = problem.label.unwrap_or(problem.message);
    Problem { message: format!("invalid value for `{key}`"), label: Some(label), ..problem }
}

fn expected(entry: &Entry, what: &str) -> Problem {
    Problem::new(&entry.place, format!("expected {what}, found {}", entry.value.kind()))
}

pub(super) fn string(entry: &Entry) -> Result<String, Problem> {
    match &entry.value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(expected(entry, "a string")),
    }
}

pub(super) fn boolean(entry: &Entry) -> Result<bool, Problem> {
    match &entry.value {
        Value::Boolean(value) => Ok(*value),
        _ => Err(expected(entry, "true or false")),
    }
}

pub(super) fn choice<T: Choice>(entry: &Entry) -> Result<T, Problem> {
    choose(&string(entry)?).map_err(|error| Problem::new(&entry.place, error.message).hint(error.hint))
}

/// A whole number from `least` to 4,294,967,295.
pub(super) fn count(least: u32) -> impl FnOnce(&Entry) -> Result<u32, Problem> {
    move |entry| match entry.value {
        Value::Integer(number) => match u32::try_from(number) {
            Ok(count) if count >= least => Ok(count),
            _ if number < i64::from(least) => {
                Err(Problem::new(&entry.place, format!("must be at least {least}")))
            }
            _ => Err(Problem::new(&entry.place, format!("must be at most {}", u32::MAX))),
        },
        _ => Err(expected(entry, "a number")),
    }
}

pub(super) fn duration(entry: &Entry) -> Result<Duration, Problem> {
    let units = "a duration such as \"500ms\", \"30s\", \"2m\"";
    match &entry.value {
        Value::String(text) => parse_duration(text)
            .map_err(|message| Problem::new(&entry.place, message).hint(Some(format!("write {units}")))),
        Value::Integer(number) => {
            let hint = format!("a number needs its unit: \"{number}s\" or \"{number}ms\"");
            Err(expected(entry, units).hint(Some(hint)))
        }
        _ => Err(expected(entry, units)),
    }
}

/// A duration that is not zero.
pub(super) fn wait(entry: &Entry) -> Result<Duration, Problem> {
    match duration(entry)? {
        Duration::ZERO => Err(Problem::new(&entry.place, "must be more than zero")),
        duration => Ok(duration),
    }
}

/// A size in bytes.
pub(super) fn size(entry: &Entry) -> Result<u64, Problem> {
    let units = "a size such as \"512B\", \"64KiB\", \"1MB\"";
    match &entry.value {
        Value::String(text) => parse_size(text)
            .map_err(|message| Problem::new(&entry.place, message).hint(Some(format!("write {units}")))),
        Value::Integer(number) => {
            Err(expected(entry, units).hint(Some(format!("a number needs its unit: \"{number}B\""))))
        }
        _ => Err(expected(entry, units)),
    }
}

/// A list, or one value that stands for a list of one.
pub(super) fn list<T>(
    entry: &Entry,
    mut read: impl FnMut(&Entry) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    match &entry.value {
        Value::Array(entries) => entries.iter().map(read).collect(),
        _ => Ok(vec![read(entry)?]),
    }
}

/// The members of a table.
pub(super) fn table(entry: &Entry) -> Result<&[Member], Problem> {
    match &entry.value {
        Value::Table(members) => Ok(members),
        _ => Err(expected(entry, "a table")),
    }
}
