//! The channel against a scripted other end; against real Node.js see `tests/node_*.rs`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;

use super::*;

/// The child's side, spoken by hand.
struct Child {
    stream: UnixStream,
    unread: String,
}

impl Child {
    fn open() -> (Self, Channel, Attended) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (channel, receiver) = Channel::open(ours.into(), Serialization::Json).unwrap();
        (Self { stream: theirs, unread: String::new() }, channel, attend(receiver))
    }

    fn say(&mut self, line: &str) {
        self.stream.write_all(line.as_bytes()).unwrap();
        self.stream.write_all(b"\n").unwrap();
    }

    /// The next message, read on a thread of its own so that the runtime goes on.
    async fn hear(mut self) -> (Self, Value) {
        tokio::task::spawn_blocking(move || {
            loop {
                if let Some((line, rest)) = self.unread.split_once('\n') {
                    let message = serde_json::from_str(line).unwrap();
                    self.unread = rest.to_owned();
                    return (self, message);
                }
                let mut buffer = [0; 65536];
                let count = self.stream.read(&mut buffer).unwrap();
                assert_ne!(count, 0, "the channel was closed");
                self.unread.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
        })
        .await
        .unwrap()
    }
}

/// A channel over a duplicate of the first one's socket, as another process would have it.
fn duplicate() -> (UnixStream, OwnedFd, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (theirs, ours.try_clone().unwrap().into(), ours.into())
}

/// A receiver that somebody listens to all the time. Dropping it drops the receiver, a moment later.
struct Attended {
    received: tokio::sync::mpsc::UnboundedReceiver<Received>,
    task: tokio::task::JoinHandle<()>,
}

fn attend(mut receiver: Receiver) -> Attended {
    let (sender, received) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        while let Some(received) = receiver.next().await {
            sender.send(received).unwrap();
        }
    });
    Attended { received, task }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn next(receiver: &mut Attended) -> Option<Received> {
    tokio::time::timeout(Duration::from_secs(5), receiver.received.recv())
        .await
        .expect("something within five seconds")
}

fn connection() -> (ClusterMessage, OwnedFd) {
    let (descriptor, _) = crate::socket::pair().unwrap();
    (ClusterMessage::NewConnection { key: "k".to_owned(), remote: None }, descriptor)
}

