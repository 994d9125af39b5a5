//! The processes that take tasks one after another: their start, their lines, their end.
//!
//! A Node.js program is spoken to over its message channel, any other over its standard streams; both are lines both ways. What the
//! program prints beside that goes to standard error. Each process dies with this one, however that ends.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use stead_jobs::{Input, Ready, TaskId, WorkerId};
use stead_process::child::{Child, ChildStdin, Command, Exit, Handle, Signal, SpawnError, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::Heard;
use super::input::LINE_BYTES_MAX;
use super::protocol::{self, Format, Given, Said};

/// Number of the message channel in a Node.js worker.
const CHANNEL: i32 = 3;

/// So much is read at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// How long what a dead worker has said may take to be read; longer only if another process keeps its streams open.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a worker that has closed its side, or was told that there is no more, may take to end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many of a worker's last lines are kept, for the report on one that dies at its start.
const LAST_LINES: usize = 8;

/// Tasks that a worker with envelopes may have ahead at most; the pool gives far fewer if they are slow.
const PREFETCH_MAX: u32 = 1024;

/// What a worker runs.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) arguments: Vec<std::ffi::OsString>,
    pub(super) environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// It is given a message channel.
    pub(super) channel: bool,
    /// It may be sent several tasks in one message. Not where tasks have a time: the first of them would be charged with that of all,
    /// as it may be answered together with the last.
    pub(super) batches: bool,
}

/// All that run.
#[derive(Debug)]
pub(super) struct Workers {
    program: Program,
    format: Format,
    heard: Sender<Heard>,
    next: WorkerId,
    running: BTreeMap<WorkerId, Worker>,
}

#[derive(Debug)]
struct Worker {
    slot: u32,
    since: Instant,
    handle: Handle,
    orders: UnboundedSender<Vec<u8>>,
    /// Lines on their way to it.
    out: Vec<u8>,
    envelopes: bool,
    /// Several may be in one message.
    batches: bool,
    /// What it was given in plain.
    plain: Option<Given>,
    spoke: bool,
    /// By us.
    was_killed: bool,
    last_lines: VecDeque<String>,
}

/// A worker could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// There is no process.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Its streams cannot be used.
    #[error("failed to use the streams of a worker")]
    Streams(#[source] io::Error),
}

/// A worker that is no more.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) since: Instant,
    /// It took envelopes.
    pub(super) envelopes: bool,
    /// It had said something.
    pub(super) spoke: bool,
    /// We killed it.
    pub(super) was_killed: bool,
    /// The last that it printed.
    pub(super) last_lines: Vec<String>,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) exit: Exit,
    /// It did not read all that it was given.
    pub(super) unread: bool,
}

impl Workers {
    pub(super) fn new(program: Program, format: Format, heard: Sender<Heard>) -> Workers {
        Workers { program, format, heard, next: 1, running: BTreeMap::new() }
    }

    pub(super) fn format(&mut self, format: Format) {
        self.format = format;
    }

    pub(super) fn has_channel(&self) -> bool {
        self.program.channel
    }

    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// The lowest place that nobody fills.
    pub(super) fn free_slot(&self) -> u32 {
        let taken = |slot: &u32| self.running.values().any(|worker| worker.slot == *slot);
        (0..).find(|slot| !taken(slot)).expect("there are fewer workers than numbers")
    }

    /// Starts one. It can be given a plain task at once.
    pub(super) fn start(&mut self, slot: u32) -> Result<Ready, StartError> {
        let mut child = self.command(slot).spawn()?;
        let worker = self.next;
        self.next += 1;
        let handle = child.handle();
        let (orders, receiver) = unbounded_channel();
        let link = Link::of(&mut child).map_err(StartError::Streams)?;
        tokio::spawn(Minder { worker, child, heard: self.heard.clone() }.mind(link, receiver));
        let fresh = Worker {
            slot,
            since: Instant::now(),
            handle,
            orders,
            out: Vec::new(),
            envelopes: false,
            batches: false,
            plain: None,
            spoke: false,
            was_killed: false,
            last_lines: VecDeque::new(),
        };
        self.running.insert(worker, fresh);
        Ok(Ready { worker, slot, concurrency: 1, prefetch_max: 0, abortable: false, gathers: false })
    }

    fn command(&self, slot: u32) -> Command {
        let mut command = Command::new(&self.program.arguments[0]);
        command.args(&self.program.arguments[1..]).env_clear().envs(self.program.environment.iter().cloned());
        command.env("STEAD_POOL", "map").env("STEAD_WORKER", format!("map.{slot}"));
        command.own_group(true).sweep_group(true).kill_with_parent(true).kill_on_drop(true);
        command.stderr(Stdio::Piped);
        if self.program.channel {
            command.stdin(Stdio::Null).stdout(Stdio::Piped).descriptor(CHANNEL, Stdio::Piped);
            command
                .env("NODE_CHANNEL_FD", CHANNEL.to_string())
                .env("NODE_CHANNEL_SERIALIZATION_MODE", "json");
        } else {
            command.stdin(Stdio::Piped).stdout(Stdio::Piped);
        }
        command
    }

