//! One request: tries it on workers until one has answered, or until the rules of replay say that it may not be tried
//! again. The driver of `replay.rs`; the way of an answer to the client is in `respond.rs`.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::access::Aborted;
use crate::connection::{Connection, Next, Request};
use crate::endpoint::{Endpoint, Road};
use crate::http::{Answer, Reject, write_timeout};
use crate::pool::{Lease, NoWorker};
use crate::replay::{Bounds, Death, Ending, History, Permission, Verdict};
use crate::request_body::Wire;
use crate::schedule::Ask;
use crate::upstream::Upstream;

/// How often a request that its worker has not read looks whether it has by now, or whether another is free.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a chunked body is waited for before a worker gets its beginning.
const CHUNKED_PATIENCE: Duration = Duration::from_millis(100);
/// When to try again after a 503: no sooner than this, and no later than that.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Up to this size a request that went out in one write is read by a worker in one piece, so that an unread rest means an
/// unread whole. Node.js reads 64 KiB at a time and the kernel splits above 32 KiB; of other programs only a page is assumed.
const WHOLE_BYTES_MAX_HANDED: usize = 32 * 1024;
const WHOLE_BYTES_MAX: usize = 4 * 1024;
/// A rest up to this size goes out behind the first piece at once: the kernel's bookkeeping for it (768 bytes for each 32 KiB,
/// measured) is less than the first piece, so that the two can be weighed against each other. A longer one waits until the
/// first piece has been read.
const SECOND_PIECE_BYTES_MAX: usize = 128 * 1024;

/// How a try ended.
pub(crate) enum Try {
    /// The client has its answer, or is gone.
    Done(Next),
    /// The worker failed it.
    Failed(Failure),
    /// The worker did not take it; a free one does.
    Moved(Lease),
    /// The rest of the request broke a rule.
    Refused(Reject),
    /// The worker did not answer in time.
    AnswerLate,
    /// The client did not send the rest in time.
    BodyLate,
}

/// A failed try.
pub(crate) struct Failure {
    pub(crate) ending: Ending,
    pub(crate) committed: bool,
    reused: bool,
    lease: Lease,
}

/// A try under way. In a box, because it goes from hand to hand, and each hand would have room for it in every connection, the
/// idle ones too.
pub(crate) struct Attempt {
    pub(crate) lease: Lease,
    pub(crate) upstream: Upstream,
    pub(crate) write_failed: bool,
    /// The kernel took no more; when it does, the worker has read some.
    blocked: bool,
    /// The worker has been sent the first piece alone: the rest follows when it has read that.
    probing: bool,
    /// What the kernel held for the worker after the last write, if the request is more than a worker reads at once.
    held_bytes: u32,
    client_ended: bool,
    pub(crate) progress_at: Instant,
    look_at: Instant,
}

enum Woke {
    /// The worker sent something, took something or can be sent more.
    Worker,
    Taken,
    Client,
    Deadline,
}

impl Attempt {
    fn new(lease: Lease, upstream: Upstream, move_after: Duration) -> Self {
        let since = lease.since();
        Self {
            lease,
            upstream,
            write_failed: false,
            blocked: false,
            probing: false,
            held_bytes: 0,
            client_ended: false,
            progress_at: since,
            look_at: since + move_after,
        }
    }

    pub(crate) fn failed(self, ending: Ending, committed: bool) -> Try {
        Try::Failed(Failure { ending, committed, reused: self.upstream.reused, lease: self.lease })
    }

    /// From now on it counts when the worker reads, if that can be known.
    fn wrote(&mut self) {
        if !self.lease.endpoint.tells_taken() || self.blocked {
            self.lease.taken();
        } else if !self.lease.is_taken() {
            self.upstream.stream.forget_writable();
        }
    }

    pub(crate) fn client_has_ended(&self) -> bool {
        self.client_ended
    }

    /// How much of a request this worker reads in one piece.
    fn whole_bytes_max(&self) -> usize {
        match self.lease.endpoint.road {
            _ if self.lease.endpoint.http2 => 0,
            Road::Handed(_) => WHOLE_BYTES_MAX_HANDED,
            Road::Unix(_) => WHOLE_BYTES_MAX,
            Road::Tcp(_) => 0,
        }
    }

