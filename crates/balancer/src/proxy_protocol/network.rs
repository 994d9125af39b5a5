//! From whom a header of the PROXY protocol is taken: everybody, or those whose addresses are in some networks.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    /// Bits that have to be alike.
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Before the slash stands no address.
    #[error("`{0}` is no network: an address, or one with the length of its prefix like `10.0.0.0/8`")]
    Address(String),
    /// Behind it stands no length.
    #[error("the prefix of `{text}` is not a number from 0 to {most}")]
    Prefix {
        /// The whole of it.
        text: String,
        /// The bits of such an address.
        most: u8,
    },
    /// Bits are set that do not count.
    #[error("`{text}` has bits behind its prefix: did you mean `{meant}`?")]
    Bits {
        /// The whole of it.
        text: String,
        /// The network that it is in.
        meant: Network,
    },
}

impl Network {
    /// Whether an address is in it. One of IPv4 inside of IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(_), other @ IpAddr::V4(_)) | (IpAddr::V6(_), other @ IpAddr::V6(_)) => {
                Self::bits(other) & self.mask() == Self::bits(self.address)
            }
            _ => false,
        }
    }

    /// The bits of an address, from the most significant one on.
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address(text.to_owned()))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= most)
                .ok_or_else(|| NetworkError::Prefix { text: text.to_owned(), most })?,
        };
        let network = Self { address, prefix };
        let bits = Self::bits(address) & network.mask();
        let meant = match address {
            IpAddr::V4(_) => IpAddr::V4(((bits >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(bits.into()),
        };
        if meant != address {
            let meant = Self { address: meant, prefix };
            return Err(NetworkError::Bits { text: text.to_owned(), meant });
        }
        Ok(network)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Who has to begin with a header. From all others one is as wrong as any first bytes that are not theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyFrom {
    /// Nobody.
    #[default]
    Nobody,
    /// Whoever connects, over a Unix socket too.
    Everybody,
    /// Who connects from one of these.
    Networks(Vec<Network>),
}

impl ProxyFrom {
    pub(crate) fn expects(&self, peer: Option<SocketAddr>) -> bool {
        match self {
            ProxyFrom::Nobody => false,
            ProxyFrom::Everybody => true,
            ProxyFrom::Networks(networks) => {
                peer.is_some_and(|peer| networks.iter().any(|network| network.contains(peer.ip())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks() {
        let check = |network: &str, address: &str, expected: bool| {
            let (network, address): (Network, IpAddr) = (network.parse().unwrap(), address.parse().unwrap());
            assert_eq!(network.contains(address), expected, "{network} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "::1", true);
        check("::/0", "192.0.2.1", false);
        check("2001:db8::/33", "2001:db8:7fff::1", true);
        check("2001:db8::/33", "2001:db8:8000::1", false);
    }

    #[test]
    fn what_is_no_network_is_explained() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Network>().unwrap_err().to_string(), expected);
        };
        check(
            "lan",
            "`lan` is no network: an address, or one with the length of its prefix like `10.0.0.0/8`",
        );
        check("10.0.0.0/33", "the prefix of `10.0.0.0/33` is not a number from 0 to 32");
        check("::/129", "the prefix of `::/129` is not a number from 0 to 128");
        check("10.0.0.0/", "the prefix of `10.0.0.0/` is not a number from 0 to 32");
        check("10.0.0.1/8", "`10.0.0.1/8` has bits behind its prefix: did you mean `10.0.0.0/8`?");
    }
}
