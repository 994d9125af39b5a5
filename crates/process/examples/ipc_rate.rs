//! How many messages two processes exchange, measured.
//!
//! `ipc_rate END MODE BYTES SECONDS [raw|typed]` prints one line of JSON. END is what the child is: `rust` (both ends on a
//! runtime of one thread), `blocking` (both ends without one), `node` or `node-advanced` (Node.js, in V8's format instead
//! of JSON). MODE is `rtt` (one message at a time there and
//! back), `inflight` (64 on their way), `oneway` (all that fit; the child counts) or `broadcast` (one way to 8 children).
//! BYTES is the length of the text in the message. `raw`, the default, is what passes messages on: nobody looks into them;
//! with `typed` both Rust ends encode and parse each message.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_process::Command;
use stead_process::channel::{
    AHEAD_MAX, Channel, Message, Parent, RecvError, SendError, Serialization, blocking,
};
use stead_process::child::Forked;
use stead_process::node::v8;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: ipc_rate rust|node|node-advanced|blocking rtt|inflight|oneway|broadcast BYTES SECONDS [raw|typed]";
/// Fewer than [`AHEAD_MAX`], so each end may send and receive in turn.
const IN_FLIGHT: usize = 64;
const _: () = assert!(IN_FLIGHT < AHEAD_MAX);
const CHILDREN: usize = 8;
/// The child that is written to in V8's format.
const ADVANCED: &str = "node-advanced";
/// Messages between two looks at the clock.
const ROUND: usize = 50;
/// Messages taken out at once.
const BATCH: usize = 256;
/// Says to the Rust children which form is measured.
const FORM: &str = "IPC_RATE_FORM";

/// What a child does in Node.js. The Rust children do the same.
const NODE: &str = "
let n = 0;
process.on('message', (m) => {
  if (m.echo) process.send(m);
  else if (m.count) { process.send({ n }); n = 0; }
  else n++;
});";

/// Comes back if `echo` is 1.
#[derive(Serialize, Deserialize)]
struct Load<'a> {
    echo: u8,
    data: &'a str,
}

#[derive(Deserialize)]
struct Counted {
    n: u64,
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let typed = words.last() == Some(&"typed");
    let job = match words[..] {
        ["child", "rust"] => return unless_left(runtime()?.block_on(child())),
        ["child", "blocking"] => return unless_left(child_blocking()),
        [end, mode, bytes, seconds, ..] => Job::new((end, mode), bytes.parse()?, seconds.parse()?, typed),
        _ => return Err(USAGE.into()),
    };
    let rate = match (job.end.as_str(), job.mode.as_str()) {
        ("blocking", "rtt" | "inflight") => there_and_back_blocking(&job)?,
        ("blocking", "oneway" | "broadcast") => one_way_blocking(&job)?,
        (_, "rtt" | "inflight") => runtime()?.block_on(there_and_back(&job))?,
        (_, "oneway" | "broadcast") => runtime()?.block_on(one_way(&job))?,
        _ => return Err(USAGE.into()),
    };
    let form = if typed { "typed" } else { "raw" };
    let (end, mode, bytes) = (&job.end, &job.mode, job.text.len());
    let report =
        json!({ "end": end, "mode": mode, "bytes": bytes, "form": form, "per_s": rate.round() as u64 });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// What is measured.
struct Job {
    end: String,
    mode: String,
    typed: bool,
    text: String,
    /// The message, encoded.
    line: Vec<u8>,
    time: Duration,
}

impl Job {
    fn new((end, mode): (&str, &str), bytes: usize, seconds: f64, typed: bool) -> Self {
        let text = "x".repeat(bytes);
        let echo = u8::from(matches!(mode, "rtt" | "inflight"));
        let mut line = format!("{{\"echo\":{echo},\"data\":\"{text}\"}}").into_bytes();
        if end == ADVANCED {
            line.clear();
            v8::encode(&json!({ "echo": echo, "data": text }), &mut line);
        }
        let time = Duration::from_secs_f64(seconds);
        Self { end: end.to_owned(), mode: mode.to_owned(), typed, text, line, time }
    }

