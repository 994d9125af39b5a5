//! What happens to a child is told in order, once, and however late one asks.

use std::io::Write;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use stead_process::child::{CancelToken, Cause, Command, Event, Signal, Stdio};
use tokio::io::AsyncReadExt;

async fn all(child: &stead_process::child::Child) -> Vec<Event> {
    let (mut events, mut all) = (child.events(), Vec::new());
    while let Some(event) = events.next().await.unwrap() {
        all.push(event);
    }
    all
}

#[tokio::test]
async fn events_come_in_order_even_if_nobody_listened() {
    let mut child = Command::shell("exit 3").stdout(Stdio::Piped).spawn().unwrap();
    let exit = child.wait().await.unwrap();
    assert_eq!(exit.code, Some(3));
    child.stdout = None;
    for _ in 0..2 {
        assert_eq!(all(&child).await, [Event::Spawn, Event::Exit(exit), Event::Close(exit)]);
    }
}

#[tokio::test]
async fn a_cancelled_child_and_one_out_of_time_say_why_they_end() {
    let token = CancelToken::new();
    let child = Command::new("sleep").arg("1000").cancel_token(&token).spawn().unwrap();
    token.cancel();
    let events = all(&child).await;
    assert_eq!(events[1], Event::Error(Cause::Cancelled));
    assert!(matches!(events[2], Event::Exit(exit) if exit.signal == Some(Signal::TERM.number())));

    let child = Command::new("sleep").arg("1000").timeout(Duration::from_millis(1)).spawn().unwrap();
    assert_eq!(all(&child).await[1], Event::Error(Cause::Timeout));
}

#[tokio::test]
async fn close_waits_for_whoever_holds_the_streams_and_exit_does_not() {
    let mut command = Command::shell("{ read line <&5; echo late; } & exit 0");
    let mut child = command.stdout(Stdio::Piped).descriptor(5, Stdio::Piped).spawn().unwrap();
    let mut events = child.events();
    assert_eq!(events.next().await.unwrap(), Some(Event::Spawn));
    let Some(Event::Exit(exit)) = events.next().await.unwrap() else { panic!("it has ended") };
    tokio::select! {
        biased;
        early = events.next() => panic!("{early:?}"),
        () = std::future::ready(()) => (),
    }
    child.take_pipe(5).unwrap().write_all(b"go\n").unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "late\n");
    assert_eq!(events.next().await.unwrap(), Some(Event::Close(exit)));
    assert_eq!(events.next().await.unwrap(), None);
}

#[tokio::test]
async fn all_who_wait_are_told() {
    let child = Command::shell("exit 7").spawn().unwrap();
    let (first, second) = (child.handle(), child.handle());
    let (first, second) = tokio::join!(first.wait(), second.wait());
    assert_eq!((first.unwrap().code, second.unwrap().code), (Some(7), Some(7)));
}

#[tokio::test]
async fn a_stream_may_be_left_and_taken_up_at_any_point() {
    let mut command = Command::shell("read line; exit 4");
    let mut child = command.stdin(Stdio::Piped).stdout(Stdio::Piped).spawn().unwrap();
    let mut events = child.events();
    assert_eq!(StreamExt::next(&mut events).await.unwrap().unwrap(), Event::Spawn);
    // It waits, is asked in the other way, and waits again.
    assert!(StreamExt::next(&mut events).now_or_never().is_none());
    assert!(events.next().now_or_never().is_none());
    assert!(StreamExt::next(&mut events).now_or_never().is_none());
    let exit = child.wait().await.unwrap();
    assert_eq!(events.next().await.unwrap(), Some(Event::Exit(exit)));
    assert!(StreamExt::next(&mut events).now_or_never().is_none(), "its output is open");
    child.stdout = None;
    assert_eq!(StreamExt::next(&mut events).await.unwrap().unwrap(), Event::Close(exit));
    assert!(StreamExt::next(&mut events).await.is_none());
    assert_eq!((exit.code, child.events().count().await), (Some(4), 3));
}
