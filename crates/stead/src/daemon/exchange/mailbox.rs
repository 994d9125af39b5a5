//! How one worker is reached, how much waits for it, and whether it reads.
//!
//! A worker that reads and cannot keep up slows down whoever sends to it: from half of its queue on, its senders wait a moment after
//! each message. One that took nothing in all that time is stalled, nobody waits for it, and what its queue has no room for is dropped.

use serde_json::Value;
use stead_messages::{Delivery, Kind, Limits};
use stead_process::node::{Channel, SendError};

use super::stream::Stream;

/// The way to one worker.
pub(super) struct Mailbox {
    pub(super) pid: u32,
    pub(super) limits: Limits,
    pub(super) channel: Option<Channel>,
    /// Goes before the channel: it was asked for.
    pub(super) stream: Option<Stream>,
    /// Parcels that were put in.
    sent: u64,
    /// It has stopped reading, when it had taken so many.
    stalled: Option<u64>,
}

impl Mailbox {
    pub(super) fn new(pid: u32, limits: Limits) -> Self {
        Self { pid, limits, channel: None, stream: None, sent: 0, stalled: None }
    }

    pub(super) fn put(&mut self, kind: Kind, envelope: &Value) -> Delivery {
        let Some(backlog) = self.backlog() else { return Delivery::Absent };
        if !has_room(kind, backlog, &self.limits) {
            return Delivery::Full;
        }
        let delivery = match (&self.stream, &self.channel) {
            (Some(stream), _) if stream.send(envelope) => Delivery::Done,
            (Some(_), _) => Delivery::Full,
            (None, Some(channel)) => match channel.send(envelope) {
                Ok(()) => Delivery::Done,
                Err(SendError::Full) => Delivery::Full,
                Err(
                    SendError::Closed | SendError::Descriptor(_) | SendError::Message(_) | SendError::Line,
                ) => Delivery::Absent,
            },
            (None, None) => Delivery::Absent,
        };
        self.sent += u64::from(delivery == Delivery::Done);
        delivery
    }

    /// How many parcels it has taken, if so many wait that its senders had better wait too.
    pub(super) fn lag(&mut self) -> Option<u64> {
        let (messages, bytes) = self.backlog()?;
        let taken = self.sent.saturating_sub(messages as u64);
        self.stalled = self.stalled.filter(|stalled| *stalled == taken);
        let is_much = messages > self.limits.queue_max / 2 || bytes > self.limits.queue_bytes_max / 2;
        (is_much && self.stalled.is_none()).then_some(taken)
    }

    /// It was waited for long enough since it had taken so many.
    pub(super) fn judge(&mut self, before: u64) {
        self.stalled = self.lag().filter(|taken| *taken == before);
    }

    /// Messages and bytes that wait; nothing if it cannot be reached.
    fn backlog(&mut self) -> Option<(usize, usize)> {
        self.stream = self.stream.take().filter(Stream::is_open);
        match (&self.stream, &self.channel) {
            (Some(stream), _) => Some(stream.backlog()),
            (None, channel) => channel.as_ref().map(Channel::backlog),
        }
    }
}

fn has_room(kind: Kind, (messages, bytes): (usize, usize), limits: &Limits) -> bool {
    let times = match kind {
        Kind::Value => return messages == 0,
        Kind::Message => 1,
        Kind::Answer => 2,
    };
    messages < limits.queue_max.saturating_mul(times) && bytes < limits.queue_bytes_max.saturating_mul(times)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    /// With room for 4 messages.
    fn mailbox() -> (Mailbox, tokio::sync::mpsc::Receiver<stead_control::Heard>) {
        let limits = Limits {
            message_bytes_max: 1000,
            queue_max: 4,
            queue_bytes_max: 10_000,
            timeout: Duration::ZERO,
            shared_bytes_max: 0,
        };
        let (stream, events) = Stream::open(8);
        let mut mailbox = Mailbox::new(1, limits);
        mailbox.stream = Some(stream);
        (mailbox, events)
    }

    #[test]
    fn answers_have_room_where_messages_have_none_and_values_only_where_nothing_waits() {
        let (mut mailbox, _events) = mailbox();
        assert_eq!(mailbox.put(Kind::Value, &json!({})), Delivery::Done);
        assert_eq!(mailbox.put(Kind::Value, &json!({})), Delivery::Full);
        for expected in [Delivery::Done, Delivery::Done, Delivery::Done, Delivery::Full] {
            assert_eq!(mailbox.put(Kind::Message, &json!({})), expected);
        }
        assert_eq!(mailbox.put(Kind::Answer, &json!({})), Delivery::Done);
        mailbox.stream = None;
        assert_eq!(mailbox.put(Kind::Answer, &json!({})), Delivery::Absent);
    }

    #[test]
    fn large_messages_fill_a_queue_by_their_bytes() {
        let (mut mailbox, _events) = mailbox();
        let large = json!("x".repeat(6000));
        let outcomes = [(); 3].map(|()| mailbox.put(Kind::Message, &large));
        assert_eq!(outcomes, [Delivery::Done, Delivery::Done, Delivery::Full]);
    }

    #[test]
    fn senders_wait_for_a_worker_that_reads_and_not_for_one_that_does_not() {
        let (mut mailbox, mut events) = mailbox();
        for _ in 0..2 {
            mailbox.put(Kind::Message, &json!({}));
            assert_eq!(mailbox.lag(), None, "half of its queue is free");
        }
        mailbox.put(Kind::Message, &json!({}));
        assert_eq!(mailbox.lag(), Some(0));
        events.try_recv().unwrap();
        mailbox.put(Kind::Message, &json!({}));
        mailbox.judge(0);
        assert_eq!(mailbox.lag(), Some(1), "it has taken one meanwhile");
        mailbox.judge(1);
        assert_eq!(mailbox.lag(), None, "it took nothing");
        events.try_recv().unwrap();
        mailbox.put(Kind::Message, &json!({}));
        assert_eq!(mailbox.lag(), Some(2), "it reads again");
    }
}
