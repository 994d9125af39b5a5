//! Shared values that a command computes: once for the app, however many workers it has, and never two runs at once. A run that
//! fails leaves the last value as it was, and is told when it is the first to fail.

use std::sync::Arc;

use serde_json::Value;
use stead_messages::{Change, Limits, Member};
use stead_supervisor::WorkerId;
use tokio::task::JoinHandle;

use super::super::app::AppTask;
use super::super::errand::{Errand, ErrandError};
use super::super::message::Message;
use super::{Exchange, limits};
use crate::cli;
use crate::config::{AppSettings, SharedCommand};

/// A value that is computed; no longer when it is dropped.
pub(crate) struct Computing(JoinHandle<()>);

impl Drop for Computing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AppTask {
    /// A worker of this app, among those of all.
    pub(in super::super) fn member(&self, worker: WorkerId) -> Member {
        Member { app: self.id, worker }
    }

    /// Makes itself known to those who send messages.
    pub(in super::super) fn introduce(&self) {
        let inbox = self.inbox.clone();
        // An app that has ended has no log any more.
        let say = Arc::new(move |text| drop(inbox.send(Message::Say(text))));
        let user = self.settings.identity.uid;
        let AppSettings { name, messages, .. } = self.settings.as_ref();
        self.shared.exchange.know(self.id, (name, messages), (user, say));
    }

    /// Has computed what the settings say, and nothing else.
    pub(in super::super) fn compute(&mut self) {
        self.computing.clear();
        if self.rests {
            return;
        }
        let start = |command: &SharedCommand| {
            let errand = Errand {
                shared: Arc::clone(&self.shared),
                settings: Arc::clone(&self.settings),
                command: command.command.clone(),
                variables: vec![("STEAD_SHARED", command.name.clone())],
                timeout: command.timeout,
                outlet: None,
            };
            let source = Source { app: self.id, command: command.clone(), errand, inbox: self.inbox.clone() };
            Computing(tokio::spawn(source.run()))
        };
        self.computing = self.settings.messages.shared.iter().map(start).collect();
    }
}

struct Source {
    app: u32,
    command: SharedCommand,
    errand: Errand,
    inbox: tokio::sync::mpsc::UnboundedSender<Message>,
}

impl Source {
    async fn run(self) {
        let exchange = Arc::clone(&self.errand.shared.exchange);
        let Limits { message_bytes_max, .. } = limits(&self.errand.settings.messages);
        let mut failing = false;
        while !self.inbox.is_closed() {
            let outcome = match self.errand.clone().output(message_bytes_max).await {
                Ok(printed) => exchange.set_computed(self.app, &self.command.name, value_of(&printed)),
                Err(error @ (ErrandError::Failed { .. } | ErrandError::TooLong { .. })) => {
                    Err(error.to_string())
                }
                Err(error) => Err(cli::in_one_line(&error)),
            };
            let name = &self.command.name;
            let text = match (&outcome, failing) {
                (Err(reason), false) => Some(format!("shared value `{name}` was not computed: {reason}")),
                (Ok(()), true) => Some(format!("shared value `{name}` is computed again")),
                _ => None,
            };
            if let Some(text) = text {
                // An app that has ended meanwhile does not mind.
                drop(self.inbox.send(Message::Say(text)));
            }
            failing = outcome.is_err();
            tokio::time::sleep(self.command.every).await;
        }
    }
}

/// JSON, or else a text without the end of its last line.
fn value_of(printed: &[u8]) -> Value {
    serde_json::from_slice(printed).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(printed);
        let text =
            text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&text);
        Value::from(text)
    })
}

impl Exchange {
    /// A value that is the same as before is not told again.
    fn set_computed(&self, app: u32, name: &str, value: Value) -> Result<(), String> {
        self.act(|board, turn| {
            let known = board.values(app).and_then(|values| values.get(name));
            if known.is_some_and(|known| known.data == value) {
                return Ok(());
            }
            let shared = board.share((app, name), Change { data: Some(value), if_version: None }, turn);
            shared.map(drop).map_err(|fault| fault.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_command_prints_is_json_or_text() {
        let check = |printed: &str, expected: Value| {
            assert_eq!(value_of(printed.as_bytes()), expected, "{printed:?}");
        };
        check("42\n", json!(42));
        check("{\"users\": [1]}\n", json!({"users": [1]}));
        check("forty two\n", json!("forty two"));
        check("two\nlines\r\n", json!("two\nlines"));
        check("", json!(""));
    }
}
