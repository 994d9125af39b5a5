//! Takes a header off a socket and leaves what follows in the kernel: whoever gets the connection next, a TLS session or
//! another process, shall find it as if there had been none.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::header::parse;
use crate::socket::Socket;

/// Looked at in one go; most headers are shorter.
const LOOK_BYTES: usize = 512;

/// Where the client is, if the proxy says so. How long that may take is for the caller to bound.
///
/// # Errors
/// There is no good header, or no connection any more.
pub(crate) async fn receive(socket: &Socket) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::new();
    let mut room = [0; LOOK_BYTES];
    loop {
        let seen = match socket.try_peek(&mut room) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(seen) => seen,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll_fn(|context| socket.poll_read_ready(context)).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let taken = header.len();
        header.extend_from_slice(&room[..seen]);
        let parsed = parse(&header).map_err(|malformed| io::Error::new(ErrorKind::InvalidData, malformed))?;
        // While it is not whole, everything belongs to it.
        let own = parsed.map_or(seen, |header| header.bytes - taken);
        if socket.try_read_slice(&mut room[..own])? != own {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(header) = parsed {
            return Ok(header.client);
        }
    }
}
