//! Runs children to their end: feeds the first, reads what all of them write, and waits for them.
//!
//! Done is when every stream has ended and every child too. Once we have ended a child ourselves, streams are no longer
//! waited for: what it has started may hold them open for ever.

use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::state::Cause;
use super::streams::{ChildStderr, ChildStdin, ChildStdout};
use super::{Child, Exit};

/// Read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Children that run to their end together, in the order of a pipeline.
pub(super) struct Collector {
    children: Vec<Child>,
    /// Until the first one has all of it.
    input: Option<Input>,
    sources: Vec<Source>,
    chunk: Vec<u8>,
}

/// What a child is fed.
struct Input {
    stdin: ChildStdin,
    bytes: Vec<u8>,
    written: usize,
}

/// One stream that is read.
struct Source {
    /// Whose it is.
    child: usize,
    of: Which,
    /// `None` once it has ended.
    stream: Option<Stream>,
    collected: Vec<u8>,
    max: usize,
    /// There was more than that.
    too_much: bool,
}

enum Stream {
    Stdout(ChildStdout),
    Stderr(ChildStderr),
}

#[derive(Clone, Copy)]
enum Which {
    Stdout,
    Stderr,
}

/// What one child has left.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) exit: Exit,
    pub(super) cause: Option<Cause>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Collector {
    /// `max` is how many bytes of one stream are kept. Dropped before the end, it kills the children.
    pub(super) fn new(mut children: Vec<Child>, input: Option<Vec<u8>>, max: usize) -> Self {
        let stdin = children.first_mut().and_then(|child| child.stdin.take());
        let mut sources = Vec::new();
        for (index, child) in children.iter_mut().enumerate() {
            child.kill_on_drop();
            let stdout = child.stdout.take().map(|stream| (Which::Stdout, Stream::Stdout(stream)));
            let stderr = child.stderr.take().map(|stream| (Which::Stderr, Stream::Stderr(stream)));
            let source = |(of, stream)| Source {
                child: index,
                of,
                stream: Some(stream),
                collected: Vec::new(),
                max,
                too_much: false,
            };
            sources.extend(stdout.into_iter().chain(stderr).map(source));
        }
        let input = stdin.zip(input).map(|(stdin, bytes)| Input { stdin, bytes, written: 0 });
        Self { children, input, sources, chunk: vec![0; CHUNK_BYTES] }
    }

    pub(super) async fn run(mut self) -> io::Result<Vec<Collected>> {
        let handles: Vec<_> = self.children.iter().map(Child::handle).collect();
        let ended_by_us = async {
            for handle in &handles {
                handle.wait().await?;
            }
            if handles.iter().any(|handle| handle.cause().is_some()) {
                io::Result::Ok(())
            } else {
                pending().await
            }
        };
        let mut ended_by_us = pin!(ended_by_us);
        poll_fn(|cx| match self.poll_streams(cx)? {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => ended_by_us.as_mut().poll(cx),
        })
        .await?;
        for handle in &handles {
            handle.wait().await?;
        }
        Ok(self.finish())
    }

    pub(super) fn run_blocking(mut self) -> io::Result<Vec<Collected>> {
        let stdin = self.input.iter().filter_map(|input| input.stdin.as_plain());
        for stream in self.sources.iter().filter_map(Source::as_fd).chain(stdin) {
            rustix::io::ioctl_fionbio(stream, true)?;
        }
        while !self.is_done() {
            self.wait_for_any()?;
            self.progress()?;
        }
        Ok(self.finish())
    }

    fn is_done(&self) -> bool {
        let streams_ended = self.sources.iter().all(|source| source.stream.is_none());
        let all_ended = self.children.iter().all(|child| child.try_wait().is_some());
        all_ended && (streams_ended || self.children.iter().any(|child| child.handle().cause().is_some()))
    }

    /// Until something can be read or written, or a child has ended.
    fn wait_for_any(&self) -> io::Result<()> {
        let streams = self.sources.iter().filter_map(Source::as_fd).map(|fd| (fd, PollFlags::IN));
        let stdin = self.input.iter().filter_map(|input| input.stdin.as_plain());
        let stdin = stdin.map(|fd| (fd, PollFlags::OUT));
        let alive = self.children.iter().filter(|child| child.try_wait().is_none());
        let pidfds = alive.map(|child| (child.pidfd(), PollFlags::IN));
        let waited = streams.chain(stdin).chain(pidfds);
        let mut polled: Vec<PollFd<'_>> =
            waited.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        // A child that ended in between is not waited for, so there may be nobody left to wait for.
        if !polled.is_empty() {
            rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
        }
        Ok(())
    }

    /// Reads and writes what can be at this moment.
    fn progress(&mut self) -> io::Result<()> {
        if let Some(input) = &mut self.input {
            let rest = &input.bytes[input.written..];
            match input.stdin.as_plain().map_or(Err(Errno::PIPE), |fd| rustix::io::write(fd, rest)) {
                Ok(count) => input.written += count,
                Err(Errno::AGAIN | Errno::INTR) => (),
                // EPIPE: the child wants no more. That is its own affair.
                Err(_) => input.written = input.bytes.len(),
            }
            self.close_fed();
        }
        for source in &mut self.sources {
            let Some(fd) = source.as_fd() else { continue };
            match rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut self.chunk)) {
                Err(Errno::AGAIN) => (),
                result => source.take(&self.chunk[..result?], &self.children),
            }
        }
        Ok(())
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        self.poll_input(cx);
        let mut open = false;
        for source in &mut self.sources {
            while let Some(stream) = &mut source.stream {
                let mut buffer = ReadBuf::new(&mut self.chunk);
                match stream.poll_read(cx, &mut buffer) {
                    Poll::Ready(result) => result?,
                    Poll::Pending => break,
                }
                source.take(buffer.filled(), &self.children);
            }
            open |= source.stream.is_some();
        }
        Ok(if open { Poll::Pending } else { Poll::Ready(()) })
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) {
        while let Some(input) = &mut self.input {
            match Pin::new(&mut input.stdin).poll_write(cx, &input.bytes[input.written..]) {
                Poll::Ready(Ok(count)) => input.written += count,
                // EPIPE: the child wants no more. That is its own affair.
                Poll::Ready(Err(_)) => input.written = input.bytes.len(),
                Poll::Pending => return,
            }
            self.close_fed();
        }
    }

    /// The child finds the end of its input when it has had all of it.
    fn close_fed(&mut self) {
        self.input.take_if(|input| input.written == input.bytes.len());
    }

    fn finish(self) -> Vec<Collected> {
        let collected = |child: &Child| Collected {
            exit: child.try_wait().unwrap_or_default(),
            cause: child.handle().cause(),
            ..Collected::default()
        };
        let mut all: Vec<Collected> = self.children.iter().map(collected).collect();
        for source in self.sources {
            if source.too_much {
                // It may have ended before that was seen.
                all[source.child].cause.get_or_insert(Cause::MaxBuffer);
            }
            match source.of {
                Which::Stdout => all[source.child].stdout = source.collected,
                Which::Stderr => all[source.child].stderr = source.collected,
            }
        }
        all
    }
}

impl Source {
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match self.stream.as_ref()? {
            Stream::Stdout(stream) => stream.as_plain(),
            Stream::Stderr(stream) => stream.as_plain(),
        }
    }

    /// Keeps what was read; nothing is the end. A child that writes too much is ended, and not read any more.
    fn take(&mut self, bytes: &[u8], children: &[Child]) {
        let room = self.max - self.collected.len();
        self.collected.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            self.too_much = true;
            children[self.child].state().end(Cause::MaxBuffer);
        }
        if bytes.is_empty() || self.too_much {
            self.stream = None;
        }
    }
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Stdout(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Stderr(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}
