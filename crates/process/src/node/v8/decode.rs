//! Reads what V8 wrote.

use serde_json::{Map, Value};

/// As deep as values may be nested, the same as for JSON.
const DEPTH_MAX: usize = 128;
/// How many values a frame may hold beyond one per byte: holes in arrays, and values that are referred to
/// again.
const VALUES_SLACK: usize = 65_536;

/// The bytes are no value this codec knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end in the middle of a value.
    #[error("value ends too early")]
    Truncated,
    /// A tag that is not known, or not allowed at this place.
    #[error("unknown tag {tag:#04x} at byte {position}")]
    Tag {
        /// The tag's byte.
        tag: u8,
        /// Where it stands, counted from the start of the frame's body.
        position: usize,
    },
    /// Nested too deeply, or far more values than bytes.
    #[error("value is nested too deeply or too large")]
    TooLarge,
    /// A reference to an object that was never there.
    #[error("reference to an unknown object")]
    Reference,
}

/// Reads one value; what follows it is ignored, as V8 does.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut reader =
        Reader { bytes, position: 0, objects: Vec::new(), open: Vec::new(), next_object: 0, values: 0 };
    while reader.peek() == Some(0xFF) {
        reader.position += 1;
        reader.varint()?;
    }
    Ok(reader.value()?.unwrap_or(Value::Null))
}

