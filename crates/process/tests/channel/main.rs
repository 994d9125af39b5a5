//! Children with a message channel: what is said arrives, once, in order, and nothing grows or is left behind.

#![expect(clippy::unwrap_used, reason = "what must not fail, fails the test here")]

mod advanced;
mod fork;
mod handles;
mod limits;

use std::path::PathBuf;
use std::time::Duration;

use stead_process::Command;
use stead_process::channel::{Message, RecvError};

/// Nothing in these tests takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

fn node(script: &str) -> Command {
    let mut command = Command::new(std::env::var("STEAD_TEST_NODE").unwrap_or_else(|_| "node".to_owned()));
    command.args(["-e", script]).kill_on_drop(true);
    command
}

/// The Rust child: `async` or `blocking`.
fn echo(form: &str) -> Command {
    let tests: PathBuf = std::env::current_exe().unwrap();
    let mut command = Command::new(tests.ancestors().nth(2).unwrap().join("examples/echo"));
    command.arg(form).kill_on_drop(true);
    command
}

fn shell(line: &str) -> Command {
    let mut command = Command::shell(line);
    command.kill_on_drop(true);
    command
}

fn said(message: Option<Result<Message, RecvError>>) -> serde_json::Value {
    message.expect("the channel goes on").unwrap().value().unwrap()
}
