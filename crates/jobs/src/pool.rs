//! The machine of one pool: tasks and workers come in, actions come out.
//!
//! ```text
//! submit -> waiting -> given -> kept | set aside
//!              ^  \      |
//!              |   \     | failed, or its worker died
//!           delayed <----+
//! ```
//!
//! A task is in one of these states and has one deadline at most, whose meaning the state gives. It is in the hands of one worker at
//! most: an attempt that is told to stop lasts until the worker has let go of it or is dead, and only then does the next begin.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::backoff::Jitter;
use crate::config::PoolConfig;
use crate::ending::Answer;
use crate::event::{Action, Input, NewTask, Ready, Refusal, Submitted, TaskId, WorkerId};
use crate::kept::Kept;
use crate::keys::Keys;
use crate::line::Line;
use crate::scale::Scale;
use crate::table::Table;
use crate::task::{State, Task};
use crate::view::Counts;
use crate::worker::Worker;

/// A pool of workers that take tasks.
#[derive(Debug)]
pub struct Pool {
    pub(crate) config: PoolConfig,
    pub(crate) now: Instant,
    pub(crate) jitter: Jitter,
    pub(crate) next_id: TaskId,
    pub(crate) tasks: Table<Task>,
    pub(crate) names: HashMap<Arc<str>, TaskId>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) keys: Keys,
    /// Tasks that any worker may take.
    pub(crate) shared: Line,
    /// Firsts of keys while there is no worker.
    pub(crate) homeless: Line,
    /// Tasks that a worker died of and for which none is reserved yet.
    pub(crate) suspects: Line,
    /// A worker has died before it had shown that it works, and none has answered since.
    pub(crate) wary: bool,
    /// How many tasks stand in lines or have a worker reserved: those that could begin if there were more workers.
    pub(crate) in_lines: usize,
    pub(crate) deadlines: BTreeSet<(Instant, TaskId)>,
    pub(crate) kept: Kept,
    pub(crate) scale: Scale,
    pub(crate) counts: Counts,
    pub(crate) actions: VecDeque<Action>,
}

impl Pool {
    /// A pool without workers and tasks. The seed decides the jitter of retries.
    #[must_use]
    pub fn new(now: Instant, config: PoolConfig, seed: u64) -> Self {
        Self {
            now,
            jitter: Jitter::new(seed),
            next_id: 1,
            tasks: Table::default(),
            names: HashMap::new(),
            workers: Vec::new(),
            keys: Keys::default(),
            shared: Line::default(),
            homeless: Line::default(),
            suspects: Line::default(),
            wary: false,
            in_lines: 0,
            deadlines: BTreeSet::new(),
            kept: Kept::default(),
            scale: Scale::new(&config),
            counts: Counts::default(),
            actions: VecDeque::new(),
            config,
        }
    }

    /// Accepts a task.
    ///
    /// # Errors
    ///
    /// The queue is full: try later.
    pub fn submit(&mut self, now: Instant, task: NewTask) -> Result<Submitted, Refusal> {
        self.pass(now);
        if let Some(known) = task.name.as_ref().and_then(|name| self.names.get(name)) {
            return Ok(Submitted::Known(*known));
        }
        let (waiting, bytes) = (self.counts.waiting + self.counts.delayed, self.counts.input_bytes);
        if waiting >= self.config.queue_max.max(1) {
            return Err(Refusal::Full { waiting });
        }
        if bytes > 0 && bytes.saturating_add(task.input.len()) > self.config.queue_bytes_max {
            return Err(Refusal::FullOfBytes { bytes });
        }
        let id = self.next_id;
        self.admit(Task {
            id,
            given: task,
            state: State::Waiting,
            accepted: self.now,
            attempts: 0,
            failures: 0,
            deaths: 0,
            kills: 0,
            told: Vec::new(),
            deadline: None,
        });
        self.observe();
        Ok(Submitted::New(id))
    }

