//! Sides that do not read, die in the middle, or say nonsense hurt nobody.

use std::task::{Context, Poll, Waker};

use serde_json::json;
use stead_process::channel::{
    AHEAD_MAX, Channel, Message, RecvError, SendError, Serialization, WAITING_BYTES_MAX,
};
use stead_process::child::Forked;

use super::{echo, node, said, shell, within};

/// What a socket holds beyond what waits here.
const SOCKET_BYTES_MAX: usize = 1024 * 1024;

#[tokio::test]
async fn a_child_that_does_not_read_stops_the_sender_and_loses_nothing() {
    // Opens its eyes when it is told to by its standard input.
    let mut command = shell("read line; eval \"exec cat <&$NODE_CHANNEL_FD >&$NODE_CHANNEL_FD\"");
    let mut forked = command.stdin(stead_process::Stdio::Piped).fork().unwrap();
    let text = "x".repeat(1000);
    let mut sent = 0;
    loop {
        match forked.channel.sender.try_send(&(sent, &text)) {
            Ok(()) => sent += 1,
            Err(SendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
        // The pump may write what the socket has room for.
        tokio::task::yield_now().await;
    }
    assert!(sent * text.len() < WAITING_BYTES_MAX + SOCKET_BYTES_MAX, "{sent} messages were taken");
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting = Box::pin(forked.channel.sender.send("last"));
    for _ in 0..1000 {
        assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Pending));
        assert!(matches!(forked.channel.sender.try_send(&0), Err(SendError::Full)));
    }
    drop(waiting);

    let mut input = forked.child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, b"go on\n").await.unwrap();
    let sender = forked.channel.sender.clone();
    let sending = async { sender.send("last").await.unwrap() };
    let receiving = async {
        for number in 0..sent {
            let message = forked.channel.recv().await.unwrap().unwrap();
            assert_eq!(message.parse::<(usize, String)>().unwrap().0, number);
        }
        assert_eq!(said(forked.channel.recv().await), "last");
    };
    within("all of it", async { tokio::join!(sending, receiving) }).await;
}

#[tokio::test]
async fn what_nobody_listens_to_stops_the_child_and_is_not_lost() {
    let mut forked = shell(
        "i=0; while [ $i -lt 50000 ]; do echo $i; i=$((i+1)); done >&\"$NODE_CHANNEL_FD\"; echo done >&2",
    );
    let mut forked = forked.stderr(stead_process::Stdio::Piped).fork().unwrap();
    let mut messages: Vec<Result<Message, RecvError>> = Vec::new();
    let mut next = 0;
    // It is stopped by what nobody has read: whatever comes later comes in order.
    while within("messages", forked.channel.receiver.recv_many(&mut messages, 100)).await > 0 {
        assert!(messages.len() <= 100);
        for message in messages.drain(..) {
            assert_eq!(message.unwrap().parse::<u32>().unwrap(), next);
            next += 1;
        }
    }
    assert_eq!(next, 50_000);
}

#[tokio::test]
async fn half_a_message_at_the_end_is_dropped_and_what_came_before_is_not() {
    for line in
        ["printf '1\\n{\"half' >&$NODE_CHANNEL_FD", "printf '1\\n{\"half' >&$NODE_CHANNEL_FD; kill -9 $$"]
    {
        let mut forked = shell(line).fork().unwrap();
        // It may be gone already.
        let _ = forked.channel.send("never read").await;
        assert_eq!(said(within("the first", forked.channel.recv()).await), 1);
        assert!(within("the end", forked.channel.recv()).await.is_none());

        let mut forked = shell(line).fork_blocking(Default::default()).unwrap();
        assert_eq!(said(forked.channel.recv()), 1);
        assert!(forked.channel.recv().is_none());
    }
}

#[tokio::test]
async fn a_child_killed_while_it_is_sent_to_is_an_error_and_no_wait() {
    let mut forked = echo("async").fork().unwrap();
    let large = "x".repeat(1 << 20);
    let sender = forked.channel.sender.clone();
    let sending = async {
        loop {
            if let Err(error) = sender.send(&large).await {
                break error;
            }
        }
    };
    let killing = async {
        assert!(forked.channel.recv().await.is_some(), "it is at work");
        forked.child.kill().unwrap();
    };
    let (error, ()) = within("the error", async { tokio::join!(sending, killing) }).await;
    assert!(matches!(error, SendError::Closed));
    within("the end", async { while forked.channel.recv().await.is_some() {} }).await;
}