/// What a value read is: `None` stands for `undefined`.
type Read = Result<Option<Value>, DecodeError>;

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where each object begins. A reference is read again from there, so nothing is kept or copied for those
    /// never referred to.
    objects: Vec<usize>,
    /// The objects being read now, outermost first.
    open: Vec<usize>,
    next_object: usize,
    values: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = self.peek().ok_or(DecodeError::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], DecodeError> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..count).ok_or(DecodeError::Truncated)?;
        self.position += count;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::TooLarge)
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.varint()?).map_err(|_| DecodeError::TooLarge)
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        let bytes = self.take(8)?.try_into().expect("take gives as many bytes as asked for");
        Ok(f64::from_le_bytes(bytes))
    }

    fn count(&mut self, values: usize) -> Result<(), DecodeError> {
        self.values = self.values.saturating_add(values);
        if self.values > self.bytes.len() + VALUES_SLACK { Err(DecodeError::TooLarge) } else { Ok(()) }
    }

    fn value(&mut self) -> Read {
        self.count(1)?;
        while self.peek() == Some(0) {
            self.position += 1;
        }
        let start = self.position;
        let tag = self.byte()?;
        match tag {
            b'_' | b'-' => Ok(None),
            b'0' => Ok(Some(Value::Null)),
            b'T' => Ok(Some(true.into())),
            b'F' => Ok(Some(false.into())),
            b'I' => {
                let number = self.varint()?;
                Ok(Some(Value::from((number >> 1).cast_signed() ^ -(number & 1).cast_signed())))
            }
            b'U' => Ok(Some(self.varint()?.into())),
            b'N' => Ok(Some(number_value(self.double()?))),
            b'Z' => Ok(Some(self.big_integer()?)),
            b'"' | b'c' | b'S' => Ok(Some(self.string(tag)?.into())),
            b'^' => self.reference(),
            _ => self.object(tag, start),
        }
    }

    fn string(&mut self, tag: u8) -> Result<String, DecodeError> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        Ok(match tag {
            b'"' => bytes.iter().map(|&byte| char::from(byte)).collect(),
            b'S' => String::from_utf8_lossy(bytes).into_owned(),
            _ => {
                let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
                char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
        })
    }

    fn any_string(&mut self) -> Result<String, DecodeError> {
        match self.value()? {
            Some(Value::String(text)) => Ok(text),
            _ => Err(DecodeError::Tag { tag: self.peek().unwrap_or(0), position: self.position }),
        }
    }

    fn big_integer(&mut self) -> Result<Value, DecodeError> {
        let bits = self.varint()?;
        let length = usize::try_from((bits >> 1) & 0x7FFF_FFFF).expect("31 bits fit");
        let bytes = self.take(length)?;
        let sign = if bits & 1 == 1 { "-" } else { "" };
        let significant = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if significant > 16 {
            let digits: String =
                bytes[..significant].iter().rev().map(|byte| format!("{byte:02x}")).collect();
            return Ok(format!("{sign}0x{}", digits.trim_start_matches('0')).into());
        }
        let number = bytes[..significant].iter().rev().fold(0u128, |sum, &byte| sum << 8 | u128::from(byte));
        let text = format!("{sign}{number}");
        let small = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
        Ok(small.unwrap_or_else(|_| text.into()))
    }

    fn reference(&mut self) -> Read {
        let object = self.length()?;
        let start = *self.objects.get(object).ok_or(DecodeError::Reference)?;
        if self.open.contains(&object) {
            return Ok(Some(Value::Null));
        }
        let (position, next_object) = (self.position, self.next_object);
        (self.position, self.next_object) = (start, object);
        let value = self.value();
        (self.position, self.next_object) = (position, next_object);
        value
    }

    fn object(&mut self, tag: u8, start: usize) -> Read {
        if !b"oAa;'\\DRrByxnsz".contains(&tag) {
            return Err(DecodeError::Tag { tag, position: start });
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(DecodeError::TooLarge);
        }
        // An object is numbered before what is in it. When a reference reads it again it is known already.
        if self.next_object == self.objects.len() {
            self.objects.push(start);
        }
        self.open.push(self.next_object);
        self.next_object += 1;
        let value = self.object_body(tag);
        self.open.pop();
        value
    }

    fn object_body(&mut self, tag: u8) -> Read {
        Ok(Some(match tag {
            b'o' => Value::Object(self.members(b'{', 1)?),
            b'A' => self.dense_array()?,
            b'a' => self.sparse_array()?,
            b';' => self.map()?,
            b'\'' => self.set()?,
            b'\\' => return self.host_object(),
            b'D' => date(self.double()?),
            b'R' => {
                let pattern = self.any_string()?;
                self.varint()?;
                format!("/{pattern}/").into()
            }
            b'r' => self.error()?,
            b'B' => {
                let length = self.length()?;
                buffer(self.take(length)?)
            }
            b'y' => true.into(),
            b'x' => false.into(),
            b'n' => number_value(self.double()?),
            b's' => self.any_string()?.into(),
            _ => self.big_integer()?,
        }))
    }

    /// Key, value, .. until `end`, and then as many numbers as say how much it was.
    fn members(&mut self, end: u8, numbers: usize) -> Result<Map<String, Value>, DecodeError> {
        let mut members = Map::new();
        while self.peek() != Some(end) {
            let key = match self.value()? {
                Some(Value::String(key)) => key,
                Some(Value::Number(key)) => key.to_string(),
                _ => return Err(DecodeError::Tag { tag: self.peek().unwrap_or(0), position: self.position }),
            };
            if let Some(value) = self.value()? {
                members.insert(key, value);
            }
        }
        self.position += 1;
        for _ in 0..numbers {
            self.varint()?;
        }
        Ok(members)
    }

    fn dense_array(&mut self) -> Result<Value, DecodeError> {
        let length = self.length()?;
        if length > self.bytes.len() - self.position {
            return Err(DecodeError::Truncated);
        }
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.value()?.unwrap_or(Value::Null));
        }
        self.members(b'$', 2)?;
        Ok(Value::Array(items))
    }

    fn sparse_array(&mut self) -> Result<Value, DecodeError> {
        let length = self.length()?;
        self.count(length)?;
        let mut items = vec![Value::Null; length];
        for (key, value) in self.members(b'@', 2)? {
            if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                *item = value;
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self) -> Result<Value, DecodeError> {
        let mut pairs = Vec::new();
        while self.peek() != Some(b':') {
            let key = self.value()?.unwrap_or(Value::Null);
            let value = self.value()?.unwrap_or(Value::Null);
            pairs.push(Value::Array(vec![key, value]));
        }
        self.position += 1;
        self.varint()?;
        Ok(Value::Array(pairs))
    }

    fn set(&mut self) -> Result<Value, DecodeError> {
        let mut items = Vec::new();
        while self.peek() != Some(b',') {
            items.push(self.value()?.unwrap_or(Value::Null));
        }
        self.position += 1;
        self.varint()?;
        Ok(Value::Array(items))
    }

    /// Node.js writes bytes itself (0, kind of view, length, bytes), and anything else that V8 cannot write
    /// as a plain object (1).
    fn host_object(&mut self) -> Read {
        if self.varint()? != 0 {
            return self.value();
        }
        self.varint()?;
        let length = self.length()?;
        Ok(Some(buffer(self.take(length)?)))
    }

    fn error(&mut self) -> Result<Value, DecodeError> {
        let mut members = Map::from_iter([("name".to_owned(), Value::from("Error"))]);
        loop {
            let position = self.position;
            let (key, value) = match self.byte()? {
                b'E' => ("name", "EvalError".into()),
                b'R' => ("name", "RangeError".into()),
                b'F' => ("name", "ReferenceError".into()),
                b'S' => ("name", "SyntaxError".into()),
                b'T' => ("name", "TypeError".into()),
                b'U' => ("name", "URIError".into()),
                b'm' => ("message", self.any_string()?.into()),
                b's' => ("stack", self.any_string()?.into()),
                b'c' => ("cause", self.value()?.unwrap_or(Value::Null)),
                b'.' => return Ok(Value::Object(members)),
                tag => return Err(DecodeError::Tag { tag, position }),
            };
            members.insert(key.to_owned(), value);
        }
    }
}

