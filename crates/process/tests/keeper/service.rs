//! The keeper as the main process of a service: what it says to systemd, what it passes on, and what it keeps to itself.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::commands::Command;
use crate::harness::{PATIENCE, Stead, exit_code, shell, wait_end};
use stead_process::spawn::SpawnSpec;

/// The test plays the service manager.
struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, directory }
    }

    fn start(&self, variables: &[(&str, &str)]) -> Stead {
        Stead::start_as(|program| {
            program.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
            program.envs(variables.iter().copied())
        })
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 256];
        let count = self.socket.recv(&mut buffer).expect("a word in time");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }
}

#[test]
fn what_the_daemon_says_reaches_the_service_manager_and_its_address_reaches_nobody() {
    let manager = Manager::new();
    let stead = manager.start(&[]);
    let mut daemon = stead.daemon();
    daemon.obey(&Command::Notify { state: "READY=1\nSTATUS=2 apps".into() });
    assert_eq!(manager.hear(), "READY=1\nSTATUS=2 apps");
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.pid)).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("NOTIFY_SOCKET"));
}

#[test]
fn the_watchdog_is_fed_while_the_daemon_answers_and_a_stuck_one_is_replaced() {
    let manager = Manager::new();
    let stead = manager.start(&[("WATCHDOG_USEC", "2000000")]);
    let mut daemon = stead.daemon();
    let (child, _, _) = daemon.shell(&stead, "echo; exec sleep 1000");
    for _ in 0..4 {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    assert_eq!(daemon.starts, 1);
    daemon.obey(&Command::Hang);
    let next = stead.daemon();
    wait_end(daemon.pid);
    assert_eq!((next.starts, next.children[0].child), (2, child));
    assert_eq!(manager.hear(), "WATCHDOG=1");
    assert!(stead.words().contains("the daemon does not answer and is replaced"));
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_is_none() {
    let manager = Manager::new();
    let stead = manager.start(&[("WATCHDOG_USEC", "200000"), ("WATCHDOG_PID", "1")]);
    let mut daemon = stead.daemon();
    daemon.obey(&Command::Hang);
    manager.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err(), "nobody is fed");
}

#[test]
fn sockets_of_the_service_manager_are_held_for_every_daemon() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A shell puts it where a service manager would.
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 0</dev/null"#;
    let stead = Stead::start_by(script, |program| program.stdin(OwnedFd::from(listener)));
    let name = format!("systemd {address}");
    let names = |held: &[(String, String)]| held.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut daemon = stead.daemon();
    assert_eq!(names(&daemon.held), std::slice::from_ref(&name));
    let out = stead.path("out");
    let spec = SpawnSpec { descriptors: vec![1], ..shell("ls /proc/self/fd | wc -l") };
    let (child, _) = daemon.spawn(spec, &[&out]);
    assert_eq!(daemon.exit_of(child), exit_code(0));
    assert_eq!(stead.read("out").trim(), "4", "nothing of it reaches a child");
    daemon.kill();
    let daemon = stead.daemon();
    assert_eq!(names(&daemon.held), [name]);
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.pid)).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("LISTEN_"));
}