    /// A task goes to a worker with the next `flush`.
    pub(super) fn give(&mut self, worker: WorkerId, given: Given) {
        let (format, channel) = (self.format, self.program.channel);
        let Some(worker) = self.running.get_mut(&worker) else { return };
        if worker.envelopes {
            return protocol::envelope(&given, format, &mut worker.out);
        }
        match channel {
            true => protocol::as_json(&given.input, format, &mut worker.out),
            false => worker.out.extend_from_slice(&given.input),
        }
        worker.out.push(b'\n');
        worker.plain = Some(given);
    }

    pub(super) fn abort(&mut self, worker: WorkerId, task: TaskId) {
        if let Some(worker) = self.running.get_mut(&worker) {
            protocol::abort(task, &mut worker.out);
        }
    }

    pub(super) fn kill(&mut self, worker: WorkerId) {
        if let Some(worker) = self.running.get_mut(&worker) {
            worker.was_killed = true;
            worker.kill();
        }
    }

    pub(super) fn kill_all(&self) {
        self.running.values().for_each(Worker::kill);
    }

    /// Sends what was given.
    pub(super) fn flush(&mut self) {
        for worker in self.running.values_mut().filter(|worker| !worker.out.is_empty()) {
            if worker.batches {
                protocol::gather(&mut worker.out);
            }
            // One that is dead does not read; that it is will be heard.
            let _ = worker.orders.send(std::mem::take(&mut worker.out));
        }
    }

    /// Tells all that there is nothing more: each finds the end of its input.
    pub(super) fn close(&mut self) {
        for worker in self.running.values_mut() {
            worker.orders = unbounded_channel().0;
        }
    }

    /// Tells those that have answered nothing yet that there is nothing more. One that keeps its output in a buffer, as a filter does,
    /// would be awaited for ever; at the end of its input it writes what it has. Not over a channel: whoever loses that cannot answer.
    pub(super) fn close_silent(&mut self) {
        if !self.program.channel {
            for worker in self.running.values_mut().filter(|worker| !worker.spoke) {
                worker.orders = unbounded_channel().0;
            }
        }
    }

    /// What a line means for the pool.
    pub(super) fn said(&mut self, id: WorkerId, line: &Bytes, mut tell: impl FnMut(Input)) {
        let (format, batches) = (self.format, self.program.batches);
        let Some(worker) = self.running.get_mut(&id) else { return };
        protocol::read(line, |said| {
            if let Some(input) = worker.said(id, said, (format, batches)) {
                tell(input);
            }
        });
    }

    /// A line that a worker printed.
    pub(super) fn printed(&mut self, worker: WorkerId, line: &str) {
        if let Some(worker) = self.running.get_mut(&worker) {
            if worker.last_lines.len() == LAST_LINES {
                worker.last_lines.pop_front();
            }
            worker.last_lines.push_back(line.to_owned());
        }
    }

    pub(super) fn gone(&mut self, worker: WorkerId) -> Option<Gone> {
        let Worker { since, envelopes, spoke, was_killed, last_lines, .. } = self.running.remove(&worker)?;
        Some(Gone { since, envelopes, spoke, was_killed, last_lines: last_lines.into() })
    }
}

impl Worker {
    /// What it says means for the pool.
    fn said(&mut self, id: WorkerId, said: Said, (format, may_gather): (Format, bool)) -> Option<Input> {
        match said {
            Said::Worker { concurrency, batches } => {
                (self.envelopes, self.spoke, self.batches) = (true, true, batches && may_gather);
                // What it was given before it said so is in no envelope, so it will not answer to that.
                if let Some(given) = self.plain.take() {
                    protocol::envelope(&given, format, &mut self.out);
                }
                Some(Input::Ready(Ready {
                    worker: id,
                    slot: self.slot,
                    concurrency,
                    prefetch_max: PREFETCH_MAX,
                    abortable: true,
                    gathers: self.batches,
                }))
            }
            Said::Done { task, result } => {
                self.spoke = true;
                Some(Input::Done { worker: id, task, result })
            }
            Said::Failed { task, error, retry } => {
                self.spoke = true;
                Some(Input::Failed { worker: id, task, error, retry })
            }
            Said::Plain(result) if !self.envelopes => {
                self.spoke = true;
                let Given { task, .. } = self.plain.take()?;
                Some(Input::Done { worker: id, task, result })
            }
            Said::Plain(_) | Said::Else => None,
        }
    }

