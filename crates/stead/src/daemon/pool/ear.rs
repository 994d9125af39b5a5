//! Takes what is about tasks out of what a worker says, before anybody else hears it: new tasks from any worker, answers from
//! those of pools.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stead_control::{Fault, TaskRequest};
use stead_jobs::{Input, TaskId, WorkerId};
use stead_messages::Member;
use stead_process::node::{self, Channel, Received, Serialization};

use super::super::exchange::Exchange;
use super::super::message::Message;
use super::driver::{Pool, State};
use super::hand::Speaks;
use super::speech::{self, Envelope, Head, Token, TokenOrFlag};
use super::telling::own_name;
use super::waiting::{Sender, Waiter, Who};
use super::{Register, desk};
use crate::config::PoolSettings;

/// Hears one worker.
pub(in crate::daemon) struct Ear {
    pub(super) pools: Register,
    /// By which it is told when another daemon goes on.
    pub(super) exchange: Arc<Exchange>,
    pub(super) member: Member,
    /// Its own, for messages once it takes part in them.
    pub(super) channel: Channel,
    /// It has given a task before.
    pub(super) spoke: AtomicBool,
    /// The pool that it works for.
    pub(super) pool: Option<Pool>,
}

impl Ear {
    /// Takes it if it is about tasks; gives back everything else. What follows is said by [`Self::end_turn`].
    pub(in crate::daemon) fn hear(
        &self,
        received: Received<node::Message>,
    ) -> Option<Received<node::Message>> {
        match &received {
            Received::Message(message) if self.takes(message) => None,
            _ => Some(received),
        }
    }

    /// Before waiting for anything.
    pub(in crate::daemon) fn end_turn(&self) {
        self.pools.turn().end();
    }

    fn takes(&self, message: &node::Message) -> bool {
        let written;
        let text = match message.serialization() {
            Serialization::Json => message.bytes(),
            Serialization::Advanced => match message.value() {
                Ok(value) => {
                    written = value.to_string();
                    written.as_bytes()
                }
                Err(_) => return false,
            },
        };
        let pool = self.pool.as_ref();
        match speech::open(text) {
            Some(envelope) if envelope.stead.pool.is_some() => {
                self.hear_sender(envelope);
                true
            }
            Some(envelope) => pool.is_some_and(|pool| self.hear_worker(pool, &envelope)),
            None => match speech::misspoken(text) {
                Some((id, error)) => {
                    self.refuse(id, "bad_message", &format!("the task is not understood: {error}"));
                    true
                }
                None => pool.is_some_and(|pool| hear_plain(pool, self.member.worker, text)),
            },
        }
    }

    /// A worker of the pool that has said what it speaks takes part in messages from then on.
    fn hear_worker(&self, pool: &Pool, envelope: &Envelope<'_>) -> bool {
        let worker = self.member.worker;
        let was_plain = envelope.stead.worker == Some(true) && !pool.knows_protocol(worker);
        let heard = hear_worker(pool, worker, envelope);
        if was_plain && pool.knows_protocol(worker) {
            self.exchange.connect(self.member, self.channel.clone());
        }
        heard
    }

    /// Its channel has ended, and all that it said has been heard; it has or has not read all that it was sent.
    pub(in crate::daemon) fn ended(&self, unread: bool) {
        self.pools.disconnect(self.who());
        if let Some(pool) = &self.pool {
            pool.silent(self.member.worker, unread);
        }
    }

    /// Tells the sender of a task why it is not taken.
    fn refuse(&self, id: &RawValue, code: &str, message: &str) {
        let more = format!(",\"error\":{}", speech::error(code, message));
        self.pools.say(self.who(), &speech::tell(id, "refused", &more, None));
    }

    fn who(&self) -> Who {
        (self.member.app, self.member.worker)
    }

    fn hear_sender(&self, Envelope { stead, data }: Envelope<'_>) {
        let name = stead.pool.as_deref().unwrap_or_default();
        let Some(id) = stead.task.or(stead.cancel) else { return };
        let refuse = |code: &str, message: &str| self.refuse(id, code, message);
        let pool = match self.pools.named(name) {
            Ok(pool) => pool,
            Err(Fault { code, message, hint }) => {
                return refuse(&code, &[message, hint.unwrap_or_default()].join("; "));
            }
        };
        if !self.spoke.swap(true, Ordering::Relaxed) {
            self.exchange.spoke(self.member);
        }
        // The same again from the same process is the same task.
        let own = own_name(self.pools.instance(), self.who(), id);
        if stead.task.is_none() {
            return pool.within_turn(|state| match state.engine.named(&own) {
                Some(task) => state.engine.handle(Instant::now(), Input::Cancel { task }),
                None => refuse("unknown_task", "there is no such task"),
            });
        }
        let sender = Sender {
            who: self.who(),
            id: id.to_owned(),
            wants_progress: stead.progress == Some(TokenOrFlag::Flag(true)),
            wants_parts: stead.parts,
            parts: 0,
        };
        let request = TaskRequest {
            input: payload(data),
            id: Some(own),
            key: stead.key,
            priority: stead.priority,
            timeout: stead.timeout.map(Duration::from_millis),
            retries: stead.retries,
            durable: stead.durable,
            wait: true,
        };
        let submitted = pool.within_turn(|state| {
            let task = desk::accept(state, name, request)?;
            state.wait(task, Waiter::Worker(sender));
            Ok(())
        });
        if let Err(fault) = submitted {
            let fault: Fault = fault;
            refuse(&fault.code, &fault.message);
        }
    }
}