#[tokio::test]
async fn questions_of_node_itself_are_answered() {
    let (mut child, _channel, mut receiver) = Child::open();
    for (question, answer) in [
        (
            json!({"cmd": "NODE_SOCKET_NOTIFY_CLOSE", "key": "k"}),
            json!({"cmd": "NODE_SOCKET_ALL_CLOSED", "key": "k"}),
        ),
        (
            json!({"cmd": "NODE_SOCKET_GET_COUNT", "key": "k"}),
            json!({"cmd": "NODE_SOCKET_COUNT", "key": "k", "count": 0}),
        ),
        (json!({"cmd": "NODE_HANDLE", "type": "net.Socket", "msg": 1}), json!({"cmd": "NODE_HANDLE_NACK"})),
    ] {
        child.say(&question.to_string());
        let (same, heard) = child.hear().await;
        child = same;
        assert_eq!(heard, answer);
    }
    child.say(r#"{"cmd":"NODE_DEBUG_ENABLED"}"#);
    child.say(r#"{"cmd":"NODE_"}"#);
    assert!(
        matches!(next(&mut receiver).await, Some(Received::Message(message)) if message == json!({"cmd": "NODE_"}))
    );
}

#[tokio::test]
async fn disconnect_waits_until_connections_have_arrived() {
    let (child, channel, mut receiver) = Child::open();
    let (message, descriptor) = connection();
    assert_eq!(channel.cluster(message, Some(descriptor)).unwrap(), 0);
    assert_eq!(channel.cluster(ClusterMessage::Disconnect, None).unwrap(), 1);
    assert_eq!(channel.cluster(ClusterMessage::Acknowledge { ack: 9 }, None).unwrap(), 2);
    let (child, first) = child.hear().await;
    assert_eq!(
        (&first["msg"]["act"], &first["nativeKind"], &first["socketType"]),
        (&json!("newconn"), &json!("pipe"), &json!(0))
    );
    let (mut child, second) = child.hear().await;
    assert_eq!(second["ack"], json!(9));
    child.say(r#"{"cmd":"NODE_HANDLE_ACK"}"#);
    let (mut child, third) = child.hear().await;
    assert_eq!(third["act"], json!("disconnect"));
    child.say(r#"{"cmd":"NODE_CLUSTER","ack":0,"accepted":true,"seq":1}"#);
    let accepted = FromWorker::Accepted { ack: 0, accepted: true };
    assert!(matches!(next(&mut receiver).await, Some(Received::Cluster(from)) if from == accepted));
}

#[tokio::test]
async fn a_connection_that_never_arrives_is_not_accepted() {
    let (mut child, channel, mut receiver) = Child::open();
    let (message, descriptor) = connection();
    let seq = channel.cluster(message, Some(descriptor)).unwrap();
    for _ in 0..4 {
        let (same, frame) = child.hear().await;
        child = same;
        assert_eq!(frame["msg"]["seq"], json!(seq));
        child.say(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
    }
    let refused = FromWorker::Accepted { ack: seq, accepted: false };
    assert!(matches!(next(&mut receiver).await, Some(Received::Cluster(from)) if from == refused));

    let (descriptor, _) = crate::socket::pair().unwrap();
    channel.send_handle(json!({"a": 1}), descriptor).unwrap();
    for _ in 0..4 {
        (child, _) = child.hear().await;
        child.say(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
    }
    assert!(
        matches!(next(&mut receiver).await, Some(Received::Undelivered(message)) if message == json!({"a": 1}))
    );
}

#[tokio::test]
async fn a_child_that_does_not_read_gets_everything_later_and_no_more_than_the_limit() {
    let (mut child, channel, _receiver) = Child::open();
    let text = "x".repeat(1024 * 1024);
    let mut sent = 0;
    let refused = loop {
        match channel.send(&json!([sent, text])) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SendError::Full));
    assert!((10..=20).contains(&sent), "{sent} messages of a megabyte");
    for number in 0..sent {
        let (same, message) = child.hear().await;
        child = same;
        assert_eq!(message[0], json!(number));
    }
    channel.send(&json!("again")).unwrap();
    assert_eq!(child.hear().await.1, json!("again"));
}

#[tokio::test]
async fn the_end_is_none_and_descriptors_on_the_way_are_closed() {
    let (mut child, channel, mut receiver) = Child::open();
    let (ours, theirs) = crate::socket::pair().unwrap();
    let message = ClusterMessage::NewConnection { key: "k".to_owned(), remote: None };
    channel.cluster(message, Some(theirs)).unwrap();
    child.say("\"last\"");
    child.stream.write_all(b"{\"half").unwrap();
    drop(child);
    assert!(matches!(next(&mut receiver).await, Some(Received::Message(last)) if last == json!("last")));
    assert!(next(&mut receiver).await.is_none());
    assert!(matches!(channel.send(&json!(1)), Err(SendError::Closed)));
    assert_eq!(rustix::io::read(&ours, &mut [0; 1]), Ok(0), "nobody holds the other end");
}

#[tokio::test]
async fn a_bad_line_is_told_and_skipped() {
    let (mut child, _channel, mut receiver) = Child::open();
    child.say("");
    child.say("2");
    assert!(matches!(next(&mut receiver).await, Some(Received::Malformed(_))));
    assert!(matches!(next(&mut receiver).await, Some(Received::Message(message)) if message == json!(2)));
}

#[tokio::test]
async fn dropping_the_receiver_or_closing_ends_the_channel() {
    let (child, channel, receiver) = Child::open();
    channel.close();
    assert!(matches!(channel.send(&json!(1)), Err(SendError::Closed)));
    assert_eq!((&child.stream).read(&mut [0; 1]).unwrap(), 0);
    drop(receiver);

    let (_child, channel, receiver) = Child::open();
    drop(receiver);
    while channel.send(&json!(1)).is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_released_channel_goes_on_elsewhere() {
    let (stream, first, second) = duplicate();
    let mut child = Child { stream, unread: String::new() };
    let (channel, receiver) = Channel::open(first, Serialization::Json).unwrap();
    let mut receiver = attend(receiver);
    let (message, descriptor) = connection();
    assert_eq!(channel.cluster(message, Some(descriptor)).unwrap(), 0);
    child.say("1");
    child.stream.write_all(b"{\"ha").unwrap();
    assert!(matches!(next(&mut receiver).await, Some(Received::Message(one)) if one == 1));
    // The half is read with or behind it; either way it must not be lost.
    let released = channel.release().await;
    assert!(next(&mut receiver).await.is_none());
    assert!(matches!(channel.send(&json!("late")), Err(SendError::Closed)));
    channel.close();
    assert_eq!((released.continuation.seq, released.continuation.unconfirmed), (1, 1));
    assert!(released.unsent.is_empty());

    let (channel, receiver) = Channel::resume(second, Serialization::Json, released.continuation).unwrap();
    let mut receiver = attend(receiver);
    let (message, descriptor) = connection();
    assert_eq!(channel.cluster(message, Some(descriptor)).unwrap(), 1);
    child.stream.write_all(b"lf\":2}\n").unwrap();
    assert!(matches!(next(&mut receiver).await, Some(Received::Message(half)) if half == json!({"half": 2})));
    let (child, first) = child.hear().await;
    let (mut child, second) = child.hear().await;
    assert_eq!((&first["msg"]["seq"], &second["msg"]["seq"]), (&json!(0), &json!(1)));
    // The first answer is for the first process, so the second connection is still unconfirmed and comes again.
    child.say(r#"{"cmd":"NODE_HANDLE_ACK"}"#);
    child.say(r#"{"cmd":"NODE_HANDLE_NACK"}"#);
    let (_child, again) = child.hear().await;
    assert_eq!(again["msg"]["seq"], 1);
}

#[tokio::test]
async fn what_a_child_does_not_take_is_given_back_with_the_channel() {
    let (stream, first, second) = duplicate();
    let child = Child { stream, unread: String::new() };
    let (channel, receiver) = Channel::open(first, Serialization::Json).unwrap();
    let _receiver = attend(receiver);
    let large = "x".repeat(4 << 20);
    channel.send(&json!(large)).unwrap();
    let (message, descriptor) = connection();
    let seq = channel.cluster(message, Some(descriptor)).unwrap();
    channel.send(&json!("after")).unwrap();
    let Released { continuation, unsent } = channel.release().await;
    assert!(!continuation.unwritten.is_empty() && continuation.unwritten.len() < large.len());
    let found: Vec<_> =
        unsent.iter().map(|unsent| (unsent.connection, unsent.descriptor.is_some())).collect();
    assert_eq!(found, [(Some(seq), true), (None, false)]);
    assert_eq!((&unsent[0].message["act"], &unsent[1].message), (&json!("newconn"), &json!("after")));

    let (channel, receiver) = Channel::resume(second, Serialization::Json, continuation).unwrap();
    let _receiver = attend(receiver);
    channel.send(&json!("next")).unwrap();
    let (child, heard) = child.hear().await;
    assert_eq!(heard, json!(large));
    let (_child, heard) = child.hear().await;
    assert_eq!(heard, "next");
}

#[tokio::test]
async fn after_a_crash_half_a_message_and_stray_answers_are_skipped() {
    let (stream, first, second) = duplicate();
    let mut child = Child { stream, unread: String::new() };
    drop(first);
    child.stream.write_all(b"lf\":2}\n").unwrap();
    child.say(r#"{"cmd":"NODE_HANDLE_ACK"}"#);
    child.say("3");
    let from = Continuation { seq: 1 << 32, ..Continuation::default() };
    let (channel, receiver) = Channel::resume(second, Serialization::Json, from).unwrap();
    let mut receiver = attend(receiver);
    assert!(matches!(next(&mut receiver).await, Some(Received::Malformed(_))));
    assert!(matches!(next(&mut receiver).await, Some(Received::Message(three)) if three == 3));
    let (message, descriptor) = connection();
    assert_eq!(channel.cluster(message, Some(descriptor)).unwrap(), 1 << 32);
}
