//! How values are written in PM2's files: numbers as texts, times in milliseconds, sizes with a letter, lists as lines.

use crate::config::quantity::{parse_duration, parse_size};
use crate::config::shell;
use serde_json::Value;
use std::ffi::OsStr;

/// What is wrong with a value: a fragment.
pub(super) type Wrong = String;

/// For sentences; long ones are cut.
pub(super) fn shown(value: &Value) -> String {
    const LETTERS_MAX: usize = 60;
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("`{}..`", &text[..end]),
        None => format!("`{text}`"),
    }
}

pub(super) fn text(value: &Value) -> Result<String, Wrong> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("{} is not a text", shown(value))),
    }
}

pub(super) fn boolean(value: &Value) -> Result<bool, Wrong> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        Value::Null => Ok(false),
        _ => Err(format!("{} is neither true nor false", shown(value))),
    }
}

pub(super) fn integer(value: &Value) -> Result<i64, Wrong> {
    let wrong = || format!("{} is not a whole number", shown(value));
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
            number.as_i64().or(whole.map(|number| number as i64)).ok_or_else(wrong)
        }
        Value::String(text) => text.trim().parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// Milliseconds, or a text such as `10s`; our text for it, and the milliseconds.
pub(super) fn time(value: &Value) -> Result<(String, u64), Wrong> {
    if let Ok(milliseconds) = integer(value) {
        let milliseconds =
            u64::try_from(milliseconds).map_err(|_| format!("{} is less than nothing", shown(value)))?;
        return Ok((time_text(milliseconds), milliseconds));
    }
    let wrong = || format!("{} is not a time", shown(value));
    let text = value.as_str().ok_or_else(wrong)?;
    let duration = parse_duration(text).map_err(|_| wrong())?;
    let milliseconds = u64::try_from(duration.as_millis()).map_err(|_| wrong())?;
    Ok((time_text(milliseconds), milliseconds))
}

/// Milliseconds in the largest unit that keeps them whole.
pub(super) fn time_text(milliseconds: u64) -> String {
    match milliseconds {
        0 => "0s".to_owned(),
        hours if hours % 3_600_000 == 0 => format!("{}h", hours / 3_600_000),
        minutes if minutes % 60_000 == 0 => format!("{}m", minutes / 60_000),
        seconds if seconds % 1000 == 0 => format!("{}s", seconds / 1000),
        other => format!("{other}ms"),
    }
}

/// Bytes, or a text such as `300M`; our text for it.
pub(super) fn size(value: &Value) -> Result<String, Wrong> {
    let wrong = || format!("{} is not a size", shown(value));
    let bytes = match integer(value) {
        Ok(bytes) => u64::try_from(bytes).map_err(|_| wrong())?,
        Err(_) => parse_size(value.as_str().ok_or_else(wrong)?).map_err(|_| wrong())?,
    };
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.iter().find(|(_, unit)| bytes > 0 && bytes % unit == 0);
    Ok(unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit)))
}

/// A list of texts, or a line that is split at blanks.
pub(super) fn words(value: &Value) -> Result<Vec<String>, Wrong> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.iter().map(text).collect(),
        Value::String(line) => shell::split(OsStr::new(line))
            .map(|words| words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
            .ok_or_else(|| format!("{} has a quote that is not closed", shown(value))),
        _ => text(value).map(|word| vec![word]),
    }
}

/// A list of texts, or one text that is a list of one.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, Wrong> {
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        _ => text(value).map(|text| vec![text]),
    }
}

/// Variables, as texts. What is undefined is no variable.
pub(super) fn variables(value: &Value) -> Result<toml::Table, Wrong> {
    let Value::Object(members) = value else { return Err(format!("{} is not an object", shown(value))) };
    let mut table = toml::Table::new();
    for (name, value) in members {
        if name.is_empty() || name.contains('=') {
            return Err(format!("`{name}` is not the name of a variable"));
        }
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.insert(name.clone(), value.into());
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_milliseconds_or_have_a_unit() {
        let check = |value: Value, expected: Result<&str, &str>| {
            let actual = time(&value).map(|(text, _)| text);
            assert_eq!(actual, expected.map(str::to_owned).map_err(str::to_owned), "{value}");
        };
        check(json!(1600), Ok("1600ms"));
        check(json!("5000"), Ok("5s"));
        check(json!(60_000), Ok("1m"));
        check(json!("10s"), Ok("10s"));
        check(json!("1h"), Ok("1h"));
        check(json!(0), Ok("0s"));
        check(json!(3e3), Ok("3s"));
        check(json!(-1), Err("`-1` is less than nothing"));
        check(json!("soon"), Err("`soon` is not a time"));
        check(json!({}), Err("`{}` is not a time"));
    }

    #[test]
    fn sizes_are_bytes_or_have_a_letter() {
        let check = |value: Value, expected: Result<&str, &str>| {
            assert_eq!(size(&value), expected.map(str::to_owned).map_err(str::to_owned), "{value}");
        };
        check(json!("300M"), Ok("300MiB"));
        check(json!("1G"), Ok("1GiB"));
        check(json!("1.5G"), Ok("1536MiB"));
        check(json!(1000), Ok("1000B"));
        check(json!("1048576"), Ok("1MiB"));
        check(json!("lots"), Err("`lots` is not a size"));
        check(json!(null), Err("`null` is not a size"));
    }

    #[test]
    fn lists_may_be_lines_and_numbers_texts() {
        assert_eq!(words(&json!("-a 'b c'")).unwrap(), ["-a", "b c"]);
        assert_eq!(words(&json!(["-a", "b c", 1])).unwrap(), ["-a", "b c", "1"]);
        assert_eq!(texts(&json!("a b")).unwrap(), ["a b"]);
        assert_eq!(words(&json!("a 'b")).unwrap_err(), "`a 'b` has a quote that is not closed");
        assert_eq!(integer(&json!("4")), Ok(4));
        assert_eq!(integer(&json!("four")).unwrap_err(), "`four` is not a whole number");
        assert_eq!(boolean(&json!("true")), Ok(true));
        let table = variables(&json!({"A": 1, "B": true, "C": null, "D": {"e": "f"}})).unwrap();
        assert_eq!(toml::Value::Table(table).to_string(), r#"{ A = "1", B = "true", D = '{"e":"f"}' }"#);
    }
}