fn payload(data: Option<&RawValue>) -> Bytes {
    data.map_or(Bytes::from_static(b"null"), |data| Bytes::copy_from_slice(data.get().as_bytes()))
}

/// A worker of a pool speaks its protocol. Tells whether that was understood.
fn hear_worker(pool: &Pool, worker: WorkerId, Envelope { stead, data }: &Envelope<'_>) -> bool {
    let now = Instant::now();
    pool.within_turn(|state| {
        match stead {
            Head { worker: Some(true), concurrency, .. } => state.learn(worker, concurrency.unwrap_or(1)),
            Head { done: Some(Token(task)), .. } => state.done(worker, *task, payload(*data)),
            Head { failed: Some(Token(task)), .. } => {
                let (task, error) = (*task, failure(stead.error));
                let retry = stead.retry.unwrap_or(true);
                state.engine.handle(now, Input::Failed { worker, task, error, retry });
            }
            Head { progress: Some(TokenOrFlag::Token(task)), .. } => {
                if let (true, Some(data)) = (state.engine.holds(worker, *task), data) {
                    state.waiting.tell_progress(*task, data);
                    state.progress.insert(*task, (*data).to_owned());
                }
            }
            Head { part: Some(Token(task)), .. } => {
                if let (true, Some(data)) = (state.engine.holds(worker, *task), data) {
                    state.waiting.tell_part(*task, data);
                }
            }
            _ => return false,
        }
        true
    })
}

/// A worker that knows nothing of pools says something: it is the result of the task that it has.
fn hear_plain(pool: &Pool, worker: WorkerId, text: &[u8]) -> bool {
    pool.within_turn(|state| {
        let Some(hand) = state.hands.get_mut(&worker) else { return false };
        let Speaks::Plain(given) = &mut hand.speaks else { return false };
        let Some(task) = given.take() else { return false };
        // What is not JSON is a text.
        let is_json = serde_json::from_slice::<&RawValue>(text).is_ok();
        let as_text = || speech::quoted(&String::from_utf8_lossy(text)).into();
        state.done(worker, task, if is_json { Bytes::copy_from_slice(text) } else { as_text() });
        true
    })
}

impl State {
    fn done(&mut self, worker: WorkerId, task: TaskId, result: Bytes) {
        let most = self.settings.task_bytes_max;
        let input = if result.len() as u64 > most {
            let message =
                format!("the result has {} bytes, and {most} are the most (`task_bytes_max`)", result.len());
            Input::Failed { worker, task, error: speech::error("too_large", &message).into(), retry: false }
        } else {
            Input::Done { worker, task, result }
        };
        self.engine.handle(Instant::now(), input);
    }

    /// It speaks the protocol. What it was given plainly it has not understood: it is given that once more.
    fn learn(&mut self, worker: WorkerId, concurrency: u32) {
        let Some(hand) = self.hands.get_mut(&worker) else { return };
        let before = std::mem::replace(
            &mut hand.speaks,
            Speaks::Protocol(concurrency.clamp(1, PoolSettings::CONCURRENCY_MAX)),
        );
        if let Speaks::Plain(Some(task)) = before {
            let attempt = self.engine.view(task).map_or(1, |view| view.attempts);
            self.give(worker, task, attempt);
        }
        self.tell_ready(worker);
        if matches!(before, Speaks::Plain(_)) {
            self.tell_app(Message::Ready { worker });
        }
    }
}

/// Why a task failed, with a code and a message whatever the worker said.
fn failure(told: Option<&RawValue>) -> Bytes {
    let told = told.and_then(|told| serde_json::from_str(told.get()).ok()).unwrap_or(Value::Null);
    let mut error = match told {
        Value::Object(error) => error,
        Value::String(message) => [("message".to_owned(), message.into())].into_iter().collect(),
        _ => serde_json::Map::new(),
    };
    error.entry("code").or_insert_with(|| "failed".into());
    error.entry("message").or_insert_with(|| "its worker did not say why".into());
    json!(error).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_always_has_a_code_and_a_message() {
        let check = |told: Option<&str>, expected: &str| {
            let told = told.map(|told| RawValue::from_string(told.to_owned()).unwrap());
            assert_eq!(failure(told.as_deref()), expected);
        };
        check(None, "{\"code\":\"failed\",\"message\":\"its worker did not say why\"}");
        check(Some("\"no disk\""), "{\"code\":\"failed\",\"message\":\"no disk\"}");
        check(
            Some("{\"code\":\"E1\",\"message\":\"x\",\"name\":\"Error\"}"),
            "{\"code\":\"E1\",\"message\":\"x\",\"name\":\"Error\"}",
        );
        check(Some("7"), "{\"code\":\"failed\",\"message\":\"its worker did not say why\"}");
    }
}
