//! V8's `ValueSerializer` format, as far as ordinary programs use it (`serialization: 'advanced'`).
//!
//! [`Structured`] is a value with all that JavaScript can say. Where it is read as JSON ([`decode`]), what JSON cannot say
//! becomes what `JSON.stringify` would make of it: `undefined` is left out of objects
//! and `null` in arrays, a date is a string, bytes look like a `Buffer`'s JSON, a `Set` is an array, a `Map`
//! an array of pairs, an `Error` an object with `name`, `message` and `stack`, a big integer a number if it
//! fits and else its digits. A reference to a value that is still being read (a cycle) is `null`.
//!
//! Anything at all may be given to [`decode`]: depth is limited, and so is the number of values in relation
//! to the number of bytes.

mod decode;
mod value;

use serde_json::{Number, Value};

pub use decode::{DecodeError, decode, decode_structured};
pub use value::{Structured, ViewKind};

/// Format version 15, which Node.js 18 to 24 read and write.
const HEADER: [u8; 2] = [0xFF, 0x0F];

/// Appends `value` to `out`, format header first.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    let body = out.len();
    out.extend_from_slice(&HEADER);
    write_value(value, body, out);
}

/// Appends `value` to `out`, format header first.
pub fn encode_structured(value: &Structured, out: &mut Vec<u8>) {
    let body = out.len();
    out.extend_from_slice(&HEADER);
    write_structured(value, body, out);
}

fn write_structured(value: &Structured, body: usize, out: &mut Vec<u8>) {
    match value {
        Structured::Undefined => out.push(b'_'),
        Structured::Null => out.push(b'0'),
        Structured::Bool(true) => out.push(b'T'),
        Structured::Bool(false) => out.push(b'F'),
        Structured::Number(number) => write_double(b'N', *number, out),
        Structured::BigInt { negative, magnitude } => write_big_integer(*negative, magnitude, out),
        Structured::String(text) => write_string(text, body, out),
        Structured::Date(milliseconds) => write_double(b'D', *milliseconds, out),
        Structured::RegExp { source, flags } => {
            out.push(b'R');
            write_string(source, body, out);
            write_varint(u64::from(*flags), out);
        }
        Structured::Array(items) => write_array(items, out, |item, out| write_structured(item, body, out)),
        Structured::Object(members) => {
            let members = members.iter().map(|(key, member)| (key, member));
            write_object(members, body, out, |member, out| write_structured(member, body, out));
        }
        Structured::Map(pairs) => {
            out.push(b';');
            for (key, value) in pairs {
                write_structured(key, body, out);
                write_structured(value, body, out);
            }
            out.push(b':');
            write_varint(pairs.len() as u64 * 2, out);
        }
        Structured::Set(items) => {
            out.push(b'\'');
            for item in items {
                write_structured(item, body, out);
            }
            out.push(b',');
            write_varint(items.len() as u64, out);
        }
        Structured::Error { .. } => write_error(value, body, out),
        Structured::ArrayBuffer(bytes) => {
            out.push(b'B');
            write_bytes(bytes, out);
        }
        Structured::View { kind, bytes } => {
            // A host object, of Node.js's first kind.
            out.extend_from_slice(b"\\\0");
            write_varint(kind.number(), out);
            write_bytes(bytes, out);
        }
    }
}

fn write_error(error: &Structured, body: usize, out: &mut Vec<u8>) {
    let Structured::Error { name, message, stack, cause } = error else { return };
    out.push(b'r');
    out.extend(decode::ERRORS.iter().find(|(_, known)| known == name).map(|(tag, _)| *tag));
    for (tag, text) in [(b'm', message), (b's', stack)] {
        if let Some(text) = text {
            out.push(tag);
            write_string(text, body, out);
        }
    }
    if let Some(cause) = cause {
        out.push(b'c');
        write_structured(cause, body, out);
    }
    out.push(b'.');
}

fn write_array<T>(items: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'A');
    write_varint(items.len() as u64, out);
    for item in items {
        write(item, out);
    }
    out.push(b'$');
    write_varint(0, out);
    write_varint(items.len() as u64, out);
}

fn write_object<'a, T: 'a>(
    members: impl ExactSizeIterator<Item = (&'a String, &'a T)>,
    body: usize,
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>),
) {
    let count = members.len();
    out.push(b'o');
    for (key, member) in members {
        write_string(key, body, out);
        write(member, out);
    }
    out.push(b'{');
    write_varint(count as u64, out);
}

fn write_double(tag: u8, number: f64, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&number.to_le_bytes());
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// V8 reads whole words of eight bytes, and no zero below zero.
fn write_big_integer(negative: bool, magnitude: &[u8], out: &mut Vec<u8>) {
    let significant = magnitude.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let length = significant.next_multiple_of(8);
    out.push(b'Z');
    write_varint((length as u64) << 1 | u64::from(negative && significant > 0), out);
    out.extend_from_slice(&magnitude[..significant]);
    out.resize(out.len() + length - significant, 0);
}

fn write_value(value: &Value, body: usize, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'0'),
        Value::Bool(true) => out.push(b'T'),
        Value::Bool(false) => out.push(b'F'),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, body, out),
        Value::Array(items) => write_array(items, out, |item, out| write_value(item, body, out)),
        Value::Object(members) => {
            write_object(members.iter(), body, out, |member, out| write_value(member, body, out));
        }
    }
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(small) = number.as_i64().and_then(|number| i32::try_from(number).ok()) {
        out.push(b'I');
        write_varint(u64::from(((small << 1) ^ (small >> 31)).cast_unsigned()), out);
    } else {
        write_double(b'N', number.as_f64().unwrap_or(f64::NAN), out);
    }
}

fn write_string(text: &str, body: usize, out: &mut Vec<u8>) {
    // Most texts, and a tenth of the time for long ones.
    if text.is_ascii() {
        out.push(b'"');
        write_bytes(text.as_bytes(), out);
        return;
    }
    if text.chars().all(|character| u32::from(character) < 0x100) {
        out.push(b'"');
        write_varint(text.chars().count() as u64, out);
        out.extend(text.chars().map(|character| character as u8));
        return;
    }
    let units = text.encode_utf16().count() as u64 * 2;
    let mut head = vec![b'c'];
    write_varint(units, &mut head);
    // Two-byte characters stand at even places; a zero byte before the tag is padding.
    if (out.len() - body + head.len()) % 2 == 1 {
        out.push(0);
    }
    out.extend_from_slice(&head);
    out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7F) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for value in [
            json!(null),
            json!(-1),
            json!(i32::MAX),
            json!(i32::MIN),
            json!(1.5),
            json!(4_294_967_296u64),
            json!("é"),
            json!("日本"),
            json!({"k": ["日", {"ü": [true, false, []]}], "": {}}),
        ] {
            let mut bytes = b"prefix of odd length:".to_vec();
            let prefix = bytes.len();
            encode(&value, &mut bytes);
            assert_eq!(decode(&bytes[prefix..]), Ok(value));
        }
    }
}
