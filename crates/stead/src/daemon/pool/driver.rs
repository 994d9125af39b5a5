//! One pool: tells its engine what happens, and performs what that decides. No policy in here.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stead_control::{TaskCounts, TaskRequest, TaskState, TaskStatus};
use stead_jobs::{
    Action, Death, Finish, Input, Key, NewTask, Outcome, Phase, PoolConfig, Refusal, Submitted, TaskId,
    WorkerId,
};
use stead_process::node::Channel;
use tokio::sync::{Notify, mpsc};

use super::super::message::Message;
use super::book::{Book, Say};
use super::desk::Register;
use super::hand::{Dying, Hand, Speaks};
use super::mouth::{Mouth, Turn};
use super::safety::{Safe, Safety};
use super::speech::{self, Run};
use super::tally::Tally;
use super::telling::{id_of, told};
use super::waiting::{Sender, Waiter, Waiting};
use crate::config::PoolSettings;

/// A pool; clones are the same.
#[derive(Clone)]
pub(in crate::daemon) struct Pool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Rung when there is an earlier moment to wake at.
    sooner: Notify,
    turn: Turn,
}

/// What a pool wants of its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) enum Wish {
    /// So many workers.
    Workers(u32),
    /// This one killed: it does not stop a task.
    Kill(WorkerId),
    /// This one drained, and has nothing left.
    Drained(WorkerId),
}

/// A pool, for the daemon that comes next. Its tasks are in its journal.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::daemon) struct SavedPool {
    hands: Vec<SavedHand>,
    senders: Vec<(TaskId, Sender)>,
}

/// A worker that goes on.
#[derive(Debug, Serialize, Deserialize)]
struct SavedHand {
    worker: WorkerId,
    speaks: Speaks,
    routed: bool,
    /// In the order in which it was given them.
    has: Vec<TaskId>,
}

/// A pool, locked.
pub(super) struct State {
    pub(super) name: String,
    pub(super) engine: stead_jobs::Pool,
    pub(super) settings: PoolSettings,
    /// Nothing, if there is no journal.
    pub(super) book: Option<Book>,
    pub(super) hands: HashMap<WorkerId, Hand>,
    pub(super) waiting: Waiting,
    /// The keys of tasks that have not ended, as they were written.
    pub(super) keys: HashMap<TaskId, String>,
    /// The last that was said about how far a task is.
    pub(super) progress: HashMap<TaskId, Box<RawValue>>,
    pub(super) refused: u64,
    /// What other daemons have counted: done, failed.
    pub(super) before: (u64, u64),
    pub(super) tally: Tally,
    /// It takes no tasks: why.
    pub(super) closed: Option<&'static str>,
    /// Another daemon goes on with it.
    pub(super) left: bool,
    app: mpsc::UnboundedSender<Message>,
    /// When the timer wakes.
    wakes: Option<Instant>,
}

impl Pool {
    /// `journal`: where tasks that must not be lost are kept; `say` is told why they cannot be.
    pub(super) fn new(
        (settings, seed): (PoolSettings, u64),
        app: mpsc::UnboundedSender<Message>,
        (name, register): (&str, Register),
        (journal, say): (&Path, &Say),
    ) -> Self {
        let turn = register.turn().clone();
        let mut engine = stead_jobs::Pool::new(Instant::now(), for_engine(&settings), seed);
        let book = Book::open(journal, &mut engine, say);
        let state = State {
            name: name.to_owned(),
            engine,
            settings,
            book,
            hands: HashMap::new(),
            waiting: Waiting::new(register),
            keys: HashMap::new(),
            progress: HashMap::new(),
            refused: 0,
            before: (0, 0),
            tally: Tally::default(),
            closed: None,
            left: false,
            app,
            wakes: None,
        };
        let safety = state.book.as_ref().map(|book| Arc::clone(book.safety()));
        let shared = Arc::new(Shared { state: Mutex::new(state), sooner: Notify::new(), turn });
        tokio::spawn(keep_time(Arc::downgrade(&shared)));
        if let Some(safety) = safety {
            tokio::spawn(tell_ends(Arc::downgrade(&shared), safety));
        }
        Self(shared)
    }

