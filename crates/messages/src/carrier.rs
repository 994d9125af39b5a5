//! What the switchboard needs of whoever drives it.

use std::time::Instant;

use serde_json::Value;

use crate::{AppId, Fault, Member, Note};

/// Carries what the switchboard decides. Nothing here may wait.
pub trait Carrier {
    /// Gives a parcel to one worker, or says why not.
    fn deliver(&mut self, to: Member, parcel: &Parcel<'_>) -> Delivery;

    /// Answers a question from outside, by the number it was asked with. Whoever asked may have gone.
    fn answer(&mut self, call: u64, answer: Answer);

    /// Keeps what must outlive this process. Called before anybody is told of it.
    fn note(&mut self, note: &Note);

    /// A line for the log of an app.
    fn say(&mut self, app: AppId, text: String);
}

/// What the switchboard is given whenever something happens: the time, and who carries what follows.
#[derive(Debug)]
pub struct Turn<'a, C> {
    /// When it happens.
    pub now: Instant,
    /// Carries what follows.
    pub carrier: &'a mut C,
}

/// Something for a worker.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// How important it is.
    pub kind: Kind,
    /// The whole of it: `{"stead": {..}, "data": ..}`.
    pub envelope: &'a Value,
}

/// What a parcel is, which decides how full a worker's queue may be for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message or a question: as long as the worker's queue is below its limits.
    Message,
    /// An answer, or who leads: up to twice the limits, because somebody waits for it.
    Answer,
    /// A shared value: only if nothing waits, because the next value makes this one worthless.
    Value,
}

/// What became of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is on its way.
    Done,
    /// There is no room for it.
    Full,
    /// The worker takes no messages: it has no channel, and no stream is open.
    Absent,
}

/// The answer to a question: from whom, and what; or why there is none.
pub type Answer = Result<(String, Value), Fault>;