#[tokio::test]
async fn nonsense_is_an_error_of_its_own_and_the_channel_goes_on() {
    let line = "printf 'nonsense\\n\\n[1]\\n' >&$NODE_CHANNEL_FD";
    let mut forked = shell(line).fork().unwrap();
    for _ in 0..2 {
        assert!(forked.channel.recv().await.unwrap().unwrap().value().is_err());
    }
    let message = forked.channel.recv().await.unwrap().unwrap();
    assert!(message.parse::<String>().is_err());
    assert_eq!(message.parse::<Vec<u8>>().unwrap(), [1]);
    assert_eq!(message.parse_borrowed::<&serde_json::value::RawValue>().unwrap().get(), "[1]");
}

#[tokio::test]
async fn encoded_messages_are_one_line_each() {
    let mut forked = echo("blocking").fork().unwrap();
    let sender = &forked.channel.sender;
    for refused in [&b""[..], b"1\n2", b"1\n"] {
        assert!(matches!(sender.send_raw(refused).await, Err(SendError::Line)));
    }
    for number in 0..3u8 {
        sender.feed_raw(&[b'0' + number]).await.unwrap();
    }
    sender.feed(&json!({ "fed": true })).await.unwrap();
    sender.flush().unwrap();
    for expected in [json!(0), json!(1), json!(2), json!({ "fed": true })] {
        assert_eq!(said(within("an answer", forked.channel.recv()).await), expected);
    }
}

/// As many messages as are read ahead, each larger than what a socket holds; both sides receive only after they have sent.
#[tokio::test]
async fn two_sides_that_send_at_once_do_not_wait_for_each_other() {
    let large = format!("\"{}\"", "x".repeat(WAITING_BYTES_MAX)).into_bytes();
    let (here, there) = stead_process::socket::pair().unwrap();
    let talk = async |socket| {
        let Channel { sender, mut receiver } = Channel::open(socket, Serialization::Json).unwrap();
        for _ in 0..AHEAD_MAX {
            sender.feed_raw(&large).await.unwrap();
        }
        sender.flush().unwrap();
        for _ in 0..AHEAD_MAX {
            assert_eq!(receiver.recv().await.unwrap().unwrap().bytes(), large);
        }
        sender.disconnect().await;
    };
    within("both", async { tokio::join!(talk(here), talk(there)) }).await;
}

/// The form for any number on their way, with a child that receives and sends in turn.
#[tokio::test]
async fn a_side_that_sends_and_receives_in_two_tasks_may_send_any_number() {
    for form in ["async", "blocking"] {
        let Forked { child: _child, channel: Channel { sender, mut receiver } } = echo(form).fork().unwrap();
        let large = format!("\"{}\"", "x".repeat(10_000)).into_bytes();
        let count = 8 * AHEAD_MAX;
        let sent = large.clone();
        let sending = tokio::spawn(async move {
            for _ in 0..count {
                sender.feed_raw(&sent).await.unwrap();
            }
            sender.flush().unwrap();
        });
        let receiving = async {
            for _ in 0..count {
                assert_eq!(receiver.recv().await.unwrap().unwrap().bytes(), large);
            }
            sending.await.unwrap();
        };
        within("all answers", receiving).await;
    }
}

/// Both write more than a socket holds before they read.
#[test]
fn two_blocking_sides_that_send_at_once_do_not_wait_for_each_other() {
    let script = "process.on('message', (m) => process.send(m)); process.send('x'.repeat(1e6))";
    let mut forked = node(script).fork_blocking(Default::default()).unwrap();
    let large = json!("y".repeat(1_000_000));
    for _ in 0..20 {
        forked.channel.send(&large).unwrap();
    }
    assert_eq!(said(forked.channel.recv()).as_str().map(str::len), Some(1_000_000));
    for _ in 0..20 {
        assert_eq!(said(forked.channel.recv()), large);
    }
    let soon = std::time::Duration::from_millis(1);
    assert!(forked.channel.recv_timeout(soon).is_err());
    forked.channel.send("last").unwrap();
    let last = forked.channel.recv_timeout(super::PATIENCE).unwrap();
    assert_eq!(said(last), "last");
}
