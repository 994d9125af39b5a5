//! The limits and choices of one listener's traffic. No defaults here: they stand in the binary's defaults file.

use std::time::Duration;

use crate::access::AccessTo;
use crate::affinity::Affinity;
use crate::http::Limits;
use crate::outlier::Ejection;
use crate::pick::{Policy, Terms};
use crate::proxy_protocol::{ProxyFrom, ProxyVersion};

/// Everything that bounds or steers how requests reach workers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Size limits of a request's head.
    pub head: Limits,
    /// Largest request body, in bytes; a larger one is answered 413.
    pub body_bytes_max: u64,
    /// Bodies up to this size are read whole before a worker is chosen, and kept for a replay.
    pub replay_body_bytes_max: usize,
    /// Answers of known length up to this size are read whole before the first byte goes to the client.
    pub small_answer_bytes_max: usize,
    /// Time a client has to send a request's head, from its first byte on.
    pub header_timeout: Duration,
    /// Longest pause between two reads of a request's body or two writes of an answer.
    pub body_timeout: Duration,
    /// Time a kept-alive client connection may stay without a request.
    pub idle_timeout: Duration,
    /// Time a worker has from the whole request to the head of its answer; then 504.
    pub answer_timeout: Duration,
    /// Client connections at a time over all listeners of the app; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Requests that may wait for a worker; more are answered 503.
    pub held_requests_max: usize,
    /// Longest wait for a worker; then 503.
    pub hold_timeout: Duration,
    /// Longest wait that a request may expect where workers are busy; a longer one is answered 503 at once.
    pub queue_wait_max: Duration,
    /// Requests in flight per worker.
    pub in_flight_max: u32,
    /// Time an upstream connection is kept without a request, unless the worker announced a shorter one.
    pub upstream_idle: Duration,
    /// Upper bound of the window of requests a worker may hold without having read them.
    pub untaken_max: u32,
    /// A worker that takes requests within this time gets a larger window, one that does not a smaller one.
    pub taken_within: Duration,
    /// A safe request that its worker has not taken after this time goes to a free worker.
    pub move_after: Duration,
    /// A worker that has not taken a request for this long is wedged.
    pub wedged_after: Duration,
    /// Deaths a request may cause before it is poison; the last try is alone on its worker.
    pub poison_deaths_max: u32,
    /// Tries beyond the first, whatever the reasons of failure.
    pub replays_max: u32,
    /// Whether `X-Forwarded-*` and `Forwarded` of clients are believed and extended.
    pub trust_forwarded: bool,
    /// Who begins with a header of the PROXY protocol.
    pub proxy_from: ProxyFrom,
    /// In which form a worker is told by that protocol who the client is, where whole connections are carried to it.
    pub send_proxy: Option<ProxyVersion>,
    /// Whether each request gets an id, which the worker and the client are told in `X-Request-Id`.
    pub request_id: bool,
    /// Whether a trace begins here for a request that belongs to none.
    pub starts_traces: bool,
    /// Who is told about each request once it is over.
    pub access: Option<AccessTo>,
    /// Time in which the share of a worker that joins others grows from nothing to that of the others.
    pub slow_start: Option<Duration>,
    /// Requests that one HTTP/2 connection of a client may have under way; 0: HTTP/2 is not spoken.
    pub http2_streams_max: u32,
    /// Workers are spoken to in HTTP/2, without TLS (prior knowledge).
    pub upstream_http2: bool,
    /// How a worker is chosen.
    pub policy: Policy,
    /// What each slot may get of it.
    pub terms: Terms,
    /// What ties a request to a worker before the policy is asked.
    pub affinity: Affinity,
    /// When a worker is taken out for what its requests have shown.
    pub ejection: Ejection,
}
