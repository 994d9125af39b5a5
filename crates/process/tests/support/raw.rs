//! Writes to the keeper's socket what no client would.

use std::io;
use std::os::fd::BorrowedFd;

use stead_process::descriptors;
use stead_process::spawn::SpawnSpec;

/// Where the keeper puts the daemon's end of their socket.
const KEEPER_SOCKET: i32 = 3;

/// Requests that fail before a process is created, so that only the answers cost anything.
pub(crate) fn flood(requests: u32) -> io::Result<()> {
    let spec = SpawnSpec { descriptors: vec![7], ..SpawnSpec::new("nothing") };
    let message = serde_json::json!({ "type": "spawn", "request": 0, "spec": spec }).to_string();
    let header = [(message.len() as u32).to_le_bytes(), 0_u32.to_le_bytes()].concat();
    for _ in 0..requests {
        // The keeper gives up on a daemon like this one, and then there is nobody to write to.
        write(&[header.as_slice(), message.as_bytes()].concat())?;
    }
    Ok(())
}

pub(crate) fn write(mut bytes: &[u8]) -> io::Result<()> {
    let socket = socket();
    while !bytes.is_empty() {
        match descriptors::send(socket, bytes, &[]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut polled = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::OUT)];
                rustix::event::poll(&mut polled, None)?;
            }
            taken => bytes = &bytes[taken?..],
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the client owns the socket, and no client would do this")]
pub(crate) fn socket() -> BorrowedFd<'static> {
    // SAFETY: the client keeps it open as long as this process lives.
    unsafe { BorrowedFd::borrow_raw(KEEPER_SOCKET) }
}
