//! Whose certificate a client has shown, as the header fields that a worker gets: the certificate itself (`Client-Cert`,
//! RFC 9440) and its subject in the form of RFC 4514 (`X-Client-Cert-Subject`).

use std::fmt::Write;

use rustls::pki_types::CertificateDer;

use super::der;

const SET: u8 = 0x31;
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `UTF8String`, `NumericString`, `PrintableString`, `IA5String`: texts that are bytes of UTF-8.
const TEXTS: [u8; 4] = [0x0c, 0x12, 0x13, 0x16];

/// Short names of attributes (RFC 4514 §3, and `emailAddress` of PKCS #9).
const NAMES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// The header fields.
pub(super) fn fields(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let mut out = format!("Client-Cert: :{}:\r\n", base64(certificate));
    if let Some(subject) = der::certificate(certificate).and_then(|read| text(read.subject)) {
        out.push_str(&format!("X-Client-Cert-Subject: {subject}\r\n"));
    }
    out.into_bytes()
}

/// A distinguished name: the last part first, as RFC 4514 has it. Printable ASCII; all else is escaped.
fn text(mut name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    while !name.is_empty() {
        let (mut set, rest) = der::expect(name, SET)?;
        let mut attributes = Vec::new();
        while !set.is_empty() {
            let (attribute, more) = der::expect(set, SEQUENCE)?;
            attributes.push(attribute_text(attribute)?);
            set = more;
        }
        parts.push(attributes.join("+"));
        name = rest;
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute_text(attribute: &[u8]) -> Option<String> {
    let (kind, encoded) = der::expect(attribute, OBJECT_IDENTIFIER)?;
    let (tag, contents, _) = der::value(encoded)?;
    let known = NAMES.iter().find(|(identifier, _)| *identifier == kind).map(|(_, name)| *name);
    let readable = std::str::from_utf8(contents).ok().filter(|_| TEXTS.contains(&tag));
    Some(match (known, readable) {
        (Some(name), Some(text)) => format!("{name}={}", escaped(text)),
        _ => format!("{}=#{}", known.map_or_else(|| dotted(kind), str::to_owned), hex(encoded)),
    })
}

/// RFC 4514 §2.4. What is not printable ASCII is written in hexadecimal, so that no program can misread the field.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let at_an_end = at == 0 || at + 1 == text.len();
        match byte {
            b' ' if at_an_end => out.push_str("\\20"),
            b'#' if at == 0 => out.push_str("\\#"),
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            // A string takes all that is written to it.
            _ => drop(write!(out, "\\{byte:02X}")),
        }
    }
    out
}

fn dotted(identifier: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number: u128 = 0;
    for byte in identifier {
        number = (number << 7) | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first.to_string());
                number -= first * 40;
            }
            numbers.push(number.to_string());
            number = 0;
        }
    }
    numbers.join(".")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let all =
            group.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(all >> (18 - 6 * place)) as usize & 63]);
            out.push(if place <= group.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of one attribute per part.
    fn name(parts: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let wrap = |tag: u8, contents: &[u8]| {
            let length = u8::try_from(contents.len()).expect("short");
            [&[tag, length], contents].concat()
        };
        let part = |(kind, tag, value): &(&[u8], u8, &[u8])| {
            let attribute = [wrap(OBJECT_IDENTIFIER, kind), wrap(*tag, value)].concat();
            wrap(SET, &wrap(SEQUENCE, &attribute))
        };
        parts.iter().flat_map(part).collect()
    }

    fn check(parts: &[(&[u8], u8, &[u8])], expected: &str) {
        assert_eq!(text(&name(parts)).as_deref(), Some(expected));
    }

    #[test]
    fn subjects_are_written_as_rfc_4514_has_them() {
        let (common, organization) = (&[0x55_u8, 4, 3][..], &[0x55_u8, 4, 10][..]);
        check(&[(organization, 0x0c, b"Example"), (common, 0x13, b"alice")], "CN=alice,O=Example");
        check(&[(common, 0x0c, b" a,b=c ")], "CN=\\20a\\,b\\=c\\20");
        check(&[(common, 0x0c, "#J\u{e9}\r\nX: y".as_bytes())], "CN=\\#J\\C3\\A9\\0D\\0AX: y");
        check(&[(&[0x2a, 0x83, 0x04], 0x0c, b"x")], "1.2.388=#0c0178");
        check(&[(common, 0x1e, b"\0a")], "CN=#1e020061");
        check(&[], "");
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }

    #[test]
    fn fields_are_whole_lines() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
        let fields = String::from_utf8(fields(made.cert.der())).expect("ASCII");
        let lines: Vec<&str> = fields.split_terminator("\r\n").collect();
        assert!(lines[0].starts_with("Client-Cert: :MII") && lines[0].ends_with(':'));
        assert_eq!(lines[1..], ["X-Client-Cert-Subject: CN=rcgen self signed cert"]);
    }
}
