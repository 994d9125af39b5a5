//! Brings a worker's answer to the client.
//!
//! A small answer of known length is read whole before its first byte goes out, so that a worker's death in the middle of
//! it can still be made good by another, and so that a slow client does not hold the worker. Streams pass as they come.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::access::Aborted;
use crate::connection::{Connection, Late, Next, Request};
use crate::exchange::{Attempt, Try};
use crate::http::{
    BadResponse, CHUNK_END, ChunkedReader, Downstream, Framing, HeaderSpace, LAST_CHUNK, Piece, PieceKind,
    Reject, ResponseBody, Version, insert_field, parse_response, write_chunk_head,
};
use crate::passage::Passage;
use crate::replay::Ending;
use crate::stream::Stream;
use crate::tunnel::{self, Tunnel};
use crate::upstream::keep_for;

/// The head of an answer, once it is written for the client.
struct Head {
    status: u16,
    body: ResponseBody,
    framing: Framing,
    /// The client's connection goes on.
    keep_client: bool,
    /// The worker's connection goes on.
    keep_worker: bool,
    keep_alive_timeout: Option<Duration>,
}

enum Begin {
    Informational(u16),
    Upgrade,
    Final(Head),
}

/// What came of reading from a worker in the middle of an answer.
enum Read {
    Some,
    End,
    Broken,
    /// Or it sends no more of a body that it has begun, while the answer streams.
    ClientGone,
    /// The rest of the request broke a rule.
    Refused(Reject),
    Cut,
    Late,
}

impl Read {
    /// How the try ended, if the client has got nothing yet.
    fn before_the_answer(self, attempt: Attempt) -> Try {
        match self {
            Read::ClientGone => Try::Done(Next::Close),
            Read::Refused(reject) => Try::Refused(reject),
            Read::Late => Try::AnswerLate,
            Read::Some | Read::End | Read::Broken | Read::Cut => attempt.failed(Ending::MaybeRead, false),
        }
    }
}

