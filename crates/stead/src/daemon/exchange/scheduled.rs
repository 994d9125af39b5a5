//! Messages of schedules: each for exactly one ready worker that listens, over its channel or its stream.

use serde_json::Value;
use stead_messages::{Address, AppId, Outcome, Post, Sender};

use super::Exchange;

/// What such a message comes from.
const SCHEDULE: &str = "schedule";
/// There may be no ready worker, or one without a channel and without a stream.
const NOBODY_LISTENS: &str =
    "no ready worker listens; Node.js programs do by themselves, others by a stream of messages";

impl Exchange {
    /// Tells one worker of an app.
    ///
    /// # Errors
    /// Why nobody could be told, in words.
    pub(in super::super) fn tell_one(&self, app: AppId, (topic, data): (&str, &Value)) -> Result<(), String> {
        let sender = Sender::of_app(app, SCHEDULE.to_owned());
        let (topic, data) = (Some(topic.to_owned()), data.clone());
        let post = Post { to: Address::Any, topic, include_self: false, data, timeout: None };
        let sent = self.act(|board, turn| {
            let sent = board.send(&sender, post, turn);
            // Nobody is held up: the clock does not say more than there is room for.
            turn.carrier.slow = None;
            sent
        });
        match sent {
            Ok(Outcome { receivers: 0, .. }) => Err("no ready worker reads its messages".to_owned()),
            Ok(_) => Ok(()),
            Err(fault) if fault.code == "no_receiver" => Err(NOBODY_LISTENS.to_owned()),
            Err(fault) => Err(fault.message),
        }
    }
}
