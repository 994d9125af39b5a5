//! What the kernel tells about a Unix socket that no library asks it.
//!
//! Two facts about socket pairs carry the balancer's promises, and are proven in this file's tests: the sender can see
//! whether the other side has *taken* what it was sent, and a receiver that ends without having read leaves a different
//! mark (`ECONNRESET`) from one that had read (end of stream).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::ioctl::{Getter, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

const TIOCOUTQ: rustix::ioctl::Opcode = libc::TIOCOUTQ as rustix::ioctl::Opcode;

/// A connected pair of stream sockets, non-blocking and close-on-exec.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// How much of what was written to `socket` the other side has not read yet, 0 meaning that it has taken everything.
///
/// For a Unix socket this counts memory, not only payload: anything but 0 means "something is unread", not how much. (On
/// TCP the kernel counts unacknowledged bytes instead, which says nothing about the program.)
///
/// # Errors
/// `ENOTTY` or `EINVAL` for something that is not a socket, or one that listens.
pub fn unread_bytes(socket: impl AsFd) -> io::Result<u32> {
    // SAFETY: TIOCOUTQ on a socket writes exactly one C int, and Getter<_, i32> lends room for exactly that.
    #[expect(unsafe_code, reason = "rustix has no safe form of this request")]
    let unread = unsafe { ioctl(socket, Getter::<TIOCOUTQ, i32>::new()) }?;
    Ok(u32::try_from(unread).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{Errno, read, write};

    #[test]
    fn unread_bytes_fall_to_zero_when_the_other_side_has_read() {
        let (near, far) = pair().unwrap();
        assert_eq!(unread_bytes(&near).unwrap(), 0);
        assert_eq!(write(&near, b"GET / HTTP/1.1\r\n\r\n").unwrap(), 18);
        assert!(unread_bytes(&near).unwrap() > 0);
        assert_eq!(read(&far, &mut [0; 4]).unwrap(), 4);
        assert!(unread_bytes(&near).unwrap() > 0, "a part is still unread");
        assert_eq!(read(&far, &mut [0; 64]).unwrap(), 14);
        assert_eq!(unread_bytes(&near).unwrap(), 0);
    }

    #[test]
    fn an_end_closed_with_unread_data_resets_its_peer() {
        let (near, far) = pair().unwrap();
        assert_eq!(write(&near, b"never read").unwrap(), 10);
        drop(far);
        assert_eq!(read(&near, &mut [0; 8]).unwrap_err(), Errno::CONNRESET);
    }

    #[test]
    fn an_end_closed_after_reading_everything_ends_the_stream() {
        let (near, far) = pair().unwrap();
        assert_eq!(write(&near, b"read").unwrap(), 4);
        assert_eq!(read(&far, &mut [0; 8]).unwrap(), 4);
        drop(far);
        assert_eq!(read(&near, &mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn an_answer_sent_before_the_reset_is_still_read_first() {
        let (near, far) = pair().unwrap();
        assert_eq!(write(&near, b"unread").unwrap(), 6);
        assert_eq!(write(&far, b"ok").unwrap(), 2);
        drop(far);
        assert_eq!(read(&near, &mut [0; 8]), Ok(2));
        assert_eq!(read(&near, &mut [0; 8]), Err(Errno::CONNRESET));
    }

    #[test]
    fn what_is_no_socket_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(unread_bytes(&file).is_err());
    }
}
