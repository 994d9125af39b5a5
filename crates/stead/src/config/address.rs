//! Addresses to listen on, as people write them.
//!
//! | written | means |
//! |---|---|
//! | `8080`, `:8080` | every address of the machine |
//! | `127.0.0.1:8080`, `[::1]:8080` | this address |
//! | `localhost:8080` | what the name resolves to |
//! | `unix:/run/app.sock` | a Unix socket |
//! | `https://` or `http://` before any of these | with TLS, or without |
//! | `udp://` before one that is not a Unix socket | UDP |

use super::settings::text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// What stands before an address of datagrams.
const UDP: &str = "udp://";

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListenAddress {
    /// This port on every address of the machine.
    Port(u16),
    /// This address alone.
    Address(SocketAddr),
    /// Every address the name resolves to.
    Host {
        /// Not an IP address.
        name: String,
        /// 0 lets the kernel choose.
        port: u16,
    },
    /// A Unix socket, absolute or relative to the app's directory.
    Unix(#[serde(with = "text")] PathBuf),
}

/// Whether clients speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// They do not.
    Http,
    /// They do, and Stead ends it.
    Https,
}

/// An address to listen on, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Listen {
    /// Nothing if it was not written.
    pub scheme: Option<Scheme>,
    /// UDP: there is nothing to balance, the workers share the socket.
    #[serde(default)]
    pub datagrams: bool,
    /// Where.
    pub address: ListenAddress,
}

/// Why a text is not an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The part after the last colon is no port.
    #[error("`{0}` is not a port (0 to 65535)")]
    Port(String),
    /// An IPv6 address needs brackets before its port.
    #[error("IPv6 addresses are written in brackets: `[{0}]:PORT`")]
    Brackets(String),
    /// A host without a port.
    #[error("`{0}` has no port")]
    NoPort(String),
    /// `unix:` without a path.
    #[error("`unix:` needs a path")]
    NoPath,
    /// A path after `udp://`.
    #[error("`{0}` is no UDP address: it has a host and a port, or a port")]
    Datagrams(String),
    /// `udp:` without the slashes; what was meant.
    #[error("UDP addresses are written with slashes: `udp://{0}`")]
    Slashes(String),
    /// `tcp:` before an address; what stands after it.
    #[error("leave `tcp://` away: `{0}` is TCP")]
    Tcp(String),
    /// Nothing, or a name with characters that no host name has.
    #[error("`{0}` is neither a port, a host and port, nor `unix:/path`")]
    Unknown(String),
}

