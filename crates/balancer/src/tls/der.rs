//! Reads as much of X.509 certificates (RFC 5280) as people and programs are told: how long one is valid, and whose it is.
//!
//! Nothing is proven here; certificates that count have been verified by `webpki`. Whatever the bytes are, this file answers
//! or says that it cannot.

use std::time::{Duration, SystemTime};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// What a certificate says about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certificate<'a> {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// The distinguished name, encoded.
    pub(super) subject: &'a [u8],
}

/// Reads a certificate.
pub(super) fn certificate(der: &[u8]) -> Option<Certificate<'_>> {
    let (outer, _) = expect(der, SEQUENCE)?;
    let (mut fields, _) = expect(outer, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = value(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = value(fields)?.2;
    }
    let (validity, fields) = expect(fields, SEQUENCE)?;
    let (tag, not_before, rest) = value(validity)?;
    let not_before = time(tag, not_before)?;
    let (tag, not_after, _) = value(rest)?;
    let not_after = time(tag, not_after)?;
    let (subject, _) = expect(fields, SEQUENCE)?;
    Some(Certificate { not_before, not_after, subject })
}

/// The contents of the first value, which must have this tag, and what follows it.
pub(super) fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = value(der)?;
    (found == tag).then_some((contents, rest))
}

/// Tag and contents of the first value, and what follows it. Lengths up to four bytes.
pub(super) fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`; years of two digits are 1950 to 2049 (RFC 5280 §4.1.2.5.1).
fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let digits = std::str::from_utf8(text.strip_suffix(b"Z")?).ok()?;
    let (year, rest) = match tag {
        UTC_TIME => digits.split_at_checked(2)?,
        GENERALIZED_TIME => digits.split_at_checked(4)?,
        _ => return None,
    };
    let year: i64 = number(year)?;
    let year = match tag {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        _ => year,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |at: usize| number(rest.get(at..at + 2)?);
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// In the Gregorian calendar, counted in years that begin in March, so that the day that comes and goes is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: u8, text: &str, expected: Option<u64>) {
        let seconds = time(tag, text.as_bytes())
            .map(|time| time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs());
        assert_eq!(seconds, expected, "{text}");
    }

    #[test]
    fn times_are_read_in_both_forms() {
        check(UTC_TIME, "700101000000Z", Some(0));
        check(UTC_TIME, "260228235959Z", Some(1_772_323_199));
        check(UTC_TIME, "491231235959Z", Some(2_524_607_999));
        check(GENERALIZED_TIME, "20240229120000Z", Some(1_709_208_000));
        check(GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799));
        check(UTC_TIME, "2602282359Z", None);
        check(UTC_TIME, "26022823595+Z", None);
        check(UTC_TIME, "261328235959Z", None);
        check(0x04, "260228235959Z", None);
    }

    #[test]
    fn broken_certificates_are_no_certificates() {
        let whole = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
        let der = whole.cert.der().to_vec();
        assert!(certificate(&der).is_some());
        for length in 0..der.len() {
            assert!(certificate(&der[..length]).is_none(), "cut to {length}");
        }
        // Whatever one byte is turned into, it is answered.
        for at in 0..der.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bent = der.clone();
                bent[at] = byte;
                certificate(&bent);
            }
        }
    }
}
