//! Finds the addresses a process listens on by itself, without having asked Stead: its sockets in `/proc` that the kernel's
//! table of TCP sockets shows as listening (proc(5), state 0A).

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Where this process listens on TCP.
pub(super) fn listening(pid: u32) -> Vec<SocketAddr> {
    let sockets = sockets_of(pid);
    if sockets.is_empty() {
        return Vec::new();
    }
    let tables = [format!("/proc/{pid}/net/tcp"), format!("/proc/{pid}/net/tcp6")];
    let tables = tables.iter().filter_map(|table| fs::File::open(table).ok());
    tables.flat_map(|table| listeners(BufReader::new(table), &sockets)).collect()
}

/// The kernel lists listening sockets first. The connections of the whole machine, which follow, are not read: they may be
/// tens of thousands, and who asks waits.
fn listeners(table: impl BufRead, sockets: &HashSet<u64>) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in table.lines().map_while(Result::ok).skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.get(3) != Some(&LISTEN) {
            break;
        }
        found.extend(listener(&fields, sockets));
    }
    found
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

fn listener(fields: &[&str], sockets: &HashSet<u64>) -> Option<SocketAddr> {
    let (address, inode) = (fields.get(1)?, fields.get(9)?);
    if !sockets.contains(&inode.parse().ok()?) {
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
    fn own_listeners_are_found_and_connections_are_not_read() {
        let line = |number: u32, address: &str, state: &str, inode: u64| {
            format!("{number:4}: {address} 00000000:0000 {state} 0:0 0:0 0 0 0 {inode} 1 0 100 0 0 10 0\n")
        };
        let check = |lines: &[String], expected: &[&str]| {
            let table = format!("  sl  local_address ...\n{}", lines.concat());
            let found = listeners(table.as_bytes(), &HashSet::from([7, 8]));
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let (own, other) = (format!("{loopback}:1F90"), format!("{loopback}:1F91"));
        check(&[line(0, &other, "0A", 9), line(1, &own, "0A", 7)], &["127.0.0.1:8080"]);
        check(&[line(0, &own, "0A", 7), line(1, &other, "06", 0)], &["127.0.0.1:8080"]);
        check(&[line(0, &own, "01", 7)], &[]);
        check(&[], &[]);
    }

    #[test]
    fn own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        assert!(listening(std::process::id()).contains(&address));
        drop(listener);
        assert!(!listening(std::process::id()).contains(&address));
    }
}
