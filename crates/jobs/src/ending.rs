//! What becomes of a task after an answer, a failure, the death of its worker, a time-out or a cancellation.

use std::time::Duration;

use bytes::Bytes;

use crate::backoff::delay;
use crate::event::{Action, Death, Fault, Finish, Outcome, Retry, TaskId, WorkerId};
use crate::pool::Pool;
use crate::task::{Ending, Given, State};

/// So many of the deaths that a task is blamed for are remembered in words.
const TOLD_MAX: usize = 5;

/// What a worker said of a task.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Bytes),
    Failed { error: Bytes, retry: bool },
}

impl Pool {
    pub(crate) fn answered(&mut self, worker: WorkerId, id: TaskId, answer: Answer) {
        // What a worker says of a task that it does not have (any more) changes nothing.
        let Some(given) = self.let_go(worker, id) else { return };
        self.wary = false;
        match (given.ending, answer) {
            (Some(Ending::Cancel), _) => self.finish(id, Outcome::Cancelled),
            // What came in time, or in the grace after it, is as good as any result.
            (None | Some(Ending::Timeout), Answer::Done(result)) => self.finish(id, Outcome::Done(result)),
            (Some(Ending::Timeout), Answer::Failed { .. }) => self.fail(id, Fault::Timeout, true),
            (None, Answer::Failed { error, retry }) => self.fail(id, Fault::Told(error), retry),
        }
    }

    pub(crate) fn gone(&mut self, worker: WorkerId, death: Death) {
        let Some(at) = self.position(worker) else { return };
        self.workers[at].draining = true;
        self.leave_lines(at);
        let gone = self.workers.remove(at);
        let death = if gone.killed { Death::Outside } else { death };
        self.wary |= matches!(death, Death::Own(_)) && !self.has_settled(&gone);
        let all = gone.ready.gathers;
        for id in gone.hand {
            let State::Given(given) = self.task(id).state else { unreachable!("a task in a hand is given") };
            self.counts.given -= 1;
            self.wait_again(id);
            match given {
                Given { ending: Some(Ending::Cancel), .. } => self.finish(id, Outcome::Cancelled),
                Given { ending: Some(Ending::Timeout), .. } => self.fail(id, Fault::Timeout, true),
                Given { begun, ending: None, .. } => {
                    let told = if begun || all { self.suspicion(id, &death) } else { None };
                    match told {
                        Some(told) => self.blame(id, told),
                        None => self.enqueue(id),
                    }
                }
            }
        }
    }