    /// Does something with the pool, and then whatever follows from it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let answer = self.within_turn(act);
        self.0.turn.end();
        answer
    }

    /// The same for whoever ends the turn.
    pub(super) fn within_turn<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = act(&mut state);
        state.perform();
        let due = state.engine.poll_timeout();
        if due.is_some() && state.wakes.is_none_or(|wakes| due < Some(wakes)) {
            self.0.sooner.notify_one();
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other settings hold from now on.
    pub(super) fn reconfigure(&self, settings: &PoolSettings) {
        self.with(|state| {
            state.settings = settings.clone();
            state.engine.reconfigure(Instant::now(), for_engine(settings));
            let workers: Vec<WorkerId> = state.hands.keys().copied().collect();
            workers.into_iter().for_each(|worker| state.tell_ready(worker));
        });
    }

    /// It takes tasks, or not, because it `is stopped`.
    pub(in crate::daemon) fn close(&self, why: Option<&'static str>) {
        self.with(|state| state.closed = why);
    }

    /// Once a second.
    pub(in crate::daemon) fn tidy(&self) {
        self.with(|state| {
            if let Some(book) = &mut state.book {
                book.tidy(state.engine.last(), state.engine.saved_all());
            }
        });
    }

    /// Nothing of it is wanted any more: what has not ended is cancelled, and whoever waits is told. Tells how many tasks that were.
    pub(in crate::daemon) fn forget(&self) -> u64 {
        let ends = self.with(|state| state.book.take()).map(Book::remove);
        self.with(|state| {
            ends.into_iter().flatten().for_each(|finish| state.finished(finish));
            state.give_up()
        })
    }

    /// Another daemon goes on with it: writes down everything, and acts no more.
    pub(in crate::daemon) fn hand_over(&self) -> SavedPool {
        let mut state = self.lock();
        state.left = true;
        let mut senders = Vec::new();
        for (task, waiter) in state.waiting.leave() {
            match waiter {
                // It is told by the next daemon.
                Waiter::Worker(sender) => senders.push((task, sender)),
                waiter => state.wait(task, waiter),
            }
        }
        let State { engine, hands, book, .. } = &mut *state;
        if let Some(mut book) = book.take() {
            // Dropping the journal writes what it was given.
            let left = engine.saved_all().filter(|saved| !book.has(saved.id)).collect::<Vec<_>>();
            left.into_iter().for_each(|saved| book.accept(saved));
        }
        let given = |worker: WorkerId| {
            let has = engine.tasks().filter(|task| task.phase == Phase::Given(worker));
            let mut has: Vec<TaskId> = has.map(|task| task.id).collect();
            has.sort_unstable();
            has
        };
        let hands = hands.iter().map(|(worker, hand)| SavedHand {
            worker: *worker,
            speaks: hand.speaks,
            routed: hand.routed,
            has: given(*worker),
        });
        SavedPool { hands: hands.collect(), senders }
    }

    /// Goes on with the numbers of another daemon.
    pub(in crate::daemon) fn count_on(&self, TaskCounts { done, failed, refused, .. }: TaskCounts) {
        let mut state = self.lock();
        (state.before, state.refused) = ((done, failed), refused);
    }

    /// Goes on with what another daemon left: these workers are there.
    pub(in crate::daemon) fn resume(&self, saved: SavedPool) {
        self.with(|state| {
            let now = Instant::now();
            for SavedHand { worker, speaks, routed, has } in saved.hands {
                let Some(hand) = state.hands.get_mut(&worker) else { continue };
                (hand.speaks, hand.routed) = (speaks, true);
                state.tell_ready(worker);
                has.into_iter().for_each(|task| state.engine.handle(now, Input::Holds { worker, task }));
                if !routed {
                    state.engine.handle(now, Input::Drain { worker });
                }
                if let Some(hand) = state.hands.get_mut(&worker) {
                    hand.routed = routed;
                }
            }
            for (task, sender) in saved.senders {
                state.wait(task, Waiter::Worker(sender));
            }
        });
    }

    /// A worker is there; it gets tasks once it is [routed](Self::route).
    pub(in crate::daemon) fn join(&self, worker: WorkerId, slot: u32, channel: Channel) {
        let mouth = Mouth::new(channel, self.0.turn.clone());
        self.lock().hands.insert(worker, Hand::new(mouth, slot));
    }

    /// It has said that it speaks the protocol of pools, so it can tell tasks from everything else that it is sent.
    pub(in crate::daemon) fn knows_protocol(&self, worker: WorkerId) -> bool {
        self.lock().hands.get(&worker).is_some_and(|hand| matches!(hand.speaks, Speaks::Protocol(_)))
    }

    /// It is to get tasks from now on.
    pub(in crate::daemon) fn route(&self, worker: WorkerId) {
        self.with(|state| {
            if let Some(hand) = state.hands.get_mut(&worker) {
                hand.routed = true;
            }
            state.tell_ready(worker);
        });
    }

    /// It is to get no more; [`Wish::Drained`] follows. Tells whether there is such a worker.
    pub(in crate::daemon) fn drain(&self, worker: WorkerId) -> bool {
        self.with(|state| {
            let known = state.hands.get_mut(&worker).filter(|hand| hand.routed);
            let known = known.map(|hand| hand.routed = false).is_some();
            state.engine.handle(Instant::now(), Input::Drain { worker });
            known
        })
    }

    /// Its channel has ended, with or without something in it that the worker has not read.
    pub(super) fn silent(&self, worker: WorkerId, unread: bool) {
        self.end(worker, |hand| {
            hand.silent = true;
            hand.unread |= unread;
        });
    }

    /// It has died without being told to end, and gets no more; what it printed last [follows](Self::last_lines).
    pub(in crate::daemon) fn dying(&self, worker: WorkerId, dying: Dying) {
        self.with(|state| {
            if let Some(hand) = state.hands.get_mut(&worker) {
                (hand.routed, hand.dying) = (false, Some(dying));
            }
            state.engine.handle(Instant::now(), Input::Drain { worker });
        });
    }

    /// What it printed last, as far as that could be read.
    pub(in crate::daemon) fn last_lines(&self, worker: WorkerId, lines: Vec<String>) {
        self.end(worker, |hand| hand.last_lines(lines));
    }

    /// It is dead.
    pub(in crate::daemon) fn dead(&self, worker: WorkerId, death: Death) {
        self.end(worker, |hand| hand.dead = Some(death));
    }

    /// Something that held its channel open is given up.
    pub(super) fn end(&self, worker: WorkerId, how: impl FnOnce(&mut Hand)) {
        self.with(|state| {
            let Some(hand) = state.hands.get_mut(&worker) else { return };
            how(hand);
            if let Some(death) = hand.over() {
                state.hands.remove(&worker);
                state.engine.handle(Instant::now(), Input::Gone { worker, death });
            }
        });
    }
}

