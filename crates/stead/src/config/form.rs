//! The forms that values have: how each is read, and, told by the same object, what may stand there.
//!
//! `schema.rs` makes the JSON schema of the second half, so that it cannot say anything else than the reader does.

use super::choices::{Choice, choose};
use super::document::{Entry, Member, Problem, Value};
use super::quantity::{parse_duration, parse_size};
use std::time::Duration;

/// How a value is written and what is read from it.
pub(super) struct Form<T> {
    shape: Shape,
    read: Box<Read<T>>,
}

type Read<T> = dyn Fn(&Entry) -> Result<T, Problem>;

/// What may stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Boolean,
    /// A whole number, at least and at most.
    Integer(i64, i64),
    /// A number above zero.
    Number,
    Duration,
    Size,
    /// A text that fits this pattern.
    Pattern(&'static str),
    /// One of these words.
    Words(Vec<&'static str>),
    List(Box<Shape>),
    /// Exactly one of these keys.
    OneKey(Vec<(&'static str, Shape)>),
    /// Any of these keys, each with such a value.
    Keys(Vec<&'static str>, Box<Shape>),
    /// Keys whose names fit this pattern.
    Map(&'static str, Box<Shape>),
    Any(Vec<Shape>),
    /// Whatever JSON has a word for.
    Anything,
}

impl<T: 'static> Form<T> {
    pub(super) fn new(shape: Shape, read: impl Fn(&Entry) -> Result<T, Problem> + 'static) -> Form<T> {
        Form { shape, read: Box::new(read) }
    }

    pub(super) fn read(&self, entry: &Entry) -> Result<T, Problem> {
        (self.read)(entry)
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn into_shape(self) -> Shape {
        self.shape
    }

    pub(super) fn map<U: 'static>(self, change: impl Fn(T) -> U + 'static) -> Form<U> {
        let Form { shape, read } = self;
        Form::new(shape, move |entry| read(entry).map(&change))
    }

    /// With one more condition on what was read; a message for people when it is broken.
    pub(super) fn check<U: 'static>(self, change: impl Fn(T) -> Result<U, String> + 'static) -> Form<U> {
        let Form { shape, read } = self;
        Form::new(shape, move |entry| {
            change(read(entry)?).map_err(|message| Problem::new(&entry.place, message))
        })
    }

    /// The same, with a pattern that every such text fits.
    pub(super) fn written(self, pattern: &'static str) -> Form<T> {
        Form { shape: Shape::Pattern(pattern), read: self.read }
    }

    /// Or the word "off", which is nothing.
    pub(super) fn or_off(self) -> Form<Option<T>> {
        let Form { shape, read } = self;
        Form::new(Shape::Any(vec![Shape::Words(vec!["off"]), shape]), move |entry| match &entry.value {
            Value::String(word) if word == "off" => Ok(None),
            _ => read(entry).map(Some).map_err(|problem| {
                let off = |hint: String| format!("{hint}, or \"off\"");
                Problem { hint: problem.hint.map(off), ..problem }
            }),
        })
    }
}

pub(super) fn expected(entry: &Entry, what: &str) -> Problem {
    Problem::new(&entry.place, format!("expected {what}, found {}", entry.value.kind()))
}

pub(super) fn string() -> Form<String> {
    Form::new(Shape::Text, |entry| match &entry.value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(expected(entry, "a string")),
    })
}

pub(super) fn boolean() -> Form<bool> {
    Form::new(Shape::Boolean, |entry| match &entry.value {
        Value::Boolean(value) => Ok(*value),
        _ => Err(expected(entry, "true or false")),
    })
}

pub(super) fn choice<T: Choice>() -> Form<T> {
    let words = T::WORDS.iter().map(|(word, _)| *word).collect();
    Form::new(Shape::Words(words), |entry| {
        choose(&string().read(entry)?)
            .map_err(|error| Problem::new(&entry.place, error.message).hint(error.hint))
    })
}

/// A whole number between two.
pub(super) fn integer(least: i64, most: i64) -> Form<i64> {
    Form::new(Shape::Integer(least, most), move |entry| match entry.value {
        Value::Integer(number) if number < least => {
            Err(Problem::new(&entry.place, format!("must be at least {least}")))
        }
        Value::Integer(number) if number > most => {
            Err(Problem::new(&entry.place, format!("must be at most {most}")))
        }
        Value::Integer(number) => Ok(number),
        _ => Err(expected(entry, "a whole number")),
    })
}

/// A whole number from `least` to 4,294,967,295.
pub(super) fn count(least: u32) -> Form<u32> {
    integer(least.into(), u32::MAX.into()).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// A whole number above zero.
pub(super) fn large_count() -> Form<u64> {
    integer(1, i64::MAX).map(i64::unsigned_abs)
}

/// Any number above zero.
pub(super) fn amount() -> Form<f64> {
    Form::new(Shape::Number, |entry| {
        let number = match entry.value {
            Value::Integer(number) => number as f64,
            Value::Float(number) => number,
            _ => return Err(expected(entry, "a number")),
        };
        match number.is_finite() && number > 0.0 {
            true => Ok(number),
            false => Err(Problem::new(&entry.place, "must be more than zero")),
        }
    })
}

pub(super) fn duration() -> Form<Duration> {
    let units = "a duration such as \"500ms\", \"30s\", \"2m\"";
    Form::new(Shape::Duration, move |entry| match &entry.value {
        Value::String(text) => parse_duration(text)
            .map_err(|message| Problem::new(&entry.place, message).hint(Some(format!("write {units}")))),
        Value::Integer(number) => {
            let hint = format!("a number needs its unit: \"{number}s\" or \"{number}ms\"");
            Err(expected(entry, units).hint(Some(hint)))
        }
        _ => Err(expected(entry, units)),
    })
}

/// A duration that is not zero.
pub(super) fn wait() -> Form<Duration> {
    duration().check(|duration| match duration {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        duration => Ok(duration),
    })
}

/// A size in bytes.
pub(super) fn size() -> Form<u64> {
    let units = "a size such as \"512B\", \"64KiB\", \"1MB\"";
    Form::new(Shape::Size, move |entry| match &entry.value {
        Value::String(text) => parse_size(text)
            .map_err(|message| Problem::new(&entry.place, message).hint(Some(format!("write {units}")))),
        Value::Integer(number) => {
            Err(expected(entry, units).hint(Some(format!("a number needs its unit: \"{number}B\""))))
        }
        _ => Err(expected(entry, units)),
    })
}

/// A size that is not zero.
pub(super) fn some_bytes() -> Form<u64> {
    size().check(|bytes| match bytes {
        0 => Err("must be more than zero".to_owned()),
        bytes => Ok(bytes),
    })
}

/// A list, or one value that stands for a list of one.
pub(super) fn list<T: 'static>(form: Form<T>) -> Form<Vec<T>> {
    let Form { shape, read } = form;
    let shape = Shape::Any(vec![shape.clone(), Shape::List(Box::new(shape))]);
    Form::new(shape, move |entry| match &entry.value {
        Value::Array(entries) => entries.iter().map(&read).collect(),
        _ => Ok(vec![read(entry)?]),
    })
}

/// A table whose keys are names of some kind. `pattern` describes them to the schema, `read` reads key and value.
pub(super) fn map<T: 'static>(
    pattern: &'static str,
    shape: Shape,
    read: impl Fn(&Member) -> Result<T, Problem> + 'static,
) -> Form<Vec<T>> {
    Form::new(Shape::Map(pattern, Box::new(shape)), move |entry| table(entry)?.iter().map(&read).collect())
}

/// The members of a table.
pub(super) fn table(entry: &Entry) -> Result<&[Member], Problem> {
    match &entry.value {
        Value::Table(members) => Ok(members),
        _ => Err(expected(entry, "a table")),
    }
}