impl ListenAddress {
    /// The TCP port, if it is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            ListenAddress::Port(port) | ListenAddress::Host { port, .. } => Some(*port),
            ListenAddress::Address(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        }
    }

    /// The addresses to bind. For [`ListenAddress::Port`] it is `[::]`, which serves IPv4 too; a machine without IPv6
    /// refuses it and needs `0.0.0.0` instead. Empty for a Unix socket.
    ///
    /// # Errors
    /// When a name does not resolve.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            ListenAddress::Port(port) => Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port))]),
            ListenAddress::Address(address) => Ok(vec![*address]),
            ListenAddress::Host { name, port } => Ok((name.as_str(), *port).to_socket_addrs()?.collect()),
            ListenAddress::Unix(_) => Ok(Vec::new()),
        }
    }
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Listen, AddressError> {
        if let Some(rest) = text.strip_prefix(UDP) {
            return match rest.parse()? {
                ListenAddress::Unix(_) => Err(AddressError::Datagrams(text.to_owned())),
                address => Ok(Listen { scheme: None, datagrams: true, address }),
            };
        }
        // Else these would be names of hosts.
        if let Some(rest) = text.strip_prefix("udp:") {
            return Err(AddressError::Slashes(rest.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("tcp:") {
            return Err(AddressError::Tcp(rest.trim_start_matches('/').to_owned()));
        }
        let schemes = [("http://", Scheme::Http), ("https://", Scheme::Https)];
        let written = schemes.iter().find_map(|(prefix, scheme)| Some((*scheme, text.strip_prefix(prefix)?)));
        let (scheme, rest) = match written {
            // As it is copied from the line of a browser.
            Some((scheme, rest)) => (Some(scheme), rest.strip_suffix('/').unwrap_or(rest)),
            None => (None, text),
        };
        Ok(Listen { scheme, datagrams: false, address: rest.parse()? })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.prefix())?;
        self.address.fmt(formatter)
    }
}

impl Listen {
    /// What stands before the address.
    pub fn prefix(&self) -> &'static str {
        match self.scheme {
            None if self.datagrams => UDP,
            None => "",
            Some(Scheme::Http) => "http://",
            Some(Scheme::Https) => "https://",
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ListenAddress, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(AddressError::NoPath)
            } else {
                Ok(ListenAddress::Unix(path.into()))
            };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(ListenAddress::Address(address));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::Brackets(text.to_owned()));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => ("", text),
            None if is_host_name(text) => return Err(AddressError::NoPort(text.to_owned())),
            None => return Err(AddressError::Unknown(text.to_owned())),
        };
        if !host.is_empty() && host != "*" && !is_host_name(host) {
            return Err(AddressError::Unknown(text.to_owned()));
        }
        let port = port.parse().map_err(|_| AddressError::Port(port.to_owned()))?;
        Ok(match host {
            "" | "*" => ListenAddress::Port(port),
            name => ListenAddress::Host { name: name.to_owned(), port },
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Port(port) => write!(formatter, "*:{port}"),
            ListenAddress::Address(address) => address.fmt(formatter),
            ListenAddress::Host { name, port } => write!(formatter, "{name}:{port}"),
            ListenAddress::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

fn is_host_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let actual = match text.parse::<Listen>() {
            Ok(address) => address.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(actual, expected, "{text:?}");
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        check("8080", "*:8080");
        check(":8080", "*:8080");
        check("*:8080", "*:8080");
        check("0", "*:0");
        check("127.0.0.1:8080", "127.0.0.1:8080");
        check("[::1]:8080", "[::1]:8080");
        check("localhost:8080", "localhost:8080");
        check("my-host.example:80", "my-host.example:80");
        check("unix:/run/app.sock", "unix:/run/app.sock");
        check("unix:app.sock", "unix:app.sock");
        check("https://8443", "https://*:8443");
        check("https://:8443", "https://*:8443");
        check("http://localhost:80/", "http://localhost:80");
        check("https://unix:/run/app.sock", "https://unix:/run/app.sock");
        check("udp://5353", "udp://*:5353");
        check("udp://[::1]:5353", "udp://[::1]:5353");
    }

    #[test]
    fn what_is_not_an_address_is_explained() {
        check("", "error: `` is neither a port, a host and port, nor `unix:/path`");
        check("70000", "error: `70000` is not a port (0 to 65535)");
        check("-1", "error: `-1` is neither a port, a host and port, nor `unix:/path`");
        check("localhost", "error: `localhost` has no port");
        check("localhost:http", "error: `http` is not a port (0 to 65535)");
        check("::1", "error: IPv6 addresses are written in brackets: `[::1]:PORT`");
        check("1.2.3:80", "error: `1.2.3:80` is neither a port, a host and port, nor `unix:/path`");
        check("unix:", "error: `unix:` needs a path");
        check("https://localhost", "error: `localhost` has no port");
        check("udp://localhost", "error: `localhost` has no port");
        check(
            "udp://unix:/a",
            "error: `udp://unix:/a` is no UDP address: it has a host and a port, or a port",
        );
        check("udp:5353", "error: UDP addresses are written with slashes: `udp://5353`");
        check("udp:localhost:53", "error: UDP addresses are written with slashes: `udp://localhost:53`");
        check("tcp://5353", "error: leave `tcp://` away: `5353` is TCP");
        check("tcp:5353", "error: leave `tcp://` away: `5353` is TCP");
        check("ftp://a:80", "error: `ftp://a:80` is neither a port, a host and port, nor `unix:/path`");
    }

    #[test]
    fn names_resolve() {
        let addresses = ListenAddress::Host { name: "localhost".into(), port: 1 }.resolve().unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
        assert!(!addresses.is_empty());
    }
}
