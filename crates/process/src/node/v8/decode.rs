//! Reads what V8 wrote.

use serde_json::Value;

use super::value::{Structured, ViewKind};

/// As deep as values may be nested, the same as for JSON.
const DEPTH_MAX: usize = 128;
/// How many values a frame may hold beyond one per byte: holes in arrays, and values that are referred to
/// again.
const VALUES_SLACK: usize = 65_536;

/// JavaScript's own errors besides `Error`, by V8's tags.
pub(super) const ERRORS: [(u8, &str); 6] = [
    (b'E', "EvalError"),
    (b'R', "RangeError"),
    (b'F', "ReferenceError"),
    (b'S', "SyntaxError"),
    (b'T', "TypeError"),
    (b'U', "URIError"),
];

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

/// Reads one value as JSON; what follows it is ignored, as V8 does.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    decode_structured(bytes).map(Structured::into_json)
}

/// Reads one value as it is; what follows it is ignored, as V8 does.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_structured(bytes: &[u8]) -> Result<Structured, DecodeError> {
    let mut reader =
        Reader { bytes, position: 0, objects: Vec::new(), open: Vec::new(), next_object: 0, values: 0 };
    while reader.peek() == Some(0xFF) {
        reader.position += 1;
        reader.varint()?;
    }
    reader.value()
}

type Read = Result<Structured, DecodeError>;

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
        Ok(match tag {
            b'_' | b'-' => Structured::Undefined,
            b'0' => Structured::Null,
            b'T' => Structured::Bool(true),
            b'F' => Structured::Bool(false),
            b'I' => {
                let number = self.varint()?;
                let number = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
                Structured::Number(number as f64)
            }
            b'U' => Structured::Number(self.varint()? as f64),
            b'N' => Structured::Number(self.double()?),
            b'Z' => self.big_integer()?,
            b'"' | b'c' | b'S' => Structured::String(self.string(tag)?),
            b'^' => return self.reference(),
            _ => return self.object(tag, start),
        })
    }

    fn string(&mut self, tag: u8) -> Result<String, DecodeError> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        Ok(match tag {
            b'"' if !bytes.is_ascii() => bytes.iter().map(|&byte| char::from(byte)).collect(),
            b'"' | b'S' => String::from_utf8_lossy(bytes).into_owned(),
            _ => {
                let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
                char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
        })
    }

    fn any_string(&mut self) -> Result<String, DecodeError> {
        match self.value()? {
            Structured::String(text) => Ok(text),
            _ => Err(DecodeError::Tag { tag: self.peek().unwrap_or(0), position: self.position }),
        }
    }

    fn big_integer(&mut self) -> Read {
        let bits = self.varint()?;
        let length = usize::try_from((bits >> 1) & 0x7FFF_FFFF).expect("31 bits fit");
        let bytes = self.take(length)?;
        let significant = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let magnitude = bytes[..significant].to_vec();
        Ok(Structured::BigInt { negative: bits & 1 == 1, magnitude })
    }

    fn reference(&mut self) -> Read {
        let object = self.length()?;
        let start = *self.objects.get(object).ok_or(DecodeError::Reference)?;
        if self.open.contains(&object) {
            return Ok(Structured::Null);
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
        Ok(match tag {
            b'o' => Structured::Object(self.members(b'{', 1)?),
            b'A' => self.dense_array()?,
            b'a' => self.sparse_array()?,
            b';' => self.map()?,
            b'\'' => self.set()?,
            b'\\' => return self.host_object(),
            b'D' => Structured::Date(self.double()?),
            b'R' => {
                let source = self.any_string()?;
                // The highest bit that V8 uses is the ninth.
                Structured::RegExp { source, flags: self.varint()? as u32 }
            }
            b'r' => self.error()?,
            b'B' => {
                let length = self.length()?;
                Structured::ArrayBuffer(self.take(length)?.to_vec())
            }
            b'y' => Structured::Bool(true),
            b'x' => Structured::Bool(false),
            b'n' => Structured::Number(self.double()?),
            b's' => Structured::String(self.any_string()?),
            _ => self.big_integer()?,
        })
    }

    /// Key, value, .. until `end`, and then as many numbers as say how much it was.
    fn members(&mut self, end: u8, numbers: usize) -> Result<Vec<(String, Structured)>, DecodeError> {
        let mut members = Vec::new();
        while self.peek() != Some(end) {
            let key = match self.value()? {
                Structured::String(key) => key,
                Structured::Number(key) => key.to_string(),
                _ => return Err(DecodeError::Tag { tag: self.peek().unwrap_or(0), position: self.position }),
            };
            members.push((key, self.value()?));
        }
        self.position += 1;
        for _ in 0..numbers {
            self.varint()?;
        }
        Ok(members)
    }

    fn dense_array(&mut self) -> Read {
        let length = self.length()?;
        if length > self.bytes.len() - self.position {
            return Err(DecodeError::Truncated);
        }
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(self.value()?);
        }
        self.members(b'$', 2)?;
        Ok(Structured::Array(items))
    }

    fn sparse_array(&mut self) -> Read {
        let length = self.length()?;
        self.count(length)?;
        let mut items = vec![Structured::Undefined; length];
        for (key, value) in self.members(b'@', 2)? {
            if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                *item = value;
            }
        }
        Ok(Structured::Array(items))
    }

    fn map(&mut self) -> Read {
        let mut pairs = Vec::new();
        while self.peek() != Some(b':') {
            pairs.push((self.value()?, self.value()?));
        }
        self.position += 1;
        self.varint()?;
        Ok(Structured::Map(pairs))
    }

    fn set(&mut self) -> Read {
        let mut items = Vec::new();
        while self.peek() != Some(b',') {
            items.push(self.value()?);
        }
        self.position += 1;
        self.varint()?;
        Ok(Structured::Set(items))
    }

    /// Node.js writes bytes itself (0, kind of view, length, bytes), and anything else that V8 cannot write
    /// as a plain object (1).
    fn host_object(&mut self) -> Read {
        if self.varint()? != 0 {
            return self.value();
        }
        let kind = ViewKind::from_number(self.varint()?);
        let length = self.length()?;
        Ok(Structured::View { kind, bytes: self.take(length)?.to_vec() })
    }

    fn error(&mut self) -> Read {
        let (mut name, mut message, mut stack, mut cause) = ("Error", None, None, None);
        loop {
            let position = self.position;
            match self.byte()? {
                b'm' => message = Some(self.any_string()?),
                b's' => stack = Some(self.any_string()?),
                b'c' => cause = Some(Box::new(self.value()?)),
                b'.' => return Ok(Structured::Error { name: name.to_owned(), message, stack, cause }),
                tag => {
                    let known = ERRORS.iter().find(|(known, _)| *known == tag);
                    name = known.ok_or(DecodeError::Tag { tag, position })?.1;
                }
            }
        }
    }
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
