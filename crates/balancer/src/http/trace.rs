//! What names a request on its way through several programs: its id (`X-Request-Id`) and the trace it belongs to
//! (`traceparent`, W3C Trace Context).
//!
//! Makes no numbers: whoever calls brings random bits. A trace that came with the request is passed on as it is, because
//! Stead records no span that could stand between.

use super::Request;

/// The longest id of somebody else's that is kept.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Of version 00, and the beginning of any later one.
const TRACEPARENT_BYTES: usize = 55;

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// Made here: 32 hexadecimal digits.
    Made([u8; 32]),
    /// What another proxy of the user's has given it.
    Kept(Box<str>),
}

impl RequestId {
    /// The id of `request`: its own if it has a good one and `trust` says that it may, else one made of `bits`.
    #[must_use]
    pub fn of(request: &Request<'_, '_>, trust: bool, bits: impl FnOnce() -> u128) -> Self {
        match request.request_id.filter(|_| trust) {
            Some(id) => RequestId::Kept(id.into()),
            None => RequestId::Made(hex(bits())),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            RequestId::Made(digits) => text(digits),
            RequestId::Kept(id) => id,
        }
    }
}

/// The beginning of a trace: the value of `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceStart([u8; TRACEPARENT_BYTES]);

impl TraceStart {
    /// A trace of this id and a parent of that one; zero, which is no id, becomes one.
    ///
    /// It says `sampled`: programs follow what they are told, so the opposite would keep every one of them from recording.
    #[must_use]
    pub fn new(trace: u128, parent: u64) -> Self {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-01";
        value[3..35].copy_from_slice(&hex::<32>(trace.max(1)));
        value[36..52].copy_from_slice(&hex::<16>(u128::from(parent.max(1))));
        Self(value)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        text(&self.0)
    }

    /// The id of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.as_str()[3..35]
    }
}

/// The id of the trace in the value of `traceparent`; nothing if that is malformed, so that the trace ends here.
pub(super) fn trace_id(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let (head, rest) = value.split_at_checked(TRACEPARENT_BYTES)?;
    let mut parts = head.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = match version {
        "ff" => false,
        "00" => rest.is_empty(),
        // What later versions add begins with a dash.
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let is_id = |id: &str, digits| is_hex(id, digits) && id.bytes().any(|digit| digit != b'0');
    let is_good = is_known
        && is_hex(version, 2)
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && parts.next().is_none();
    is_good.then_some(trace)
}

/// An id that may be written into logs and passed on without a second look.
pub(super) fn request_id(value: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~+/=:@".contains(byte);
    let is_good = (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.iter().all(allowed);
    std::str::from_utf8(value).ok().filter(|_| is_good)
}

/// A field that may stand there once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Single<'b> {
    #[default]
    None,
    One(&'b [u8]),
    Many,
}

impl<'b> Single<'b> {
    pub(super) fn add(&mut self, value: &'b [u8]) {
        *self = if matches!(self, Single::None) { Single::One(value) } else { Single::Many };
    }

    pub(super) fn get(self) -> Option<&'b [u8]> {
        match self {
            Single::One(value) => Some(value),
            Single::None | Single::Many => None,
        }
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn hex<const DIGITS: usize>(mut bits: u128) -> [u8; DIGITS] {
    let mut digits = [0; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(bits & 0xf) as usize];
        bits >>= 4;
    }
    digits
}

fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("they are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_is_known_as_the_recommendation_says() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(trace_id(value.as_bytes()), expected, "{value}");
        };
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(TRACE));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some(TRACE));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(TRACE));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", Some(TRACE));
        for malformed in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4bf92f3577b34da6a3ce929d0e0e473ä-00f067aa0ba902b7-01",
        ] {
            check(malformed, None);
        }
    }

    #[test]
    fn trace_that_begins_here_is_well_formed() {
        for (trace, parent) in [(0, 0), (1, 1), (u128::MAX, u64::MAX), (0xabc << 64, 0xdef)] {
            let start = TraceStart::new(trace, parent);
            assert_eq!(trace_id(start.as_str().as_bytes()), Some(start.trace_id()));
        }
        assert_eq!(TraceStart::new(10, 11).trace_id(), "0000000000000000000000000000000a");
    }

    #[test]
    fn id_of_somebody_else_has_to_be_harmless() {
        let long = "a".repeat(REQUEST_ID_BYTES_MAX);
        for good in ["1", "4bf92f35-77b3", "Root=1-67891233-abcdef", &long] {
            assert_eq!(request_id(good.as_bytes()), Some(good));
        }
        for bad in ["", "a b", "a\"b", "a,b", "ä", "a\nb", &format!("{long}a")] {
            assert_eq!(request_id(bad.as_bytes()), None, "{bad}");
        }
    }
}
