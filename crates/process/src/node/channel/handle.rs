//! Dresses a descriptor for its journey to a child.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{AddressFamily, SocketType, sockopt};
use serde_json::{Value, json};

/// The frame for a raw handle, which only Node.js's own cluster module understands. The two hints tell Deno
/// what Node.js finds out by itself.
pub(super) fn native(message: Value, descriptor: impl AsFd, listening: bool) -> io::Result<Value> {
    let descriptor = descriptor.as_fd();
    set_non_blocking(descriptor)?;
    let mut frame = json!({ "cmd": super::HANDLE, "type": "net.Native" });
    frame["msg"] = message;
    if sockopt::socket_type(descriptor)? == SocketType::STREAM {
        frame["nativeKind"] = native_kind(descriptor)?.into();
        frame["socketType"] = i32::from(listening).into();
    }
    Ok(frame)
}

/// The frame for a handle that the program gets in its `message` event: a `net.Server`, a `net.Socket` or a
/// `dgram.Socket`.
pub(crate) fn program(message: Value, descriptor: impl AsFd) -> io::Result<Value> {
    let descriptor = descriptor.as_fd();
    set_non_blocking(descriptor)?;
    let mut frame = json!({ "cmd": super::HANDLE });
    frame["msg"] = message;
    if sockopt::socket_type(descriptor)? == SocketType::DGRAM {
        let six = sockopt::socket_domain(descriptor)? == AddressFamily::INET6;
        frame["type"] = "dgram.Socket".into();
        frame["dgramType"] = if six { "udp6" } else { "udp4" }.into();
    } else {
        let listening = sockopt::socket_acceptconn(descriptor)?;
        frame["type"] = if listening { "net.Server" } else { "net.Socket" }.into();
        frame["nativeKind"] = native_kind(descriptor)?.into();
        frame["socketType"] = i32::from(listening).into();
    }
    Ok(frame)
}

fn native_kind(descriptor: BorrowedFd<'_>) -> io::Result<&'static str> {
    let unix = sockopt::socket_domain(descriptor)? == AddressFamily::UNIX;
    Ok(if unix { "pipe" } else { "tcp" })
}

/// Node.js takes a descriptor as it comes; a blocking one stops its whole event loop at the first slow
/// reader.
fn set_non_blocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(descriptor)?;
    if !flags.contains(OFlags::NONBLOCK) {
        fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn check(descriptor: impl AsFd, expected: &Value) {
        assert_eq!(program(json!("m"), &descriptor).unwrap(), *expected);
        assert!(fcntl_getfl(&descriptor).unwrap().contains(OFlags::NONBLOCK));
    }

    #[test]
    fn a_descriptor_is_what_it_looks_like() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (pipe, _) = UnixStream::pair().unwrap();
        let socket = |kind: &str, native: &str, listening: i32| json!({"cmd": "NODE_HANDLE", "msg": "m", "type": kind, "nativeKind": native, "socketType": listening});
        check(stream, &socket("net.Socket", "tcp", 0));
        check(listener, &socket("net.Server", "tcp", 1));
        check(pipe, &socket("net.Socket", "pipe", 0));
        check(
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            &json!({"cmd": "NODE_HANDLE", "msg": "m", "type": "dgram.Socket", "dgramType": "udp4"}),
        );
    }

    #[test]
    fn what_is_no_socket_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(native(Value::Null, &file, false).is_err());
        assert!(program(Value::Null, &file).is_err());
    }
}
