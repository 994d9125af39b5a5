//! How long a client waits: the value of `X-Request-Timeout`.
//!
//! Seconds, with a fraction or without, and with `s` or `ms` behind it if one likes. Whatever else stands there is as if
//! nothing did: the field has no standard, and a client that means something else by it shall not be refused.

use std::time::Duration;

/// Digits before the point; more is longer than anybody waits.
const WHOLE_DIGITS_MAX: usize = 9;
/// What a time for the worker is written in, blanks in front: a value may change its place within them, not its length.
const FIELD_BYTES: usize = 13;

/// The time in a value.
pub(super) fn read(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1_000_000),
        None => (text.strip_suffix('s').unwrap_or(text), 1_000_000_000_u64),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || whole.len() > WHOLE_DIGITS_MAX {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    // Beyond nine digits it is less than a nanosecond.
    let mut nanos = 0;
    let mut weight = unit;
    for digit in fraction.bytes().take(9) {
        weight /= 10;
        nanos += u64::from(digit - b'0') * weight;
    }
    Some(Duration::from_nanos(whole * unit + nanos))
}

/// Appends the field for the worker with room for any time, and says where that is.
pub(super) fn write_room(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(b"X-Request-Timeout: ");
    let at = out.len();
    out.extend_from_slice(&[b' '; FIELD_BYTES]);
    out.extend_from_slice(b"\r\n");
    at
}

/// Writes a time into the room for one: seconds and thousandths, rounded down.
pub fn write_timeout(room: &mut [u8], timeout: Duration) {
    let most = Duration::from_millis(999_999_999_999);
    let timeout = timeout.min(most);
    let number = format!("{}.{:03}", timeout.as_secs(), timeout.subsec_millis());
    let value = format!("{number:>FIELD_BYTES$}");
    room[..FIELD_BYTES].copy_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let check = |value: &str, expected: Option<u64>| {
            assert_eq!(read(value.as_bytes()), expected.map(Duration::from_micros), "{value}");
        };
        check("5", Some(5_000_000));
        check("5s", Some(5_000_000));
        check("0.25", Some(250_000));
        check("1.5s", Some(1_500_000));
        check("250ms", Some(250_000));
        check("0.5ms", Some(500));
        check("0", Some(0));
        check("1.0000000009999999999", Some(1_000_000));
        check("999999999", Some(999_999_999_000_000));
        for malformed in ["", "s", "ms", "-1", "+1", "1e3", ".5", "1.", "1 s", "1h", "1000000000", "ä", "NaN"]
        {
            check(malformed, None);
        }
    }

    #[test]
    fn time_for_the_worker_fits_its_room() {
        let check = |timeout: Duration, expected: &str| {
            let mut out = b"x".to_vec();
            let at = write_room(&mut out);
            write_timeout(&mut out[at..], timeout);
            assert_eq!(String::from_utf8(out).unwrap(), format!("xX-Request-Timeout: {expected}\r\n"));
        };
        check(Duration::ZERO, "        0.000");
        check(Duration::from_micros(1_234_567), "        1.234");
        check(Duration::from_secs(300), "      300.000");
        check(Duration::MAX, "999999999.999");
    }
}
