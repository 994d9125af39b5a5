//! Writes a header for a worker that is given a connection of somebody else's.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::header::SIGNATURE;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What is said of a client at one address that came to another; that it is not known, if one of them is not.
pub(crate) fn announce(
    version: ProxyVersion,
    client: Option<SocketAddr>,
    server: Option<SocketAddr>,
) -> Vec<u8> {
    let ends = client.zip(server).map(|(client, server)| {
        let canonical = |end: SocketAddr| (end.ip().to_canonical(), end.port());
        (canonical(client), canonical(server))
    });
    match version {
        ProxyVersion::V1 => line(ends).into_bytes(),
        ProxyVersion::V2 => binary(ends),
    }
}

type End = (IpAddr, u16);

fn line(ends: Option<(End, End)>) -> String {
    let family = match ends {
        Some(((IpAddr::V4(_), _), (IpAddr::V4(_), _))) => "TCP4",
        Some(((IpAddr::V6(_), _), (IpAddr::V6(_), _))) => "TCP6",
        _ => return "PROXY UNKNOWN\r\n".to_owned(),
    };
    let ((client, client_port), (server, server_port)) = ends.expect("just seen");
    format!("PROXY {family} {client} {server} {client_port} {server_port}\r\n")
}

fn binary(ends: Option<(End, End)>) -> Vec<u8> {
    let (family, mut addresses) = match ends {
        Some(((IpAddr::V4(client), _), (IpAddr::V4(server), _))) => {
            (0x11, [client.octets(), server.octets()].concat())
        }
        Some(((IpAddr::V6(client), _), (IpAddr::V6(server), _))) => {
            (0x21, [client.octets(), server.octets()].concat())
        }
        _ => (0x00, Vec::new()),
    };
    if let (Some(((_, client), (_, server))), 1..) = (ends, family) {
        addresses.extend(client.to_be_bytes());
        addresses.extend(server.to_be_bytes());
    }
    let length = u16::try_from(addresses.len()).expect("addresses are short");
    [&SIGNATURE[..], &[0x21, family], &length.to_be_bytes(), &addresses].concat()
}

#[cfg(test)]
mod tests {
    use super::super::header::{Header, parse};
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let check = |client: Option<&str>, server: Option<&str>, expected: Option<&str>| {
            let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let header = announce(version, address(client), address(server));
                let expected = Header { bytes: header.len(), client: address(expected) };
                assert_eq!(parse(&header), Ok(Some(expected)), "{client:?} {server:?}");
            }
        };
        check(Some("192.0.2.1:5678"), Some("198.51.100.1:80"), Some("192.0.2.1:5678"));
        check(Some("[::ffff:192.0.2.1]:5678"), Some("[::ffff:198.51.100.1]:80"), Some("192.0.2.1:5678"));
        check(Some("[2001:db8::1]:5678"), Some("[2001:db8::2]:80"), Some("[2001:db8::1]:5678"));
        // Families that do not go together cannot be said.
        check(Some("192.0.2.1:5678"), Some("[2001:db8::2]:80"), None);
        check(None, Some("192.0.2.1:80"), None);
        check(Some("192.0.2.1:5678"), None, None);
    }
}
