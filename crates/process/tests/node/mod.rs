//! Real Node.js workers for the tests. The program is `node`, or the one named by `STEAD_TEST_NODE`.

#![expect(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file is a program of its own, uses a part of this, and may fail here"
)]

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use stead_process::node::environment::{self, Environment};
use stead_process::node::{
    Channel, ClusterMessage, Continuation, FromWorker, PRELOAD, Query, Received, Receiver, Serialization,
};
use stead_process::socket;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout, Command};

/// Nothing in these tests takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

pub fn node() -> String {
    std::env::var("STEAD_TEST_NODE").unwrap_or_else(|_| "node".to_owned())
}

/// A running program with a directory of its own.
pub struct Program {
    pub directory: TempDir,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Writes `files` and the preload into a new directory and starts `command` there. `inherit` keeps its
    /// number in the child.
    pub fn start(
        command: &[&str],
        files: &[(&str, &str)],
        inherit: Option<&OwnedFd>,
        change: impl FnOnce(&mut Environment, &Path),
    ) -> Self {
        // The blank and the quote are there to be quoted right.
        let directory = tempfile::Builder::new().prefix("stead \"node").tempdir().unwrap();
        std::fs::write(directory.path().join("preload.cjs"), PRELOAD).unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let mut environment: Environment = std::env::vars_os().collect();
        change(&mut environment, directory.path());
        let mut command_line = Command::new(command[0]);
        command_line.args(&command[1..]).current_dir(&directory).env_clear().envs(environment);
        command_line.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        if let Some(descriptor) = inherit {
            let number = descriptor.as_raw_fd();
            // SAFETY: the closure makes one system call, on a descriptor that stays open until the child is
            // started.
            #[expect(
                unsafe_code,
                reason = "only the child may inherit it; another test may start a child at this moment"
            )]
            unsafe {
                command_line.pre_exec(move || {
                    let descriptor = std::os::fd::BorrowedFd::borrow_raw(number);
                    Ok(rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?)
                });
            }
        }
        let mut child = command_line.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { directory, child, lines }
    }

    /// The next line the program printed, as JSON.
    pub async fn printed(&mut self) -> Value {
        let line = within("a line", self.lines.next_line()).await.unwrap().expect("the program ended");
        serde_json::from_str(&line).unwrap_or(Value::String(line))
    }

    pub async fn exit(&mut self) -> ExitStatus {
        within("exit", self.child.wait()).await.unwrap()
    }
}

/// A program with a channel.
pub struct Worker {
    pub program: Program,
    pub channel: Channel,
    receiver: Receiver,
    early: VecDeque<Received>,
}

impl Worker {
    /// A cluster worker that runs `script`.
    pub fn cluster(script: &str) -> Self {
        Self::cluster_with(&[&node(), "app.js"], &[("app.js", script)], Serialization::Json)
    }

    pub fn cluster_with(command: &[&str], files: &[(&str, &str)], serialization: Serialization) -> Self {
        let (ours, theirs) = socket::pair().unwrap();
        let number = theirs.as_raw_fd();
        let program = Program::start(command, files, Some(&theirs), |environment, directory| {
            let preload = directory.join("preload.cjs");
            let worker = environment::Worker { id: 7, preload: &preload };
            environment::add_worker(environment, number, serialization, worker);
        });
        Self::over(program, ours, serialization)
    }

    /// A child with a channel that is no cluster worker.
    pub fn fork(script: &str, serialization: Serialization) -> Self {
        let (ours, theirs) = socket::pair().unwrap();
        let number = theirs.as_raw_fd();
        let command = [&*node(), "app.js"];
        let program = Program::start(&command, &[("app.js", script)], Some(&theirs), |environment, _| {
            environment::add_channel(environment, number, serialization);
        });
        Self::over(program, ours, serialization)
    }

    /// A cluster worker, and a second descriptor of our end, as the keeper has one.
    pub fn cluster_held(script: &str) -> (Self, OwnedFd) {
        let (ours, theirs) = socket::pair().unwrap();
        let held = ours.try_clone().unwrap();
        let number = theirs.as_raw_fd();
        let command = [&*node(), "app.js"];
        let program =
            Program::start(&command, &[("app.js", script)], Some(&theirs), |environment, directory| {
                let preload = directory.join("preload.cjs");
                let worker = environment::Worker { id: 7, preload: &preload };
                environment::add_worker(environment, number, Serialization::Json, worker);
            });
        (Self::over(program, ours, Serialization::Json), held)
    }

    /// Goes on over another descriptor of the same channel. What was received before is forgotten.
    pub fn resume(self, held: OwnedFd, from: Continuation) -> Self {
        let (channel, receiver) = Channel::resume(held, Serialization::Json, from).unwrap();
        Self { program: self.program, channel, receiver, early: VecDeque::new() }
    }

