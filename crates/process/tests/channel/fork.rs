//! Any program can be forked: it answers, disconnects or is disconnected, and its events are told.

use serde_json::{Value, json};
use stead_process::Command;
use stead_process::channel::{SendError, Serialization};
use stead_process::child::{Event, ForkEvent, Forked, Stdio};

use super::{echo, node, said, shell, within};

const NODE_ECHO: &str = "process.on('message', (m) => process.send(m))";

fn messages() -> [Value; 5] {
    let large = "x".repeat(300_000);
    [
        json!(null),
        json!("é\n\u{1F600}"),
        json!({"deep": [1, -2, 1.5, {"": {}}]}),
        json!(large),
        json!(1u64 << 40),
    ]
}

async fn check_echo(mut command: Command, serialization: Serialization) {
    let mut forked = command.fork_with(serialization).unwrap();
    for message in messages() {
        forked.channel.send(&message).await.unwrap();
    }
    for message in messages() {
        assert_eq!(said(within("an answer", forked.channel.recv()).await), message, "{command:?}");
    }
    forked.channel.disconnect().await;
    let exit = within("the exit", forked.child.wait()).await.unwrap();
    assert_eq!(exit.code, Some(0), "{command:?} ends when its parent disconnects");
    assert!(forked.channel.recv().await.is_none());
    assert!(matches!(forked.channel.send(&1).await, Err(SendError::Closed)));
    assert!(!forked.channel.sender.is_connected());
}

#[tokio::test]
async fn programs_of_all_kinds_answer_in_order_and_end_when_disconnected() {
    for serialization in [Serialization::Json, Serialization::Advanced] {
        check_echo(node(NODE_ECHO), serialization).await;
        check_echo(echo("async"), serialization).await;
        check_echo(echo("blocking"), serialization).await;
    }
    check_echo(shell("eval \"exec cat <&$NODE_CHANNEL_FD >&$NODE_CHANNEL_FD\""), Serialization::Json).await;
}

#[test]
fn without_a_runtime_it_is_the_same() {
    for serialization in [Serialization::Json, Serialization::Advanced] {
        for mut command in [node(NODE_ECHO), echo("async"), echo("blocking")] {
            let mut forked = command.fork_blocking(serialization).unwrap();
            for message in messages() {
                forked.channel.send(&message).unwrap();
            }
            for message in messages() {
                assert_eq!(said(forked.channel.recv()), message, "{command:?}");
            }
            forked.channel.disconnect();
            assert_eq!(forked.child.wait_blocking().unwrap().code, Some(0), "{command:?}");
        }
    }
}

/// Each line with its language's mark, from the page for programs in other languages.
fn example(language: &str) -> String {
    let page = include_str!("../../../../docs/message-channel.md");
    let fence = format!("```{language}\n");
    let (_, rest) = page.split_once(&fence).expect("the page has an example");
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_page_for_other_languages_is_right() {
    let mut python = Command::new("python3");
    python.args(["-c", &example("python")]);
    for mut command in [python, shell(&example("sh"))] {
        let mut counter = command.fork().unwrap();
        for count in [0, 41] {
            counter.channel.send(&json!({ "count": count })).await.unwrap();
            let answer = said(within("the count", counter.channel.recv()).await);
            assert_eq!(answer, json!({ "count": count + 1 }), "{command:?}");
        }
        counter.channel.disconnect().await;
        assert_eq!(within("the exit", counter.child.wait()).await.unwrap().code, Some(0), "{command:?}");
    }
}

/// The names of a child's events, messages as they are.
async fn story(forked: &mut Forked) -> Vec<String> {
    let (mut events, mut story) = (forked.events(), Vec::new());
    while let Some(event) = within("an event", events.next()).await.unwrap() {
        story.push(match event {
            ForkEvent::Message(message) => message.value().unwrap().to_string(),
            ForkEvent::Disconnect => "disconnect".to_owned(),
            ForkEvent::Child(Event::Spawn) => "spawn".to_owned(),
            ForkEvent::Child(Event::Exit(exit)) => format!("exit {:?}", exit.code),
            ForkEvent::Child(Event::Close(_)) => "close".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    story
}

#[tokio::test]
async fn events_and_messages_are_told_to_whoever_comes_late() {
    let mut forked = node("process.send(1); process.send(2); process.exitCode = 3").fork().unwrap();
    within("the exit", forked.child.wait()).await.unwrap();
    let mut story = story(&mut forked).await;
    let of_channel: Vec<String> =
        story.extract_if(.., |e| ["1", "2", "disconnect"].contains(&e.as_str())).collect();
    assert_eq!(of_channel, ["1", "2", "disconnect"]);
    assert_eq!(story, ["spawn", "exit Some(3)", "close"]);
}

#[tokio::test]
async fn a_child_that_disconnects_lives_on() {
    let leaving = "process.on('message', () => process.disconnect()); process.stdin.resume()";
    for mut command in [node(leaving), echo("async"), echo("blocking")] {
        let mut forked = command.stdin(Stdio::Piped).fork().unwrap();
        forked.channel.send("leave").await.unwrap();
        assert!(within("the end", forked.channel.recv()).await.is_none(), "{command:?}");
        assert_eq!(forked.child.try_wait(), None);
        assert!(matches!(forked.channel.send(&1).await, Err(SendError::Closed)));
        // Closes its standard input.
        assert_eq!(within("the exit", forked.child.wait()).await.unwrap().code, Some(0));
    }
}

#[tokio::test]
async fn a_child_of_a_forked_child_has_no_channel() {
    let line = "env | grep -c NODE_ >&2; exit 0";
    let mut command = shell(line);
    let mut forked = command.stderr(Stdio::Piped).fork().unwrap();
    within("the exit", forked.child.wait()).await.unwrap();
    let mut plain = command.stderr(Stdio::Null).stdout(Stdio::Null).spawn().unwrap();
    assert_eq!(within("the exit", plain.wait()).await.unwrap().code, Some(0), "the command is as it was");
    let mut missing = echo("blocking");
    assert_eq!(
        within("it", missing.stderr(Stdio::Null).spawn().unwrap().wait()).await.unwrap().code,
        Some(1)
    );
}
