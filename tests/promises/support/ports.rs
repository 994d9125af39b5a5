//! Ports that nobody else takes meanwhile: below the range from which the kernel gives ports to clients, each handed out once
//! per test run, from blocks that one test run has for itself.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

const FIRST: u16 = 15_000;
const BLOCK: u16 = 500;
const BLOCKS: u16 = 30;

/// What is left of the last block of this run, and the locks on all its blocks, which end with it.
static TAKEN: Mutex<(Range<u16>, Vec<File>)> = Mutex::new((0..0, Vec::new()));

/// A port that is free for TCP and UDP, on all addresses.
pub(crate) fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (ports, locks) = &mut *taken;
    loop {
        if let Some(port) = ports.find(|port| is_free(*port)) {
            return port;
        }
        let (block, lock) = take_block();
        locks.push(lock);
        *ports = FIRST + block * BLOCK..FIRST + (block + 1) * BLOCK;
    }
}

/// A block that no other test run has, begun anywhere.
fn take_block() -> (u16, File) {
    let start =
        u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("it is less than the number of blocks");
    let blocks = (0..BLOCKS).map(|step| (start + step) % BLOCKS);
    let lock = |block| {
        let path = std::env::temp_dir().join(format!("stead-test-ports-{block}"));
        // One that another user made cannot be opened, and is that user's.
        let file = File::options().create(true).append(true).open(path).ok()?;
        match file.try_lock() {
            Ok(()) => Some((block, file)),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => panic!("a file can be locked: {error}"),
        }
    };
    blocks.filter_map(lock).next().expect("some block of ports is nobody's")
}

/// Nobody listens there, on any address.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
