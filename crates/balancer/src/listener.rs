//! Listening sockets: bound once, accepted from on every lane.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::carried::Carrying;
use crate::connection::{self, Arrival};
use crate::direct;
use crate::lane::{Front, Lane, Service, Transport};
use crate::proxy_protocol::receive;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::Session;

/// Pause after an accept that failed for want of descriptors or memory; the connections wait in the backlog.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A silent client is asked for a sign of life by the kernel after this time.
const KEEP_ALIVE_PROBE: Duration = Duration::from_secs(300);
/// Connections the kernel keeps for us, as Node.js asks for.
const BACKLOG: i32 = 511;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A TCP port on all addresses: IPv6 and IPv4, or IPv4 alone where there is no IPv6.
    Any(u16),
    /// A path in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Any(port) => write!(f, "*:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Bound {
    socket: OwnedFd,
    tcp: Option<SocketAddr>,
}

impl Bound {
    /// Binds and listens.
    ///
    /// # Errors
    /// As bind(2) and listen(2): `AddrInUse`, `PermissionDenied`, `AddrNotAvailable`.
    pub fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Self::bind_tcp(*address, true),
            Address::Any(port) => {
                let any = |ip: IpAddr| SocketAddr::new(ip, *port);
                match Self::bind_tcp(any(Ipv6Addr::UNSPECIFIED.into()), false) {
                    Err(error) if is_without_ipv6(&error) => {
                        Self::bind_tcp(any(Ipv4Addr::UNSPECIFIED.into()), false)
                    }
                    result => result,
                }
            }
            Address::Unix(path) => Self::bind_unix(path),
        }
    }

    /// Takes over a socket that listens already, with the connections that wait in it; the file of a Unix socket stays.
    ///
    /// # Errors
    /// If it is not a socket.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        // Whoever made it may have wanted to wait in accept(2).
        rustix::io::ioctl_fionbio(&socket, true)?;
        Self::adopt_shared(socket)
    }

    /// The same for one that others accept from: whether they wait in accept(2) is theirs to say.
    ///
    /// # Errors
    /// If it is not a socket.
    pub fn adopt_shared(socket: OwnedFd) -> io::Result<Self> {
        let tcp = SocketAddr::try_from(getsockname(&socket)?).ok();
        if tcp.is_some() {
            // Its connections inherit this. A client that vanished without a word would be waited for by its tunnel for ever.
            sockopt::set_socket_keepalive(&socket, true)?;
            sockopt::set_tcp_keepidle(&socket, KEEP_ALIVE_PROBE)?;
        }
        Ok(Self { socket, tcp })
    }

    /// The address bound, with the port the kernel chose; `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    /// If descriptors are exhausted.
    pub fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, tcp: self.tcp })
    }

    fn bind_tcp(address: SocketAddr, only_v6: bool) -> io::Result<Self> {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket = open(family)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, only_v6)?;
        }
        // Connections inherit this as they come, and those in the backlog have come already.
        sockopt::set_tcp_nodelay(&socket, true)?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        Self::adopt(socket)
    }

    fn bind_unix(path: &Path) -> io::Result<Self> {
        let socket = open(AddressFamily::UNIX)?;
        let address = SocketAddrUnix::new(path)?;
        if let Err(error) = bind(&socket, &address) {
            // A file without a listener behind it was left by a program that was killed.
            if error != rustix::io::Errno::ADDRINUSE || std::os::unix::net::UnixStream::connect(path).is_ok()
            {
                return Err(error.into());
            }
            std::fs::remove_file(path)?;
            bind(&socket, &address)?;
        }
        listen(&socket, BACKLOG)?;
        Ok(Self { socket, tcp: None })
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::INVAL]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

enum Accepting {
    Tcp {
        listener: TcpListener,
        /// Whether all its connections have it by themselves, as none has of a listener that another program has made.
        nodelay: bool,
    },
    Unix(UnixListener),
}

