//! Messages between the workers of all apps: joins the room of messages to channels, streams, clocks and the keeper.
//!
//! One switchboard for the whole instance, behind one lock that is never held over a wait. Apps tell it who there is; what workers
//! say goes to it straight from their channels, so that whoever says a lot waits for itself and not in the inbox of its app.
//!
//! | file | does |
//! |---|---|
//! | `mod.rs` | what apps tell, and the clock |
//! | `post.rs` | carries what was decided: to channels, streams, calls, the log |
//! | `mailbox.rs` | how one worker is reached, and whether it reads |
//! | `stream.rs` | what waits for a worker that listens over HTTP |
//! | `journal.rs` | keeps what must outlive the daemon |
//! | `messenger.rs` | what workers ask for over the API |
//! | `compute.rs` | shared values that a command computes |
//! | `scheduled.rs` | what schedules tell |

mod compute;
mod journal;
mod mailbox;
mod messenger;
mod post;
mod scheduled;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use stead_messages::{AppId, Concern, Limits, Member, Note, Switchboard, Turn, concern_of};
use stead_process::keeper::Keeper;
use stead_process::node::{Channel, Received};
use tokio::sync::Notify;

pub(super) use self::compute::Computing;
use self::journal::Journal;
use self::post::{PostOffice, Say, Subscriber};
use super::held::Held;
use crate::config::MessageSettings;

/// How often it is looked whether a worker that does not keep up has read enough, and how many times: together the longest that one
/// message makes its sender wait.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS_MAX: u32 = 100;
/// As often it is looked whether the channel of a dead worker has ended: something that it had started may hold it open.
const LAST_WORDS_LOOKS_MAX: u32 = 50;

/// The messages of one instance.
pub(super) struct Exchange {
    state: Mutex<State>,
    /// Rung when the clock has to be looked at earlier than it was set for.
    sooner: Notify,
}

pub(super) struct State {
    board: Switchboard,
    post: PostOffice,
    /// For when the clock is set.
    alarm: Option<Instant>,
    /// The daemon before this one died; the workers that may have lost something with it are told.
    after_death: bool,
    /// Another daemon goes on with all this.
    over: bool,
    /// What the daemon before this one could not deliver any more.
    parked: Vec<(Member, Value)>,
}

impl Exchange {
    /// Goes on with what the daemon before this one left, if there was one.
    pub(super) fn open(keeper: &Keeper, held: &mut Held, daemon_starts: u32) -> Self {
        let (journal, notes) = Journal::open(keeper, held);
        let mut board = Switchboard::new(daemon_starts);
        let mut parked = Vec::new();
        let mut after_death = !notes.is_empty();
        for mut note in notes {
            if let Note::HandedOver { parked: left, .. } = &mut note {
                parked = std::mem::take(left);
                after_death = false;
            }
            board.restore(note, Instant::now());
        }
        let post = PostOffice::new(journal);
        let state = State { board, post, alarm: None, after_death, over: false, parked };
        Self { state: Mutex::new(state), sooner: Notify::new() }
    }

    /// There is an app, or it has other settings by now.
    pub(super) fn know(
        &self,
        app: AppId,
        (name, settings): (&str, &MessageSettings),
        (user, say): (Option<u32>, Say),
    ) {
        self.with(|state| {
            let limits = limits(settings);
            state.board.add_app(app, name, limits);
            state.post.know(app, Subscriber { limits, user, say });
        });
    }

    /// An app is gone.
    pub(super) fn forget(&self, app: AppId) {
        self.with(|state| {
            state.board.remove_app(app, &mut state.post);
            state.post.forget(app);
        });
    }

    /// A worker was started, or goes on.
    pub(super) fn join(&self, member: Member, slot: u32, pid: u32) {
        self.with(|state| {
            state.board.join(member, slot);
            state.post.join(member, pid);
        });
    }

    /// A worker can be sent messages over its channel.
    pub(super) fn connect(&self, member: Member, channel: Channel) {
        self.with(|state| {
            state.post.connect(member, channel);
            state.opened(member);
        });
    }

    /// A worker's channel has ended.
    pub(super) fn disconnect(&self, member: Member) {
        self.with(|state| state.post.disconnect(member));
    }

    /// A worker gets requests, or for now no longer.
    pub(super) fn set_ready(&self, member: Member, ready: bool) {
        self.act(|board, turn| board.set_ready(member, ready, turn));
    }

    /// A worker is to end.
    pub(super) fn leave(&self, member: Member) {
        self.act(|board, turn| board.leave(member, turn));
    }

