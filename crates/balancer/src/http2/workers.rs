//! A lane's HTTP/2 connections to workers: one for each, shared by all requests that it has under way there.

use crate::by_number::ByNumber;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{self, SendRequest};

use super::io::Io;
use super::worker_stream::WorkerStream;
use crate::buffer::Buffer;
use crate::endpoint::{Endpoint, EndpointId};
use crate::stream::Stream;

/// What a worker may send on one stream, and on all of them, before a client has taken some.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// What may lie ready for a worker that does not read, on one stream.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// The heads of a worker's answers; the engine's own limit is stricter.
const HEAD_BYTES_MAX: u32 = 256 * 1024;

#[derive(Default)]
pub(crate) struct Workers {
    connections: RefCell<ByNumber<Shared>>,
}

struct Shared {
    connection: Rc<Stream>,
    sender: SendRequest<Bytes>,
}

impl Shared {
    fn stream(&self) -> Stream {
        let stream = WorkerStream::new(Rc::clone(&self.connection), self.sender.clone());
        Stream::Http2Worker(Box::new(stream))
    }

    /// Whether the worker has neither gone nor said that it wants no more requests.
    fn is_good(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        !matches!(self.sender.poll_ready(&mut context), Poll::Ready(Err(_)))
    }
}

impl Workers {
    /// A stream on a connection that is there.
    pub(crate) fn take(&self, endpoint: EndpointId) -> Option<Stream> {
        let mut connections = self.connections.borrow_mut();
        let shared = connections.get_mut(&endpoint)?;
        if shared.is_good() {
            return Some(shared.stream());
        }
        connections.remove(&endpoint);
        None
    }

    /// Begins to speak HTTP/2 on a new connection, and gives its first stream.
    pub(crate) async fn begin(&self, endpoint: &Endpoint, connection: Stream) -> io::Result<Stream> {
        let connection = Rc::new(connection);
        let io = Io::new(Rc::clone(&connection), Buffer::default());
        let shaking = client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buffer_size(SEND_BYTES_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .handshake(io);
        let (sender, driver) = shaking.await.map_err(io::Error::other)?;
        // Whoever waits for a stream of it learns how it ends.
        tokio::task::spawn_local(async move { drop(driver.await) });
        let shared = Shared { connection, sender };
        let stream = shared.stream();
        // A worker that is to end must not be held up by a connection that nobody closes.
        if endpoint.is_accepting() {
            self.connections.borrow_mut().insert(endpoint.id, shared);
        }
        Ok(stream)
    }

    /// Asks nothing more of a worker; its connection closes with the last request on it.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        self.connections.borrow_mut().remove(&endpoint);
    }

    /// Lets go of connections that have ended.
    pub(crate) fn sweep(&self) {
        self.connections.borrow_mut().retain(|_, shared| shared.is_good());
    }
}