/// A whole number stays one, as in JavaScript, where 3 and 3.0 are the same; what JSON has no number for is
/// `null`.
fn number_value(number: f64) -> Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < WHOLE_MAX {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

fn buffer(bytes: &[u8]) -> Value {
    serde_json::json!({ "type": "Buffer", "data": bytes })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(hex: &str, expected: &Value) {
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        assert_eq!(decode(&bytes).as_ref(), Ok(expected), "{hex}");
        for end in 0..bytes.len() {
            let _ = decode(&bytes[..end]);
        }
    }

    fn check_refused(bytes: &[u8], expected: DecodeError) {
        assert_eq!(decode(bytes), Err(expected), "{bytes:?}");
    }

    #[test]
    fn what_node_wrote_is_read() {
        check("ff0f6f22016149027b01", &json!({"a": 1}));
        check("ff0f410130240001", &json!([null]));
        check("ff0f410154240001", &json!([true]));
        check("ff0f41014909240001", &json!([-5]));
        check("ff0f41014e000000000000f83f240001", &json!([1.5]));
        check("ff0f41014e000000000000f041240001", &json!([4_294_967_296u64]));
        check("ff0f41014e000000000000f87f240001", &json!([null]));
        check("ff0f41012201e9240001", &json!(["é"]));
        check("ff0f41016304e5652c67240001", &json!(["日本"]));
        check("ff0f410163046100e565240001", &json!(["a日"]));
        check("ff0f41016f2201755f22016141025f49022400027b02240001", &json!([{"a": [null, 1]}]));
        check("ff0f410161034900490249044906400203240001", &json!([[1, null, 3]]));
        check("ff0f41016103400003240001", &json!([[null, null, null]]));
        check("ff0f410141026f22017349027b015e02240002240001", &json!([[{"s": 1}, {"s": 1}]]));
        check("ff0f41016f22016e490222026d655e017b02240001", &json!([{"n": 1, "me": null}]));
        check("ff0f4101440000000000000000240001", &json!(["1970-01-01T00:00:00.000Z"]));
        check("ff0f41014400b08756febc7842240001", &json!(["2023-11-14T22:13:20.123Z"]));
        check("ff0f4101440000c65ae348ccc2240001", &json!(["-000001-01-01T00:00:00.000Z"]));
        check("ff0f41015a107b00000000000000240001", &json!([123]));
        check("ff0f41015a110500000000000000240001", &json!([-5]));
        check("ff0f41015a100000000000000080240001", &json!([9_223_372_036_854_775_808u64]));
        check("ff0f41015a2000000000000000004000000000000000240001", &json!(["1180591620717411303424"]));
        check(
            "ff0f41015a400000000000000000000000000000000000000000000000000001000000000000240001",
            &json!(["0x100000000000000000000000000000000000000000000000000"]),
        );
        check(
            "ff0f41013b22016b6f22017649027b0149026f22017349027b013a04240001",
            &json!([[["k", {"v": 1}], [1, {"s": 1}]]]),
        );
        check("ff0f41012749022201782c02240001", &json!([[1, "x"]]));
        check("ff0f41015c000a026869240001", &json!([{"type": "Buffer", "data": [104, 105]}]));
        check("ff0f41015c0004020100240001", &json!([{"type": "Buffer", "data": [1, 0]}]));
        check(
            "ff0f410141035c000a01616f22017349027b015e03240003240001",
            &json!([[{"type": "Buffer", "data": [97]}, {"s": 1}, {"s": 1}]]),
        );
        check("ff0f410142020000240001", &json!([{"type": "Buffer", "data": [0, 0]}]));
        check("ff0f4101522202612b03240001", &json!(["/a+/"]));
        check("ff0f410179240001", &json!([true]));
        check("ff0f41016e0000000000000840240001", &json!([3]));
        check("ff0f410173220173240001", &json!(["s"]));
        check(
            "ff0f410141036f22017849027b016f22017349027b015e03240003240001",
            &json!([[{"x": 1}, {"s": 1}, {"s": 1}]]),
        );
        check(
            "ff0f41016f49024904220162220178006304e900e56549007b03240001",
            &json!([{"1": 2, "b": "x", "é日": 0}]),
        );
        check(
            "ff0f72546d220362616473220273742e",
            &json!({"name": "TypeError", "message": "bad", "stack": "st"}),
        );
        check(
            "ff0f4102726d22016d7322027374636f22017349027b012e5e02240002",
            &json!([{"name": "Error", "message": "m", "stack": "st", "cause": {"s": 1}}, {"s": 1}]),
        );
    }

    #[test]
    fn hostile_values_are_refused() {
        check_refused(b"\xff\x0f", DecodeError::Truncated);
        check_refused(b"\xff\x0fA\xff\xff\xff\xff\x0f", DecodeError::Truncated);
        check_refused(b"\xff\x0fa\xff\xff\xff\xff\x0f@", DecodeError::TooLarge);
        check_refused(b"\xff\x0f^\x00", DecodeError::Reference);
        check_refused(b"\xff\x0f?", DecodeError::Tag { tag: b'?', position: 2 });
        let deep = [b"\xff\x0f".to_vec(), b"A\x01".repeat(200)].concat();
        check_refused(&deep, DecodeError::TooLarge);
    }

    #[test]
    fn references_that_multiply_are_refused() {
        // Each array holds the one before it twice; forty of them would be a million million values.
        let mut bytes = b"\xff\x0fA\x29A\x00$\x00\x00".to_vec();
        for before in 1..=40u8 {
            bytes.extend_from_slice(&[b'A', 2, b'^', before, b'^', before, b'$', 0, 2]);
        }
        bytes.extend_from_slice(b"$\x00\x29");
        check_refused(&bytes, DecodeError::TooLarge);
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let tags = b"oAa;'\\DRrByxnszINUZ\"cS^_0TF{$@:,.m";
                    let random = (state >> 33) as usize;
                    if random & 1 == 0 { tags[random / 2 % tags.len()] } else { (random >> 8) as u8 & 7 }
                })
                .collect();
            let _ = decode(&bytes);
        }
    }
}
