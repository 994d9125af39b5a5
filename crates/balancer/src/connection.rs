//! One client connection: reads request after request, and says what went wrong.
//!
//! One task drives the client's side and, in turn, the worker's side of each request (`exchange.rs`, `respond.rs`): no
//! hand-over between tasks, and each byte written or not is known.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::access::{Aborted, Protocol, Record};
use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::challenge;
use crate::http::{
    Answer, AnswerTo, ClientText, Forward, HeaderSpace, Reject, RequestId, RequestMethodKind, TraceStart,
    Version, insert_field, parse_request,
};
use crate::http2::{self, Opening};
use crate::lane::{Lane, Service};
use crate::moved::{Moved, WayOut};
use crate::pool::{Connected, Pool};
use crate::request_body::{RequestBody, Wire};
use crate::shards::Place;
use crate::site::{Arrangement, Reply, Site};
use crate::stream::Stream;

/// What an idle connection may hold in each of its buffers.
const IDLE_BYTES_MAX: usize = 4 * 1024;

/// Whether the connection goes on after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Request,
    Close,
    /// In another process.
    Move,
    /// In HTTP/2.
    Http2,
}

/// A client that has come.
pub(crate) struct Arrival {
    client: Stream,
    address: Option<SocketAddr>,
    input: Buffer,
    /// It has been a client before, somewhere else.
    moved: bool,
}

impl Arrival {
    pub(crate) fn accepted(client: Stream, address: Option<SocketAddr>) -> Self {
        Self { client, address, input: Buffer::default(), moved: false }
    }

    /// # Errors
    /// It is no connection, or the event loop takes no more.
    pub(crate) fn moved(moved: Moved) -> std::io::Result<Self> {
        let client = Stream::from_descriptor(moved.client)?;
        Ok(Self { client, address: moved.address, input: moved.input.into(), moved: true })
    }
}

/// What is remembered of a request once its head is on the wire.
pub(crate) struct Request {
    pub(crate) kind: RequestMethodKind,
    pub(crate) safe: bool,
    pub(crate) idempotent: bool,
    pub(crate) version: Version,
    pub(crate) keep_alive: bool,
    pub(crate) expect_continue: bool,
    pub(crate) websocket: bool,
    pub(crate) body: RequestBody,
    /// Where it belongs.
    pub(crate) place: Place,
    pub(crate) began: Instant,
    pub(crate) id: Option<RequestId>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) answer_timeout: Duration,
    /// What is answered in the place of a worker.
    reply: Option<Reply>,
}

/// Until when a client waits.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// Where in the head for the worker the time stands that is left.
    pub(crate) told_at: usize,
}

/// Why there is no request.
enum Refusal {
    Rule(Reject),
    /// It did not come in time.
    Late,
    /// Its TLS is refused; the reason is on its way to it.
    Tls,
    /// The client is gone.
    Gone,
    /// The client is to go on elsewhere.
    Elsewhere,
}

/// A client connection and what its requests need, kept from one to the next.
pub(crate) struct Connection<'s> {
    pub(crate) lane: Rc<Lane>,
    pub(crate) service: &'s Service,
    site: &'s Site,
    arrangement: Arc<Arrangement>,
    /// Of the last request's app; before the first, of the one that stands for all.
    pub(crate) pool: Arc<Pool>,
    /// A stream of HTTP/2 is no connection: what it is a stream of has been counted.
    counted: Option<Connected>,
    pub(crate) client: Stream,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) alarm: Alarm,
    /// From the client, not used yet.
    pub(crate) input: Buffer,
    /// For the worker.
    pub(crate) wire: Wire,
    /// From the worker, not used yet.
    pub(crate) answer: Buffer,
    /// For the client.
    pub(crate) output: Vec<u8>,
    text: Option<ClientText>,
    /// Nothing has been asked yet.
    first: bool,
    /// Of the present request, if anybody wants to know.
    pub(crate) record: Option<Box<Record>>,
    /// The answer to an ACME server's question, if that is what was asked.
    challenge: Option<String>,
}