    fn load(&self) -> Load<'_> {
        Load { echo: u8::from(matches!(self.mode.as_str(), "rtt" | "inflight")), data: &self.text }
    }

    /// Messages on their way at once.
    fn window(&self) -> usize {
        if self.mode == "rtt" { 1 } else { IN_FLIGHT }
    }

    fn children(&self) -> usize {
        if self.mode == "broadcast" { CHILDREN } else { 1 }
    }

    fn command(&self) -> Outcome<Command> {
        if self.end == "node" || self.end == ADVANCED {
            let mut command = Command::new("node");
            command.args(["-e", NODE]);
            return Ok(command);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["child", &self.end]).env(FORM, if self.typed { "typed" } else { "raw" });
        Ok(command)
    }

    fn fork(&self) -> Outcome<Forked> {
        let advanced = self.end == ADVANCED;
        let serialization = if advanced { Serialization::Advanced } else { Serialization::Json };
        Ok(self.command()?.fork_with(serialization)?)
    }

    fn check(&self, message: &Message) -> Outcome {
        let length = match message.serialization() {
            _ if !self.typed => return Ok(()),
            Serialization::Json => message.parse_borrowed::<Load<'_>>()?.data.len(),
            Serialization::Advanced => message.value()?["data"].as_str().map_or(0, str::len),
        };
        if length == self.text.len() { Ok(()) } else { Err("another message came back".into()) }
    }
}

/// What a child is to do about a message.
enum Wish {
    Echo,
    Count,
    Nothing,
}

fn wish(message: &[u8]) -> Wish {
    match message {
        _ if message.starts_with(b"{\"echo\":1") => Wish::Echo,
        _ if message.starts_with(b"{\"count\"") => Wish::Count,
        _ => Wish::Nothing,
    }
}

fn is_typed() -> bool {
    std::env::var(FORM).is_ok_and(|form| form == "typed")
}

fn said(message: Option<Result<Message, RecvError>>) -> Outcome<Message> {
    Ok(message.ok_or("the child has ended")??)
}

/// The parent leaves when the time is over, whatever is on its way.
fn unless_left(outcome: Outcome) -> Outcome {
    outcome.or_else(|error| match error.downcast_ref() {
        Some(SendError::Closed) => Ok(()),
        _ => Err(error),
    })
}

