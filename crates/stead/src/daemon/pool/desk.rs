//! The pools of an instance by name, and what is asked of them over the API.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::value::RawValue;
use stead_control::{DeadTask, Fault, PoolStatus, Pools, TaskCounts, TaskEvent, TaskRequest, TaskStatus};
use stead_jobs::{Input, Phase, Refusal, TaskId};
use stead_process::node::Channel;
use tokio::sync::{mpsc, oneshot};

use super::super::operator::Desk;
use super::driver::{Pool, State, one_line};
use super::mouth::{Mouth, Turn};
use super::telling::{deaths, id_of, raw, told};
use super::waiting::{EVENTS_MAX, Waiter, Who};
use crate::config::nearest;

/// All pools; clones are the same.
#[derive(Clone)]
pub(in crate::daemon) struct Register(Arc<Inner>);

struct Inner {
    pools: Mutex<BTreeMap<String, Pool>>,
    /// Of all workers that may give tasks.
    mouths: Mutex<HashMap<Who, Mouth>>,
    turn: Turn,
    instance: String,
}

impl Register {
    pub(in crate::daemon) fn new(keeper_pid: u32) -> Self {
        Self(Arc::new(Inner {
            pools: Mutex::default(),
            mouths: Mutex::default(),
            turn: Turn::default(),
            instance: instance(keeper_pid),
        }))
    }

    /// What no other instance was or will be called, and every daemon of this one is.
    pub(super) fn instance(&self) -> &str {
        &self.0.instance
    }

    /// A worker can be told what becomes of its tasks.
    pub(super) fn connect(&self, who: Who, channel: Channel) {
        self.mouths().insert(who, Mouth::new(channel, self.0.turn.clone()));
    }

    pub(super) fn disconnect(&self, who: Who) {
        self.mouths().remove(&who);
    }

    /// Tells a worker something at the end of the turn, if it is there.
    pub(super) fn say(&self, who: Who, json: &[u8]) {
        let mouth = self.mouths().get(&who).cloned();
        if let Some(mouth) = mouth {
            // Its end is heard elsewhere.
            let _gone = mouth.say(json);
        }
    }

    /// Which all pools have in common.
    pub(super) fn turn(&self) -> &Turn {
        &self.0.turn
    }