    fn kill(&self) {
        // One that cannot be killed because it runs as another user ends with its input.
        let _ = self.handle.signal_tree(Signal::KILL);
    }
}

/// Something that a worker writes to.
type Stream = Box<dyn AsyncRead + Unpin + Send>;

/// Our ends of a worker's streams.
struct Link {
    read: Stream,
    write: Written,
    /// What is only printed.
    printed: Vec<Stream>,
}

enum Written {
    Channel(tokio::net::unix::OwnedWriteHalf),
    Stdin(ChildStdin),
}

impl Link {
    fn of(child: &mut Child) -> io::Result<Link> {
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        if let Some(channel) = child.take_pipe(CHANNEL) {
            channel.set_nonblocking(true)?;
            let (read, write) = UnixStream::from_std(channel)?.into_split();
            let printed: Vec<Stream> = vec![Box::new(stdout), Box::new(stderr)];
            return Ok(Link { read: Box::new(read), write: Written::Channel(write), printed });
        }
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Link { read: Box::new(stdout), write: Written::Stdin(stdin), printed: vec![Box::new(stderr)] })
    }
}

/// Stays with a worker from its start to its end.
struct Minder {
    worker: WorkerId,
    child: Child,
    heard: Sender<Heard>,
}

impl Minder {
    async fn mind(self, link: Link, orders: UnboundedReceiver<Vec<u8>>) {
        let Minder { worker, child, heard } = self;
        let handle = child.handle();
        let told = heard.clone();
        let said =
            read_lines(link.read, async move |lines| told.send(Heard::Said { worker, lines }).await.is_ok());
        let mut said = tokio::spawn(said);
        let printed: Vec<JoinHandle<bool>> =
            link.printed.into_iter().map(|stream| pass_on(worker, stream, heard.clone())).collect();
        let written = tokio::spawn(write(link.write, orders, handle.clone()));
        // It ends, or it closes its side and has a while left to end.
        let early = tokio::select! {
            reset = &mut said => Some(reset.unwrap_or(false)),
            _ = handle.wait() => None,
        };
        if early.is_some() && tokio::time::timeout(LEAVE_TIMEOUT, handle.wait()).await.is_err() {
            // One that runs as another user ends by itself.
            let _ = handle.signal_tree(Signal::KILL);
        }
        let exit = handle.wait().await.unwrap_or_default();
        let last_words = async {
            let reset = match early {
                Some(reset) => reset,
                None => said.await.unwrap_or(false),
            };
            for stream in printed {
                // It has ended, or its reader is gone.
                let _ = stream.await;
            }
            reset
        };
        let reset = tokio::time::timeout(LAST_WORDS_TIMEOUT, last_words).await.unwrap_or(false);
        let unread = reset || written.await.unwrap_or(false);
        // The batch may have ended before its last worker.
        let _ = heard.send(Heard::Gone { worker, end: End { exit, unread } }).await;
    }
}

fn pass_on(worker: WorkerId, stream: Stream, heard: Sender<Heard>) -> JoinHandle<bool> {
    tokio::spawn(read_lines(stream, async move |lines| {
        heard.send(Heard::Printed { worker, lines }).await.is_ok()
    }))
}

/// Passes whole lines on. Tells whether the other side died with something unread, as a socket can tell.
async fn read_lines(mut stream: Stream, tell: impl AsyncFn(Bytes) -> bool) -> bool {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK_BYTES);
        let before = buffer.len();
        match stream.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(_) => (),
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
        if let Some(end) = memchr::memrchr(b'\n', &buffer[before..])
            && !tell(buffer.split_to(before + end + 1).freeze()).await
        {
            return false;
        }
        if buffer.len() > LINE_BYTES_MAX {
            return false;
        }
    }
    if !buffer.is_empty() {
        tell(buffer.freeze()).await;
    }
    false
}

/// Writes what there is to write, until there will be no more or the worker is dead. Tells whether it died with something unread.
async fn write(mut to: Written, mut orders: UnboundedReceiver<Vec<u8>>, handle: Handle) -> bool {
    let mut ended = std::pin::pin!(handle.wait());
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            _ = &mut ended => None,
        };
        let Some(bytes) = order else {
            // Dead, and never given what waited here.
            if orders.try_recv().is_ok() {
                return true;
            }
            break;
        };
        let stream: &mut (dyn AsyncWrite + Unpin + Send) = match &mut to {
            Written::Channel(channel) => channel,
            Written::Stdin(stdin) => stdin,
        };
        if stream.write_all(&bytes).await.is_err() {
            return true;
        }
    }
    match to {
        Written::Stdin(stdin) if handle.try_wait().is_some() => {
            let unread = stdin.into_std().map(rustix::io::ioctl_fionread);
            matches!(unread, Ok(Ok(1..)))
        }
        Written::Stdin(_) | Written::Channel(_) => false,
    }
}
