//! The UDP sockets of an app: bound once, shared by its workers, held by the keeper. What comes while nobody reads waits in
//! them, whoever of Stead and the workers is being replaced. Stead itself never reads a datagram.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use stead_process::keeper::Keeper;

use super::held;
use crate::config::{Listen, ListenAddress};

/// How the keys of those of the configuration begin; their order follows.
const CONFIGURED: &str = "listen ";

/// All of them.
pub(super) struct Datagrams {
    app: u32,
    keeper: Keeper,
    /// By what it was asked for with: as one of the configuration, or what a Node.js worker wants.
    sockets: BTreeMap<String, UdpSocket>,
}

impl Datagrams {
    pub(super) fn new(app: u32, keeper: Keeper) -> Self {
        Self { app, keeper, sockets: BTreeMap::new() }
    }

    /// Binds an address of the configuration.
    ///
    /// # Errors
    /// As bind(2).
    pub(super) fn bind(&mut self, listen: &Listen) -> io::Result<()> {
        let addresses = match listen.address {
            ListenAddress::Port(port) => vec![any(port)],
            _ => listen.address.resolve()?,
        };
        for address in addresses {
            let key = format!("{CONFIGURED}{:03}", self.configured().count());
            self.keep(&key, bind(address)?)?;
        }
        Ok(())
    }

    /// The socket that workers ask for by this key, bound if it is not yet.
    ///
    /// # Errors
    /// As bind(2).
    pub(super) fn ask(&mut self, key: &str, address: SocketAddr) -> io::Result<OwnedFd> {
        if !self.sockets.contains_key(key) {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            self.keep(key, socket)?;
        }
        Ok(self.sockets[key].try_clone()?.into())
    }

    fn keep(&mut self, key: &str, socket: UdpSocket) -> io::Result<()> {
        self.keeper.hold(&held::udp(self.app, key), socket.as_fd())?;
        self.sockets.insert(key.to_owned(), socket);
        Ok(())
    }

    /// Takes over what the daemon before this one had.
    pub(super) fn resume(&mut self, held: impl IntoIterator<Item = (String, OwnedFd)>) {
        self.sockets.extend(held.into_iter().map(|(key, socket)| (key, socket.into())));
    }

    /// Those of the configuration, in its order, for programs that are given them at their start.
    ///
    /// # Errors
    /// If descriptors are exhausted.
    pub(super) fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.configured().map(|socket| Ok(socket.try_clone()?.into())).collect()
    }

    fn configured(&self) -> impl Iterator<Item = &UdpSocket> {
        self.sockets.iter().filter(|(key, _)| key.starts_with(CONFIGURED)).map(|(_, socket)| socket)
    }

    /// Where they are bound, for people.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let addresses = self.sockets.values().filter_map(|socket| socket.local_addr().ok());
        addresses.map(|address| format!("udp://{address}"))
    }

    /// Closes them, as soon as no worker has them any more.
    pub(super) fn close(&mut self) {
        for key in std::mem::take(&mut self.sockets).into_keys() {
            self.keeper.release(&held::udp(self.app, &key));
        }
    }
}

/// Blocking, as systemd passes it: simple programs wait in recvfrom(2). Whoever wants it otherwise says so itself.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    match UdpSocket::bind(address) {
        // A machine without IPv6.
        Err(error) if address == any(address.port()) && error.kind() != io::ErrorKind::AddrInUse => {
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, address.port())).map_err(|_| error)
        }
        result => result,
    }
}

/// IPv6 and IPv4.
fn any(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}