impl Connection<'_> {
    /// The worker has begun to answer. Gives the attempt back if that was not the answer yet.
    pub(crate) async fn respond(
        &mut self,
        mut attempt: Box<Attempt>,
        request: &mut Request,
    ) -> Result<Box<Attempt>, Try> {
        attempt.lease.taken();
        loop {
            match self.begin(request, attempt.lease.endpoint.slot) {
                Ok(Some(Begin::Final(head))) => return Err(self.finish(attempt, request, head).await),
                Ok(Some(Begin::Upgrade)) => {
                    // In a box, because other connections need not have the room.
                    return Err(Box::pin(self.upgrade(attempt, request)).await);
                }
                Ok(Some(Begin::Informational(status))) => {
                    let wanted = status != 100 || request.expect_continue;
                    if wanted && request.version == Version::Http11 && self.flush().await.is_err() {
                        return Err(Try::Done(Next::Close));
                    }
                    self.output.clear();
                    attempt.progress_at = Instant::now();
                    if self.answer.is_empty() {
                        return Ok(attempt);
                    }
                }
                Ok(None) => match self.read_worker(&mut attempt, request, None).await {
                    Read::Some => (),
                    other => return Err(other.before_the_answer(*attempt)),
                },
                Err(_) => return Err(self.bad_answer(request).await),
            }
        }
    }

    /// Writes the head for the client if it is whole. `slot`: who answers.
    fn begin(&mut self, request: &Request, slot: u32) -> Result<Option<Begin>, BadResponse> {
        let closing = self.is_closing();
        let mut space = HeaderSpace::new();
        let limits = &self.pool.config.head;
        let Some(head) = parse_response(self.answer.unused(), limits, request.kind, &mut space)? else {
            return Ok(None);
        };
        let framing = Framing::for_stream(head.body, request.version);
        let keep_client =
            request.keep_alive && request.body.is_done() && !closing && framing != Framing::CloseDelimited;
        let informational = head.informational || head.upgrade;
        let context =
            Downstream { client: request.version, keep_alive: keep_client || informational, framing };
        self.output.clear();
        head.write_downstream(&context, &mut self.output);
        let is_last = head.upgrade || !head.informational;
        if let Some(id) = &request.id
            && !head.informational
            && !head.names_request()
        {
            insert_field("X-Request-Id", id.as_str().as_bytes(), &mut self.output);
        }
        let affinity = &self.pool.config.affinity;
        if let Some(sticky) = affinity.sticky.as_ref().filter(|_| is_last && request.place.is_new_to(slot)) {
            sticky.set(slot, self.client.scheme(), &mut self.output);
        }
        let begin = if head.upgrade {
            Begin::Upgrade
        } else if head.informational {
            Begin::Informational(head.status)
        } else {
            Begin::Final(Head {
                status: head.status,
                body: head.body,
                framing,
                keep_client,
                keep_worker: head.keep_alive,
                keep_alive_timeout: head.keep_alive_timeout,
            })
        };
        let (status, head_bytes) = (head.status, head.head_bytes);
        if !matches!(begin, Begin::Informational(_)) {
            let written = self.output.len();
            self.note(|record| record.answered(status, written));
        }
        self.answer.consume(head_bytes);
        Ok(Some(begin))
    }

    async fn finish(&mut self, attempt: Box<Attempt>, request: &mut Request, head: Head) -> Try {
        let length = match head.body {
            ResponseBody::None => Some(0),
            ResponseBody::Length(length) => usize::try_from(length).ok(),
            ResponseBody::Chunked | ResponseBody::UntilClose => None,
        };
        match length {
            Some(length) if length <= self.pool.config.small_answer_bytes_max => {
                self.finish_small(attempt, request, (head, length)).await
            }
            _ => self.stream(attempt, request, head).await,
        }
    }

    async fn finish_small(
        &mut self,
        mut attempt: Box<Attempt>,
        request: &mut Request,
        (head, length): (Head, usize),
    ) -> Try {
        while self.answer.len() < length {
            match self.read_worker(&mut attempt, request, None).await {
                Read::Some => (),
                other => return other.before_the_answer(*attempt),
            }
        }
        self.output.extend_from_slice(&self.answer.unused()[..length]);
        self.answer.consume(length);
        self.release(*attempt, request, &head);
        Try::Done(self.end(request, &head).await)
    }

    /// Passes a long or endless body on as it comes.
    async fn stream(&mut self, mut attempt: Box<Attempt>, request: &mut Request, head: Head) -> Try {
        let mut body = Streamed::new(head.body, head.framing);
        loop {
            if self.drain(&mut body).await.is_err() {
                return Try::Done(Next::Close);
            }
            match body.advance(&mut self.answer, &mut self.output) {
                Ok(done) => {
                    if done {
                        self.release(*attempt, request, &head);
                        return Try::Done(self.end(request, &head).await);
                    }
                }
                Err(_) => return attempt.failed(Ending::MaybeRead, true),
            }
            if self.flush().await.is_err() {
                return Try::Done(Next::Close);
            }
            body.splice(&self.client, &attempt.upstream.stream);
            match self.read_worker(&mut attempt, request, Some(&mut body)).await {
                Read::Some => self.answer.widen_if_full(),
                Read::End if head.body == ResponseBody::UntilClose => body.end(&mut self.output),
                // Half an answer cannot be taken back to say what is wrong with the request.
                Read::ClientGone | Read::Refused(_) => {
                    self.note(|record| record.abort(Aborted::Client));
                    return Try::Done(Next::Close);
                }
                Read::End | Read::Broken | Read::Cut | Read::Late => {
                    return attempt.failed(Ending::MaybeRead, true);
                }
            }
        }
    }

    /// Passes on what the kernel holds of the body, as long as the client takes some within the limit.
    async fn drain(&mut self, body: &mut Streamed) -> Result<(), Late> {
        let State::Spliced(passage) = &mut body.state else { return Ok(()) };
        while let Some(client) = self.client.plain() {
            let held = passage.held();
            let drained = passage.drain(client);
            self.note(|record| record.sent(held - passage.held()));
            match drained {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.writable().await.is_ok() => (),
                Err(_) => break,
            }
        }
        self.note(|record| record.abort(Aborted::Client));
        Err(Late)
    }

    /// Sends the end of the answer. A client that still sends must not be cut off before it has read it.
    async fn end(&mut self, request: &Request, head: &Head) -> Next {
        if !head.keep_client && !request.body.is_done() {
            return self.close_after_flush().await;
        }
        match self.flush().await {
            Ok(()) if head.keep_client => return Next::Request,
            Ok(()) => self.client.part(),
            Err(_) => (),
        }
        Next::Close
    }

    /// The worker is done with this request.
    fn release(&mut self, mut attempt: Attempt, request: &Request, head: &Head) {
        let now = Instant::now();
        attempt.lease.answered(now, request.began);
        // Bytes beyond the answer belong to nothing that was asked, and a rest of this request would begin the next.
        let whole = request.body.is_done() && attempt.is_through(&self.wire);
        let clean = whole && self.answer.is_empty() && !attempt.client_has_ended();
        self.answer.clear();
        if head.keep_worker && clean && head.body != ResponseBody::UntilClose && head.status != 101 {
            let for_time = keep_for(head.keep_alive_timeout, self.pool.config.upstream_idle);
            let endpoint = std::sync::Arc::clone(&attempt.lease.endpoint);
            self.lane.upstreams.keep(&endpoint, attempt.upstream, now + for_time);
        }
    }

    async fn bad_answer(&mut self, request: &Request) -> Try {
        self.pool.count(|counters| counters.failed += 1);
        let text = "the worker's answer is not valid HTTP/1.1";
        let next = self.say(crate::http::Answer::bad_gateway(text), request).await;
        Try::Done(next)
    }

    async fn upgrade(&mut self, attempt: Box<Attempt>, request: &Request) -> Try {
        attempt.lease.served();
        if self.flush().await.is_err() {
            return Try::Done(Next::Close);
        }
        let tunnel = Tunnel {
            client: &self.client,
            worker: &attempt.upstream.stream,
            upward: std::mem::take(&mut self.input),
            downward: std::mem::take(&mut self.answer),
            endpoint: &attempt.lease.endpoint,
            websocket: request.websocket,
            idle_timeout: self.pool.config.idle_timeout,
            kept_bytes_max: None,
        };
        tunnel::carry(tunnel, &mut self.alarm).await;
        Try::Done(Next::Close)
    }

    /// Reads more from the worker, and meanwhile passes on what is left of the request: the worker may want that first. While a
    /// stream passes, the client's end is heard, the pauses of its body are measured, and so is the worker's grace.
    async fn read_worker(
        &mut self,
        attempt: &mut Attempt,
        request: &mut Request,
        mut streamed: Option<&mut Streamed>,
    ) -> Read {
        let streaming = streamed.is_some();
        let endpoint = std::sync::Arc::clone(&attempt.lease.endpoint);
        let cut = endpoint.cut_off();
        tokio::pin!(cut);
        // Where a fast worker meets a fast client nothing here ever waits, but others on this lane do.
        tokio::task::coop::consume_budget().await;
        loop {
            if let Err(reject) = request.body.advance(&mut self.input, &mut self.wire) {
                return Read::Refused(reject);
            }
            // A worker that wants no more of the request may still answer it.
            attempt.write_failed |= self.send(attempt).is_err();
            let worker = &attempt.upstream.stream;
            let read = match (&mut streamed, worker.plain()) {
                (Some(Streamed { state: State::Spliced(passage), .. }), Some(worker)) => passage.fill(worker),
                _ => worker.try_read(&mut self.answer),
            };
            match read {
                Ok(0) => return Read::End,
                Ok(_) => return Read::Some,
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(_) => return Read::Broken,
            }
            let body_awaited = streaming && !request.body.is_done() && self.wire.wants_more();
            let patience = if body_awaited { self.pool.config.body_timeout } else { request.answer_timeout };
            let mut deadline = Instant::now() + patience;
            if let Some(client) = request.deadline
                && !streaming
            {
                deadline = deadline.min(client.at);
            }
            let hear_client = if request.body.is_done() {
                streaming && self.input.len() < self.pool.config.head.head_bytes_max
            } else {
                self.wire.wants_more()
            };
            let write = !self.wire.unsent().is_empty() && !attempt.write_failed;
            let (client, worker, alarm) = (&self.client, &attempt.upstream.stream, &mut self.alarm);
            let stopped = poll_fn(|context| {
                if worker.poll_read_ready(context).is_ready()
                    || (write && worker.poll_write_ready(context).is_ready())
                    || (hear_client && client.poll_read_ready(context).is_ready())
                {
                    return Poll::Ready(None);
                }
                if streaming && cut.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Some(Read::Cut));
                }
                match (streaming, body_awaited) {
                    (true, false) => Poll::Pending,
                    (true, true) => alarm.poll(context, deadline).map(|()| Some(Read::ClientGone)),
                    (false, _) => alarm.poll(context, deadline).map(|()| Some(Read::Late)),
                }
            })
            .await;
            if let Some(read) = stopped {
                return read;
            }
            if hear_client && self.has_client_ended() {
                return Read::ClientGone;
            }
        }
    }

    /// Reads what the client has sent, if anything.
    fn has_client_ended(&mut self) -> bool {
        match self.client.try_read(&mut self.input) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// A body on its way through.
struct Streamed {
    state: State,
    framing: Framing,
}

enum State {
    Length(u64),
    Chunked { reader: ChunkedReader, trailers: Vec<u8> },
    UntilClose { ended: bool },
    Spliced(Passage),
}

impl Streamed {
    fn new(body: ResponseBody, framing: Framing) -> Self {
        let state = match body {
            ResponseBody::None => State::Length(0),
            ResponseBody::Length(length) => State::Length(length),
            ResponseBody::Chunked => State::Chunked { reader: ChunkedReader::new(), trailers: Vec::new() },
            ResponseBody::UntilClose => State::UntilClose { ended: false },
        };
        Self { state, framing }
    }

    /// The worker has closed, which is how this body ends.
    fn end(&mut self, output: &mut Vec<u8>) {
        if let State::UntilClose { ended } = &mut self.state {
            *ended = true;
            if self.framing == Framing::Chunked {
                output.extend_from_slice(LAST_CHUNK);
            }
        }
    }

    /// Lets the kernel move what is still to come, where that pays. Nothing may have been read beyond what was moved.
    fn splice(&mut self, client: &Stream, worker: &Stream) {
        if let State::Length(rest) = self.state
            && client.plain().and(worker.plain()).is_some()
            && let Some(passage) = Passage::new(rest)
        {
            self.state = State::Spliced(passage);
        }
    }

    /// Moves what has come to the client's bytes. `true`: that was all.
    fn advance(
        &mut self,
        answer: &mut crate::buffer::Buffer,
        output: &mut Vec<u8>,
    ) -> Result<bool, crate::http::ChunkedError> {
        match &mut self.state {
            State::Length(rest) => {
                let length = answer.len().min(usize::try_from(*rest).unwrap_or(usize::MAX));
                output.extend_from_slice(&answer.unused()[..length]);
                answer.consume(length);
                *rest -= length as u64;
                Ok(*rest == 0)
            }
            State::Spliced(passage) => Ok(passage.is_over()),
            State::UntilClose { ended } => {
                if !answer.is_empty() {
                    put(self.framing, answer.unused(), output);
                    answer.clear();
                }
                Ok(*ended)
            }
            State::Chunked { reader, trailers } => loop {
                let Piece { consumed, kind } = reader.next(answer.unused(), trailers)?;
                let more = match kind {
                    PieceKind::Data(range) => {
                        put(self.framing, &answer.unused()[range], output);
                        None
                    }
                    PieceKind::NeedMore => Some(false),
                    PieceKind::End => {
                        if self.framing == Framing::Chunked {
                            output.extend_from_slice(&LAST_CHUNK[..3]);
                            output.extend_from_slice(trailers);
                            output.extend_from_slice(CHUNK_END);
                        }
                        Some(true)
                    }
                };
                answer.consume(consumed);
                if let Some(done) = more {
                    return Ok(done);
                }
            },
        }
    }
}

fn put(framing: Framing, data: &[u8], output: &mut Vec<u8>) {
    if framing == Framing::Chunked {
        write_chunk_head(data.len(), output);
        output.extend_from_slice(data);
        output.extend_from_slice(CHUNK_END);
    } else {
        output.extend_from_slice(data);
    }
}
