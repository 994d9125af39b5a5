//! What is told about each request once it is over: [`AccessLog`], and the record that a connection fills in meanwhile.
//!
//! How it is written and where is for whoever takes it. Nothing is noted while nobody does.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::http::{self, Scheme, Version};

/// Takes what is told about requests. Called on a lane, so it must not wait.
pub trait AccessLog: Send + Sync {
    /// A request is over.
    fn log(&self, entry: &AccessEntry<'_>);
}

/// An [`AccessLog`] that pools share.
#[derive(Clone)]
pub struct AccessTo(pub Arc<dyn AccessLog>);

impl fmt::Debug for AccessTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTo")
    }
}

/// Who ended a request before its answer was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aborted {
    /// The client went away, or did not read its answer.
    Client,
    /// The worker ended in the middle of its answer.
    Worker,
}

/// A request that is over. Texts are as they came, without any escaping; what is not known is `None`.
#[derive(Clone, Copy, Debug)]
pub struct AccessEntry<'a> {
    /// When its head had come, or the end of one that never became whole.
    pub at: SystemTime,
    /// The address of the client: its own, or what the last trusted proxy says.
    pub client: Option<&'a [u8]>,
    /// How the client reached us.
    pub scheme: Scheme,
    /// `None` for what was refused before it was understood, and so are the next four.
    pub method: Option<&'a [u8]>,
    /// Path and query, as the worker gets them.
    pub target: Option<&'a [u8]>,
    /// The host that was asked for.
    pub host: Option<&'a [u8]>,
    /// What the client speaks.
    pub protocol: Option<Protocol>,
    /// `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
    /// What it was answered; nothing if no answer had begun.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent, framing included.
    pub bytes_out: u64,
    /// From the whole head to the last byte of the answer.
    pub duration: Duration,
    /// How much of that it waited for a worker.
    pub wait: Duration,
    /// The slot of the worker that had it last.
    pub slot: Option<u32>,
    /// Workers it was sent to; more than one if it was sent again.
    pub tries: u32,
    /// Its id, if it has one.
    pub request_id: Option<&'a [u8]>,
    /// The trace it belongs to, if any.
    pub trace_id: Option<&'a [u8]>,
    /// Who ended it before it was complete.
    pub aborted: Option<Aborted>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1(Version),
    /// HTTP/2, in which each request is a stream.
    Http2,
}

/// Texts of a request that outlive its head.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Client,
    Method,
    Target,
    Host,
    UserAgent,
    Referer,
    RequestId,
    TraceId,
}

const PARTS: usize = Part::TraceId as usize + 1;

/// What a connection notes of its present request.
#[derive(Debug)]
pub(crate) struct Record {
    text: Vec<u8>,
    parts: [Option<Range<usize>>; PARTS],
    began: Instant,
    protocol: Option<Protocol>,
    status: Option<u16>,
    /// Of the answer.
    head_bytes: u64,
    bytes_in: u64,
    sent: u64,
    pub(crate) wait: Duration,
    slot: Option<u32>,
    tries: u32,
    aborted: Option<Aborted>,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            text: Vec::new(),
            parts: [const { None }; PARTS],
            began: Instant::now(),
            protocol: None,
            status: None,
            head_bytes: 0,
            bytes_in: 0,
            sent: 0,
            wait: Duration::ZERO,
            slot: None,
            tries: 0,
            aborted: None,
        }
    }

    /// The next request; of the one before nothing is left but memory.
    pub(crate) fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = Self { text, ..Self::new() };
    }

    /// Nobody knows when the next one comes.
    pub(crate) fn rest(&mut self) {
        self.text = Vec::new();
    }

    pub(crate) fn put(&mut self, part: Part, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        self.parts[part as usize] = Some(start..self.text.len());
    }

    /// What stands in a head. `trusts`: the last address of `X-Forwarded-For` is the client's.
    pub(crate) fn take_head(&mut self, head: &http::Request<'_, '_>, protocol: Protocol, trusts: bool) {
        self.began = Instant::now();
        self.protocol = Some(protocol);
        self.put(Part::Method, |text| text.extend_from_slice(head.method.as_str().as_bytes()));
        self.put(Part::Target, |text| head.target.write_origin(head.method, text));
        if let Some(host) = head.host {
            self.put(Part::Host, |text| text.extend_from_slice(host));
        }
        for header in head.headers {
            let (part, value) = match header.name.len() {
                7 if header.name.eq_ignore_ascii_case("referer") => (Part::Referer, header.value),
                10 if header.name.eq_ignore_ascii_case("user-agent") => (Part::UserAgent, header.value),
                15 if trusts && header.name.eq_ignore_ascii_case("x-forwarded-for") => {
                    let last = header.value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                    (Part::Client, last.trim_ascii())
                }
                _ => continue,
            };
            self.put(part, |text| text.extend_from_slice(value));
        }
    }

    /// What it is called, and the trace that it belongs to.
    pub(crate) fn take_names(&mut self, id: Option<&str>, trace_id: Option<&str>) {
        for (part, name) in [(Part::RequestId, id), (Part::TraceId, trace_id)] {
            if let Some(name) = name {
                self.put(part, |text| text.extend_from_slice(name.as_bytes()));
            }
        }
    }

    /// The head of an answer of so many bytes is about to be sent.
    pub(crate) fn answered(&mut self, status: u16, head_bytes: usize) {
        self.status = Some(status);
        self.head_bytes = head_bytes as u64;
        self.sent = 0;
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.sent += count as u64;
    }

    /// It is sent to a worker; what another has begun to answer is forgotten.
    pub(crate) fn tried(&mut self, slot: Option<u32>) {
        (self.status, self.sent) = (None, 0);
        self.slot = slot;
        self.tries += 1;
    }

    pub(crate) fn received(&mut self, bytes: u64) {
        self.bytes_in = bytes;
    }

    /// The first who ends it has ended it.
    pub(crate) fn abort(&mut self, by: Aborted) {
        self.aborted.get_or_insert(by);
    }

    /// Whether there was a request, or something that was answered as one.
    pub(crate) fn is_of_a_request(&self) -> bool {
        self.protocol.is_some() || self.status.is_some()
    }

    /// It is refused, perhaps before it was known to be a request.
    pub(crate) fn refused(&mut self) {
        if self.protocol.is_none() {
            self.began = Instant::now();
        }
    }

    /// Tells it. `client` is what is known of the address of the connection.
    pub(crate) fn tell(&mut self, log: &AccessTo, client: Option<&str>, scheme: Scheme) {
        // Nothing of an answer has reached the client before its first byte has.
        self.status.take_if(|_| self.sent == 0);
        if self.status.is_none() {
            self.abort(Aborted::Client);
        }
        let part = |part: Part| self.parts[part as usize].clone().map(|range| &self.text[range]);
        let duration = self.began.elapsed();
        let now = SystemTime::now();
        log.0.log(&AccessEntry {
            at: now.checked_sub(duration).unwrap_or(now),
            client: part(Part::Client).or(client.map(str::as_bytes)),
            scheme,
            method: part(Part::Method),
            target: part(Part::Target),
            host: part(Part::Host),
            protocol: self.protocol,
            user_agent: part(Part::UserAgent),
            referer: part(Part::Referer),
            status: self.status,
            bytes_in: self.bytes_in,
            bytes_out: self.sent.saturating_sub(self.head_bytes),
            duration,
            wait: self.wait,
            slot: self.slot,
            tries: self.tries,
            request_id: part(Part::RequestId),
            trace_id: part(Part::TraceId),
            aborted: self.aborted,
        });
    }
}
