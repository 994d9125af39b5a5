//! The classes a request can end in: exactly one each.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// 2xx, the whole body arrived and is what was expected.
    Ok,
    /// 4xx.
    Http4xx,
    /// 500.
    Http500,
    /// 502.
    Http502,
    /// 503.
    Http503,
    /// 504.
    Http504,
    /// Any other status that is not 2xx.
    HttpOther,
    /// 2xx with another body than expected, an answer that is not HTTP, or bytes after its end.
    BadBody,
    /// Nobody listens.
    ConnectRefused,
    /// The connection was reset before it was established.
    ConnectReset,
    /// A new connection was reset before the first byte of an answer.
    ResetFresh,
    /// A new connection was closed before the first byte of an answer.
    EofFresh,
    /// A kept connection was reset or closed under a request before the first byte of an answer.
    ResetOrEofReused,
    /// The answer ended in the middle.
    Truncated,
    /// No complete answer in time.
    Timeout,
    /// This side's own trouble: no descriptors, no ports.
    LocalError,
}

impl Class {
    /// All classes, in the order they are reported.
    pub const ALL: [Class; 16] = [
        Class::Ok,
        Class::Http4xx,
        Class::Http500,
        Class::Http502,
        Class::Http503,
        Class::Http504,
        Class::HttpOther,
        Class::BadBody,
        Class::ConnectRefused,
        Class::ConnectReset,
        Class::ResetFresh,
        Class::EofFresh,
        Class::ResetOrEofReused,
        Class::Truncated,
        Class::Timeout,
        Class::LocalError,
    ];

    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Class::Ok => "ok",
            Class::Http4xx => "http_4xx",
            Class::Http500 => "http_500",
            Class::Http502 => "http_502",
            Class::Http503 => "http_503",
            Class::Http504 => "http_504",
            Class::HttpOther => "http_other",
            Class::BadBody => "bad_body",
            Class::ConnectRefused => "connect_refused",
            Class::ConnectReset => "connect_reset",
            Class::ResetFresh => "reset_fresh",
            Class::EofFresh => "eof_fresh",
            Class::ResetOrEofReused => "reset_or_eof_reused",
            Class::Truncated => "truncated",
            Class::Timeout => "timeout",
            Class::LocalError => "local_error",
        }
    }

    /// The class of a complete answer with this status whose body was as expected or not.
    pub fn of_answer(status: u16, body_good: bool) -> Class {
        match status {
            200..=299 if body_good => Class::Ok,
            200..=299 => Class::BadBody,
            400..=499 => Class::Http4xx,
            500 => Class::Http500,
            502 => Class::Http502,
            503 => Class::Http503,
            504 => Class::Http504,
            _ => Class::HttpOther,
        }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How many requests ended in each class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; Class::ALL.len()]);

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, class: Class) {
        self.0[class as usize] += 1;
    }

    /// How many ended so.
    pub fn of(&self, class: Class) -> u64 {
        self.0[class as usize]
    }

    /// How many ended at all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Only classes that occurred, `ok` always.
impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for class in Class::ALL {
            if class == Class::Ok || self.of(class) > 0 {
                map.serialize_entry(class.name(), &self.of(class))?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_own_place_and_name() {
        let mut counts = Counts::default();
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index, "{class:?} stands at its own number in ALL");
            counts.add(class);
            assert_eq!(counts.of(class), 1);
        }
        let names: std::collections::HashSet<_> = Class::ALL.iter().map(|class| class.name()).collect();
        assert_eq!(names.len(), Class::ALL.len());
        assert_eq!(counts.total(), 16);
    }

    #[test]
    fn statuses_fall_into_their_classes() {
        for (status, good, class) in [
            (200, true, Class::Ok),
            (204, true, Class::Ok),
            (200, false, Class::BadBody),
            (301, true, Class::HttpOther),
            (404, true, Class::Http4xx),
            (500, true, Class::Http500),
            (501, true, Class::HttpOther),
            (502, true, Class::Http502),
            (503, true, Class::Http503),
            (504, true, Class::Http504),
        ] {
            assert_eq!(Class::of_answer(status, good), class, "{status}");
        }
    }
}
