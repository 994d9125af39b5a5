//! After a million messages, and thousands of sockets, both ends of a channel have as many descriptors and as much memory as
//! before. Alone in its process, because it counts what the process has.

#![expect(clippy::unwrap_used, reason = "what must not fail, fails the test here")]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::json;
use stead_process::Command;
use stead_process::channel::{Channel, SendError, Serialization, blocking};
use stead_process::child::Forked;
use stead_process::socket;

const MESSAGES: usize = 30_000;
const SOCKETS: usize = 2_000;
/// Through each form of a channel, both ends in this process.
const MANY: usize = 1_000_000;
/// When they are through, what is kept for later is there.
const FIRST: usize = 20_000;
/// Taken out at once.
const BATCH: usize = 256;
const LINE: &[u8] = br#"{"data":"xxxxxxxxxxxxxxxxxxxx"}"#;
/// Nothing here takes a tenth of it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// What an allocator may keep for itself, in kB. Of a million messages four bytes of each would be more.
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

async fn pass(here: &Channel, there: &mut Channel, count: usize) {
    let sending = async {
        for _ in 0..count {
            here.sender.feed_raw(LINE).await.unwrap();
        }
        here.sender.flush().unwrap();
    };
    let receiving = async {
        let (mut messages, mut came) = (Vec::new(), 0);
        while came < count {
            came += there.receiver.recv_many(&mut messages, BATCH).await;
            assert!(messages.drain(..).all(|message| message.unwrap().bytes() == LINE));
        }
        assert_eq!(came, count);
    };
    tokio::join!(sending, receiving);
}

fn pass_blocking(here: &mut blocking::Channel, there: &mut blocking::Channel, count: usize) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..count {
                here.feed_raw(LINE).unwrap();
            }
            here.flush().unwrap();
        });
        let (mut messages, mut came) = (Vec::new(), 0);
        while came < count {
            came += there.recv_many(&mut messages, BATCH);
            assert!(messages.drain(..).all(|message| message.unwrap().bytes() == LINE));
        }
        assert_eq!(came, count);
    });
}

async fn check_many(form: &str, mut pass: impl AsyncFnMut(usize)) {
    pass(FIRST).await;
    let (descriptors, before) = (open_descriptors(), memory("self"));
    pass(MANY).await;
    let after = memory("self");
    assert_eq!(open_descriptors(), descriptors, "{form}");
    assert!(after < before + MEMORY_SLACK, "{form}: {after} kB, {before} before");
}

async fn check_many_of_each_form() {
    let (here, there) = socket::pair().unwrap();
    let [here, mut there] = [here, there].map(|end| Channel::open(end, Serialization::Json).unwrap());
    check_many("async", async |count| pass(&here, &mut there, count).await).await;

    let (here, there) = socket::pair().unwrap();
    let open = |end| blocking::Channel::open(end, Serialization::Json).unwrap();
    let [mut here, mut there] = [here, there].map(open);
    check_many("blocking", async |count| pass_blocking(&mut here, &mut there, count)).await;
}

#[tokio::test]
async fn descriptors_and_memory_are_flat() {
    check_many_of_each_form().await;
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