/// Wakes the engine when it wants to be, as long as the pool is there.
async fn keep_time(shared: Weak<Shared>) {
    loop {
        let Some(pool) = shared.upgrade().map(Pool) else { return };
        let due = {
            let mut state = pool.lock();
            state.wakes = state.engine.poll_timeout();
            state.wakes
        };
        let woken = tokio::time::timeout_at(
            due.map_or_else(|| (Instant::now() + FAR).into(), Into::into),
            pool.0.sooner.notified(),
        );
        if woken.await.is_err() {
            pool.with(|state| state.engine.handle(Instant::now(), Input::Timeout));
        }
    }
}

/// Tells ends as soon as they are on disk, as long as the pool and its journal are there.
async fn tell_ends(shared: Weak<Shared>, safety: Arc<Safety>) {
    loop {
        safety.rung().await;
        let Some(pool) = shared.upgrade().map(Pool) else { return };
        if !pool.with(State::tell_ends) {
            return;
        }
    }
}

/// With nothing to wait for a timer looks again after this.
const FAR: std::time::Duration = std::time::Duration::from_secs(3600);

impl State {
    /// Whether a task must not be lost.
    pub(super) fn is_durable(&self, request: &TaskRequest) -> bool {
        request.durable.unwrap_or(self.settings.durable || !request.wait)
    }

