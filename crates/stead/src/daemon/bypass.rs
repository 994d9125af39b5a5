//! Finds the addresses a process listens on by itself, without having asked Stead: its sockets in `/proc` that the kernel's
//! table of TCP sockets shows as listening (proc(5), state 0A).

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Where this process listens on TCP.
pub(super) fn listening(pid: u32) -> Vec<SocketAddr> {
    let sockets = sockets_of(pid);
    let tables = [format!("/proc/{pid}/net/tcp"), format!("/proc/{pid}/net/tcp6")];
    let lines = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    lines
        .flat_map(|table| {
            table.lines().skip(1).filter_map(|line| listener(line, &sockets)).collect::<Vec<_>>()
        })
        .collect()
}

/// The inodes of its sockets.
fn sockets_of(pid: u32) -> HashSet<u64> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return HashSet::new() };
    let inode = |target: &str| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .filter_map(|target| inode(target.to_str()?))
        .collect()
}

fn listener(line: &str, sockets: &HashSet<u64>) -> Option<SocketAddr> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if *state != LISTEN || !sockets.contains(&inode.parse().ok()?) {
        return None;
    }
    let (ip, port) = address.split_once(':')?;
    Some(SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?))
}

/// Groups of four bytes, each in the machine's order.
fn ip_of(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        assert!(listening(std::process::id()).contains(&address));
        drop(listener);
        assert!(!listening(std::process::id()).contains(&address));
    }
}
