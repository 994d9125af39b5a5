//! A server that goes on answering while a long sum is computed, because another process computes it.
//!
//! `cargo run --example compute` serves HTTP on a free port of this machine and prints its address: `/compute` answers with
//! the sum of the numbers below a thousand million, anything else at once. Each sum is computed by a child in Node.js,
//! forked for the purpose; with `compute rust` by this very program, as a child of itself.

use std::error::Error;
use std::io::{self, Write};

use serde_json::{Value, json};
use stead_process::Command;
use stead_process::channel::blocking::Parent;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const LIMIT: u64 = 1_000_000_000;

/// The child, as a tutorial has it.
const COMPUTE_JS: &str = "
process.on('message', ({ below }) => {
  let sum = 0;
  for (let i = 0; i < below; i++) sum += i;
  process.send({ sum });
});";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let word = std::env::args().nth(1).unwrap_or_default();
    if word == "child" {
        return compute();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
    let rust = word == "rust";
    tokio::task::LocalSet::new()
        .run_until(async {
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::task::spawn_local(async move {
                    // A client that has gone needs no answer.
                    let _ = serve(stream, rust).await;
                });
            }
        })
        .await
}

async fn serve(stream: TcpStream, rust: bool) -> Outcome {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let (status, body) = match line.split(' ').nth(1) {
        Some("/compute") => match sum_below(LIMIT, rust).await {
            Ok(sum) => ("200 OK", format!("the sum is {sum}\n")),
            Err(error) => ("500 Internal Server Error", format!("no sum: {error}\n")),
        },
        _ => ("200 OK", "here at once\n".to_owned()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Ok(stream.write_all((head + &body).as_bytes()).await?)
}

/// Asks a child of its own.
async fn sum_below(below: u64, rust: bool) -> Outcome<Value> {
    let mut command = if rust {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child");
        command
    } else {
        let mut command = Command::new("node");
        command.args(["-e", COMPUTE_JS]);
        command
    };
    let mut forked = command.kill_on_drop(true).fork()?;
    forked.channel.send(&json!({ "below": below })).await?;
    let answer = forked.channel.recv().await.ok_or("the child has ended without an answer")??;
    Ok(answer.value()?["sum"].take())
}

/// The child: one question after another, until the parent has gone.
fn compute() -> Outcome {
    let mut parent = Parent::from_env()?;
    while let Some(question) = parent.recv() {
        let below = question?.value()?["below"].as_u64().ok_or("`below` is a number")?;
        let sum = (0..below).fold(0u64, |sum, number| sum + std::hint::black_box(number));
        parent.send(&json!({ "sum": sum }))?;
    }
    Ok(())
}
