//! When a certificate is renewed, and when a failed try is repeated. Pure.

use std::time::{Duration, SystemTime};

use super::error::Kind;

/// A certificate that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// From when to when its server wants it renewed (RFC 9773).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

/// When two thirds of its life are over, or a twentieth of that before; or within what the server advises, which is how it
/// says that it will revoke. `luck` is from 0 to 1.
pub(super) fn due(held: &Held, advice: Option<Advice>, luck: f64) -> SystemTime {
    if let Some(Advice { from, until }) = advice
        && let Ok(window) = until.duration_since(from)
    {
        return from + window.mul_f64(luck);
    }
    let life = held.not_after.duration_since(held.not_before).unwrap_or_default();
    held.not_before + life.mul_f64(2.0 / 3.0 * (1.0 - luck / 20.0))
}

/// How long to wait after this many failures before this one.
pub(super) fn backoff(failures: u32, kind: Kind, luck: f64) -> Duration {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let (first, factor, most) = match kind {
        // Costs nobody anything.
        Kind::Unreachable => (Duration::from_secs(5), 2_u32, HOUR),
        // Public servers bear few of these: Let's Encrypt five in an hour for a name.
        Kind::Refused => (Duration::from_secs(2 * 60), 3, 6 * HOUR),
        Kind::Limited => (HOUR, 2, 24 * HOUR),
    };
    let growth = factor.saturating_pow(failures);
    first.saturating_mul(growth).min(most).mul_f64(0.75 + luck / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(days: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(days * DAY)
    }

    #[test]
    fn renewed_after_two_thirds_or_when_the_server_says() {
        let held = Held { not_before: at(100), not_after: at(190) };
        let check = |advice: Option<(u64, u64)>, luck: f64, expected: u64| {
            let advice = advice.map(|(from, until)| Advice { from: at(from), until: at(until) });
            assert_eq!(due(&held, advice, luck), at(expected), "{advice:?} {luck}");
        };
        check(None, 0.0, 160);
        check(None, 1.0, 157);
        check(Some((150, 152)), 0.0, 150);
        check(Some((150, 152)), 0.5, 151);
        // At once, because it is to be revoked.
        check(Some((10, 11)), 1.0, 11);
        // What makes no sense is no advice.
        check(Some((152, 150)), 0.0, 160);
    }

    #[test]
    fn failures_are_repeated_ever_more_seldom() {
        let check = |failures: u32, kind: Kind, seconds: u64| {
            assert_eq!(backoff(failures, kind, 0.5), Duration::from_secs(seconds), "{failures} {kind:?}");
        };
        check(0, Kind::Unreachable, 5);
        check(3, Kind::Unreachable, 40);
        check(50, Kind::Unreachable, 3600);
        check(0, Kind::Refused, 120);
        check(1, Kind::Refused, 360);
        check(2, Kind::Refused, 1080);
        check(50, Kind::Refused, 6 * 3600);
        check(0, Kind::Limited, 3600);
        check(50, Kind::Limited, 24 * 3600);
        assert_eq!(backoff(0, Kind::Refused, 0.0), Duration::from_secs(90));
        assert_eq!(backoff(0, Kind::Refused, 1.0), Duration::from_secs(150));
    }
}
