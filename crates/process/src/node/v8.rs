//! V8's `ValueSerializer` format, as far as ordinary programs use it (`serialization: 'advanced'`).
//!
//! What JSON cannot say becomes what `JSON.stringify` would make of it: `undefined` is left out of objects
//! and `null` in arrays, a date is a string, bytes look like a `Buffer`'s JSON, a `Set` is an array, a `Map`
//! an array of pairs, an `Error` an object with `name`, `message` and `stack`, a big integer a number if it
//! fits and else its digits. A reference to a value that is still being read (a cycle) is `null`.
//!
//! Anything at all may be given to [`decode`]: depth is limited, and so is the number of values in relation
//! to the number of bytes.

mod decode;

use serde_json::{Number, Value};

pub use decode::{DecodeError, decode};

/// Format version 15, which Node.js 18 to 24 read and write.
const HEADER: [u8; 2] = [0xFF, 0x0F];

/// Appends `value` to `out`, format header first.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    let body = out.len();
    out.extend_from_slice(&HEADER);
    write_value(value, body, out);
}

fn write_value(value: &Value, body: usize, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'0'),
        Value::Bool(true) => out.push(b'T'),
        Value::Bool(false) => out.push(b'F'),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, body, out),
        Value::Array(items) => {
            out.push(b'A');
            write_varint(items.len() as u64, out);
            for item in items {
                write_value(item, body, out);
            }
            out.push(b'$');
            write_varint(0, out);
            write_varint(items.len() as u64, out);
        }
        Value::Object(members) => {
            out.push(b'o');
            for (key, member) in members {
                write_string(key, body, out);
                write_value(member, body, out);
            }
            out.push(b'{');
            write_varint(members.len() as u64, out);
        }
    }
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(small) = number.as_i64().and_then(|number| i32::try_from(number).ok()) {
        out.push(b'I');
        write_varint(u64::from(((small << 1) ^ (small >> 31)).cast_unsigned()), out);
    } else {
        out.push(b'N');
        out.extend_from_slice(&number.as_f64().unwrap_or(f64::NAN).to_le_bytes());
    }
}

fn write_string(text: &str, body: usize, out: &mut Vec<u8>) {
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