    fn mouths(&self) -> MutexGuard<'_, HashMap<Who, Mouth>> {
        self.0.mouths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, name: &str, pool: &Pool) {
        self.lock().insert(name.to_owned(), pool.clone());
    }

    pub(in crate::daemon) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// What whoever starts a pool should know of it.
    pub(in crate::daemon) fn note_of(&self, name: &str) -> Option<String> {
        let pool = self.lock().get(name).cloned()?;
        pool.with(|state| state.book.is_none()).then(|| {
            format!("pool `{name}` cannot keep tasks on disk, and refuses those that must be; `stead logs {name}` says why")
        })
    }

    fn all(&self) -> Vec<(String, Pool)> {
        self.lock().iter().map(|(name, pool)| (name.clone(), pool.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pool>> {
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool that somebody names.
    pub(super) fn named(&self, name: &str) -> Result<Pool, Fault> {
        let found = self.lock().get(name).cloned();
        found.ok_or_else(|| {
            let fault = Fault::new("unknown_pool", format!("there is no pool `{name}`"));
            let known: Vec<String> = self.lock().keys().cloned().collect();
            match (nearest(name, known.iter().map(String::as_str)), known.is_empty()) {
                (Some(near), _) => fault.with_hint(format!("did you mean `{near}`?")),
                (None, true) => fault.with_hint(
                    "`stead start worker.js --pool` starts one, and so does [pool.NAME] in stead.toml",
                ),
                (None, false) => fault.with_hint(format!("pools: {}", known.join(", "))),
            }
        })
    }
}

/// By the keeper's start and that of the system.
fn instance(keeper_pid: u32) -> String {
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let boot = read("/proc/sys/kernel/random/boot_id".to_owned());
    let stat = read(format!("/proc/{keeper_pid}/stat"));
    // Behind the program's name, which may hold blanks, it is the 20th word.
    let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
    format!("{}-{keeper_pid}-{}", boot.trim(), started.unwrap_or_default())
}

/// Takes a task whose input is JSON, or says why not.
pub(super) fn accept(state: &mut State, pool: &str, request: TaskRequest) -> Result<TaskId, Fault> {
    state.check_open()?;
    if let Some(why) = state.closed {
        return Err(Fault::new("unavailable", format!("pool `{pool}` {why}")));
    }
    let (bytes, most) = (request.input.len() as u64, state.settings.task_bytes_max);
    if bytes > most {
        let fault = Fault::new("too_large", format!("the input has {bytes} bytes, and {most} are the most"));
        return Err(fault.with_hint("`task_bytes_max` says so; or put it into a file and send its name"));
    }
    if let Some(hint) = state.keeps_nothing().filter(|_| state.is_durable(&request)) {
        return Err(
            Fault::new("unavailable", format!("pool `{pool}` cannot keep tasks on disk now")).with_hint(hint)
        );
    }
    match state.submit(request) {
        Ok(accepted) => Ok(accepted),
        Err(Refusal::Full { waiting }) => {
            let fault =
                Fault::new("full", format!("{waiting} tasks wait in pool `{pool}`, which is the most"));
            Err(fault.with_hint("try again later; `queue_max` says how many may wait"))
        }
        Err(Refusal::FullOfBytes { bytes }) => {
            let message = format!("tasks of {bytes} bytes wait in pool `{pool}`, and this would be too much");
            Err(Fault::new("full", message)
                .with_hint("try again later; `queue_bytes_max` says how much may wait"))
        }
    }
}

impl Pool {
    fn status_of(&self, name: String) -> PoolStatus {
        self.with(|state| PoolStatus {
            name,
            workers: state.engine.workers().filter(|worker| !worker.draining).count() as u32,
            size: state.settings.size,
            tasks: state.counts(),
        })
    }

    /// What becomes of its tasks.
    pub(in crate::daemon) fn counts(&self) -> TaskCounts {
        self.with(|state| state.counts())
    }
}

impl State {
    /// Whether what is asked here can still be done here.
    fn check_open(&self) -> Result<(), Fault> {
        if self.left {
            let text = format!("pool `{}` was handed over to another daemon; ask again", self.name);
            return Err(Fault::new("unavailable", text));
        }
        Ok(())
    }

    /// What can be done if no task can be kept on disk.
    fn keeps_nothing(&self) -> Option<&'static str> {
        match &self.book {
            None => Some(
                "its log says why it could not open its journal: repair that, then `stead delete` and start it",
            ),
            Some(book) if book.is_broken() => Some("its log says why; it tries again by itself"),
            Some(book) if book.is_behind() => Some("the disk is slower than what comes; try again later"),
            Some(_) => None,
        }
    }

    fn counts(&self) -> TaskCounts {
        let counts = self.engine.counts();
        TaskCounts {
            queued: (counts.waiting + counts.delayed) as u64,
            running: counts.given as u64,
            done: self.before.0 + counts.done,
            failed: self.before.1 + counts.failed + counts.poison + counts.cancelled,
            refused: self.refused,
            dead: counts.set_aside as u64,
        }
    }

    /// A task that people ask for.
    fn asked(&self, id: &str) -> Result<(TaskId, TaskStatus), Fault> {
        let found = self.find(id).and_then(|task| Some((task, self.status(task)?)));
        found.ok_or_else(|| {
            Fault::new("unknown_task", format!("there is no task `{id}`"))
                .with_hint("outcomes are kept for a time: `results_kept`")
        })
    }

    fn dead(&self, id: &str) -> Result<TaskId, Fault> {
        let set_aside = |task: &TaskId| {
            self.engine.view(*task).is_some_and(|view| matches!(view.phase, Phase::SetAside(_)))
        };
        let unknown = || Fault::new("unknown_task", format!("no task `{id}` is set aside"));
        self.find(id).filter(set_aside).ok_or_else(unknown)
    }

    fn dead_task(&self, task: TaskId, whole: bool) -> Option<DeadTask> {
        let view = self.engine.view(task)?;
        let Phase::SetAside(outcome) = view.phase else { return None };
        let id = id_of(task, view.name);
        let (state, _, error) = told(&self.name, &id, outcome);
        Some(DeadTask {
            id,
            state,
            error,
            attempts: view.attempts,
            deaths: deaths(outcome),
            input_bytes: view.input.len() as u64,
            input: if whole { raw(view.input) } else { None },
        })
    }
}

impl Desk {
    /// Gives a task to a pool, with somebody who waits for it; what it is as it is accepted, or how it ended if it was there.
    async fn give(&self, name: &str, request: TaskRequest, waiter: Waiter) -> Result<Accepted, Fault> {
        let pool = self.0.pools.named(name)?;
        let input = if request.input.is_empty() { "null".into() } else { request.input };
        if let Err(error) = serde_json::from_slice::<&RawValue>(&input) {
            let fault = Fault::new("bad_message", format!("the input is not JSON: {error}"));
            return Err(
                fault.with_hint("the body is the input, whatever its type says: `{\"file\": \"a.png\"}`")
            );
        }
        let request = TaskRequest { input: one_line(input), ..request };
        let (task, status, safe) = pool.with(|state| {
            let task = accept(state, name, request)?;
            let status = state.status(task);
            state.wait(task, waiter);
            Ok((task, status, state.when_safe(task)))
        })?;
        if let Some(safe) = safe
            && safe.await.is_err()
        {
            let fault = Fault::new("unavailable", "the task cannot be kept on disk, and may be lost");
            return Err(fault.with_hint("the log of the pool says why"));
        }
        Ok(Accepted { pool, task, status })
    }
}

/// A task that a pool has taken.
struct Accepted {
    pool: Pool,
    task: TaskId,
    /// As it was then: new, or there already under the same name.
    status: Option<TaskStatus>,
}

impl Pools for Desk {
    fn pools(&self) -> Vec<PoolStatus> {
        self.0.pools.all().into_iter().map(|(name, pool)| pool.status_of(name)).collect()
    }

    fn pool(&self, pool: &str) -> Result<PoolStatus, Fault> {
        Ok(self.0.pools.named(pool)?.status_of(pool.to_owned()))
    }

    async fn submit(&self, pool: &str, request: TaskRequest) -> Result<TaskStatus, Fault> {
        let wait = request.wait;
        let (answer, ended) = oneshot::channel();
        let Accepted { pool, task, status } = self.give(pool, request, Waiter::Answer(answer)).await?;
        let gone = || Fault::new("unavailable", "the task is not known any more");
        if !wait {
            return status.ok_or_else(gone);
        }
        match ended.await {
            Ok(status) => Ok(status),
            // Another daemon goes on with it.
            Err(_) => pool.with(|state| state.status(task)).ok_or_else(gone),
        }
    }

    async fn submit_and_watch(
        &self,
        pool: &str,
        request: TaskRequest,
    ) -> Result<mpsc::Receiver<TaskEvent>, Fault> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        self.give(pool, request, Waiter::Stream(sender)).await?;
        Ok(events)
    }

    fn task(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault> {
        self.0.pools.named(pool)?.with(|state| state.asked(id)).map(|(_, status)| status)
    }

    fn watch(&self, pool: &str, id: &str) -> Result<mpsc::Receiver<TaskEvent>, Fault> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        self.0.pools.named(pool)?.with(|state| {
            let (task, _) = state.asked(id)?;
            state.wait(task, Waiter::Stream(sender));
            Ok(events)
        })
    }

    async fn cancel(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault> {
        let pool = self.0.pools.named(pool)?;
        let task = pool.with(|state| {
            state.check_open()?;
            let (task, _) = state.asked(id)?;
            state.engine.handle(Instant::now(), Input::Cancel { task });
            Ok(task)
        })?;
        let (answer, ended) = oneshot::channel();
        pool.with(|state| {
            // It has ended, and that is told once it is on disk.
            if state.book.as_ref().is_some_and(|book| book.holds(task)) {
                state.wait(task, Waiter::Answer(answer));
            }
        });
        match ended.await {
            Ok(status) => Ok(status),
            Err(_) => pool.with(|state| state.asked(id)).map(|(_, status)| status),
        }
    }

    fn dead(&self, pool: &str) -> Result<Vec<DeadTask>, Fault> {
        self.0.pools.named(pool)?.with(|state| {
            let dead = state.engine.set_aside().filter_map(|task| state.dead_task(task, false));
            Ok(dead.collect())
        })
    }

    fn dead_task(&self, pool: &str, id: &str) -> Result<DeadTask, Fault> {
        self.0.pools.named(pool)?.with(|state| {
            let task = state.dead(id)?;
            state.dead_task(task, true).ok_or_else(|| Fault::new("unknown_task", "it is set aside no longer"))
        })
    }

    fn retry_dead(&self, pool: &str, id: &str) -> Result<TaskStatus, Fault> {
        self.0.pools.named(pool)?.with(|state| {
            state.check_open()?;
            let task = state.dead(id)?;
            state.engine.retry_set_aside(Instant::now(), task);
            if let Some(book) = &mut state.book {
                book.revived(task);
            }
            state.asked(id).map(|(_, status)| status)
        })
    }

    fn drop_dead(&self, pool: &str, id: &str) -> Result<(), Fault> {
        self.0.pools.named(pool)?.with(|state| {
            state.check_open()?;
            let task = state.dead(id)?;
            state.engine.drop_set_aside(task);
            Ok(())
        })
    }
}
