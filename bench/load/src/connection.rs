//! One socket, one exchange at a time: writes a request, reads its answer, says how it ended.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::Sleep;

use crate::class::Class;
use crate::config::Target;
use crate::response::{Progress, Response, Wanted};

/// What one read takes at most. A shorter read tells tokio that the socket is empty, which saves a system call.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// How an exchange ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) class: Class,
    /// The connection may carry another request.
    pub(crate) reusable: bool,
    /// Said by the system or by us, when there is no answer to quote.
    pub(crate) detail: Option<String>,
}

impl End {
    fn failed(class: Class, detail: impl Into<String>) -> End {
        End { class, reusable: false, detail: Some(detail.into()) }
    }
}

/// A deadline that costs nothing while it is only moved further away.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: tokio::time::Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(crate) fn new() -> Deadline {
        let at = tokio::time::Instant::now();
        Deadline { at, sleep: Box::pin(tokio::time::sleep_until(at)) }
    }

    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at.into();
        if self.at < self.sleep.deadline() {
            self.sleep.as_mut().reset(self.at);
        }
    }

    pub(crate) fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            if tokio::time::Instant::now() >= self.at {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.at);
        }
    }
}

/// A connected socket of either kind.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_write(bytes),
            Stream::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Reads; nothing there costs no system call, because a read that did not fill its buffer has emptied the socket.
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(buffer);
        let read = match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, &mut into),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, &mut into),
        };
        read.map_ok(|()| into.filled().len())
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_write_ready(context),
            Stream::Unix(stream) => stream.poll_write_ready(context),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    /// It has carried a request already.
    reused: bool,
}

/// The parts of a task that an exchange uses.
pub(crate) struct Exchange<'a> {
    pub(crate) request: &'a [u8],
    pub(crate) wanted: Wanted<'a>,
    pub(crate) response: &'a mut Response,
    pub(crate) buffer: &'a mut [u8],
    pub(crate) deadline: &'a mut Deadline,
}

impl Connection {
    /// Connects before the deadline.
    pub(crate) async fn open(target: &Target, deadline: &mut Deadline) -> Result<Connection, End> {
        let mut connecting = pin!(connect(target));
        let result = poll_fn(|context| match connecting.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => deadline.poll_passed(context).map(|()| None),
        });
        match result.await {
            Some(Ok(stream)) => Ok(Connection { stream, reused: false }),
            Some(Err(error)) => Err(End::failed(class_of_connect(&error), format!("connect: {error}"))),
            None => Err(End::failed(Class::Timeout, "connect: no answer in time")),
        }
    }

    /// Ready when the server has closed it or has said something unasked: it carries no further request.
    pub(crate) fn poll_spent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_read(context, &mut [0]).map(|_| ())
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn exchange(&mut self, mut exchange: Exchange<'_>) -> End {
        let reused = std::mem::replace(&mut self.reused, true);
        exchange.response.reset();
        let mut unsent = exchange.request;
        let mut write_error: Option<io::Error> = None;
        poll_fn(|context| {
            loop {
                if let Err(error) = self.write(&mut unsent, context) {
                    // An answer may already be here although the server takes no more: read on.
                    write_error = Some(error);
                    unsent = &[];
                }
                let Exchange { wanted, response, buffer, deadline, .. } = &mut exchange;
                let Poll::Ready(read) = self.stream.poll_read(context, buffer) else {
                    return deadline.poll_passed(context).map(|()| late(response));
                };
                return Poll::Ready(match read {
                    Ok(0) => closed(response, *wanted, reused, write_error.take()),
                    Ok(count) => match response.feed(&buffer[..count], *wanted) {
                        Progress::More => continue,
                        Progress::Done => {
                            answered(response, *wanted, unsent.is_empty() && write_error.is_none())
                        }
                        Progress::Bad(why) => End::failed(Class::BadBody, why),
                    },
                    Err(error) => closed(response, *wanted, reused, Some(error)),
                });
            }
        })
        .await
    }

    /// Writes what the socket takes; asks to be woken when it takes more.
    fn write(&self, unsent: &mut &[u8], context: &mut Context<'_>) -> io::Result<()> {
        while !unsent.is_empty() {
            match self.stream.try_write(unsent) {
                Ok(written) => *unsent = &unsent[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.poll_writable(context).is_pending() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn connect(target: &Target) -> io::Result<Stream> {
    match target {
        Target::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        Target::Tcp(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_nodelay(true)?;
            Ok(Stream::Tcp(socket.connect(*address).await?))
        }
    }
}

fn class_of_connect(error: &io::Error) -> Class {
    match error.kind() {
        // A Unix path without its socket is the same to a client as a port without its listener.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Class::ConnectRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Class::ConnectReset,
        _ => Class::LocalError,
    }
}

fn late(response: &Response) -> End {
    End::failed(Class::Timeout, if response.begun { "the answer did not end" } else { "no answer" })
}

fn answered(response: &Response, wanted: Wanted<'_>, sent_whole: bool) -> End {
    let class = Class::of_answer(response.status, response.body_good(wanted));
    End { class, reusable: response.keep_alive && sent_whole, detail: None }
}

/// The server closed or reset the connection before the answer was complete by its own framing.
fn closed(response: &mut Response, wanted: Wanted<'_>, reused: bool, error: Option<io::Error>) -> End {
    if error.is_none() && response.end() {
        return answered(response, wanted, false);
    }
    let class = match (&error, response.begun, reused) {
        (_, true, _) => Class::Truncated,
        (_, false, true) => Class::ResetOrEofReused,
        (Some(_), false, false) => Class::ResetFresh,
        (None, false, false) => Class::EofFresh,
    };
    End::failed(class, error.map_or_else(|| "closed".to_owned(), |error| error.to_string()))
}