    pub fn over(program: Program, socket: OwnedFd, serialization: Serialization) -> Self {
        let (channel, receiver) = Channel::open(socket, serialization).unwrap();
        Self { program, channel, receiver, early: VecDeque::new() }
    }

    /// The next thing received that `wanted` takes. What it gives back stays for later.
    pub async fn find<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(Received) -> Result<T, Box<Received>>,
    ) -> T {
        let mut passed = VecDeque::new();
        let found = within(what, async {
            loop {
                let received = match self.early.pop_front() {
                    Some(received) => received,
                    None => self
                        .receiver
                        .next()
                        .await
                        .unwrap_or_else(|| panic!("the channel ended before {what}")),
                };
                match wanted(received) {
                    Ok(found) => break found,
                    Err(received) => passed.push_back(*received),
                }
            }
        })
        .await;
        passed.append(&mut self.early);
        self.early = passed;
        found
    }

    pub async fn hears(&mut self, expected: FromWorker) {
        let what = format!("{expected:?}");
        self.find(&what, |received| match received {
            Received::Cluster(from) if from == expected => Ok(()),
            other => Err(Box::new(other)),
        })
        .await;
    }

    pub async fn message(&mut self) -> Value {
        self.find("a message", |received| match received {
            Received::Message(message) => Ok(message),
            other => Err(Box::new(other)),
        })
        .await
    }

    pub async fn query(&mut self) -> Query {
        self.find("a query", |received| match received {
            Received::Cluster(FromWorker::QueryServer(query)) => Ok(query),
            other => Err(Box::new(other)),
        })
        .await
    }

    pub async fn listening(&mut self) -> Query {
        self.find("listening", |received| match received {
            Received::Cluster(FromWorker::Listening(query)) => Ok(query),
            other => Err(Box::new(other)),
        })
        .await
    }

    /// Whether the connection with this number was accepted.
    pub async fn accepted(&mut self, seq: u64) -> bool {
        self.find("accepted", |received| match received {
            Received::Cluster(FromWorker::Accepted { ack, accepted }) if ack == seq => Ok(accepted),
            other => Err(Box::new(other)),
        })
        .await
    }

    pub fn answer(&self, query: &Query, errno: Option<i32>, handle: Option<OwnedFd>) {
        let sockname = query.port.filter(|port| *port >= 0 && handle.is_none()).map(|port| {
            let address = query.address.clone().unwrap_or_else(|| "::".to_owned());
            let family = if address.contains(':') { "IPv6" } else { "IPv4" };
            json!({ "address": address, "family": family, "port": port })
        });
        let answer = ClusterMessage::Answer {
            ack: query.seq,
            key: query.key(),
            errno,
            data: query.data.clone(),
            sockname,
        };
        self.channel.cluster(answer, handle).unwrap();
    }

    /// Lets the first server listen; gives what it asked for.
    pub async fn serve(&mut self) -> Query {
        let query = self.query().await;
        self.answer(&query, None, None);
        assert_eq!(self.listening().await.key(), query.key());
        query
    }

    pub fn give(&self, key: &str, remote: Option<Value>) -> (u64, Connection) {
        let (ours, theirs) = socket::pair().unwrap();
        let message = ClusterMessage::NewConnection { key: key.to_owned(), remote };
        let seq = self.channel.cluster(message, Some(theirs)).unwrap();
        (seq, Connection(UnixStream::from_std(ours.into()).unwrap()))
    }

    pub async fn connect(&mut self, query: &Query, remote: Option<Value>) -> Connection {
        let (seq, connection) = self.give(&query.key(), remote);
        assert!(self.accepted(seq).await, "the worker takes a connection for {}", query.key());
        connection
    }

    /// The channel ends.
    pub async fn end(&mut self) {
        within("the end of the channel", async { while self.receiver.next().await.is_some() {} }).await;
    }
}

/// Our end of a connection given to a worker.
pub struct Connection(pub UnixStream);

impl Connection {
    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` was read, or to the end of the stream.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !text.ends_with(end.as_bytes()) {
            let count = within("bytes", self.0.read(&mut buffer)).await.unwrap();
            if count == 0 {
                break;
            }
            text.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(text).unwrap()
    }

    /// The JSON body of the answer to `GET /`. The app ends its bodies with a line end.
    pub async fn get(&mut self, headers: &str) -> Value {
        self.send(&format!("GET / HTTP/1.1\r\nHost: t\r\n{headers}\r\n")).await;
        let answer = self.read_until("}\n").await;
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        serde_json::from_str(body).unwrap()
    }
}