/// Serves a client until one side ends the connection, or until it goes on elsewhere.
pub(crate) async fn serve(lane: Rc<Lane>, service: &Service, site: &Site, arrival: Arrival) {
    let way_out = Rc::clone(&lane.way_out);
    let _seat = poll_fn(|context| Poll::Ready(way_out.sit(context.waker()))).await;
    let arrangement = site.current();
    let pool = Arc::clone(&arrangement.front);
    let config = &pool.config;
    let mut wait = if arrival.moved { config.idle_timeout } else { config.header_timeout };
    let record = config.access.is_some().then(|| Box::new(Record::new()));
    let mut connection = Connection {
        lane,
        service,
        site,
        arrangement,
        counted: (!arrival.client.is_http2()).then(|| Pool::connected(&pool)),
        pool,
        client: arrival.client,
        address: arrival.address,
        alarm: Alarm::default(),
        input: arrival.input,
        wire: Wire::new(),
        answer: Buffer::default(),
        output: Vec::new(),
        text: arrival.address.map(ClientText::new),
        first: !arrival.moved,
        record,
        challenge: None,
    };
    loop {
        let next = connection.serve_request(wait).await;
        connection.tell_access();
        match next {
            Next::Request => (),
            Next::Close => return,
            Next::Http2 => return connection.become_http2().await,
            Next::Move => match connection.leave() {
                Some(stayed) => connection = stayed,
                None => return,
            },
        }
        wait = connection.pool.config.idle_timeout;
        connection.first = false;
    }
}