impl Accepting {
    fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound.tcp {
            Some(_) => {
                let nodelay = sockopt::tcp_nodelay(&bound.socket)?;
                Accepting::Tcp { listener: TcpListener::from_std(bound.socket.into())?, nodelay }
            }
            None => Accepting::Unix(UnixListener::from_std(bound.socket.into())?),
        })
    }

    async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Accepting::Tcp { listener, nodelay } => {
                let (stream, client) = listener.accept().await?;
                if !nodelay {
                    // Fails only for a client that is gone again, which is found by reading.
                    let _ = stream.set_nodelay(true);
                }
                Ok((Socket::Tcp(stream), Some(client)))
            }
            Accepting::Unix(listener) => Ok((Socket::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// Accepts until told to stop, or aborted.
pub(crate) async fn accept(
    lane: Rc<Lane>,
    (bound, mut stop): (Bound, watch::Receiver<bool>),
    service: Service,
    carrying: Carrying,
) -> io::Result<()> {
    let listener = Accepting::new(bound)?;
    let service = Rc::new(service);
    // Where clients come faster than they are accepted, nothing below ever waits.
    while !*stop.borrow() {
        let permit = tokio::select! {
            biased;
            permit = Arc::clone(&service.connections).acquire_owned() => permit,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        let Ok(permit) = permit else { return Ok(()) };
        tokio::select! {
            biased;
            () = can_greet(&service) => (),
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        let Ok((socket, client)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (lane, service, carrying) = (Rc::clone(&lane), Rc::clone(&service), carrying.more());
        // From here to the next wait nothing may come between: whoever aborts this task must not lose a client.
        tokio::task::spawn_local(async move {
            // Only what cannot be greeted is dropped here.
            if let Ok((stream, client)) = greet(&service, socket, client).await {
                match &service.front {
                    Front::Http(site) => {
                        connection::serve(lane, &service, site, Arrival::accepted(stream, client)).await;
                    }
                    Front::Direct(pool) => direct::hand_over(pool, stream, client).await,
                }
            }
            drop((permit, carrying));
        });
    }
    Ok(())
}

/// Waits until there is a certificate; clients wait in the backlog meanwhile.
async fn can_greet(service: &Service) {
    while matches!(&service.transport, Transport::Tls(tls) if tls.config(true).is_none()) {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Learns who has come, and how it speaks.
async fn greet(
    service: &Service,
    socket: Socket,
    peer: Option<SocketAddr>,
) -> io::Result<(Stream, Option<SocketAddr>)> {
    let client = introduced(service, &socket, peer).await?;
    let stream = match (&service.transport, &service.front) {
        (Transport::Tls(tls), Front::Http(site)) => {
            let http2 = site.current().front.config.http2_streams_max > 0;
            let config = tls.config(http2).ok_or(io::ErrorKind::NotFound)?;
            Stream::Tls(Box::new(Session::accept(socket, config)?))
        }
        _ => Stream::Plain(socket),
    };
    Ok((stream, client))
}

/// The client's address: that of the connection, unless a proxy made it and says another.
async fn introduced(
    service: &Service,
    socket: &Socket,
    peer: Option<SocketAddr>,
) -> io::Result<Option<SocketAddr>> {
    let pool = match &service.front {
        Front::Http(site) => Arc::clone(&site.current().front),
        Front::Direct(pool) => Arc::clone(pool),
    };
    if !pool.config.proxy_from.expects(peer) {
        return Ok(peer);
    }
    let received = tokio::time::timeout(pool.config.header_timeout, receive(socket));
    match received.await.unwrap_or(Err(io::ErrorKind::TimedOut.into())) {
        Ok(client) => Ok(client.or(peer)),
        Err(error) => {
            pool.count(|counters| counters.refused += 1);
            Err(error)
        }
    }
}

/// Serves a client that another process accepted. It does not wait: it has been let in. While there are too many connections
/// for it to be one of them, it is the next to become one, so that no more are accepted.
pub(crate) fn adopt(lane: &Rc<Lane>, arrival: Arrival, service: Service, carrying: Carrying) {
    let lane = Rc::clone(lane);
    tokio::task::spawn_local(async move {
        let Front::Http(site) = &service.front else { return };
        let counted = async {
            let _permit = service.connections.acquire().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = connection::serve(lane, &service, site, arrival) => (),
            () = counted => (),
        }
        drop(carrying);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_tells_the_port_and_a_taken_one_is_refused() {
        let bound = Bound::bind(&Address::Any(0)).expect("some port is free");
        let port = bound.address().expect("TCP has one").port();
        assert_ne!(port, 0);
        let again = Bound::bind(&Address::Any(port)).expect_err("it is taken");
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn connections_of_clients_that_vanish_are_found_out() {
        let bound = Bound::bind(&Address::Any(0)).expect("some port is free");
        let port = bound.address().expect("TCP has one").port();
        let _client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let accepted = rustix::net::accept(&bound).expect("somebody connects");
        assert_eq!(sockopt::socket_keepalive(&accepted), Ok(true));
        assert_eq!(sockopt::tcp_keepidle(&accepted), Ok(KEEP_ALIVE_PROBE));
    }

    #[tokio::test]
    async fn clients_that_came_before_anybody_accepted_wait_for_no_small_write() {
        let foreign = || Bound::adopt(std::net::TcpListener::bind(("127.0.0.1", 0))?.into());
        for bound in [Bound::bind(&Address::Any(0)), foreign()] {
            let bound = bound.expect("some port is free");
            let port = bound.address().expect("TCP has one").port();
            let _client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
            let accepting = Accepting::new(bound).expect("it is a listener");
            let (accepted, _) = accepting.accept().await.expect("the client has waited");
            let Socket::Tcp(stream) = accepted else { unreachable!("it is TCP") };
            assert!(stream.nodelay().expect("TCP has it"));
        }
    }

    #[test]
    fn adopted_listener_keeps_who_waits_in_it_and_its_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("s");
        for address in [Address::Any(0), Address::Unix(path.clone())] {
            let bound = Bound::bind(&address).expect("it is free");
            // What a keeper holds when the process that bound it is killed.
            let held = bound.as_fd().try_clone_to_owned().expect("a descriptor can be duplicated");
            let mut client: Box<dyn io::Read> = match bound.address() {
                Some(tcp) => {
                    Box::new(std::net::TcpStream::connect(("127.0.0.1", tcp.port())).expect("it listens"))
                }
                None => Box::new(std::os::unix::net::UnixStream::connect(&path).expect("it listens")),
            };
            let before = bound.address();
            drop(bound);
            let adopted = Bound::adopt(held).expect("it is a listener");
            assert_eq!(adopted.address(), before);
            let accepted = rustix::net::accept(&adopted).expect("the client has waited");
            rustix::io::write(&accepted, b"hello").expect("it is connected");
            let mut heard = [0; 5];
            client.read_exact(&mut heard).expect("it is connected");
            assert_eq!(&heard, b"hello", "{address}");
        }
        assert!(path.exists(), "whoever connects next finds it");
    }

    #[test]
    fn adopted_listener_never_makes_a_lane_wait() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("some port is free");
        let adopted = Bound::adopt(listener.into()).expect("it is a listener");
        assert_eq!(rustix::net::accept(&adopted).err(), Some(rustix::io::Errno::WOULDBLOCK));
        assert_eq!(sockopt::socket_keepalive(&adopted), Ok(true));
    }

    #[test]
    fn stale_socket_file_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = Address::Unix(folder.path().join("s"));
        let bound = Bound::bind(&address).expect("a new path");
        let taken = Bound::bind(&address).expect_err("somebody listens");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(bound);
        Bound::bind(&address).expect("nobody listens any more");
    }
}
