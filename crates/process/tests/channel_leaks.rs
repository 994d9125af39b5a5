//! After many messages and sockets both ends of a channel have as many descriptors and as much memory as before. Alone in
//! its process, because it counts what the process has.

#![expect(clippy::unwrap_used, reason = "what must not fail, fails the test here")]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::json;
use stead_process::Command;
use stead_process::channel::SendError;
use stead_process::child::Forked;

const MESSAGES: usize = 30_000;
const SOCKETS: usize = 2_000;
/// Nothing here takes a tenth of it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// What an allocator may keep for itself, in kB.
const MEMORY_SLACK: u64 = 4096;

fn echo() -> Forked {
    let tests: PathBuf = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/echo");
    Command::new(program).arg("async").kill_on_drop(true).fork().unwrap()
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resident memory of a process, in kB.
fn memory(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn descriptors_of(forked: &mut Forked) -> serde_json::Value {
    forked.channel.send("descriptors").await.unwrap();
    forked.channel.recv().await.unwrap().unwrap().value().unwrap()
}

/// Sends many messages, and a socket now and then, and takes them all back.
async fn talk(forked: &mut Forked) {
    let (sender, receiver) = (&forked.channel.sender, &mut forked.channel.receiver);
    let sending = async {
        for number in 0..MESSAGES {
            sender.send(&number).await.unwrap();
            if number % (MESSAGES / SOCKETS) == 0 {
                let (socket, _) = UnixStream::pair().unwrap();
                sender.send_handle("socket", socket).await.unwrap();
            }
        }
    };
    let receiving = async {
        let (mut numbers, mut sockets) = (0, 0);
        while (numbers, sockets) != (MESSAGES, SOCKETS) {
            let mut message = receiver.recv().await.unwrap().unwrap();
            if message.take_handle().is_some() {
                sockets += 1;
            } else {
                assert_eq!(message.parse::<usize>().unwrap(), numbers);
                numbers += 1;
            }
        }
    };
    tokio::join!(sending, receiving);
}

/// Sends to a child that never reads until there is no room.
async fn talk_to_nobody() {
    let mut forked = Command::new("sleep").arg("1000").kill_on_drop(true).fork().unwrap();
    let text = "x".repeat(1000);
    let before = memory("self");
    while forked.channel.sender.try_send(&json!({ "text": text })).is_ok() {
        tokio::task::yield_now().await;
    }
    for _ in 0..100_000 {
        assert!(matches!(forked.channel.sender.try_send(&text), Err(SendError::Full)));
    }
    let after = memory("self");
    assert!(after < before + MEMORY_SLACK, "{after} kB, {before} before");
    forked.child.kill().unwrap();
    forked.child.wait().await.unwrap();
}

#[tokio::test]
async fn descriptors_and_memory_are_flat() {
    // The first begins what lasts as long as this process.
    talk_to_nobody().await;
    tokio::task::yield_now().await;
    let ours = open_descriptors();
    {
        let mut forked = echo();
        talk(&mut forked).await;
        let child = forked.child.id().to_string();
        let (theirs, before) = (descriptors_of(&mut forked).await, (memory("self"), memory(&child)));
        talk(&mut forked).await;
        assert_eq!(descriptors_of(&mut forked).await, theirs, "in the child");
        let after = (memory("self"), memory(&child));
        assert!(after.0 < before.0 + MEMORY_SLACK, "{after:?} kB, {before:?} before");
        assert!(after.1 < before.1 + MEMORY_SLACK, "{after:?} kB, {before:?} before");
        talk_to_nobody().await;
        forked.channel.disconnect().await;
        forked.child.wait().await.unwrap();
    }
    // What writes in the background ends in its next turn.
    let closed = async {
        while open_descriptors() > ours {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(PATIENCE, closed).await;
    assert!(closed.is_ok(), "{} descriptors, {ours} before", open_descriptors());
}
