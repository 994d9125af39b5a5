//! Times in logs: UTC, to the millisecond, in the form of RFC 3339.

use jiff::{SignedDuration, Span, Timestamp, Zoned};
use std::time::SystemTime;

/// `2026-11-21T06:01:02.123Z`. Texts of this form sort as times do.
pub fn stamp(time: SystemTime) -> String {
    // Outside of the years that can be written there is nobody to read it.
    Timestamp::try_from(time)
        .map_or_else(|_| "9999-12-31T00:00:00.000Z".to_owned(), |time| format!("{time:.3}"))
}

/// What somebody means by `--since`: a duration that ends now (`10m`, `1h 30m`, `2 days`), or a point in time
/// (`2026-11-21T06:00Z`, or without `Z` in local time).
///
/// # Errors
/// What it should look like.
pub fn parse_since(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let wrong = || format!("`{text}` is neither a duration like `10m` nor a time like `2026-11-21T06:00`");
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.into());
    }
    let zone = jiff::tz::TimeZone::system();
    if let Ok(local) = text.parse::<jiff::civil::DateTime>() {
        return Ok(local.to_zoned(zone).map_err(|_| wrong())?.timestamp().into());
    }
    let now = Timestamp::try_from(now).map_err(|_| wrong())?;
    if let Ok(time) = text.parse::<jiff::civil::Time>()
        && text.contains(':')
    {
        let today = now.to_zoned(zone).with().time(time).build().map_err(|_| wrong())?;
        return Ok(today.timestamp().into());
    }
    let before = if let Ok(span) = text.parse::<Span>() {
        Zoned::new(now, zone).checked_sub(span.abs()).map_err(|_| wrong())?.timestamp()
    } else {
        let seconds: i64 = text.parse().map_err(|_| wrong())?;
        now.checked_sub(SignedDuration::from_secs(seconds)).map_err(|_| wrong())?
    };
    Ok(before.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_240_862) + Duration::from_millis(123);
        assert_eq!(stamp(now), "2026-11-21T06:01:02.123Z");
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_since(text, now).map(stamp).unwrap_or_else(|error| error), expected);
        };
        check("10m", "2026-11-21T05:51:02.123Z");
        check("1h 30m", "2026-11-21T04:31:02.123Z");
        check("2 days", "2026-11-19T06:01:02.123Z");
        check("60", "2026-11-21T06:00:02.123Z");
        check("2026-11-21T06:00:00Z", "2026-11-21T06:00:00.000Z");
        check("2026-11-21T06:00:00+02:00", "2026-11-21T04:00:00.000Z");
        check("soon", "`soon` is neither a duration like `10m` nor a time like `2026-11-21T06:00`");
    }
}