    /// Takes a task.
    pub(super) fn submit(&mut self, request: TaskRequest) -> Result<TaskId, Refusal> {
        let durable = self.is_durable(&request);
        let task = NewTask {
            input: request.input,
            name: request.id.map(Into::into),
            key: request.key.as_ref().map(|key| Key::new(key.as_bytes())),
            priority: request.priority,
            timeout: request.timeout,
            retries: request.retries,
            durable,
        };
        let submitted = self.engine.submit(Instant::now(), task).inspect_err(|_| self.refused += 1)?;
        let task = submitted.id();
        if let (Some(key), Submitted::New(_)) = (request.key, submitted) {
            self.keys.insert(task, key);
        }
        // One that was given before may have been given without that.
        if let Some(book) = self.book.as_mut().filter(|book| durable && !book.has(task))
            && let Some(saved) = self.engine.saved_one(task)
        {
            book.accept(saved);
        }
        Ok(task)
    }

    /// Tells when a task is safe, if it is kept.
    pub(super) fn when_safe(&self, task: TaskId) -> Option<Safe> {
        self.book.as_ref().filter(|book| book.has(task)).map(Book::when_safe)
    }

    /// Somebody wants to know how it ends; one that has ended is told at once. What another daemon goes on with is asked of that one:
    /// a stream ends with how far it is.
    pub(super) fn wait(&mut self, task: TaskId, waiter: Waiter) {
        let is_left_stream = self.left && matches!(waiter, Waiter::Stream(_));
        match self.status(task) {
            Some(status) if status.state.has_ended() || is_left_stream => {
                self.waiting.tell(task, waiter, status);
            }
            _ if self.left => drop(waiter),
            _ => self.waiting.add(task, waiter),
        }
    }

    /// Cancels all tasks, of which no worker has to say anything more, and takes no others. Tells how many had not ended.
    fn give_up(&mut self) -> u64 {
        self.closed = Some("is deleted");
        let open = self.engine.tasks().filter(|task| matches!(task.phase, Phase::Queued | Phase::Given(_)));
        let open: Vec<TaskId> = open.map(|task| task.id).collect();
        let now = Instant::now();
        open.iter().for_each(|task| self.engine.handle(now, Input::Cancel { task: *task }));
        for worker in std::mem::take(&mut self.hands).into_keys() {
            self.engine.handle(now, Input::Gone { worker, death: Death::Outside });
        }
        open.len() as u64
    }

    pub(super) fn tell_ready(&mut self, worker: WorkerId) {
        if let Some(hand) = self.hands.get(&worker).filter(|hand| hand.routed) {
            let ready = hand.ready(worker, self.settings.concurrency);
            self.engine.handle(Instant::now(), Input::Ready(ready));
        }
    }

    fn perform(&mut self) {
        if self.left {
            return;
        }
        while let Some(action) = self.engine.poll_action() {
            self.tally.note(&action, &mut self.hands);
            let action = match &mut self.book {
                Some(book) => book.note(action, |task| self.engine.saved_one(task)),
                None => Some(action),
            };
            let Some(action) = action else { continue };
            match action {
                Action::Give { worker, task, attempt } => self.give(worker, task, attempt),
                Action::Abort { worker, task } => {
                    if let Some(hand) = self.hands.get_mut(&worker) {
                        hand.say(&speech::abort(task));
                    }
                }
                Action::Kill { worker } => self.wish(Wish::Kill(worker)),
                Action::Drained { worker } => self.wish(Wish::Drained(worker)),
                Action::Finish(finish) => self.finished(finish),
                Action::Want { workers } => self.wish(Wish::Workers(workers)),
                Action::Forget { task } => self.waiting.forget(task),
                Action::Retry(_) => (),
            }
        }
    }

    fn wish(&self, wish: Wish) {
        self.tell_app(Message::PoolWish(wish));
    }

    pub(super) fn tell_app(&self, message: Message) {
        // An app that is gone has no workers.
        drop(self.app.send(message));
    }

