//! Headers good and bad, whole and cut anywhere.

use super::*;

/// A header of version 2.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, body].concat()
}

const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 1, 0x16, 0x2e, 0, 80];
const CLIENT: &str = "192.0.2.1:5678";

fn v6() -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [&address("2001:db8::1")[..], &address("2001:db8::2"), &[0x16, 0x2e, 0, 80]].concat()
}

/// With the right checksum at its end.
fn summed(family: u8, address: &[u8]) -> Vec<u8> {
    let mut header = binary(0x21, family, &[address, &[CHECKSUM, 0, 4, 0, 0, 0, 0]].concat());
    let sum = crc32c(header.iter().copied()).to_be_bytes();
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum);
    header
}

/// All of `header` is one, and no part of it is.
#[track_caller]
fn check(header: &[u8], client: Option<&str>) {
    let what = header.escape_ascii();
    for end in 0..header.len() {
        assert_eq!(parse(&header[..end]), Ok(None), "{what} cut at {end}");
    }
    let client = client.map(|client| client.parse().unwrap());
    let expected = Ok(Some(Header { bytes: header.len(), client }));
    assert_eq!(parse(header), expected, "{what}");
    assert_eq!(parse(&[header, b"GET / HTTP/1.1\r\n"].concat()), expected, "{what}");
}

#[track_caller]
fn check_refused(header: &[u8], expected: Malformed) {
    assert_eq!(parse(header), Err(expected), "{}", header.escape_ascii());
}

#[test]
fn line_says_who_the_client_is() {
    check(b"PROXY TCP4 192.0.2.1 198.51.100.1 5678 80\r\n", Some(CLIENT));
    check(b"PROXY TCP6 2001:db8::1 2001:db8::2 5678 80\r\n", Some("[2001:db8::1]:5678"));
    check(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n", Some("255.255.255.255:65535"));
    check(b"PROXY UNKNOWN\r\n", None);
    check(b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None);
}

#[test]
fn malformed_line_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.1 5678 80\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 5678\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 5678 80 1\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.1 5678 80\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 5678 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 05678 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +5678 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 80\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 5678 80\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 5678 80\r\n",
        "PROXY TCP6 ::1 192.0.2.1 5678 80\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 5678 80\r\n",
        "PROXY \r\n",
    ] {
        check_refused(line.as_bytes(), Malformed::Form);
    }
    check_refused(&[b"PROXY UNKNOWN ", &b"x".repeat(LINE_BYTES_MAX)[..]].concat(), Malformed::TooLong);
}

#[test]
fn what_is_no_header_is_known_by_its_first_wrong_byte() {
    for other in ["GET / HTTP/1.1\r\n", "P ", "PROXX", "proxy TCP4", "\r\n\r\n\r", "\x16\x03\x01"] {
        check_refused(other.as_bytes(), Malformed::Missing);
    }
    assert_eq!(parse(b""), Ok(None));
}

#[test]
fn binary_header_says_who_the_client_is() {
    check(&binary(0x21, 0x11, V4), Some(CLIENT));
    check(&binary(0x21, 0x21, &v6()), Some("[2001:db8::1]:5678"));
    check(&binary(0x21, 0x11, &[V4, &[0x04, 0, 2, 1, 2, 0xea, 0, 0]].concat()), Some(CLIENT));
    check(&binary(0x21, 0x31, &[0; 216]), None);
    check(&binary(0x21, 0x00, b"whatever"), None);
    check(&binary(0x21, 0x00, b""), None);
    check(&binary(0x20, 0x00, b""), None);
    check(&binary(0x20, 0x11, V4), None);
    check(&summed(0x11, V4), Some(CLIENT));
    check(&summed(0x21, &v6()), Some("[2001:db8::1]:5678"));
}

#[test]
fn malformed_binary_header_is_refused() {
    for (command, family, body) in [
        (0x11, 0x11, V4),
        (0x22, 0x11, V4),
        (0x21, 0x12, V4),
        (0x21, 0x41, V4),
        (0x21, 0x11, &V4[..11]),
        (0x21, 0x21, V4),
        (0x21, 0x31, V4),
    ] {
        check_refused(&binary(command, family, body), Malformed::Form);
    }
    for extension in [&[4][..], &[4, 0], &[4, 0, 1], &[4, 0xff, 0xff, 0], &[CHECKSUM, 0, 1, 0]] {
        check_refused(&binary(0x21, 0x11, &[V4, extension].concat()), Malformed::Form);
    }
    let mut long = binary(0x21, 0x11, V4);
    long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    check_refused(&long, Malformed::TooLong);
}

#[test]
fn one_wrong_bit_is_found_by_the_checksum() {
    let good = summed(0x11, V4);
    for bit in 16 * 8..good.len() * 8 {
        let mut header = good.clone();
        header[bit / 8] ^= 1 << (bit % 8);
        // The type and length of the extension itself make it another one, or none.
        let is_address = bit / 8 < FIXED_BYTES + V4.len() || bit / 8 >= good.len() - 4;
        let parsed = parse(&header);
        assert!(!is_address || parsed == Err(Malformed::Checksum), "bit {bit}: {parsed:?}");
    }
}

#[test]
fn no_bytes_make_it_panic_and_more_bytes_never_unmake_a_header() {
    let mut state = 7_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let starts =
        [&b"PROXY TCP4 1.2.3.4"[..], b"PROXY UNKNOWN", &binary(0x21, 0x11, V4), &summed(0x21, &v6()), b""];
    for round in 0..20_000 {
        let mut bytes = starts[round % starts.len()].to_vec();
        for _ in 0..next() % 4 {
            let at = (next() % (bytes.len() as u64 + 1)) as usize;
            match bytes.get_mut(at) {
                Some(byte) => *byte = next() as u8,
                None => bytes.extend((0..next() % 30).map(|_| b"\r\n 1.:"[(next() % 6) as usize])),
            }
        }
        let mut known = Ok(None);
        for end in 0..=bytes.len() {
            let parsed = parse(&bytes[..end]);
            match known {
                Ok(None) => known = parsed,
                settled => assert_eq!(parsed, settled, "{} at {end}", bytes.escape_ascii()),
            }
        }
        if let Ok(Some(header)) = known {
            assert!(header.bytes <= bytes.len());
        }
    }
}
