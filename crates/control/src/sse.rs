//! Server-sent events: values from a channel as the body of an answer, and back again.

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Interval, interval};

/// A comment is sent this often, so that a client that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The name of an event in the stream.
pub(crate) trait Named: Send + Unpin + 'static {
    fn name(&self) -> &'static str;

    /// What it says, as JSON.
    fn data(&self) -> String;

    /// Nothing follows.
    fn is_last(&self) -> bool {
        false
    }
}

impl Named for crate::Progress {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn data(&self) -> String {
        json(self)
    }

    fn is_last(&self) -> bool {
        self.is_last()
    }
}

impl Named for crate::Event {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn data(&self) -> String {
        json(self)
    }
}

/// An answer that lasts as long as the channel.
pub(crate) fn answer<T: Named>(receiver: mpsc::Receiver<T>) -> Response {
    let stream = EventBody { receiver, keep_alive: interval(KEEP_ALIVE), ended: false };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(stream)).into_response()
}

struct EventBody<T> {
    receiver: mpsc::Receiver<T>,
    keep_alive: Interval,
    ended: bool,
}

impl<T: Named> HttpBody for EventBody<T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(value) = self.receiver.poll_recv(context) {
            self.ended = value.as_ref().is_none_or(Named::is_last);
            return Poll::Ready(value.map(|value| Ok(Frame::data(write(&value).into()))));
        }
        // The first tick is at once and sends the headers on their way.
        self.keep_alive.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
    }
}

fn write<T: Named>(value: &T) -> String {
    format!("event: {}\ndata: {}\n\n", value.name(), value.data())
}

pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data has string keys and so is JSON")
}

/// Takes a stream of events apart, however it is cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
}

impl Parser {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The data of the next complete event.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.next_named().map(|(_, data)| data)
    }

    /// Its name, empty if it has none, and its data.
    pub(crate) fn next_named(&mut self) -> Option<(String, String)> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
            let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&event);
            let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            if !data.is_empty() {
                let name = text.lines().find_map(|line| line.strip_prefix("event: ")).unwrap_or_default();
                return Some((name.to_owned(), data.join("\n")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_being_cut_into_pieces() {
        let text =
            ":\n\nevent: a\ndata: {\"x\":1}\n\n:\n\ndata: two\ndata: lines\n\nevent: unfinished\ndata: x\n";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                parser.push(piece);
                while let Some(data) = parser.next() {
                    seen.push(data);
                }
            }
            assert_eq!(seen, ["{\"x\":1}", "two\nlines"], "pieces of {size}");
        }
    }
}
