//! A connection between two daemons, the one that leaves and the one that takes over: messages with descriptors, both ways.
//!
//! What the messages mean is the daemons' affair. Sending waits while the other side does not read: what is sent are
//! clients' connections, and none may be dropped.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::frame::{BODY_BYTES_MAX, Fill, Incoming, Outgoing};

/// Sends. One at a time, so that messages stay whole.
#[derive(Debug)]
pub struct PeerSender {
    socket: Arc<UnixStream>,
    outgoing: Outgoing,
}

/// Receives.
#[derive(Debug)]
pub struct PeerReceiver {
    socket: Arc<UnixStream>,
    incoming: Incoming,
}

/// Makes both halves of one end of a socket pair. To be called inside a tokio runtime.
///
/// # Errors
/// The runtime cannot watch the descriptor.
pub fn peer(socket: OwnedFd) -> io::Result<(PeerSender, PeerReceiver)> {
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    let socket = Arc::new(UnixStream::from_std(socket)?);
    let sender = PeerSender { socket: Arc::clone(&socket), outgoing: Outgoing::new(2 * BODY_BYTES_MAX) };
    Ok((sender, PeerReceiver { socket, incoming: Incoming::default() }))
}

impl PeerSender {
    /// Sends a message of at most 4 MiB with at most 253 descriptors, which are closed here once sent. Not to be cancelled.
    ///
    /// # Errors
    /// `InvalidInput` for too large a message; otherwise the other side is gone.
    pub async fn send(&mut self, body: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let descriptors = descriptors.into_iter().map(Arc::new).collect();
        self.outgoing.push(body, descriptors).map_err(|_| io::ErrorKind::InvalidInput)?;
        loop {
            let (socket, outgoing) = (&self.socket, &mut self.outgoing);
            let flushed = socket.try_io(Interest::WRITABLE, || match outgoing.flush(&**socket)? {
                true => Ok(()),
                false => Err(io::ErrorKind::WouldBlock.into()),
            });
            match flushed {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                flushed => return flushed,
            }
        }
    }
}

impl PeerReceiver {
    /// The next message; nothing when the other side has ended. May be cancelled without loss.
    ///
    /// # Errors
    /// The connection broke, or descriptors were lost because too many are open here.
    pub async fn next(&mut self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        loop {
            if let Some(frame) = self.incoming.next().map_err(io::Error::other)? {
                return Ok(Some((frame.body, frame.descriptors.map_err(io::Error::other)?)));
            }
            self.socket.readable().await?;
            let (socket, incoming) = (&self.socket, &mut self.incoming);
            let filled = socket.try_io(Interest::READABLE, || match incoming.fill(&**socket) {
                // Said in the runtime's words, so that it waits for more.
                Ok(Fill::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
                other => other.map_err(io::Error::other),
            });
            match filled {
                Ok(Fill::End) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Ok(_) => (),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket;

    #[tokio::test]
    async fn messages_arrive_whole_with_their_descriptors_however_many() {
        let (near, far) = socket::pair().unwrap();
        let (mut sender, _) = peer(near).unwrap();
        let (_, mut receiver) = peer(far).unwrap();
        let sending = tokio::spawn(async move {
            for number in 0..500_u32 {
                let load = (0..number % 3).map(|_| io::pipe().unwrap().0.into()).collect();
                sender.send(&vec![b'x'; number as usize * 10], load).await.unwrap();
            }
        });
        for number in 0..500_u32 {
            let (body, descriptors) = receiver.next().await.unwrap().unwrap();
            assert_eq!((body.len(), descriptors.len()), (number as usize * 10, number as usize % 3));
        }
        sending.await.unwrap();
        assert!(receiver.next().await.unwrap().is_none(), "both halves of the other side are gone");
    }
}