    /// Other settings hold from now on.
    pub fn reconfigure(&mut self, now: Instant, config: PoolConfig) {
        self.config = config;
        self.pass(now);
        self.observe();
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.pass(now);
        match input {
            Input::Ready(ready) => self.ready(ready),
            Input::Drain { worker } => self.drain(worker),
            Input::Gone { worker, death } => self.gone(worker, death),
            Input::Holds { worker, task } => self.holds_already(worker, task),
            Input::Done { worker, task, result } => self.answered(worker, task, Answer::Done(result)),
            Input::Failed { worker, task, error, retry } => {
                self.answered(worker, task, Answer::Failed { error, retry });
            }
            Input::Cancel { task } => self.cancel(task),
            Input::Timeout => (),
        }
        self.observe();
    }

    /// What is to be done next. Ask until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.give_next())
    }

    /// When [`Input::Timeout`] is to be told, if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let task = self.deadlines.first().map(|(deadline, _)| *deadline);
        let expiry = self.kept.expiry(&self.config);
        [task, expiry, self.scale.deadline(&self.config), self.next_settles()].into_iter().flatten().min()
    }

    /// What a task was given, until it has ended; afterwards only if it was set aside.
    #[must_use]
    pub fn input(&self, task: TaskId) -> Option<&Bytes> {
        self.tasks.get(&task).map(|task| &task.given.input)
    }

    /// How long one attempt of a task may take.
    #[must_use]
    pub fn timeout(&self, task: TaskId) -> Option<Duration> {
        self.tasks.get(&task)?.given.timeout.or(self.config.timeout)
    }

    /// Time has passed.
    pub(crate) fn pass(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some((deadline, task)) = self.deadlines.first().copied() {
            if deadline > self.now {
                break;
            }
            self.meet_deadline(task);
        }
        self.expire_kept();
    }

    /// A task that is new or comes back joins those who wait.
    pub(crate) fn admit(&mut self, task: Task) {
        let id = task.id;
        self.next_id = self.next_id.max(id + 1);
        if let Some(name) = &task.given.name {
            self.names.insert(Arc::clone(name), id);
        }
        self.counts.waiting += 1;
        self.counts.input_bytes += task.given.input.len();
        if let Some(key) = task.given.key {
            self.keys.join(key, id);
        }
        self.tasks.insert(id, task);
        self.enqueue(id);
    }

    fn ready(&mut self, ready: Ready) {
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.ready.worker == ready.worker) {
            worker.ready = ready;
            worker.draining = false;
        } else {
            self.workers.push(Worker::new(self.now, ready));
        }
        self.begin_what_it_can(ready.worker);
        self.move_lines();
    }

    fn drain(&mut self, worker: WorkerId) {
        let Some(at) = self.position(worker) else { return };
        if !std::mem::replace(&mut self.workers[at].draining, true) {
            self.leave_lines(at);
            self.tell_if_drained(at);
        }
    }

    pub(crate) fn tell_if_drained(&mut self, at: usize) {
        let worker = &self.workers[at];
        if worker.draining && worker.hand.is_empty() {
            self.actions.push_back(Action::Drained { worker: worker.ready.worker });
        }
    }

    /// Says how many workers are wanted, if that has changed.
    fn observe(&mut self) {
        let concurrency = self.workers.first().map_or(1, Worker::concurrency);
        let need = (self.in_lines + self.counts.given).div_ceil(concurrency);
        if let Some(workers) = self.scale.observe(self.now, need, &self.config) {
            self.actions.push_back(Action::Want { workers });
        }
    }

    pub(crate) fn position(&self, worker: WorkerId) -> Option<usize> {
        self.workers.iter().position(|known| known.ready.worker == worker)
    }

    /// A task that is known to be there.
    pub(crate) fn task(&mut self, id: TaskId) -> &mut Task {
        self.tasks.get_mut(&id).expect("a task in a line, a hand or a deadline is known")
    }

    pub(crate) fn set_deadline(&mut self, id: TaskId, deadline: Option<Instant>) {
        let before = std::mem::replace(&mut self.task(id).deadline, deadline);
        if let Some(before) = before {
            self.deadlines.remove(&(before, id));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
    }
}
