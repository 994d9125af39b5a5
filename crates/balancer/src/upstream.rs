//! Connections to workers: made when needed, kept for the next request, given up before the worker would.
//!
//! Each lane keeps its own, so that a connection stays with the thread whose event loop knows it.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UnixStream};

use crate::by_number::ByNumber;
use crate::endpoint::{Endpoint, EndpointId, Road};
use crate::http2::Workers;
use crate::socket::Socket;
use crate::stream::Stream;

/// Node.js closes an idle connection this much before or after the time it announced; we are earlier than that.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);
/// How often, and how long apart, a worker with a full backlog is tried.
const BACKLOG_FULL_TRIES: u32 = 200;
const BACKLOG_FULL_PAUSE: Duration = Duration::from_millis(5);

/// A connection to a worker, for one request at a time.
pub(crate) struct Upstream {
    pub(crate) stream: Stream,
    /// It has served a request before: the worker may be closing it at this moment.
    pub(crate) reused: bool,
}

struct Idle {
    upstream: Upstream,
    until: Instant,
}

/// The kept connections of one lane.
#[derive(Default)]
pub(crate) struct Upstreams {
    idle: RefCell<ByNumber<Vec<Idle>>>,
    http2: Workers,
}

impl Upstreams {
    /// A kept connection that is still good, the last used first. What a worker says unasked is no answer to anything (RFC 9112
    /// §9.2), and its end is no use.
    pub(crate) fn take(&self, endpoint: &Endpoint, now: Instant) -> Option<Upstream> {
        if endpoint.http2 {
            return self.http2.take(endpoint.id).map(|stream| Upstream { stream, reused: true });
        }
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&endpoint.id)?;
        while let Some(Idle { upstream, until }) = kept.pop() {
            if until > now && upstream.stream.is_quiet() {
                return Some(upstream);
            }
        }
        None
    }

    /// A new connection, or the first stream of one.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        client: Option<std::net::SocketAddr>,
    ) -> io::Result<Upstream> {
        let upstream = connect(endpoint, client).await?;
        if !endpoint.http2 {
            return Ok(upstream);
        }
        Ok(Upstream { stream: self.http2.begin(endpoint, upstream.stream).await?, reused: false })
    }

    /// Keeps a connection for the next request, for at most `for_time`.
    pub(crate) fn keep(&self, endpoint: &Endpoint, mut upstream: Upstream, until: Instant) {
        // The connection of a stream is kept anyway.
        if endpoint.is_accepting() && !upstream.stream.is_http2() {
            upstream.reused = true;
            self.idle.borrow_mut().entry(endpoint.id).or_default().push(Idle { upstream, until });
        }
    }

    /// Closes all kept connections of a worker.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        self.idle.borrow_mut().remove(&endpoint);
        self.http2.forget(endpoint);
    }

    /// Closes what has been kept for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        for kept in idle.values_mut() {
            kept.retain(|idle| idle.until > now);
        }
        idle.retain(|_, kept| !kept.is_empty());
        self.http2.sweep();
    }
}

/// How long a connection may be kept: shorter than what the worker announced, so that it is never the worker that closes.
pub(crate) fn keep_for(announced: Option<Duration>, configured: Duration) -> Duration {
    announced.map_or(configured, |announced| configured.min(announced.saturating_sub(KEEP_ALIVE_MARGIN)))
}

/// Makes a connection to a worker.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    client: Option<std::net::SocketAddr>,
) -> io::Result<Upstream> {
    let socket = match &endpoint.road {
        Road::Handed(hand) => {
            let (ours, theirs) = stead_process::socket::pair()?;
            // The answer is not waited for: a worker that refuses or dies closes its end with our request unread.
            hand.give(theirs, client)?;
            Socket::Unix(UnixStream::from_std(ours.into())?)
        }
        Road::Unix(path) => Socket::Unix(connect_unix(path).await?),
        Road::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Socket::Tcp(stream)
        }
    };
    Ok(Upstream { stream: Stream::Plain(socket), reused: false })
}

/// A full backlog is refused at once on Unix sockets (connect(2), `EAGAIN`); a worker in a long turn has one.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    for _ in 0..BACKLOG_FULL_TRIES {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(BACKLOG_FULL_PAUSE).await;
            }
            result => return result,
        }
    }
    UnixStream::connect(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_given_up_before_the_worker_does() {
        let secs = Duration::from_secs;
        for (announced, configured, expected) in [
            (Some(secs(5)), secs(60), secs(4)),
            (Some(secs(5)), secs(2), secs(2)),
            (Some(secs(1)), secs(60), secs(0)),
            (None, secs(4), secs(4)),
        ] {
            assert_eq!(keep_for(announced, configured), expected, "{announced:?} {configured:?}");
        }
    }
}