impl Connection<'_> {
    async fn serve_request(&mut self, wait: Duration) -> Next {
        match self.read_head(wait).await {
            Ok(_) if self.challenge.is_some() => self.meet_challenge().await,
            Ok(mut request) => {
                let next = match request.reply {
                    None => self.exchange(&mut request).await,
                    Some(reply) => self.reply(reply, &request).await,
                };
                self.note(|record| record.received(request.body.bytes()));
                next
            }
            Err(Refusal::Rule(Reject::Http2)) if self.may_become_http2() => Next::Http2,
            Err(Refusal::Rule(reject)) => {
                self.note(Record::refused);
                self.reject(reject).await
            }
            Err(Refusal::Late) => {
                self.note(Record::refused);
                self.pool.count(|counters| counters.refused += 1);
                self.say_and_close(Answer::request_timeout("the head of the request did not come in time"))
                    .await
            }
            Err(Refusal::Tls) => {
                self.pool.count(|counters| counters.refused += 1);
                self.close_after_flush().await
            }
            Err(Refusal::Gone) => {
                self.client.part();
                Next::Close
            }
            Err(Refusal::Elsewhere) => Next::Move,
        }
    }

    /// Sends the client to where it is served from now on. Gives the connection back if nobody takes it there.
    fn leave(self) -> Option<Self> {
        let listener = Arc::clone(&self.service.name);
        // Only an event loop that is broken does not let go of a socket.
        let client = self.client.into_descriptor().ok()?;
        let moved = Moved { listener, client, input: self.input.unused().to_vec(), address: self.address };
        let returned = self.lane.way_out.leave(moved).err()?;
        Some(Self { client: Stream::from_descriptor(returned.client).ok()?, ..self })
    }

    /// HTTP/2 is where a connection begins, and nowhere else.
    fn may_become_http2(&self) -> bool {
        self.first && !self.client.is_http2() && self.pool.config.http2_streams_max > 0
    }

    /// Serves the client to its end. In a box, because others need not have the room.
    async fn become_http2(self) {
        let opening = Opening { client: self.client, input: self.input, address: self.address };
        Box::pin(http2::serve(self.lane, self.service, &self.pool, opening)).await;
    }

    /// Reads up to the end of a head; what follows it stays in the input.
    async fn read_head(&mut self, wait: Duration) -> Result<Request, Refusal> {
        let mut deadline = Instant::now() + wait;
        let mut begun = false;
        loop {
            if self.client.is_movable() && may_leave(self.service, &self.lane.way_out) {
                return Err(Refusal::Elsewhere);
            }
            if !self.input.is_empty() {
                if let Some(request) = self.parse_head().map_err(Refusal::Rule)? {
                    return Ok(request);
                }
                if !begun {
                    begun = true;
                    deadline = Instant::now() + self.pool.config.header_timeout;
                }
            }
            match self.client.try_read(&mut self.input) {
                Ok(0) => return Err(Refusal::Gone),
                Ok(_) => continue,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => (),
                    ErrorKind::InvalidData => return Err(Refusal::Rule(Reject::NotTls)),
                    ErrorKind::ConnectionAborted => return Err(Refusal::Tls),
                    _ => return Err(Refusal::Gone),
                },
            }
            if !begun {
                self.rest();
            }
            if self.request_by(deadline).await.is_err() {
                return Err(if begun { Refusal::Late } else { Refusal::Gone });
            }
        }
    }

    /// An idle connection holds little memory.
    fn rest(&mut self) {
        self.input.release();
        self.answer.release();
        if self.output.capacity() > IDLE_BYTES_MAX {
            self.output = Vec::new();
        }
        self.wire.rest(IDLE_BYTES_MAX);
        self.note(Record::rest);
    }

    /// A whole head: written for the worker at once, and remembered in a few words.
    fn parse_head(&mut self) -> Result<Option<Request>, Reject> {
        if self.site.has_changed(&self.arrangement) {
            self.arrangement = self.site.current();
        }
        let front = &self.arrangement.front;
        let mut space = HeaderSpace::new();
        let Some(head) = parse_request(self.input.unused(), &front.config.head, &mut space)? else {
            return Ok(None);
        };
        self.challenge = challenge::http(head.target.path());
        let routed = self.arrangement.route(&head, self.address)?;
        let pool = routed.pool.unwrap_or(front);
        let config = &pool.config;
        let (trust, ids) = (config.trust_forwarded, &self.lane.ids);
        if config.access.is_some() {
            let protocol =
                if self.client.is_http2() { Protocol::Http2 } else { Protocol::Http1(head.version) };
            self.record.get_or_insert_with(|| Box::new(Record::new())).take_head(&head, protocol, trust);
        }
        let id = config.request_id.then(|| RequestId::of(&head, trust, || ids.next_pair()));
        let begins = config.starts_traces && head.trace_id.is_none();
        let trace = begins.then(|| TraceStart::new(ids.next_pair(), ids.next()));
        let mut request = Request {
            kind: head.kind(),
            safe: head.method.is_safe(),
            idempotent: head.method.is_idempotent() || head.idempotency_key,
            version: head.version,
            keep_alive: head.keep_alive,
            expect_continue: head.expect_continue,
            websocket: head.upgrade_websocket,
            body: RequestBody::new(head.body, routed.body_bytes_max(config))?,
            place: config.affinity.place(&head, self.address, config.trust_forwarded),
            began: Instant::now(),
            id,
            deadline: None,
            answer_timeout: routed.answer_timeout(config),
            reply: routed.reply,
        };
        let id = request.id.as_ref().map(RequestId::as_str);
        if let Some(record) = &mut self.record {
            record.take_names(id, head.trace_id.or(trace.as_ref().map(TraceStart::trace_id)));
        }
        let forward = Forward {
            client: self.text.as_ref(),
            scheme: self.client.scheme(),
            certificate: self.client.certificate_fields(),
            trust,
            request_id: id,
            traceparent: trace.as_ref().map(TraceStart::as_str),
            close: false,
        };
        self.wire.clear();
        match routed.reply {
            None => {
                let told_at = head.write_forward(&forward, &mut self.wire.bytes);
                request.deadline = told_at
                    .zip(head.timeout.and_then(|timeout| request.began.checked_add(timeout)))
                    .map(|(told_at, at)| Deadline { at, told_at });
            }
            Some(reply) => reply.write_location(&head, routed.route, &mut self.wire.bytes)?,
        }
        self.wire.head_bytes = self.wire.bytes.len();
        let head_bytes = head.head_bytes;
        if !Arc::ptr_eq(pool, &self.pool) {
            self.counted = self.counted.is_some().then(|| Pool::connected(pool));
            self.pool = Arc::clone(pool);
        }
        self.input.consume(head_bytes);
        Ok(Some(request))
    }

    /// Waits until there is something to read from the client, or the way out opens.
    async fn request_by(&mut self, deadline: Instant) -> Result<(), Late> {
        let (service, way_out) = (self.service, &self.lane.way_out);
        let (client, alarm) = (&self.client, &mut self.alarm);
        poll_fn(|context| {
            let leaves = client.is_movable() && may_leave(service, way_out);
            if client.poll_read_ready(context).is_ready() || leaves {
                return Poll::Ready(Ok(()));
            }
            alarm.poll(context, deadline).map(|()| Err(Late))
        })
        .await
    }

    /// Waits until there is something to read from the client.
    pub(crate) async fn readable_by(&mut self, deadline: Instant) -> Result<(), Late> {
        let (client, alarm) = (&self.client, &mut self.alarm);
        poll_fn(|context| {
            // An error is a kind of readiness: the read will tell it.
            if client.poll_read_ready(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            alarm.poll(context, deadline).map(|()| Err(Late))
        })
        .await
    }

    /// Writes all of the output to the client, as long as it takes some within the limit.
    pub(crate) async fn flush(&mut self) -> Result<(), Late> {
        let mut written = 0;
        loop {
            let rest = &self.output[written..];
            let wrote = if rest.is_empty() {
                self.client.try_flush().map(|()| 0)
            } else {
                self.client.try_write(rest)
            };
            match wrote {
                Ok(_) if rest.is_empty() => break,
                Ok(count) => {
                    written += count;
                    self.note(|record| record.sent(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.writable().await.is_ok() => (),
                Err(_) => {
                    self.note(|record| record.abort(Aborted::Client));
                    return Err(Late);
                }
            }
        }
        self.output.clear();
        Ok(())
    }

    /// Notes something about the request, if anybody wants to know.
    pub(crate) fn note(&mut self, note: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            note(record);
        }
    }

    pub(crate) async fn writable(&mut self) -> Result<(), Late> {
        let deadline = Instant::now() + self.pool.config.body_timeout;
        let (client, alarm) = (&self.client, &mut self.alarm);
        poll_fn(|context| {
            if client.poll_write_ready(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            alarm.poll(context, deadline).map(|()| Err(Late))
        })
        .await
    }

    /// Refuses a request that breaks a rule.
    pub(crate) async fn reject(&mut self, reject: Reject) -> Next {
        self.pool.count(|counters| counters.refused += 1);
        self.output.clear();
        reject.write_response(&mut self.output);
        self.note_own_answer();
        self.close_after_flush().await
    }

    /// Notes the answer that lies in the output, if it is noted at all.
    fn note_own_answer(&mut self) {
        let Some(record) = &mut self.record else { return };
        let head = memchr::memmem::find(&self.output, b"\r\n\r\n").map_or(0, |end| end + 4);
        // `HTTP/1.1 503 `: the status stands behind the version.
        let status = self.output.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        record.answered(status.unwrap_or_default(), head);
    }

    /// Tells about a request that is over. Where none was, nothing is.
    fn tell_access(&mut self) {
        let Some(record) = &mut self.record else { return };
        if let Some(log) = &self.pool.config.access
            && record.is_of_a_request()
        {
            record.tell(log, self.text.as_ref().map(ClientText::address), self.client.scheme());
        }
        record.clear();
    }

    /// Answers in Stead's own name; the connection goes on if the whole request has been read.
    pub(crate) async fn say(&mut self, answer: Answer<'_>, request: &Request) -> Next {
        let keep_alive = request.keep_alive && request.body.is_done() && !self.is_closing();
        self.output.clear();
        let head = request.kind == RequestMethodKind::Head;
        answer.write(&AnswerTo { head, version: request.version, keep_alive }, &mut self.output);
        if let Some(id) = &request.id {
            insert_field("X-Request-Id", id.as_str().as_bytes(), &mut self.output);
        }
        self.note_own_answer();
        if !keep_alive {
            return self.close_after_flush().await;
        }
        if self.flush().await.is_ok() { Next::Request } else { Next::Close }
    }

    /// Answers end their connections: nobody is there for the next request, or it is to come to another process.
    pub(crate) fn is_closing(&self) -> bool {
        let way_out = &self.lane.way_out;
        let stays_behind = !self.client.is_movable() && way_out.is_open();
        self.service.closing.load(Ordering::Relaxed) || way_out.is_blocked() || stays_behind
    }

    /// Answers in the place of a worker. Where the client is sent elsewhere, the place stands where a worker's head would.
    async fn reply(&mut self, reply: Reply, request: &Request) -> Next {
        let location = std::mem::take(&mut self.wire.bytes);
        let location = String::from_utf8_lossy(&location);
        let answer = reply.answer(&location);
        if answer.location.is_none() {
            self.pool.count(|counters| counters.refused += 1);
        }
        self.say(answer, request).await
    }

    async fn meet_challenge(&mut self) -> Next {
        let text = self.challenge.take().unwrap_or_default();
        self.output.clear();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nCache-Control: no-store\r\n";
        let length = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", text.len());
        self.output.extend_from_slice([head, &length, &text].concat().as_bytes());
        self.close_after_flush().await
    }

    pub(crate) async fn say_and_close(&mut self, answer: Answer<'_>) -> Next {
        self.output.clear();
        answer
            .write(&AnswerTo { head: false, version: Version::Http11, keep_alive: false }, &mut self.output);
        self.note_own_answer();
        self.close_after_flush().await
    }

    /// Closing at once while the client still sends would reset the connection and take the answer with it.
    pub(crate) async fn close_after_flush(&mut self) -> Next {
        if self.flush().await.is_err() {
            return Next::Close;
        }
        self.client.linger().await;
        Next::Close
    }
}

/// Whether clients leave when nothing of them is under way. Those of a listener that was closed before have nowhere to go.
fn may_leave(service: &Service, way_out: &WayOut) -> bool {
    way_out.is_open() && !service.closing.load(Ordering::Relaxed)
}

/// The other side did not do its part in time, or is gone: there is nobody to tell.
#[derive(Debug)]
pub(crate) struct Late;
