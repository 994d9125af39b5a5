//! Header lines and numbers as bytes, without formatting machinery.

/// Writes `name: value CR LF`.
#[inline]
pub(super) fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Adds a field to the answer that `out` begins with, behind its status line.
pub fn insert_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    let Some(line_end) = memchr::memchr(b'\n', out) else { return };
    let (at, length) = (line_end + 1, out.len());
    // Written at the end and then turned to the front: no memory of its own.
    field(name, value, out);
    let added = out.len() - length;
    out[at..].rotate_right(added);
}

/// Writes `Content-Length: length CR LF`.
pub(super) fn content_length(length: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: ");
    number(length, 10, out);
    out.extend_from_slice(b"\r\n");
}

/// Writes `value` in `base` 10 or 16.
pub(super) fn number(mut value: u64, base: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // 20 digits are enough for u64::MAX in decimal.
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = DIGITS[(value % base) as usize];
        value /= base;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(value: u64) {
        for (base, expected) in [(10, format!("{value}")), (16, format!("{value:x}"))] {
            let mut out = Vec::new();
            super::number(value, base, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn field_is_added_behind_the_status_line() {
        let mut out = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody".to_vec();
        super::insert_field("X", b"1", &mut out);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nX: 1\r\nA: b\r\n\r\nbody");
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for value in [0, 1, 9, 10, 15, 16, 255, 256, 65_536, u64::MAX] {
            check(value);
        }
    }
}
