//! Cron expressions and time zones: what they may look like, said in one place for those who check them and those who follow them.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The fields of an expression, and what each holds; one of five begins with the minute.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day", "1-31"),
    ("month", "1-12 or JAN-DEC"),
    ("weekday", "0-7 or SUN-SAT"),
];

/// Short for expressions.
const NICKNAMES: [&str; 6] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];

/// Reads an expression of five fields (minute, hour, day, month, weekday) or six (seconds first).
///
/// # Errors
/// A message for people, when it is none.
pub fn parse_cron(text: &str) -> Result<Cron, String> {
    let wrong = |why: String| format!("`{text}` is not a cron expression: {why}");
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields.as_slice() {
        [_, _, _, _, _] | [_, _, _, _, _, _] => (),
        [name] if NICKNAMES.iter().any(|known| name.eq_ignore_ascii_case(known)) => (),
        [] | [_] => {
            let known = NICKNAMES.map(|name| format!("`{name}`")).join(", ");
            return Err(wrong(format!("that has five or six fields, or is one of {known}")));
        }
        _ => return Err(wrong(format!("it has {} fields, not five or six", fields.len()))),
    }
    let cron = parse(text).map_err(|reason| wrong(blame(&fields, &reason)))?;
    // Years are like each other: what does not come after this one never does.
    match cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false) {
        Ok(_) => Ok(cron),
        Err(_) => Err(format!("`{text}` never comes: there is no such day")),
    }
}

fn parse(text: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| {
        let error = error.to_string();
        let reason = error.rsplit(": ").next().unwrap_or_default().trim_end_matches('.').to_lowercase();
        reason.trim_start_matches("cronpattern contains ").to_owned()
    })
}

/// The reason, and which field it is about: the one that is wrong where all others are right.
fn blame(fields: &[&str], reason: &str) -> String {
    let known = FIELDS.iter().skip(FIELDS.len().saturating_sub(fields.len()));
    let alone = |index: usize| {
        let one =
            |(at, field): (usize, &&str)| if at == index { (*field).to_owned() } else { "*".to_owned() };
        fields.iter().enumerate().map(one).collect::<Vec<_>>().join(" ")
    };
    match fields.iter().zip(known).enumerate().find(|(index, _)| parse(&alone(*index)).is_err()) {
        Some((_, (field, (name, range)))) => format!("`{field}` is no {name} ({range}): {reason}"),
        None => reason.to_owned(),
    }
}

/// The time zone of this name; of this machine, without one.
///
/// # Errors
/// A message for people, when there is none of this name.
pub fn parse_zone(name: Option<&str>) -> Result<TimeZone, String> {
    let Some(name) = name else { return Ok(TimeZone::system()) };
    TimeZone::get(name)
        .map_err(|_| format!("`{name}` is not a time zone, as \"Europe/Berlin\" or \"UTC\" are"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_have_five_or_six_fields() {
        let check = |text: &str, good: bool| assert_eq!(parse_cron(text).is_ok(), good, "{text}");
        check("0 3 * * *", true);
        check("*/5 * * * * *", true);
        check("0 3 * * MON-FRI", true);
        check("0 0 L * *", true);
        check("@daily", true);
        check("@noon", false);
        check("0 0 29 2 *", true);
        check("0 0 31 2 *", false);
        check("0 0 31 4,6,9,11 *", false);
        check("0 3 * *", false);
        check("61 3 * * *", false);
        check("0 3 * * * * 2030", false);
        check("daily", false);
        check("", false);
    }

    #[test]
    fn an_expression_that_is_none_says_why() {
        let message = |text: &str| parse_cron(text).map(|_| ()).unwrap_err();
        insta::assert_snapshot!(
            ["0 3 * *", "61 3 * * *", "0 0 3 * * MO", "*/0 * * * *", "daily", "@noon", "0 0 31 2 *",]
                .map(message)
                .join("\n")
        );
    }
}
