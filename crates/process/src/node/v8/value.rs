//! A value of JavaScript as structured clone carries it: more than JSON has words for.

use serde_json::{Map, Value};

/// What a program in `advanced` serialization sends or is sent.
///
/// It is a tree: a value that JavaScript refers to twice is there twice, and a reference to a value from inside itself is
/// [`Structured::Null`]. Holes in arrays are [`Structured::Undefined`], and wrapped primitives (`new Number(1)`) are what
/// they wrap.
///
/// ```
/// use stead_process::node::v8::{Structured, decode_structured, encode_structured};
///
/// let sent = Structured::Map(vec![("at".into(), Structured::Date(0.0))]);
/// let mut bytes = Vec::new();
/// encode_structured(&sent, &mut bytes);
/// assert_eq!(decode_structured(&bytes)?, sent);
/// assert_eq!(sent.into_json().to_string(), r#"[["at","1970-01-01T00:00:00.000Z"]]"#);
/// # Ok::<(), stead_process::node::v8::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Structured {
    /// `undefined`.
    Undefined,
    /// `null`.
    Null,
    /// `true` and `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// An integer of any size.
    BigInt {
        /// Whether it is below 0.
        negative: bool,
        /// Its absolute value, the lowest byte first.
        magnitude: Vec<u8>,
    },
    /// Text.
    String(String),
    /// Milliseconds since 1970; NaN is an invalid date.
    Date(f64),
    /// A regular expression.
    RegExp {
        /// What stands between the slashes.
        source: String,
        /// V8's bits: 1 `g`, 2 `i`, 4 `m`, 8 `y`, 16 `u`, 32 `s`, 128 `d`, 256 `v`.
        flags: u32,
    },
    /// `[..]`.
    Array(Vec<Structured>),
    /// `{..}`, in order.
    Object(Vec<(String, Structured)>),
    /// A `Map`, in order.
    Map(Vec<(Structured, Structured)>),
    /// A `Set`, in order.
    Set(Vec<Structured>),
    /// An `Error` of any kind.
    Error {
        /// `Error`, `TypeError` and so on; a name that is not JavaScript's own becomes `Error` on the way.
        name: String,
        /// `error.message`, if it has one.
        message: Option<String>,
        /// `error.stack`, if it has one.
        stack: Option<String>,
        /// `error.cause`, if it has one.
        cause: Option<Box<Structured>>,
    },
    /// An `ArrayBuffer`.
    ArrayBuffer(Vec<u8>),
    /// A `Buffer`, a typed array or a `DataView`.
    View {
        /// Which of them.
        kind: ViewKind,
        /// Its bytes, as this machine keeps numbers.
        bytes: Vec<u8>,
    },
}

/// What a [`Structured::View`] looks at its bytes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called as in JavaScript")]
pub enum ViewKind {
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    DataView,
    Buffer,
    BigInt64Array,
    BigUint64Array,
}

impl ViewKind {
    /// In the order of Node.js's numbers for them.
    const ALL: [Self; 13] = [
        Self::Int8Array,
        Self::Uint8Array,
        Self::Uint8ClampedArray,
        Self::Int16Array,
        Self::Uint16Array,
        Self::Int32Array,
        Self::Uint32Array,
        Self::Float32Array,
        Self::Float64Array,
        Self::DataView,
        Self::Buffer,
        Self::BigInt64Array,
        Self::BigUint64Array,
    ];

    /// Bytes of a kind that is not known are bytes.
    pub(super) fn from_number(number: u64) -> Self {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied()).unwrap_or(Self::Buffer)
    }

    pub(super) const fn number(self) -> u64 {
        self as u64
    }
}

impl Structured {
    /// What `JSON.stringify` makes of it, with some help: see the [module](super). `undefined` is `null`.
    #[must_use]
    pub fn into_json(self) -> Value {
        self.into_defined_json().unwrap_or_default()
    }

    /// `None` for what is left out of objects.
    fn into_defined_json(self) -> Option<Value> {
        Some(match self {
            Self::Undefined => return None,
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Number(number) => json_number(number),
            Self::BigInt { negative, magnitude } => json_big_integer(negative, &magnitude),
            Self::String(text) => text.into(),
            Self::Date(milliseconds) => date(milliseconds),
            Self::RegExp { source, .. } => format!("/{source}/").into(),
            Self::Array(items) | Self::Set(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Object(members) => members
                .into_iter()
                .filter_map(|(key, member)| Some((key, member.into_defined_json()?)))
                .collect::<Map<_, _>>()
                .into(),
            Self::Map(pairs) => {
                pairs.into_iter().map(|(key, value)| vec![key.into_json(), value.into_json()]).collect()
            }
            Self::Error { name, message, stack, cause } => {
                let text = |(key, text): (&str, Option<String>)| Some((key.to_owned(), text?.into()));
                let texts = [("name", Some(name)), ("message", message), ("stack", stack)];
                let mut members: Map<_, _> = texts.into_iter().filter_map(text).collect();
                members.extend(cause.map(|cause| ("cause".to_owned(), cause.into_json())));
                members.into()
            }
            Self::ArrayBuffer(bytes) | Self::View { bytes, .. } => {
                serde_json::json!({ "type": "Buffer", "data": bytes })
            }
        })
    }
}

impl From<Value> for Structured {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(key, member)| (key, member.into())).collect())
            }
        }
    }
}

impl From<&str> for Structured {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Structured {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<i64> for Structured {
    /// A `BigInt`, which holds it exactly.
    fn from(number: i64) -> Self {
        Self::BigInt { negative: number < 0, magnitude: number.unsigned_abs().to_le_bytes().to_vec() }
    }
}

impl From<Vec<u8>> for Structured {
    /// A `Buffer`.
    fn from(bytes: Vec<u8>) -> Self {
        Self::View { kind: ViewKind::Buffer, bytes }
    }
}

/// A whole number stays one, as in JavaScript, where 3 and 3.0 are the same; what JSON has no number for is
/// `null`.
fn json_number(number: f64) -> Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < WHOLE_MAX {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

/// A number if it fits, else its digits.
fn json_big_integer(negative: bool, magnitude: &[u8]) -> Value {
    let sign = if negative { "-" } else { "" };
    let significant = magnitude.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if significant > 16 {
        let bytes = magnitude[..significant].iter().rev();
        let digits: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        return format!("{sign}0x{}", digits.trim_start_matches('0')).into();
    }
    let number = magnitude[..significant].iter().rev().fold(0u128, |sum, &byte| sum << 8 | u128::from(byte));
    let text = format!("{sign}{number}");
    let small = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
    small.unwrap_or_else(|_| text.into())
}

/// Milliseconds since 1970 as `Date.prototype.toJSON` writes them.
fn date(milliseconds: f64) -> Value {
    const RANGE: f64 = 8.64e15;
    if milliseconds.is_nan() || milliseconds.abs() > RANGE {
        return Value::Null;
    }
    let milliseconds = milliseconds as i64;
    let (days, time) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let year = if (0..=9999).contains(&year) { format!("{year:04}") } else { format!("{year:+07}") };
    let (hour, minute, second, rest) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60, time % 1000);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z").into()
}

/// Days since 1970 as year, month and day (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
