//! Drives one client's HTTP/2 connection: takes its requests in, lets a task of its own serve each, and ends it when it is idle,
//! misbehaves or is to go elsewhere.
//!
//! No more requests are taken in than may be under way. One that its client has reset is under way until the worker is done with
//! it: resetting makes no room for the next (CVE-2023-44487). What comes beyond waits with `h2`, which closes the connection of
//! a client that resets much of that.

use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{self, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::task::JoinSet;

use super::client_stream::ClientStream;
use super::io::Io;
use super::request::translate;
use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::config::Config;
use crate::connection::{self, Arrival};
use crate::lane::{Front, Lane, Service};
use crate::pool::Pool;
use crate::stream::Stream;

/// What a client may send of one body, and of all bodies of its connection, before the engine has read some.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What may lie ready for a client that does not read, on one stream.
const SEND_BYTES_MAX: usize = 32 * 1024;
/// How long a stream that we have reset is remembered, and how many: what its client sent meanwhile is no mistake.
const RESETS_REMEMBERED: Duration = Duration::from_secs(5);
const RESETS_REMEMBERED_MAX: usize = 64;
/// Streams that the client breaks, over the life of a connection.
const STREAM_ERRORS_MAX: usize = 256;
/// How long a client that has been asked to leave may take once nothing of it is under way.
const GOODBYE: Duration = Duration::from_secs(5);

/// What is there when a connection turns out to be HTTP/2.
pub(crate) struct Opening {
    pub(crate) client: Stream,
    /// Beginning with the preface.
    pub(crate) input: Buffer,
    pub(crate) address: Option<SocketAddr>,
}

/// Serves a client until one side ends the connection.
pub(crate) async fn serve(lane: Rc<Lane>, service: &Service, pool: &Arc<Pool>, opening: Opening) {
    let Opening { client, input, address } = opening;
    let client = Rc::new(client);
    let shaking = builder(&pool.config).handshake(Io::new(Rc::clone(&client), input));
    let Ok(Ok(connection)) = tokio::time::timeout(pool.config.header_timeout, shaking).await else {
        client.linger().await;
        return;
    };
    let mut driver = Driver {
        requests: Requests {
            lane,
            service,
            pool,
            client: Rc::clone(&client),
            address,
            tasks: JoinSet::new(),
        },
        connection,
        alarm: Alarm::default(),
        quiet_since: Some(Instant::now()),
        leaving: false,
    };
    poll_fn(|context| driver.poll(context)).await;
    // Whoever waits for a stream learns that it is gone.
    let Driver { mut requests, connection, .. } = driver;
    drop(connection);
    client.linger().await;
    while requests.tasks.join_next().await.is_some() {}
}

fn builder(config: &Config) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(config.http2_streams_max)
        .max_header_list_size(u32::try_from(config.head.head_bytes_max).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BYTES_MAX)
        .reset_stream_duration(RESETS_REMEMBERED)
        .max_concurrent_reset_streams(RESETS_REMEMBERED_MAX)
        .max_local_error_reset_streams(Some(STREAM_ERRORS_MAX))
        .max_pending_accept_reset_streams(config.http2_streams_max as usize)
        .enable_connect_protocol();
    builder
}

struct Driver<'s> {
    requests: Requests<'s>,
    connection: Connection<Io, Bytes>,
    alarm: Alarm,
    /// Since when nothing is under way.
    quiet_since: Option<Instant>,
    /// The client has been asked to come again on another connection.
    leaving: bool,
}

struct Requests<'s> {
    lane: Rc<Lane>,
    service: &'s Service,
    /// Whose limits hold for the connection.
    pool: &'s Arc<Pool>,
    client: Rc<Stream>,
    address: Option<SocketAddr>,
    tasks: JoinSet<()>,
}

impl Driver<'_> {
    /// Ready when the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            // A panic in one has been reported, and ended that stream alone.
            while matches!(self.requests.tasks.poll_join_next(context), Poll::Ready(Some(_))) {}
            if !self.leaving && self.requests.are_unwelcome() {
                self.leave();
            }
            if self.poll_requests(context).is_ready() {
                return Poll::Ready(());
            }
            if !self.requests.tasks.is_empty() {
                self.quiet_since = None;
                return Poll::Pending;
            }
            let config = &self.requests.pool.config;
            let patience = if self.leaving { GOODBYE } else { config.idle_timeout };
            let deadline = *self.quiet_since.get_or_insert_with(Instant::now) + patience;
            if self.alarm.poll(context, deadline).is_pending() {
                return Poll::Pending;
            }
            if self.leaving {
                return Poll::Ready(());
            }
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.leaving = true;
        self.quiet_since = None;
        self.connection.graceful_shutdown();
    }

    /// Takes in requests, as many as may be under way. Ready when the connection has ended.
    fn poll_requests(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let under_way_max = self.requests.pool.config.http2_streams_max as usize;
        while self.requests.tasks.len() < under_way_max {
            match self.connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, answer)))) => self.requests.take(request, answer),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.connection.poll_closed(context).map(|_| ())
    }
}

impl Requests<'_> {
    /// Whether the client is to open another connection: nobody is there for its next request, or another process is. Its
    /// connection cannot be handed over, because half of what it is made of is memory.
    fn are_unwelcome(&self) -> bool {
        use std::sync::atomic::Ordering;
        let way_out = &self.lane.way_out;
        self.service.closing.load(Ordering::Relaxed) || way_out.is_open() || way_out.is_blocked()
    }

    fn take(&mut self, request: Request<RecvStream>, mut answer: SendResponse<Bytes>) {
        let (parts, body) = request.into_parts();
        let ended = body.is_end_stream();
        let translated = match translate(&Request::from_parts(parts, ()), ended, nonce) {
            Ok(translated) => translated,
            Err(_) => {
                self.pool.count(|counters| counters.refused += 1);
                answer.send_reset(Reason::PROTOCOL_ERROR);
                return;
            }
        };
        let stream = ClientStream::new(Rc::clone(&self.client), translated, (body, answer));
        let arrival = Arrival::accepted(Stream::Http2(Box::new(stream)), self.address);
        let (lane, service) = (Rc::clone(&self.lane), self.service.clone());
        self.tasks.spawn_local(async move {
            if let Front::Http(site) = &service.front {
                connection::serve(lane, &service, site, arrival).await;
            }
        });
    }
}

/// 16 bytes in base64, not to be guessed (RFC 6455 §4.1).
fn nonce() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u64| char::from(ALPHABET[(bits & 0x3f) as usize]);
    let random = [0_u8, 1, 2].map(|part| RandomState::new().hash_one(part));
    let mut text: String = (0..21).map(|at| digit(random[at / 10] >> (at % 10 * 6))).collect();
    // The last digit stands for two bits only.
    text.push(digit(random[2] >> 12 & 0x30));
    text + "=="
}
