//! Cron expressions and time zones: what they may look like, said in one place for those who check them and those who follow them.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Reads an expression of five fields (minute, hour, day, month, weekday) or six (seconds first).
///
/// # Errors
/// A message for people, when it is none.
pub fn parse_cron(text: &str) -> Result<Cron, String> {
    let fields = text.split_whitespace().count();
    if !(5..=6).contains(&fields) && !text.starts_with('@') {
        return Err(format!("`{text}` is not a cron expression: it has {fields} fields, not five or six"));
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| {
        let error = error.to_string();
        let reason = error.rsplit(": ").next().unwrap_or_default().trim_end_matches('.').to_lowercase();
        format!("`{text}` is not a cron expression: {reason}")
    })?;
    // Years are like each other: what does not come after this one never does.
    match cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false) {
        Ok(_) => Ok(cron),
        Err(_) => Err(format!("`{text}` never comes: there is no such day")),
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
        insta::assert_snapshot!(["0 3 * *", "61 3 * * *", "daily", "0 0 31 2 *"].map(message).join("\n"));
    }
}
