//! What each frame of the other side means, and what Node.js expects to be answered at once.
//!
//! Pure but for the descriptors it keeps: who reads from the socket, and who writes the answers, is no matter here.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::{Value, json};

use super::Received;
use crate::node::cluster::{self, FromWorker};
use crate::node::frame::{Decoder, FrameError, Serialization};
use crate::node::message::Message;

/// The `cmd` of a message that carries a descriptor.
pub(crate) const HANDLE: &str = "NODE_HANDLE";
/// Descriptors that arrived before their message was whole. Node.js sends one at a time.
const DESCRIPTORS_AHEAD_MAX: usize = 16;

/// What every word between Node.js and Node.js has in it, in either serialization.
static INTERNAL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"NODE_"));
/// Where it is looked for: `cmd` comes first, so the rest of a large message need not be searched.
const INTERNAL_BYTES: usize = 256;

/// What was read and not understood yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) decoder: Decoder,
    /// In the order of their messages; `None` is one that got lost on the way.
    pub(crate) descriptors: VecDeque<Option<OwnedFd>>,
    serialization: Serialization,
}

/// What is to be done about a frame.
#[derive(Debug)]
pub(crate) enum Step {
    /// To be given out.
    Give(Received<Message>),
    /// To be answered, and then perhaps given out.
    Answer(Value, Option<Received<Message>>),
    /// Whether the next unconfirmed descriptor of ours arrived.
    Confirm(bool),
    /// Nothing: words between other parts of Node.js, such as `NODE_DEBUG_ENABLED`.
    Ignore,
}

impl Incoming {
    pub(crate) fn new(serialization: Serialization, unread: &[u8], descriptors: Vec<OwnedFd>) -> Self {
        let mut decoder = Decoder::new(serialization);
        decoder.push(unread);
        Self { decoder, descriptors: descriptors.into_iter().map(Some).collect(), serialization }
    }

    pub(crate) fn take_descriptors(&mut self, arrived: &mut Vec<OwnedFd>, lost: bool) {
        self.descriptors.extend(arrived.drain(..).map(Some));
        if lost {
            self.descriptors.push_back(None);
        }
        self.descriptors.truncate(DESCRIPTORS_AHEAD_MAX);
    }

    /// The next whole frame; `None` if more has to be read.
    pub(crate) fn step(&mut self) -> Option<Step> {
        let serialization = self.serialization;
        let frame = match self.decoder.next_frame()? {
            Err(error) => return Some(self.malformed(error)),
            Ok(frame) => frame,
        };
        // A descriptor's message that cannot be read must be answered too, so it is looked at closely then.
        if INTERNAL.find(&frame[..frame.len().min(INTERNAL_BYTES)]).is_none() && self.descriptors.is_empty() {
            return Some(Step::Give(Received::Message(Message::of_frame(frame, serialization))));
        }
        let message = Message::of_frame(frame, serialization);
        Some(match message.value() {
            Err(error) => self.malformed(error),
            Ok(value) if internal_command(&value) == Some(HANDLE) => self.handle(&message),
            Ok(value) if internal_command(&value).is_some() => internal(value),
            Ok(_) => Step::Give(Received::Message(message)),
        })
    }

    /// It may have been one with a descriptor, and Node.js sends nothing else before that is answered.
    fn malformed(&mut self, error: FrameError) -> Step {
        let malformed = Received::Malformed(error);
        if self.descriptors.is_empty() {
            return Step::Give(malformed);
        }
        self.descriptors.clear();
        Step::Answer(json!({ "cmd": "NODE_HANDLE_NACK" }), Some(malformed))
    }

    fn handle(&mut self, message: &Message) -> Step {
        let descriptor = self.descriptors.pop_front().flatten();
        let answer = if descriptor.is_some() { "NODE_HANDLE_ACK" } else { "NODE_HANDLE_NACK" };
        let given = descriptor.map(|descriptor| match message.unwrapped() {
            Ok(message) => Received::Handle { message, descriptor },
            Err(error) => Received::Malformed(error),
        });
        Step::Answer(json!({ "cmd": answer }), given)
    }
}

/// What Node.js's own words want, but for those that come with a descriptor.
fn internal(message: Value) -> Step {
    match internal_command(&message).unwrap_or_default() {
        "NODE_HANDLE_ACK" => Step::Confirm(true),
        "NODE_HANDLE_NACK" => Step::Confirm(false),
        cluster::COMMAND => Step::Give(Received::Cluster(FromWorker::parse(message))),
        // A worker that passed a connection to us does not leave before it hears what became of it. Here
        // it became ours.
        "NODE_SOCKET_NOTIFY_CLOSE" => {
            Step::Answer(json!({ "cmd": "NODE_SOCKET_ALL_CLOSED", "key": message["key"] }), None)
        }
        "NODE_SOCKET_GET_COUNT" => {
            Step::Answer(json!({ "cmd": "NODE_SOCKET_COUNT", "key": message["key"], "count": 0 }), None)
        }
        _ => Step::Ignore,
    }
}

/// The command of a message that is Node.js's own and not the program's.
fn internal_command(message: &Value) -> Option<&str> {
    message
        .as_object()?
        .get("cmd")?
        .as_str()
        .filter(|command| command.len() > 5 && command.starts_with("NODE_"))
}