    /// The worker has read some of the request, which is as good as all: a program may take its time with a long body.
    fn has_been_read(&self) -> bool {
        let stream = &self.upstream.stream;
        stream.is_taken() || stream.unread_bytes() < self.held_bytes
    }

    /// `count` bytes were written after others. The kernel's bookkeeping makes each weigh more than it is, never less: if it now
    /// holds less than before and these together, the worker has read some.
    fn weigh(&mut self, count: usize) {
        let held = self.upstream.stream.unread_bytes();
        if held < self.held_bytes.saturating_add(u32::try_from(count).unwrap_or(u32::MAX)) {
            self.lease.taken();
        }
        self.held_bytes = held;
    }

    /// Whether the worker has still to read the first piece.
    fn waits_for_first_read(&mut self) -> bool {
        if self.probing && (self.lease.is_taken() || self.upstream.stream.is_taken()) {
            self.probing = false;
            self.lease.taken();
        }
        self.probing
    }

    /// Nothing of the request is left that would stand before the next one on this connection.
    pub(crate) fn is_through(&self, wire: &Wire) -> bool {
        let sent = !self.write_failed && wire.unsent().is_empty();
        let one_piece = wire.went_whole(self.whole_bytes_max());
        sent && (one_piece || !self.lease.endpoint.tells_taken() || self.upstream.stream.is_taken())
    }

    /// Ready once the worker has read everything. The socket tells by turning writable; each time it does, the kernel is
    /// asked whether anything is left.
    fn poll_taken(&self, context: &mut Context<'_>) -> Poll<()> {
        while self.upstream.stream.poll_write_ready(context).is_ready() {
            if self.upstream.stream.is_taken() {
                return Poll::Ready(());
            }
            self.upstream.stream.forget_writable();
        }
        Poll::Pending
    }
}

