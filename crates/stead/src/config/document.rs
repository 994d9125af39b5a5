//! A TOML text as values that know their place, so that an error can point at what is wrong.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Built in.
    Defaults,
    /// Bytes of the configuration file.
    File(Range<usize>),
    /// A key of a file that others have written, in words: "`kill_timeout` of app `shop`".
    Foreign(String),
    /// `--set KEY`.
    Flag(String),
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What TOML can say, as far as Stead listens.
#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Entry>),
    Table(Vec<Member>),
    /// A date, which no setting is.
    Other,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) entry: Entry,
}

/// Something wrong at a place.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) place: Place,
    /// The sentence on top.
    pub(super) message: String,
    /// What stands beside the marked place.
    pub(super) label: Option<String>,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(place: &Place, message: impl Into<String>) -> Problem {
        Problem { place: place.clone(), message: message.into(), label: None, hint: None }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: Option<String>) -> Problem {
        self.hint = hint;
        self
    }

    #[must_use]
    pub(super) fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = Some(label.into());
        self
    }
}

impl Value {
    /// With its article, for sentences.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number with a point",
            Value::Boolean(_) => "true or false",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other => "something else",
        }
    }
}

/// Reads a whole file. `place` makes places of byte ranges.
pub(super) fn parse(text: &str, place: fn(Range<usize>) -> Place) -> Result<Vec<Member>, Problem> {
    match DeTable::parse(text) {
        Ok(table) => Ok(members(table.get_ref(), place)),
        Err(error) => {
            // An error at the very end of the file has no byte of its own to point at.
            let span = error.span().unwrap_or(text.len()..text.len());
            Err(Problem::new(&place(span), "the file is not valid TOML").label(error.message().trim_end()))
        }
    }
}

/// Reads the value of `--set KEY=VALUE`: TOML where it is, else the text itself, so that quotes may be left out.
pub(super) fn parse_flag(key: &str, text: &str) -> Member {
    let place = Place::Flag(format!("--set {key}"));
    let mut entry = match DeValue::parse(text) {
        Ok(parsed) => entry(&parsed, |_| Place::Defaults),
        Err(_) => Entry { value: Value::String(text.to_owned()), place: Place::Defaults },
    };
    if matches!(entry.value, Value::Other) {
        entry.value = Value::String(text.to_owned());
    }
    mark(&mut entry, &place);
    Member { key: key.to_owned(), key_place: place, entry }
}

fn mark(entry: &mut Entry, place: &Place) {
    entry.place = place.clone();
    match &mut entry.value {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| mark(entry, place)),
        Value::Table(members) => {
            for member in members {
                member.key_place = place.clone();
                mark(&mut member.entry, place);
            }
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Other => (),
    }
}

/// In the order of the text, which is the order people count in.
fn members(table: &DeTable<'_>, place: fn(Range<usize>) -> Place) -> Vec<Member> {
    let mut members: Vec<(usize, Member)> = table
        .iter()
        .map(|(key, value)| {
            let member = Member {
                key: key.get_ref().to_string(),
                key_place: place(key.span()),
                entry: entry(value, place),
            };
            (key.span().start, member)
        })
        .collect();
    members.sort_by_key(|(start, _)| *start);
    members.into_iter().map(|(_, member)| member).collect()
}

fn entry(value: &Spanned<DeValue<'_>>, place: fn(Range<usize>) -> Place) -> Entry {
    let converted = match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Integer)
        }
        DeValue::Array(values) => Value::Array(values.iter().map(|value| entry(value, place)).collect()),
        DeValue::Table(table) => Value::Table(members(table, place)),
        DeValue::Float(number) => number.as_str().parse().map_or(Value::Other, Value::Float),
        DeValue::Datetime(_) => Value::Other,
    };
    Entry { value: converted, place: place(value.span()) }
}