    pub(super) fn give(&mut self, worker: WorkerId, task: TaskId, attempt: u32) {
        let (Some(hand), Some(input)) = (self.hands.get_mut(&worker), self.engine.input(task)) else {
            return;
        };
        match &mut hand.speaks {
            Speaks::Plain(given) => {
                *given = Some(task);
                hand.say(input);
            }
            Speaks::Protocol(_) => {
                let key = self.keys.get(&task).map(String::as_str);
                let timeout = self.engine.timeout(task).map(|timeout| timeout.as_millis());
                hand.say(&Run { task, attempt, key, timeout, input }.write());
            }
        }
    }

    /// Tells the ends that are on disk now, and whether there will be more.
    fn tell_ends(&mut self) -> bool {
        let Some(book) = self.book.as_mut().filter(|_| !self.left) else { return false };
        let ends = book.ends();
        ends.into_iter().for_each(|finish| self.finished(finish));
        true
    }

    fn finished(&mut self, finish: Finish) {
        let Finish { task, name, outcome, attempts, .. } = finish;
        self.keys.remove(&task);
        let progress = self.progress.remove(&task);
        let status = || {
            let id = id_of(task, name.as_ref());
            let (state, result, error) = told(&self.name, &id, &outcome);
            TaskStatus { id, state, result, error, attempts, progress: progress.clone(), queued_at: None }
        };
        if !matches!(outcome, Outcome::Done(_)) {
            self.tally.ended(&status());
        }
        self.waiting.tell_end(task, status);
        if self.engine.view(task).is_none() {
            self.waiting.forget(task);
        }
    }

    /// A task as people ask for it.
    pub(super) fn find(&self, id: &str) -> Option<TaskId> {
        let known = |task: &TaskId| self.engine.view(*task).is_some();
        self.engine.named(id).or_else(|| id.parse().ok().filter(known))
    }

    pub(super) fn status(&self, task: TaskId) -> Option<TaskStatus> {
        let view = self.engine.view(task)?;
        let id = id_of(task, view.name);
        let (state, result, error) = match view.phase {
            Phase::Queued => (TaskState::Queued, None, None),
            Phase::Given(_) => (TaskState::Running, None, None),
            // It has ended, but not on disk yet.
            _ if self.book.as_ref().is_some_and(|book| book.holds(task)) => (TaskState::Running, None, None),
            Phase::Ended(outcome) | Phase::SetAside(outcome) => told(&self.name, &id, outcome),
        };
        Some(TaskStatus {
            id,
            state,
            result,
            error,
            attempts: view.attempts,
            progress: self.progress.get(&task).cloned(),
            queued_at: SystemTime::now().checked_sub(view.accepted.elapsed()),
        })
    }
}

/// JSON on one line, as it came: between the parts of JSON a line's end means nothing, and inside of a string there is none.
pub(super) fn one_line(json: Bytes) -> Bytes {
    if !json.iter().any(|byte| b"\r\n".contains(byte)) {
        return json;
    }
    let blank = |byte: &u8| if b"\r\n".contains(byte) { b' ' } else { *byte };
    json.iter().map(blank).collect::<Vec<u8>>().into()
}

fn for_engine(settings: &PoolSettings) -> PoolConfig {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    PoolConfig {
        workers_min: settings.size.0,
        workers_max: settings.size.1,
        queue_max: settings.queue_max as usize,
        queue_bytes_max: bytes(settings.queue_bytes_max),
        timeout: settings.task_timeout,
        abort_grace: settings.abort_grace,
        retries: settings.retries,
        backoff_first: settings.retry_after,
        backoff_max: settings.retry_after_max,
        deaths_max: settings.poison_deaths_max,
        kills_max: PoolSettings::KILLS_MAX,
        settled_after: PoolSettings::SETTLED_AFTER,
        ahead: AHEAD,
        kept_max: settings.results_max as usize,
        kept_bytes_max: bytes(settings.results_bytes_max),
        kept_for: settings.results_kept,
        dead_max: settings.dead_max as usize,
        set_aside_failed: false,
        scale_up_after: settings.grow_after,
        scale_down_after: settings.shrink_after,
    }
}

/// A worker is given about as many tasks ahead as it does in this time, so that it need not wait for the next one.
const AHEAD: std::time::Duration = std::time::Duration::from_millis(5);