impl Connection<'_> {
    /// Answers one request, whatever it takes.
    pub(crate) async fn exchange(&mut self, request: &mut Request) -> Next {
        match self.read_small_body(request).await {
            Ok(()) => (),
            Err(refused) => return self.conclude(refused, request).await,
        }
        let config = &self.pool.config;
        let bounds = Bounds { poison_deaths_max: config.poison_deaths_max, replays_max: config.replays_max };
        let mut history = History::new(bounds);
        let mut deaths = Vec::new();
        let mut ask = Ask { place: request.place, ..Ask::default() };
        loop {
            let lease = match self.lease(ask, request).await {
                Ok(lease) => lease,
                Err(reason) => return self.unavailable(reason, request).await,
            };
            let failure = match self.try_until_settled(lease, request, ask.replay).await {
                Try::Failed(failure) => failure,
                settled => return self.conclude(settled, request).await,
            };
            let (endpoint, death) = self.autopsy(&failure).await;
            let permission = Permission {
                idempotent: request.idempotent,
                kept: self.wire.is_kept(),
                committed: failure.committed,
            };
            let deaths_before = history.deaths();
            let verdict = history.judge(failure.ending, death, permission);
            if history.deaths() > deaths_before {
                deaths.push(endpoint.id);
            }
            match verdict {
                Verdict::Replay => ask = Ask { avoid: Some(endpoint.id), replay: true, lone: false, ..ask },
                Verdict::ReplayAlone => ask = Ask { lone: true, replay: true, avoid: None, ..ask },
                Verdict::Poison => {
                    self.pool.poisoned(self.wire.head(), request.body.bytes(), deaths);
                    let text = "this request made several workers die and is not tried again";
                    return self.say(Answer::bad_gateway(text), request).await;
                }
                Verdict::Fail => return self.fail(request).await,
                Verdict::Cut => {
                    self.pool.count(|counters| counters.failed += 1);
                    self.note(|record| record.abort(Aborted::Worker));
                    return Next::Close;
                }
            }
        }
    }

    /// A worker for the next try. None is had for a client that waits no longer: it would work for nobody.
    async fn lease(&mut self, ask: Ask, request: &Request) -> Result<Lease, NoWorker> {
        let asked = self.record.is_some().then(Instant::now);
        let lease = match request.deadline {
            None => self.pool.lease(ask).await,
            Some(deadline) => {
                let ask = Ask { until: Some(deadline.at), ..ask };
                let lease = tokio::time::timeout_at(deadline.at.into(), self.pool.lease(ask)).await;
                lease.ok().filter(|_| Instant::now() < deadline.at).unwrap_or(Err(NoWorker::Expired))
            }
        };
        self.note(|record| record.wait += asked.map_or(Duration::ZERO, |asked| asked.elapsed()));
        lease
    }

    /// Bodies small enough to be kept are read before a worker is bothered: a slow client cannot hold one. One of unknown length
    /// gets a moment only, for its sender may wait for an answer to its beginning.
    async fn read_small_body(&mut self, request: &mut Request) -> Result<(), Try> {
        let kept_max = self.pool.config.replay_body_bytes_max as u64;
        request.body.advance(&mut self.input, &mut self.wire).map_err(Try::Refused)?;
        if request.expect_continue || request.body.known_rest().is_some_and(|rest| rest > kept_max) {
            return Ok(());
        }
        let patience = request.body.known_rest().is_none().then(|| Instant::now() + CHUNKED_PATIENCE);
        while !request.body.is_done() && request.body.bytes() <= kept_max {
            match self.client.try_read(&mut self.input) {
                Ok(0) => return Err(Try::Done(Next::Close)),
                Ok(_) => request.body.advance(&mut self.input, &mut self.wire).map_err(Try::Refused)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let deadline = patience.unwrap_or_else(|| Instant::now() + self.pool.config.body_timeout);
                    if self.readable_by(deadline).await.is_err() {
                        return if patience.is_some() { Ok(()) } else { Err(Try::BodyLate) };
                    }
                }
                Err(_) => return Err(Try::Done(Next::Close)),
            }
        }
        Ok(())
    }

    async fn conclude(&mut self, settled: Try, request: &Request) -> Next {
        match settled {
            Try::Done(next) => next,
            Try::Refused(reject) => self.reject(reject).await,
            Try::BodyLate => {
                self.pool.count(|counters| counters.refused += 1);
                let text = "the body of the request did not come in time";
                self.say_and_close(Answer::request_timeout(text)).await
            }
            Try::AnswerLate => {
                self.pool.count(|counters| counters.failed += 1);
                self.say(Answer::gateway_timeout("the worker did not answer in time"), request).await
            }
            Try::Failed(_) | Try::Moved(_) => unreachable!("these are not ends"),
        }
    }

    async fn fail(&mut self, request: &Request) -> Next {
        self.pool.count(|counters| counters.failed += 1);
        let text = "the worker died or closed the connection, and the request may not be sent again";
        self.say(Answer::bad_gateway(text), request).await
    }

    async fn unavailable(&mut self, reason: NoWorker, request: &Request) -> Next {
        self.pool.count(|counters| counters.refused += 1);
        let text = match reason {
            NoWorker::Expired => {
                let text = "no worker was ready before the time was over that the client gave";
                return self.say(Answer::gateway_timeout(text), request).await;
            }
            NoWorker::Full => "too many requests wait for a worker",
            NoWorker::Late => "no worker was ready in time",
            NoWorker::Overloaded => "the workers have more to do than they can in time",
        };
        // Who comes back before the queue of now is gone finds the next one.
        let wait = self.pool.expected_wait().unwrap_or_default().clamp(RETRY_AFTER, RETRY_AFTER_MAX);
        self.say(Answer::unavailable(text, wait), request).await
    }

    /// Learns whether the worker died, and how. A kept connection that the worker closed under an unread request is
    /// nobody's failure.
    async fn autopsy(&mut self, failure: &Failure) -> (Arc<Endpoint>, Death) {
        let endpoint = Arc::clone(&failure.lease.endpoint);
        if failure.reused && failure.ending != Ending::MaybeRead {
            return (endpoint, Death::None);
        }
        let death = endpoint.autopsy().await;
        (endpoint, death)
    }

    async fn try_until_settled(&mut self, lease: Lease, request: &mut Request, mut fresh: bool) -> Try {
        let mut lease = lease;
        loop {
            match self.try_once(lease, request, fresh).await {
                Try::Moved(other) => lease = other,
                Try::Failed(mut failure) => {
                    let blamed = !failure.reused || failure.ending == Ending::MaybeRead;
                    failure.lease.failed(blamed);
                    return Try::Failed(failure);
                }
                settled => return settled,
            }
            fresh = true;
        }
    }

    async fn try_once(&mut self, lease: Lease, request: &mut Request, fresh: bool) -> Try {
        self.answer.clear();
        self.wire.rewind();
        self.note(|record| record.tried(Some(lease.endpoint.slot)));
        if let Some(deadline) = request.deadline {
            let left = deadline.at.saturating_duration_since(lease.since());
            let left = left.min(self.pool.config.answer_timeout);
            write_timeout(&mut self.wire.bytes[deadline.told_at..], left);
        }
        // Where it cannot be proven that a request was not read, one that may not run twice gets a new connection.
        let fresh = fresh || !(request.idempotent || lease.endpoint.tells_taken() || lease.endpoint.http2);
        let kept = if fresh { None } else { self.lane.upstreams.take(&lease.endpoint, lease.since()) };
        let upstream = match kept {
            Some(upstream) => upstream,
            None => match self.lane.upstreams.connect(&lease.endpoint, self.address).await {
                Ok(upstream) => upstream,
                Err(_) => {
                    return Try::Failed(Failure {
                        ending: Ending::NeverSent,
                        committed: false,
                        reused: false,
                        lease,
                    });
                }
            },
        };
        let attempt = Box::new(Attempt::new(lease, upstream, self.pool.config.move_after));
        self.go_on(attempt, request).await
    }

    /// Sends what there is to send until the worker answers.
    pub(crate) async fn go_on(&mut self, mut attempt: Box<Attempt>, request: &mut Request) -> Try {
        loop {
            if let Err(reject) = request.body.advance(&mut self.input, &mut self.wire) {
                return Try::Refused(reject);
            }
            if self.send(&mut attempt).is_err() {
                return attempt.failed(Ending::NeverSent, false);
            }
            match attempt.upstream.stream.try_read(&mut self.answer) {
                Ok(0) if attempt.client_ended => return Try::Done(Next::Close),
                Ok(0) => return attempt.failed(Ending::MaybeRead, false),
                Ok(_) => match self.respond(attempt, request).await {
                    Ok(unanswered) => attempt = unanswered,
                    Err(settled) => return settled,
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(error) => {
                    let ending = self.ending(&attempt, error.kind());
                    return attempt.failed(ending, false);
                }
            }
            attempt = match self.wait_for_answer(attempt, request).await {
                Ok(attempt) => attempt,
                Err(settled) => return settled,
            };
        }
    }

    /// Writes what the worker has not been sent. An error means that it got nothing at all; if it got a part, reading
    /// will tell how that ended.
    pub(crate) fn send(&mut self, attempt: &mut Attempt) -> Result<(), ()> {
        let whole_bytes_max = attempt.whole_bytes_max();
        if attempt.held_bytes > 0 && !attempt.lease.is_taken() && attempt.has_been_read() {
            attempt.lease.taken();
        }
        while !attempt.write_failed && !self.wire.unsent().is_empty() && !attempt.waits_for_first_read() {
            let is_first = self.wire.is_untouched() && whole_bytes_max > 0;
            match attempt.upstream.stream.try_write(self.wire.next_piece(whole_bytes_max)) {
                Ok(count) => {
                    self.wire.wrote(count, self.pool.config.replay_body_bytes_max);
                    attempt.wrote();
                    attempt.probing = is_first && self.wire.unsent().len() > SECOND_PIECE_BYTES_MAX;
                    if !attempt.lease.is_taken() && !self.wire.went_whole(whole_bytes_max) {
                        attempt.weigh(count);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    attempt.blocked = true;
                    break;
                }
                Err(_) if self.wire.is_untouched() => return Err(()),
                Err(_) => attempt.write_failed = true,
            }
        }
        if attempt.client_ended && self.wire.unsent().is_empty() {
            attempt.upstream.stream.finish_writing();
        }
        Ok(())
    }

    /// What the end of an upstream connection without a byte of an answer proves.
    fn ending(&self, attempt: &Attempt, error: ErrorKind) -> Ending {
        let unread = error == ErrorKind::ConnectionReset && self.wire.went_whole(attempt.whole_bytes_max());
        // The second is what a worker says of itself, in HTTP/2.
        if unread || error == ErrorKind::ConnectionRefused { Ending::Unread } else { Ending::MaybeRead }
    }

    /// Waits for something to happen, and does what follows from it.
    async fn wait_for_answer(
        &mut self,
        mut attempt: Box<Attempt>,
        request: &mut Request,
    ) -> Result<Box<Attempt>, Try> {
        let deadline = self.deadline(&attempt, request);
        let next_look = if attempt.lease.is_taken() { deadline } else { deadline.min(attempt.look_at) };
        match self.wait(&attempt, request, next_look).await {
            Woke::Worker => (),
            Woke::Taken => attempt.lease.taken(),
            Woke::Client => self.hear_client(&mut attempt, request)?,
            Woke::Deadline => return self.pass_deadline(attempt, request),
        }
        Ok(attempt)
    }

    fn deadline(&self, attempt: &Attempt, request: &Request) -> Instant {
        let body_timeout = self.pool.config.body_timeout;
        let patience = if request.body.is_done() { request.answer_timeout } else { body_timeout };
        let by_patience = attempt.progress_at + patience;
        request.deadline.map_or(by_patience, |deadline| deadline.at.min(by_patience))
    }

    fn may_move(&self, attempt: &Attempt, request: &Request) -> bool {
        request.safe
            && request.body.is_done()
            && self.wire.is_kept()
            && !(attempt.lease.is_alone() || attempt.lease.is_bound())
    }

    async fn wait(&mut self, attempt: &Attempt, request: &Request, deadline: Instant) -> Woke {
        let (client, alarm) = (&self.client, &mut self.alarm);
        let upstream = &attempt.upstream.stream;
        let unsent = !self.wire.unsent().is_empty() && !attempt.write_failed && !attempt.probing;
        let hear_client = if request.body.is_done() {
            !attempt.client_ended && self.input.len() < self.pool.config.head.head_bytes_max
        } else {
            self.wire.wants_more()
        };
        poll_fn(|context| {
            if upstream.poll_read_ready(context).is_ready() {
                return Poll::Ready(Woke::Worker);
            }
            if unsent {
                if upstream.poll_write_ready(context).is_ready() {
                    return Poll::Ready(Woke::Worker);
                }
            } else if !attempt.lease.is_taken() && attempt.poll_taken(context).is_ready() {
                return Poll::Ready(Woke::Taken);
            }
            if hear_client && client.poll_read_ready(context).is_ready() {
                return Poll::Ready(Woke::Client);
            }
            alarm.poll(context, deadline).map(|()| Woke::Deadline)
        })
        .await
    }

    /// More of the body, the next request in the pipeline, or the client's end, which is passed on: the worker then does
    /// what it would do if the client were connected to it.
    fn hear_client(&mut self, attempt: &mut Attempt, request: &Request) -> Result<(), Try> {
        match self.client.try_read(&mut self.input) {
            Ok(0) if request.body.is_done() => attempt.client_ended = true,
            Ok(0) => return Err(Try::Done(Next::Close)),
            Ok(_) => {
                if !request.body.is_done() {
                    attempt.progress_at = Instant::now();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(_) => return Err(Try::Done(Next::Close)),
        }
        Ok(())
    }

    fn pass_deadline(&mut self, mut attempt: Box<Attempt>, request: &Request) -> Result<Box<Attempt>, Try> {
        let now = Instant::now();
        if now >= self.deadline(&attempt, request) {
            let is_clients_turn = !request.body.is_done() && self.wire.wants_more();
            return Err(if is_clients_turn { Try::BodyLate } else { Try::AnswerLate });
        }
        if attempt.has_been_read() {
            attempt.lease.taken();
        } else if self.may_move(&attempt, request)
            && let Some(other) = self.pool.lease_free(attempt.lease.endpoint.id)
        {
            tokio::task::spawn_local(outlast(attempt));
            return Err(Try::Moved(other));
        }
        // It may have begun to read before it was looked at, and wait for the rest.
        attempt.probing = false;
        attempt.look_at = now + LOOK_AGAIN;
        Ok(attempt)
    }
}

/// Stays with a request that was moved away until the worker takes it or ends, so that the schedule knows how long this
/// worker has been taking nothing.
async fn outlast(mut attempt: Box<Attempt>) {
    let endpoint = Arc::clone(&attempt.lease.endpoint);
    tokio::select! {
        biased;
        // An answer, which nobody waits for any more, or the end of the connection.
        _ = poll_fn(|context| attempt.upstream.stream.poll_read_ready(context)) => (),
        () = poll_fn(|context| attempt.poll_taken(context)) => attempt.lease.taken(),
        _ = endpoint.death() => (),
    }
}