    /// A worker's process has ended. What it said last may still be in its channel, and is heard first.
    pub(super) fn gone(self: &Arc<Self>, member: Member) {
        let speaks = move |state: &mut State| state.post.has_channel(member);
        if !self.with(speaks) {
            return self.forget_worker(member);
        }
        let exchange = Arc::clone(self);
        tokio::spawn(async move {
            for _ in 0..LAST_WORDS_LOOKS_MAX {
                if !exchange.with(speaks) {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
            exchange.forget_worker(member);
        });
    }

    fn forget_worker(&self, member: Member) {
        self.with(|state| {
            state.post.part(member);
            let (board, mut turn) = state.turn();
            board.gone(member, turn.carrier);
            board.succeed(member.app, &mut turn);
        });
    }

    /// Takes what a worker said if it is an envelope for this room; gives back everything else. Returns when it may say more.
    pub(super) async fn hear(&self, member: Member, received: Received) -> Option<Received> {
        match received {
            Received::Message(message) if concern_of(&message) == Concern::Messages => {
                let slow = self.act(|board, turn| {
                    board.hear(member, message, turn);
                    turn.carrier.slow.take()
                });
                if let Some(slow) = slow {
                    self.give_way(slow).await;
                }
                None
            }
            other => Some(other),
        }
    }

    /// Waits until a worker that does not keep up has read enough, but not for long.
    async fn give_way(&self, slow: Member) {
        let Some(before) = self.with(|state| state.post.lag(slow)) else { return };
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK).await;
            if self.with(|state| state.post.lag(slow)).is_none() {
                return;
            }
        }
        self.with(|state| state.post.judge(slow, before));
    }

    /// A worker has given a task to a pool: it is told when another daemon goes on.
    pub(super) fn spoke(&self, member: Member) {
        self.with(|state| state.board.spoke(member, &mut state.post));
    }

    /// All apps and workers that go on are there.
    pub(super) fn resumed(&self) {
        self.with(|state| {
            let parked = std::mem::take(&mut state.parked);
            let (board, mut turn) = state.turn();
            board.resumed(&mut turn);
            board.deliver_parked(parked, turn.carrier);
            state.after_death = false;
            state.compact();
        });
    }

    /// Nothing is delivered here any more.
    pub(super) fn freeze(&self) {
        self.with(|state| state.board.freeze(&mut state.post));
    }

    /// Leaves everything to the next daemon.
    pub(super) fn hand_over(&self) {
        self.with(|state| {
            let note = state.board.hand_over(Instant::now());
            state.post.journal.leave(&note);
            state.over = true;
        });
    }

    /// Does what has its time, for as long as the instance lives.
    pub(super) async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.lock().alarm();
            let wait = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => self.act(|board, turn| board.wake(turn)),
                () = self.sooner.notified() => (),
            }
        }
    }

    fn act<T>(&self, act: impl FnOnce(&mut Switchboard, &mut Turn<'_, PostOffice>) -> T) -> T {
        self.with(|state| {
            let (board, mut turn) = state.turn();
            act(board, &mut turn)
        })
    }

    /// Does something, and sets the clock if that has to be earlier now.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let done = act(&mut state);
        if state.post.journal.is_long() {
            state.compact();
        }
        let next = state.board.poll_timeout();
        let is_sooner = match (next, state.alarm) {
            (Some(next), Some(alarm)) => next < alarm,
            (Some(_), None) => true,
            (None, _) => false,
        };
        drop(state);
        if is_sooner {
            self.sooner.notify_one();
        }
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn(&mut self) -> (&mut Switchboard, Turn<'_, PostOffice>) {
        (&mut self.board, Turn { now: Instant::now(), carrier: &mut self.post })
    }

    /// Sets the clock.
    fn alarm(&mut self) -> Option<Instant> {
        self.alarm = self.board.poll_timeout();
        self.alarm
    }

    fn opened(&mut self, member: Member) {
        let after_death = self.after_death;
        let (board, mut turn) = self.turn();
        board.open(member, after_death, &mut turn);
    }

    fn compact(&mut self) {
        self.post.journal.replace(&self.board.notes());
    }
}

fn limits(settings: &MessageSettings) -> Limits {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        message_bytes_max: whole(settings.message_bytes_max),
        queue_max: whole(settings.queue_max),
        queue_bytes_max: whole(settings.queue_bytes_max),
        timeout: settings.timeout.min(Duration::from_secs(24 * 60 * 60)),
        shared_bytes_max: whole(settings.shared_bytes_max),
    }
}
