//! Durations and sizes, as people write them: `500ms`, `1.5s`, `2m`, `1h`, `1d`; `512B`, `64KiB`, `1MB`.

use std::time::Duration;

/// In units of a nanosecond.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// In bytes. A letter alone is binary, as in NGINX and PM2.
const SIZE_UNITS: [(&str, u64); 10] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("B", 1),
];

/// Reads a duration.
///
/// # Errors
/// A message for people, when it is none.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration");
    let nanoseconds = parse(text, &DURATION_UNITS).ok_or_else(wrong)?;
    if nanoseconds > u128::from(u64::MAX) {
        return Err(wrong());
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

/// Reads a size in bytes.
///
/// # Errors
/// A message for people, when it is none.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size");
    parse(text, &SIZE_UNITS).ok_or_else(wrong)?.try_into().map_err(|_| wrong())
}

/// What every duration fits, as a regular expression of ECMAScript's.
pub(super) fn duration_pattern() -> String {
    pattern(&DURATION_UNITS)
}

/// What every size fits.
pub(super) fn size_pattern() -> String {
    pattern(&SIZE_UNITS)
}

fn pattern(units: &[(&str, u64)]) -> String {
    let either = |letter: char| format!("[{}{}]", letter.to_ascii_lowercase(), letter.to_ascii_uppercase());
    let units: Vec<String> = units.iter().map(|(unit, _)| unit.chars().map(either).collect()).collect();
    format!(r"^[0-9]+(\.[0-9]{{1,9}})?\s*({})$", units.join("|"))
}

/// A decimal number and a unit; exact, because a float would make 0.3 s something else.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u128> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = (text[..split].trim_end(), &text[split..]);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let factor = u128::from(*factor);
    let whole = whole.parse::<u64>().ok().map(u128::from)?;
    let scale = 10_u128.pow(fraction.len() as u32);
    Some(whole * factor + fraction.parse::<u128>().ok()? * factor / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(parse_duration(text).ok(), expected, "{text}");
        };
        check("500ms", Some(Duration::from_millis(500)));
        check("30s", Some(Duration::from_secs(30)));
        check("1.5 s", Some(Duration::from_millis(1500)));
        check("2m", Some(Duration::from_secs(120)));
        check("1h", Some(Duration::from_secs(3600)));
        check("1d", Some(Duration::from_secs(86_400)));
        check("0.3s", Some(Duration::from_millis(300)));
        check("0s", Some(Duration::ZERO));
        check("30", None);
        check("-1s", None);
        check("s", None);
        check("1d2", None);
        check("1.s", None);
        check("99999999999999999999h", None);
        check("9999999999999h", None);
    }

    #[test]
    fn sizes_tell_decimal_from_binary() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_size(text).ok(), expected, "{text}");
        check("512B", Some(512));
        check("64KiB", Some(65_536));
        check("1MB", Some(1_000_000));
        check("1.5 GiB", Some(1_610_612_736));
        check("100m", Some(104_857_600));
        check("64", None);
        check("64 kilobytes", None);
        check("99999999999GB", None);
    }
}
