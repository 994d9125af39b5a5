//! Sends and receives open descriptors over a Unix socket (`SCM_RIGHTS`).
//!
//! Each function is one system call, repeated only when a signal interrupts it. Whether it waits is the socket's affair: on
//! a non-blocking one they return [`io::ErrorKind::WouldBlock`]. What arrives is close-on-exec from the start, so that a
//! child started at that very moment cannot inherit it.
//!
//! Nothing here knows frames. What the callers may rely on (Linux, `SOCK_STREAM`): the descriptors of one call to [`send`]
//! arrive together with its first byte, and one call to [`receive`] never joins the descriptors of two.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The most descriptors one message carries; the kernel's own limit (`SCM_MAX_FD`).
pub const DESCRIPTORS_MAX: usize = 253;

const CONTROL_BYTES: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Descriptors were sent to us and did not arrive; most often because this process has too many open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("descriptors sent along were lost; too many are open")]
pub struct DescriptorsLost;

/// What [`receive_noting_loss`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes written to the buffer; 0 is the end of the stream.
    pub bytes: usize,
    /// Some or all of the descriptors that came with these bytes are gone (`MSG_CTRUNC`).
    pub descriptors_lost: bool,
}

/// Sends `bytes`, and `descriptors` with the first of them. Returns how many bytes were taken.
///
/// Once any byte was taken all descriptors were: the rest of a partly taken message is sent without them. Nothing is
/// closed here.
///
/// # Errors
/// `InvalidInput` for no bytes with descriptors, or for more than [`DESCRIPTORS_MAX`]; otherwise the system call's own
/// (`EPIPE` without a signal when the other end is closed, `ETOOMANYREFS` when too many are in flight).
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    send_flagged(socket, bytes, descriptors, SendFlags::NOSIGNAL)
}

/// Like [`send`], and does not wait even on a blocking socket.
///
/// # Errors
/// As [`send`].
pub fn try_send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    send_flagged(socket, bytes, descriptors, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn send_flagged(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    if !descriptors.is_empty() && (bytes.is_empty() || descriptors.len() > DESCRIPTORS_MAX) {
        return Err(Errno::INVAL.into());
    }
    if descriptors.is_empty() {
        // The kernel has less to look at than with a header.
        return Ok(retry_on_intr(|| rustix::net::send(&socket, bytes, flags))?);
    }
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
    assert!(fits, "the buffer is made for DESCRIPTORS_MAX");
    let taken = retry_on_intr(|| rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags))?;
    Ok(taken)
}

/// Reads into `buffer` and appends the descriptors that came along. The end of the stream is `Ok(0)`.
///
/// # Errors
/// `InvalidData` around [`DescriptorsLost`] if the kernel could not hand over all descriptors: the bytes they belonged
/// to are consumed, so the stream can no longer be trusted. Otherwise the system call's own.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let before = descriptors.len();
    let received = receive_noting_loss(socket, buffer, descriptors)?;
    if received.descriptors_lost {
        descriptors.truncate(before);
        return Err(io::Error::new(io::ErrorKind::InvalidData, DescriptorsLost));
    }
    Ok(received.bytes)
}

/// Like [`receive`], for a stream that tells which message is missing its descriptors and can go on without them.
///
/// # Errors
/// The system call's own.
pub fn receive_noting_loss(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Received> {
    receive_flagged(socket, buffer, descriptors, RecvFlags::CMSG_CLOEXEC)
}

/// Like [`receive_noting_loss`], and does not wait even on a blocking socket.
///
/// # Errors
/// The system call's own.
pub fn try_receive_noting_loss(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Received> {
    receive_flagged(socket, buffer, descriptors, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
}

fn receive_flagged(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
    flags: RecvFlags,
) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message =
        retry_on_intr(|| rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut control, flags))?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(arrived) = part {
            descriptors.extend(arrived);
        }
    }
    Ok(Received { bytes: message.bytes, descriptors_lost: message.flags.contains(ReturnFlags::CTRUNC) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket;
    use rustix::io::{FdFlags, fcntl_getfd};

    #[test]
    fn descriptors_arrive_with_the_first_byte_and_close_on_exec() {
        let (near, far) = socket::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        assert_eq!(send(&near, b"plain", &[]).unwrap(), 5);
        assert_eq!(send(&near, b"pair", &[reader.as_fd(), writer.as_fd()]).unwrap(), 4);

        let (mut buffer, mut arrived) = ([0; 6], Vec::new());
        assert_eq!(receive(&far, &mut buffer, &mut arrived).unwrap(), 6);
        assert_eq!((&buffer, arrived.len()), (b"plainp", 2));
        assert!(arrived.iter().all(|fd| fcntl_getfd(fd).unwrap() == FdFlags::CLOEXEC));
        assert_eq!(receive(&far, &mut buffer, &mut arrived).unwrap(), 3);
        assert_eq!(arrived.len(), 2);
    }

    #[test]
    fn end_of_stream_is_zero_and_an_empty_socket_would_block() {
        let (near, far) = socket::pair().unwrap();
        let mut arrived = Vec::new();
        let error = receive(&far, &mut [0; 8], &mut arrived).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(near);
        assert_eq!(receive(&far, &mut [0; 8], &mut arrived).unwrap(), 0);
        assert_eq!(send(&far, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_full_load_arrives_and_more_is_refused() {
        let (near, far) = socket::pair().unwrap();
        let load = vec![near.as_fd(); DESCRIPTORS_MAX];
        assert_eq!(send(&near, b"x", &load).unwrap(), 1);
        let mut arrived = Vec::new();
        assert_eq!(receive(&far, &mut [0; 1], &mut arrived).unwrap(), 1);
        assert_eq!(arrived.len(), DESCRIPTORS_MAX);

        let too_many = vec![near.as_fd(); DESCRIPTORS_MAX + 1];
        assert_eq!(send(&near, b"x", &too_many).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(send(&near, b"", &load[..1]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
