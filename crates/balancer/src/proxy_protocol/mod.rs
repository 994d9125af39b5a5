//! The PROXY protocol, versions 1 and 2: what a proxy says about its client before the client's first byte.
//!
//! | file | holds |
//! |---|---|
//! | `header.rs` | reading a header, as a pure function over bytes |
//! | `checksum.rs` | CRC-32C, which a header may carry |
//! | `announce.rs` | writing one |
//! | `network.rs` | from whom a header is taken |
//! | `receive.rs` | taking one from a socket, and not a byte more |

mod announce;
mod checksum;
mod header;
mod network;
mod receive;

pub use announce::ProxyVersion;
pub use header::{Header, Malformed, parse};
pub use network::{Network, NetworkError, ProxyFrom};

pub(crate) use announce::announce;
pub(crate) use receive::receive;
