//! Who gets which task, and when.
//!
//! A worker with room takes the first of what may go to it: the shared line, and the line of the keys that belong to its slot. Of several
//! workers with room the least loaded is served. A suspect, a task that a worker has died of, gets a worker to itself: one is reserved,
//! given nothing more until its hands are empty, then the suspect, and nothing beside it. So no task is twice in bad company.

use std::time::Instant;

use crate::event::{Action, TaskId, WorkerId};
use crate::keys::Key;
use crate::line::Line;
use crate::pool::Pool;
use crate::task::{Given, State};
use crate::worker::Worker;

impl Pool {
    /// A waiting task joins its line, unless it is behind others of its key.
    pub(crate) fn enqueue(&mut self, id: TaskId) {
        let task = &self.tasks[&id];
        let (place, key, suspect) = (task.place(), task.given.key, task.is_suspect());
        if key.is_some_and(|key| !self.keys.is_current(key, id)) {
            return;
        }
        self.in_lines += 1;
        match key {
            _ if suspect => self.suspects.join(place),
            Some(key) => self.line_of(key).join(place),
            None => self.shared.join(place),
        }
    }

    /// A waiting task leaves the line in which it stands, if it does.
    pub(crate) fn dequeue(&mut self, id: TaskId) {
        let place = self.tasks[&id].place();
        let stood = self.shared.leave(&place)
            || self.suspects.leave(&place)
            || self.homeless.leave(&place)
            || self.workers.iter_mut().any(|worker| {
                worker.line.leave(&place) || worker.reserved.take_if(|reserved| *reserved == id).is_some()
            });
        if stood {
            self.in_lines -= 1;
        }
    }

    /// The next task that a worker is to get.
    pub(crate) fn give_next(&mut self) -> Option<Action> {
        if self.in_lines == 0 {
            return None;
        }
        self.reserve();
        let at = self.least_loaded(|pool, worker| pool.could_take(worker))?;
        let id = self.take_for(at);
        self.in_lines -= 1;
        let worker = self.workers[at].ready.worker;
        let attempt = self.put_into_hand(at, id);
        Some(Action::Give { worker, task: id, attempt })
    }

    /// A waiting task that stands in no line goes into the hands of a worker. Tells which attempt it is.
    pub(crate) fn put_into_hand(&mut self, at: usize, id: TaskId) -> u32 {
        let worker = self.workers[at].ready.worker;
        let task = self.task(id);
        task.attempts += 1;
        task.state = State::Given(Given { worker, begun: false, ending: None });
        let (attempt, suspect) = (task.attempts, task.is_suspect());
        self.counts.waiting -= 1;
        self.counts.given += 1;
        self.workers[at].alone |= suspect;
        self.workers[at].give(self.now, id);
        self.begin_what_it_can(worker);
        attempt
    }

    fn could_take(&self, worker: &Worker) -> bool {
        match worker.reserved {
            Some(_) => worker.takes_tasks() && worker.hand.is_empty(),
            None => {
                (!self.shared.is_empty() || !worker.line.is_empty())
                    && worker.has_room(self.config.ahead)
                    && (!self.wary || self.has_settled(worker))
            }
        }
    }

    fn least_loaded(&self, fits: impl Fn(&Self, &Worker) -> bool) -> Option<usize> {
        let fitting = self.workers.iter().enumerate().filter(|(_, worker)| fits(self, worker));
        fitting.min_by_key(|(_, worker)| worker.load()).map(|(at, _)| at)
    }

    fn take_for(&mut self, at: usize) -> TaskId {
        let worker = &mut self.workers[at];
        if let Some(suspect) = worker.reserved.take() {
            return suspect;
        }
        let firsts = [self.shared.first(), worker.line.first()];
        let first =
            firsts.into_iter().flatten().min().expect("only a worker that could take something is asked");
        if !self.shared.leave(&first) {
            worker.line.leave(&first);
        }
        first.1
    }

    /// Each suspect gets a worker to itself, as far as there are some.
    fn reserve(&mut self) {
        if self.suspects.is_empty() {
            return;
        }
        let waiting: Vec<_> = self.suspects.iter().collect();
        for place in waiting {
            let free = |worker: &Worker| {
                worker.takes_tasks() && worker.reserved.is_none() && self.has_settled(worker)
            };
            let found = match self.tasks[&place.1].given.key {
                Some(key) => self.owner(key).filter(|at| free(&self.workers[*at])),
                None => self.least_loaded(|_, worker| free(worker)),
            };
            if let Some(at) = found {
                self.workers[at].reserved = Some(place.1);
                self.suspects.leave(&place);
            }
        }
    }

    pub(crate) fn has_settled(&self, worker: &Worker) -> bool {
        worker.settles_at(self.config.settled_after) <= self.now
    }

    /// When a worker settles for which a task waits.
    pub(crate) fn next_settles(&self) -> Option<Instant> {
        let waits = !self.suspects.is_empty() || (self.wary && self.in_lines > 0);
        let moments = self.workers.iter().map(|worker| worker.settles_at(self.config.settled_after));
        moments.filter(|moment| *moment > self.now && waits).min()
    }

    fn owner(&self, key: Key) -> Option<usize> {
        let taking = || self.workers.iter().enumerate().filter(|(_, worker)| worker.takes_tasks());
        let slot = key.owner(taking().map(|(_, worker)| worker.ready.slot))?;
        taking().find(|(_, worker)| worker.ready.slot == slot).map(|(at, _)| at)
    }

    fn line_of(&mut self, key: Key) -> &mut Line {
        match self.owner(key) {
            Some(at) => &mut self.workers[at].line,
            None => &mut self.homeless,
        }
    }

    /// A worker has come: what belongs to it comes from the others.
    pub(crate) fn move_lines(&mut self) {
        let lines = self.workers.iter_mut().map(|worker| &mut worker.line).chain([&mut self.homeless]);
        let lines: Vec<Line> = lines.filter(|line| !line.is_empty()).map(Line::take_all).collect();
        lines.into_iter().for_each(|line| self.join_lines(line));
    }

    /// A worker takes no more: what waited for it goes to others.
    pub(crate) fn leave_lines(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let (line, reserved) = (worker.line.take_all(), worker.reserved.take());
        self.join_lines(line);
        if let Some(suspect) = reserved {
            let place = self.tasks[&suspect].place();
            self.suspects.join(place);
        }
    }

    fn join_lines(&mut self, line: Line) {
        for place in line {
            let key = self.tasks[&place.1].given.key.expect("only tasks with keys stand in workers' lines");
            self.line_of(key).join(place);
        }
    }

    /// The first tasks in a worker's hand are what it works on; their time runs.
    pub(crate) fn begin_what_it_can(&mut self, worker: WorkerId) {
        let Some(at) = self.position(worker) else { return };
        loop {
            let worker = &mut self.workers[at];
            if worker.begun >= worker.concurrency().min(worker.hand.len()) {
                return;
            }
            let id = worker.hand[worker.begun];
            worker.begun += 1;
            self.begin(at, id);
        }
    }

    fn begin(&mut self, at: usize, id: TaskId) {
        let (now, otherwise, grace) = (self.now, self.config.timeout, self.grace(at));
        let task = self.task(id);
        let State::Given(given) = &mut task.state else { unreachable!("a task in a hand is given") };
        given.begun = true;
        let deadline = match given.ending {
            None => task.given.timeout.or(otherwise).and_then(|timeout| now.checked_add(timeout)),
            Some(_) => now.checked_add(grace),
        };
        if deadline.is_some() {
            self.set_deadline(id, deadline);
        }
    }
}