async fn child() -> Outcome {
    let Parent { sender, mut receiver } = Parent::from_env()?;
    let (mut messages, mut count, typed) = (Vec::new(), 0u64, is_typed());
    while receiver.recv_many(&mut messages, BATCH).await > 0 {
        for message in messages.drain(..) {
            let message = message?;
            match wish(message.bytes()) {
                Wish::Echo if typed => sender.feed(&message.parse_borrowed::<Load<'_>>()?).await?,
                Wish::Echo => sender.feed_raw(message.bytes()).await?,
                Wish::Count => sender.feed(&json!({ "n": std::mem::take(&mut count) })).await?,
                Wish::Nothing if typed => count += u64::from(message.parse_borrowed::<Load<'_>>()?.echo == 0),
                Wish::Nothing => count += 1,
            }
        }
        sender.flush()?;
    }
    Ok(())
}

fn child_blocking() -> Outcome {
    let mut parent = blocking::Parent::from_env()?;
    let (mut messages, mut count, typed) = (Vec::new(), 0u64, is_typed());
    while parent.recv_many(&mut messages, BATCH) > 0 {
        for message in messages.drain(..) {
            let message = message?;
            match wish(message.bytes()) {
                Wish::Echo if typed => parent.feed(&message.parse_borrowed::<Load<'_>>()?)?,
                Wish::Echo => parent.feed_raw(message.bytes())?,
                Wish::Count => parent.feed(&json!({ "n": std::mem::take(&mut count) }))?,
                Wish::Nothing if typed => count += u64::from(message.parse_borrowed::<Load<'_>>()?.echo == 0),
                Wish::Nothing => count += 1,
            }
        }
        parent.flush()?;
    }
    Ok(())
}

async fn feed(job: &Job, channel: &Channel) -> Outcome {
    if job.typed {
        channel.sender.feed(&job.load()).await?;
    } else {
        channel.sender.feed_raw(&job.line).await?;
    }
    Ok(())
}

fn feed_blocking(job: &Job, channel: &mut blocking::Channel) -> Outcome {
    Ok(if job.typed { channel.feed(&job.load()) } else { channel.feed_raw(&job.line) }?)
}

async fn there_and_back(job: &Job) -> Outcome<f64> {
    let Forked { child: _child, mut channel } = job.fork()?;
    let mut messages = Vec::new();
    for _ in 0..job.window() {
        feed(job, &channel).await?;
    }
    channel.sender.flush()?;
    // The child has started when it answers.
    channel.receiver.recv_many(&mut messages, 1).await;
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < job.time {
        let round = done + ROUND;
        while done < round {
            done += messages.len();
            for message in messages.drain(..) {
                job.check(&message?)?;
                feed(job, &channel).await?;
            }
            channel.sender.flush()?;
            if channel.receiver.recv_many(&mut messages, BATCH).await == 0 {
                return Err("the child has ended".into());
            }
        }
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

fn there_and_back_blocking(job: &Job) -> Outcome<f64> {
    let Forked { child: _child, mut channel } = job.command()?.fork_blocking(Serialization::Json)?;
    let mut messages = Vec::new();
    for _ in 0..job.window() {
        feed_blocking(job, &mut channel)?;
    }
    channel.flush()?;
    channel.recv_many(&mut messages, 1);
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < job.time {
        let round = done + ROUND;
        while done < round {
            done += messages.len();
            for message in messages.drain(..) {
                job.check(&message?)?;
                feed_blocking(job, &mut channel)?;
            }
            channel.flush()?;
            if channel.recv_many(&mut messages, BATCH) == 0 {
                return Err("the child has ended".into());
            }
        }
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// Deliveries in a second, until each child has said how many it got.
async fn one_way(job: &Job) -> Outcome<f64> {
    let mut children = Vec::new();
    for _ in 0..job.children() {
        let mut forked = job.fork()?;
        forked.channel.send(&json!({ "count": 1 })).await?;
        said(forked.channel.recv().await)?;
        children.push(forked);
    }
    let (start, mut sent) = (Instant::now(), 0u64);
    while start.elapsed() < job.time {
        for _ in 0..ROUND {
            for forked in &children {
                feed(job, &forked.channel).await?;
            }
            sent += 1;
        }
    }
    let mut came = 0;
    for forked in &mut children {
        forked.channel.send(&json!({ "count": 1 })).await?;
        came += said(forked.channel.recv().await)?.parse::<Counted>()?.n;
    }
    if came != sent * children.len() as u64 {
        return Err("messages were lost".into());
    }
    Ok(came as f64 / start.elapsed().as_secs_f64())
}

fn one_way_blocking(job: &Job) -> Outcome<f64> {
    let mut children = Vec::new();
    for _ in 0..job.children() {
        let mut forked = job.command()?.fork_blocking(Serialization::Json)?;
        forked.channel.send(&json!({ "count": 1 }))?;
        said(forked.channel.recv())?;
        children.push(forked);
    }
    let (start, mut sent) = (Instant::now(), 0u64);
    while start.elapsed() < job.time {
        for _ in 0..ROUND {
            for forked in &mut children {
                feed_blocking(job, &mut forked.channel)?;
            }
            sent += 1;
        }
    }
    let mut came = 0;
    for forked in &mut children {
        forked.channel.send(&json!({ "count": 1 }))?;
        came += said(forked.channel.recv())?.parse::<Counted>()?.n;
    }
    if came != sent * children.len() as u64 {
        return Err("messages were lost".into());
    }
    Ok(came as f64 / start.elapsed().as_secs_f64())
}
