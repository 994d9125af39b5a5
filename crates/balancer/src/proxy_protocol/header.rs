//! Reads a header of the PROXY protocol, or says why it is none.
//!
//! Strict: what is malformed is refused, because a sender and a receiver that disagree about where the header ends disagree
//! about where the first request begins. Extensions (TLV) are skipped, but for the checksum, which has to be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checksum::crc32c;

/// What version 2 begins with.
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
/// The longest header of version 2; extensions hold certificates at most.
pub(super) const HEADER_BYTES_MAX: usize = 16 * 1024;
/// The extension that holds a checksum of the whole header.
const CHECKSUM: u8 = 3;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length; what follows is the client's.
    pub bytes: usize,
    /// Where the client is; `None` if the proxy speaks for itself or does not know.
    pub client: Option<SocketAddr>,
}

/// Why something is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first bytes of neither version.
    #[error("there is no header of the PROXY protocol")]
    Missing,
    /// It goes on for longer than any.
    #[error("the header of the PROXY protocol is too long")]
    TooLong,
    /// It is not as the protocol says.
    #[error("the header of the PROXY protocol is malformed")]
    Form,
    /// Its checksum is wrong.
    #[error("the checksum of the PROXY protocol is wrong")]
    Checksum,
}

/// Reads the header that `bytes` begin with. `None`: it is not whole yet, and all of them belong to it.
///
/// # Errors
/// Nothing that follows can make a header of it.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if begins(WORD) {
        parse_line(bytes)
    } else if begins(SIGNATURE) {
        parse_binary(bytes)
    } else {
        Err(Malformed::Missing)
    }
}

fn parse_line(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', within) else {
        return if within.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let line = within[..end].strip_suffix(b"\r").ok_or(Malformed::Form)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed::Form)?;
    let mut words = line.split(' ').skip(1);
    let client = match words.next() {
        // Whatever else stands there is to be ignored.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(addresses::<Ipv4Addr>(words)?),
        Some("TCP6") => Some(addresses::<Ipv6Addr>(words)?),
        _ => return Err(Malformed::Form),
    };
    Ok(Some(Header { bytes: end + 1, client }))
}

/// Source and destination, port and port; all of them have to be good.
fn addresses<'w, I>(mut words: impl Iterator<Item = &'w str>) -> Result<SocketAddr, Malformed>
where
    I: std::str::FromStr + Into<IpAddr>,
{
    let mut word = || words.next().ok_or(Malformed::Form);
    let (client, server) = (word()?.parse::<I>(), word()?.parse::<I>());
    let (client_port, server_port) = (port(word()?)?, port(word()?)?);
    let (Ok(client), Ok(_), _, None) = (client, server, server_port, words.next()) else {
        return Err(Malformed::Form);
    };
    Ok(SocketAddr::new(client.into(), client_port))
}

fn port(word: &str) -> Result<u16, Malformed> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain).ok_or(Malformed::Form)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED_BYTES + length > HEADER_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let is_local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed::Form),
    };
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let whole = &bytes[..FIXED_BYTES + length];
    let client = if is_local { None } else { client_in(fixed[13], body, whole)? };
    Ok(Some(Header { bytes: whole.len(), client }))
}

/// The client in what follows the fixed part, by the family of its address.
fn client_in(family: u8, body: &[u8], whole: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    // Connections are carried here, so datagrams are a mistake.
    let (address_bytes, client) = match family {
        0x11 => (12, Some((Ipv4Addr::from_octets(array(body, 0)?).into(), 8))),
        0x21 => (36, Some((Ipv6Addr::from_octets(array(body, 0)?).into(), 32))),
        0x31 => (216, None),
        // Unknown, and so is how long it is.
        0x00 => return Ok(None),
        _ => return Err(Malformed::Form),
    };
    let extensions = body.get(address_bytes..).ok_or(Malformed::Form)?;
    check_extensions(extensions, whole)?;
    let client = client.map(|(address, port): (IpAddr, usize)| {
        Ok(SocketAddr::new(address, u16::from_be_bytes(array(body, port)?)))
    });
    client.transpose()
}

fn check_extensions(mut extensions: &[u8], whole: &[u8]) -> Result<(), Malformed> {
    while !extensions.is_empty() {
        let [high, low] = array(extensions, 1)?;
        let end = 3 + usize::from(u16::from_be_bytes([high, low]));
        let value = extensions.get(3..end).ok_or(Malformed::Form)?;
        if extensions[0] == CHECKSUM {
            let told = u32::from_be_bytes(value.try_into().map_err(|_| Malformed::Form)?);
            let at = whole.len() - extensions.len() + 3;
            let blank = |(index, byte): (usize, &u8)| if (at..at + 4).contains(&index) { 0 } else { *byte };
            if crc32c(whole.iter().enumerate().map(blank)) != told {
                return Err(Malformed::Checksum);
            }
        }
        extensions = &extensions[end..];
    }
    Ok(())
}

fn array<const COUNT: usize>(bytes: &[u8], at: usize) -> Result<[u8; COUNT], Malformed> {
    bytes.get(at..at + COUNT).and_then(|piece| piece.try_into().ok()).ok_or(Malformed::Form)
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
