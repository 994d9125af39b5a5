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
    node_of(&std::env::var("STEAD_TEST_NODE").unwrap_or_else(|_| "node".to_owned()), script)
}

/// With a certain Node.js.
fn node_of(program: &str, script: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-e", script]).kill_on_drop(true);
    command
}

/// The Node.js of this machine and those that `./check` has put among the fixtures.
fn nodes() -> impl Iterator<Item = String> {
    let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/node-versions/node_modules");
    let packages = std::fs::read_dir(modules).into_iter().flatten().flatten();
    let programs = packages.map(|package| package.path().join("bin/node")).filter(|node| node.exists());
    ["node".to_owned()].into_iter().chain(programs.map(|node| node.display().to_string()))
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
