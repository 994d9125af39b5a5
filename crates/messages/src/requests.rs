//! Questions that wait for their answer. Each has one receiver, which alone may answer, and ends with an answer, the death of the
//! receiver, or its time; it is never asked twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Member;
use crate::note::Waiting;

/// Names a question: which process of ours passed it on, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) u32, pub(crate) u64);

/// Who asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asker {
    /// A worker, and by what it knows its question.
    Worker(Member, Value),
    /// Somebody who waits for the answer to a call.
    Call(u64),
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) asker: Asker,
    pub(crate) receiver: Member,
    deadline: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<Token, Request>,
    deadlines: BTreeSet<(Instant, Token)>,
}

impl Token {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (process, number) = text.split_once('-')?;
        Some(Self(process.parse().ok()?, number.parse().ok()?))
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.0, self.1)
    }
}

impl Requests {
    pub(crate) fn add(&mut self, token: Token, (asker, receiver): (Asker, Member), deadline: Instant) {
        self.waiting.insert(token, Request { asker, receiver, deadline });
        self.deadlines.insert((deadline, token));
    }

    /// The question, if this worker was asked it; it waits no longer.
    pub(crate) fn answered(&mut self, token: Token, by: Member) -> Option<Request> {
        let is_its = self.waiting.get(&token).is_some_and(|request| request.receiver == by);
        if is_its { self.take(token) } else { None }
    }

    pub(crate) fn take(&mut self, token: Token) -> Option<Request> {
        let request = self.waiting.remove(&token)?;
        self.deadlines.remove(&(request.deadline, token));
        Some(request)
    }

    /// When the next one's time is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// One whose time is over.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Request> {
        let (deadline, token) = *self.deadlines.first()?;
        if deadline <= now { self.take(token) } else { None }
    }

    /// Those that the worker was asked or has asked, which is gone.
    pub(crate) fn of(&mut self, member: Member) -> Vec<Request> {
        let is_its = |request: &Request| {
            request.receiver == member
                || matches!(&request.asker, Asker::Worker(asker, _) if *asker == member)
        };
        let tokens: Vec<Token> =
            self.waiting.iter().filter(|(_, request)| is_its(request)).map(|(token, _)| *token).collect();
        tokens.into_iter().filter_map(|token| self.take(token)).collect()
    }

    /// The question that was asked by this call.
    pub(crate) fn find_call(&self, call: u64) -> Option<(Token, Request)> {
        let mut all = self.waiting.iter();
        let found = all.find(|(_, request)| request.asker == Asker::Call(call));
        found.map(|(token, request)| (*token, request.clone()))
    }

    /// How many calls wait.
    pub(crate) fn calls_waiting(&self) -> usize {
        self.waiting.values().filter(|request| matches!(request.asker, Asker::Call(_))).count()
    }

    /// Those asked by calls, which nobody can answer any more.
    pub(crate) fn calls(&mut self) -> Vec<u64> {
        let call = |(token, request): (&Token, &Request)| match request.asker {
            Asker::Call(call) => Some((*token, call)),
            Asker::Worker(..) => None,
        };
        let calls: Vec<(Token, u64)> = self.waiting.iter().filter_map(call).collect();
        calls
            .into_iter()
            .map(|(token, call)| {
                self.take(token);
                call
            })
            .collect()
    }

    /// Those who were asked.
    pub(crate) fn receivers(&self) -> Vec<Member> {
        self.waiting.values().map(|request| request.receiver).collect()
    }

    pub(crate) fn saved(&self, now: Instant) -> Vec<Waiting> {
        let saved = |(token, request): (&Token, &Request)| match &request.asker {
            Asker::Worker(member, id) => Some(Waiting {
                token: (token.0, token.1),
                asker: (*member, id.clone()),
                receiver: request.receiver,
                left: request.deadline.saturating_duration_since(now).as_millis() as u64,
            }),
            Asker::Call(_) => None,
        };
        self.waiting.iter().filter_map(saved).collect()
    }

    pub(crate) fn resume(&mut self, waiting: Waiting, now: Instant) {
        let Waiting { token: (process, number), asker: (asker, id), receiver, left } = waiting;
        let deadline = now + Duration::from_millis(left);
        self.add(Token(process, number), (Asker::Worker(asker, id), receiver), deadline);
    }
}
