//! The Rust child of the channel tests: gives back what it is sent, sockets too, until its parent disconnects.
//!
//! `echo async` has a runtime, `echo blocking` has none. Two words are answered instead: `"descriptors"` with how many are
//! open, `"leave"` by disconnecting, whereupon it lives on until its standard input ends.

use std::error::Error;
use std::io::Read;

use serde_json::{Value, json};
use stead_process::channel::{Message, Parent, RecvError, blocking};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    if std::env::args().nth(1).as_deref() == Some("blocking") {
        return echo_blocking();
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(echo())
}

/// What is said to a message that is not given back.
enum Answer {
    Say(Value),
    Leave,
}

fn answer(message: &Message) -> Outcome<Option<Answer>> {
    Ok(match message.value()?.as_str() {
        Some("descriptors") => Some(Answer::Say(json!(std::fs::read_dir("/proc/self/fd")?.count() - 1))),
        Some("leave") => Some(Answer::Leave),
        _ => None,
    })
}

async fn echo() -> Outcome {
    let mut parent = Parent::from_env()?;
    assert!(Parent::from_env().is_err(), "there is one channel");
    while let Some(message) = parent.recv().await {
        let mut message: Message = given(message)?;
        match (answer(&message)?, message.take_handle()) {
            (Some(Answer::Say(value)), _) => parent.send(&value).await?,
            (Some(Answer::Leave), _) => {
                parent.disconnect().await;
                return wait_for_end();
            }
            (None, Some(handle)) => parent.send_handle(&message.value()?, handle).await?,
            (None, None) => parent.sender.send_raw(message.bytes()).await?,
        }
    }
    Ok(())
}

fn echo_blocking() -> Outcome {
    let mut parent = blocking::Parent::from_env()?;
    while let Some(message) = parent.recv() {
        let mut message: Message = given(message)?;
        match (answer(&message)?, message.take_handle()) {
            (Some(Answer::Say(value)), _) => parent.send(&value)?,
            (Some(Answer::Leave), _) => {
                parent.disconnect();
                return wait_for_end();
            }
            (None, Some(handle)) => parent.send_handle(&message.value()?, handle)?,
            (None, None) => parent.send_raw(message.bytes())?,
        }
    }
    Ok(())
}

fn given(message: Result<Message, RecvError>) -> Outcome<Message> {
    Ok(message?)
}

fn wait_for_end() -> Outcome {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