    /// What is said of the death of a worker that worked on a task, if the task may be the reason for it.
    fn suspicion<'a>(&mut self, id: TaskId, death: &'a Death) -> Option<&'a Bytes> {
        let kills_max = self.config.kills_max;
        match death {
            Death::Own(told) => Some(told),
            Death::Killed(told) => {
                let task = self.task(id);
                task.kills = task.kills.saturating_add(1);
                (task.kills > kills_max).then_some(told)
            }
            Death::Outside => None,
        }
    }

    pub(crate) fn cancel(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match &mut task.state {
            State::Waiting => {
                self.dequeue(id);
                self.finish(id, Outcome::Cancelled);
            }
            State::Delayed => {
                self.counts.delayed -= 1;
                self.wait_again(id);
                self.finish(id, Outcome::Cancelled);
            }
            State::Given(given) => {
                let before = given.ending.replace(Ending::Cancel);
                let given = *given;
                if before.is_none() {
                    self.stop(id, given);
                }
            }
            State::Kept(_) | State::SetAside(_) => (),
        }
    }

    pub(crate) fn meet_deadline(&mut self, id: TaskId) {
        self.set_deadline(id, None);
        let task = self.task(id);
        match &mut task.state {
            State::Delayed => {
                self.counts.delayed -= 1;
                self.wait_again(id);
                self.enqueue(id);
            }
            State::Given(given) if given.ending.is_some() => {
                let worker = given.worker;
                self.kill(worker);
            }
            State::Given(given) => {
                given.ending = Some(Ending::Timeout);
                let given = *given;
                self.stop(id, given);
            }
            State::Waiting | State::Kept(_) | State::SetAside(_) => {
                unreachable!("a task has a deadline only while it is delayed or given")
            }
        }
    }

    /// A worker is to let go of a task: it is asked if it listens, and killed if it does not; but not for a task that it has only ahead.
    fn stop(&mut self, id: TaskId, given: Given) {
        let Some(at) = self.position(given.worker).filter(|at| !self.workers[*at].killed) else { return };
        if self.workers[at].ready.abortable {
            self.actions.push_back(Action::Abort { worker: given.worker, task: id });
        }
        if given.begun {
            let deadline = self.now.checked_add(self.grace(at));
            self.set_deadline(id, deadline);
        }
    }

    pub(crate) fn grace(&self, at: usize) -> Duration {
        if self.workers[at].ready.abortable { self.config.abort_grace } else { Duration::ZERO }
    }

    fn kill(&mut self, worker: WorkerId) {
        let Some(at) = self.position(worker) else { return };
        if !std::mem::replace(&mut self.workers[at].killed, true) {
            self.leave_lines(at);
            self.actions.push_back(Action::Kill { worker });
        }
    }

    /// A worker has answered. Nothing if it does not have the task.
    fn let_go(&mut self, worker: WorkerId, id: TaskId) -> Option<Given> {
        let State::Given(given) = self.tasks.get(&id)?.state else { return None };
        let at = self.position(worker).filter(|_| given.worker == worker)?;
        let held = self.workers[at].take_back(self.now, id);
        assert!(held, "a given task is in its worker's hand");
        self.counts.given -= 1;
        self.wait_again(id);
        self.begin_what_it_can(worker);
        self.tell_if_drained(at);
        Some(given)
    }

    /// A task that was delayed or given waits, until it is said what becomes of it.
    fn wait_again(&mut self, id: TaskId) {
        self.task(id).state = State::Waiting;
        self.counts.waiting += 1;
        if self.tasks[&id].deadline.is_some() {
            self.set_deadline(id, None);
        }
    }

    fn fail(&mut self, id: TaskId, fault: Fault, retry: bool) {
        let otherwise = self.config.retries;
        let task = self.task(id);
        task.failures += 1;
        let failures = task.failures;
        if !retry || failures > task.given.retries.unwrap_or(otherwise) {
            return self.finish(id, Outcome::Failed(fault));
        }
        task.state = State::Delayed;
        self.counts.waiting -= 1;
        self.counts.delayed += 1;
        let until = self.now.checked_add(delay(failures, &self.config, &mut self.jitter));
        self.set_deadline(id, until);
        self.tell_retry(id);
    }

    fn blame(&mut self, id: TaskId, told: &Bytes) {
        let deaths_max = self.config.deaths_max.max(1);
        let task = self.task(id);
        task.deaths += 1;
        if task.told.len() == TOLD_MAX {
            task.told.remove(0);
        }
        task.told.push(told.clone());
        if task.deaths >= deaths_max {
            let told = std::mem::take(&mut task.told);
            return self.finish(id, Outcome::Poison(told));
        }
        self.enqueue(id);
        self.tell_retry(id);
    }

    fn tell_retry(&mut self, id: TaskId) {
        let task = &self.tasks[&id];
        self.actions.push_back(Action::Retry(Retry {
            task: id,
            attempts: task.attempts,
            failures: task.failures,
            deaths: task.deaths,
            durable: task.given.durable,
        }));
    }

    /// A waiting task that stands in no line has ended.
    fn finish(&mut self, id: TaskId, outcome: Outcome) {
        let set_aside = match outcome {
            Outcome::Poison(_) => true,
            Outcome::Failed(_) => self.config.set_aside_failed,
            Outcome::Done(_) | Outcome::Cancelled => false,
        };
        let task = self.tasks.get_mut(&id).expect("a task that ends is known");
        let key = task.given.key;
        self.counts.waiting -= 1;
        self.counts.input_bytes -= task.given.input.len();
        self.counts.ended(&outcome);
        self.actions.push_back(Action::Finish(Finish {
            task: id,
            name: task.given.name.clone(),
            outcome: outcome.clone(),
            attempts: task.attempts,
            set_aside,
            durable: task.given.durable,
            input: task.given.input.clone(),
        }));
        if let Some(next) = key.and_then(|key| self.keys.leave(key, id)) {
            self.enqueue(next);
        }
        self.keep(id, outcome, set_aside);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::config::{PoolConfig, tests::config};
    use crate::event::{Input, NewTask, Ready};

    const SECOND: Duration = Duration::from_secs(1);

    /// One worker after another of a pool with one place.
    struct Lives {
        now: Instant,
        pool: Pool,
        worker: WorkerId,
    }

    impl Lives {
        fn new(config: PoolConfig, tasks: usize) -> Self {
            let now = Instant::now();
            let mut pool = Pool::new(now, config, 1);
            for _ in 0..tasks {
                pool.submit(now, NewTask::new("in".into())).expect("there is room");
            }
            Self { now, pool, worker: 0 }
        }

        /// A plain worker comes; which task it is given, if any.
        fn comes(&mut self) -> Option<TaskId> {
            self.worker += 1;
            let ready = Ready {
                worker: self.worker,
                slot: 0,
                concurrency: 1,
                prefetch_max: 0,
                abortable: false,
                gathers: false,
            };
            self.pool.handle(self.now, Input::Ready(ready));
            self.given()
        }

        fn given(&mut self) -> Option<TaskId> {
            std::iter::from_fn(|| self.pool.poll_action()).find_map(|action| match action {
                Action::Give { task, .. } => Some(task),
                _ => None,
            })
        }

        /// It lives so long without an answer; what it is given then.
        fn waits(&mut self, time: Duration) -> Option<TaskId> {
            self.now += time;
            self.pool.handle(self.now, Input::Timeout);
            self.given()
        }

        /// It dies; the task that is poison then.
        fn dies(&mut self, death: Death) -> Option<TaskId> {
            self.pool.handle(self.now, Input::Gone { worker: self.worker, death });
            std::iter::from_fn(|| self.pool.poll_action()).find_map(|action| match action {
                Action::Finish(Finish { task, outcome: Outcome::Poison(_), .. }) => Some(task),
                _ => None,
            })
        }
    }

    #[test]
    fn program_that_crashes_as_it_starts_blames_one_task_once() {
        let mut lives = Lives::new(PoolConfig { settled_after: SECOND, ..config() }, 3);
        assert_eq!(lives.comes(), Some(1));
        assert_eq!(lives.dies(Death::Own(Bytes::new())), None);
        for _ in 0..10 {
            assert_eq!(lives.comes(), None, "one that has not settled is given nothing");
            assert_eq!(lives.dies(Death::Own(Bytes::new())), None);
        }
        assert_eq!(lives.comes(), None);
        assert_eq!(lives.waits(SECOND), Some(1), "one that has settled is given the suspect");
        assert_eq!(lives.dies(Death::Own(Bytes::new())), Some(1), "which is to blame then");
        assert_eq!(lives.pool.counts().waiting, 2);
    }

    #[test]
    fn worker_that_keeps_answers_back_may_have_died_of_any_task_that_it_had() {
        let mut lives = Lives::new(config(), 3);
        let ready =
            Ready { worker: 1, slot: 0, concurrency: 1, prefetch_max: 9, abortable: true, gathers: true };
        lives.pool.handle(lives.now, Input::Ready(ready));
        lives.worker = 1;
        assert_eq!(lives.given(), Some(1));
        lives.now += SECOND / 500;
        lives.pool.handle(lives.now, Input::Done { worker: 1, task: 1, result: "out".into() });
        assert_eq!((lives.given(), lives.given()), (Some(2), Some(3)), "one is ahead");
        lives.dies(Death::Own(Bytes::new()));
        let deaths = [2, 3].map(|task| lives.pool.view(task).map(|view| view.deaths));
        assert_eq!(deaths, [Some(1); 2]);
    }

    #[test]
    fn one_answer_shows_that_the_program_works() {
        let mut lives = Lives::new(PoolConfig { settled_after: SECOND, ..config() }, 3);
        lives.comes();
        lives.dies(Death::Own(Bytes::new()));
        lives.comes();
        assert_eq!(lives.waits(SECOND), Some(1));
        lives.pool.handle(lives.now, Input::Done { worker: lives.worker, task: 1, result: "out".into() });
        assert_eq!(lives.given(), Some(2));
        lives.dies(Death::Killed(Bytes::new()));
        assert_eq!(lives.comes(), Some(2), "at once");
    }

    #[test]
    fn task_whose_workers_are_killed_again_and_again_is_poison_at_last() {
        let mut lives = Lives::new(config(), 1);
        let kills = (1..100).find(|_| {
            assert_eq!(lives.comes(), Some(1));
            lives.dies(Death::Killed(Bytes::new())).is_some()
        });
        assert_eq!(kills, Some(5), "three without blame, and two as if it had killed them");
        assert!(lives.pool.retry_set_aside(lives.now, 1));
        for _ in 0..3 {
            assert_eq!(lives.comes(), Some(1));
            assert_eq!(lives.dies(Death::Killed(Bytes::new())), None);
            assert_eq!(lives.pool.view(1).map(|view| view.deaths), Some(0), "as if it were new");
        }
        let mut stopped = Lives::new(config(), 1);
        for _ in 0..100 {
            assert_eq!(stopped.comes(), Some(1));
            assert_eq!(stopped.dies(Death::Outside), None, "nobody is blamed for being stopped");
        }
    }
}
