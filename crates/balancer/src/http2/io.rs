//! A client's connection as `h2` reads and writes it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::Buffer;
use crate::stream::Stream;

/// The connection, and what was read of it before it was known to be HTTP/2.
pub(super) struct Io {
    stream: Rc<Stream>,
    input: Buffer,
}

impl Io {
    pub(super) fn new(stream: Rc<Stream>, input: Buffer) -> Self {
        Self { stream, input }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, input } = self.get_mut();
        while input.is_empty() {
            // A client that never stops would keep all others of this lane waiting.
            let coop = ready!(tokio::task::coop::poll_proceed(context));
            match stream.try_read(input) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => coop.made_progress(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(stream.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let count = input.len().min(room.remaining());
        room.put_slice(&input.unused()[..count]);
        input.consume(count);
        input.release();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll(&self.stream, context, |stream| stream.try_write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll(&self.stream, context, Stream::try_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(poll(&self.stream, context, Stream::try_flush))?;
        self.stream.finish_writing();
        Poll::Ready(Ok(()))
    }
}

fn poll<T>(
    stream: &Stream,
    context: &mut Context<'_>,
    mut attempt: impl FnMut(&Stream) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        match attempt(stream) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ready!(stream.poll_write_ready(context))?;
            }
            result => return Poll::Ready(result),
        }
    }
}
