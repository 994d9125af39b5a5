//! What becomes of a slot when something happened to one of its workers.

use super::{Change, News, Slot, State};
use crate::announce::{self, Ending};
use crate::event::{Event, Next, Readiness, WorkerId};
use crate::reason::Reason;
use crate::restart::Death;
use crate::turn::{Standing, Turn};
use crate::worker::{self, Worker};

/// A worker that failed, and why.
#[derive(Debug)]
struct Loss<'a> {
    worker: &'a Worker,
    reason: Reason,
}

impl Slot {
    /// Something happened to one of its workers.
    pub(crate) fn handle(
        &mut self,
        id: WorkerId,
        input: &worker::Input,
        turn: &mut Turn<'_>,
    ) -> Option<News> {
        if let Some(place) = self.leaving.iter().position(|worker| worker.id() == id) {
            if let Some(worker::News::Ended(reason)) = self.leaving[place].handle(input, turn) {
                self.leaving.remove(place);
                let ending = Ending { worker: id, slot: self.index, expected: true, next: Next::No };
                announce::ended(&reason, &ending, turn);
            }
            return None;
        }
        let (state, news) = match self.take_state(turn) {
            State::Up(worker) if worker.id() == id => self.up(worker, input, turn),
            State::Failing(mut worker, reason) if worker.id() == id => match worker.handle(input, turn) {
                Some(worker::News::Ended(end)) => {
                    let (state, next) = self.fail(&worker, reason, turn);
                    let ending = Ending { worker: id, slot: self.index, expected: true, next };
                    announce::ended(&end, &ending, turn);
                    (state, None)
                }
                _ => (State::Failing(worker, reason), None),
            },
            State::Reloading(change) if change.new.id() == id => self.reloading_new(change, input, turn),
            State::Reloading(change) => self.reloading_old(change, input, turn),
            other => (other, None),
        };
        self.state = state;
        news
    }

    /// One of its workers no longer answers: it is taken out and replaced at once.
    pub(crate) fn handle_wedged(&mut self, id: WorkerId, turn: &mut Turn<'_>) -> Option<News> {
        let (worker, state, next, news) = match self.take_state(turn) {
            State::Up(worker) if worker.id() == id => {
                let (state, next) = self.fail(&worker, Reason::Wedged, turn);
                (worker, state, next, None)
            }
            State::Reloading(Change { old: Some(old), new }) if old.id() == id => {
                self.exit_last = Some(Reason::Wedged.to_string());
                (old, State::Reloading(Change { old: None, new }), Next::Reload, None)
            }
            State::Reloading(change) if change.new.id() == id => {
                let Change { old, new } = change;
                let (state, next) = self.go_back(old, Loss { worker: &new, reason: Reason::Wedged }, turn);
                (new, state, next, Some(News::NotReplaced(Reason::Wedged)))
            }
            other => {
                self.state = other;
                return self.handle(id, &worker::Input::Eject, turn);
            }
        };
        self.state = state;
        turn.tell(Event::WorkerWedged { worker: id, slot: self.index, next });
        self.set_aside(worker, &worker::Input::Eject, turn);
        news
    }

    // ## Up => (Up | Failing | Down | Failed)
    fn up(
        &mut self,
        mut worker: Worker,
        input: &worker::Input,
        turn: &mut Turn<'_>,
    ) -> (State, Option<News>) {
        match worker.handle(input, turn) {
            Some(worker::News::Ready(readiness)) => {
                self.note_ready(&worker, readiness, turn);
                (State::Up(worker), None)
            }
            Some(worker::News::NotReady { after }) => {
                announce::not_ready(self.index, &worker, after, turn);
                let reason = Reason::NotReady { after };
                if worker.ready_since().is_none() {
                    return (State::Failing(worker, reason), None);
                }
                let (state, _) = self.fail(&worker, reason, turn);
                self.leaving.push(worker);
                (state, None)
            }
            Some(worker::News::Ended(reason)) => {
                let (state, next) = self.fail(&worker, reason.clone(), turn);
                let ending = Ending { worker: worker.id(), slot: self.index, expected: false, next };
                announce::ended(&reason, &ending, turn);
                (state, None)
            }
            Some(worker::News::Incurable) => {
                let news = News::Incurable(worker.id());
                (State::Up(worker), Some(news))
            }
            news => {
                announce::rest(self.index, &worker, news.as_ref(), turn);
                (State::Up(worker), None)
            }
        }
    }

    // ## Reloading => (Reloading | Up | Down | Failed)
    fn reloading_new(
        &mut self,
        change: Change,
        input: &worker::Input,
        turn: &mut Turn<'_>,
    ) -> (State, Option<News>) {
        let Change { old, mut new } = change;
        match new.handle(input, turn) {
            Some(worker::News::Ready(readiness)) => {
                self.note_ready(&new, readiness, turn);
                if let Some(old) = old {
                    self.set_aside(old, &worker::Input::Retire, turn);
                }
                (State::Up(new), Some(News::Replaced))
            }
            Some(worker::News::NotReady { after }) => {
                announce::not_ready(self.index, &new, after, turn);
                let reason = Reason::NotReady { after };
                let (state, _) = self.go_back(old, Loss { worker: &new, reason: reason.clone() }, turn);
                self.leaving.push(new);
                (state, Some(News::NotReplaced(reason)))
            }
            Some(worker::News::Ended(reason)) => {
                let (state, next) = self.go_back(old, Loss { worker: &new, reason: reason.clone() }, turn);
                let ending = Ending { worker: new.id(), slot: self.index, expected: false, next };
                announce::ended(&reason, &ending, turn);
                (state, Some(News::NotReplaced(reason)))
            }
            news => {
                announce::rest(self.index, &new, news.as_ref(), turn);
                (State::Reloading(Change { old, new }), None)
            }
        }
    }

    // ## Reloading => Reloading: whatever becomes of the old worker, the new one is on its way.
    fn reloading_old(
        &mut self,
        change: Change,
        input: &worker::Input,
        turn: &mut Turn<'_>,
    ) -> (State, Option<News>) {
        let Change { old: Some(mut old), new } = change else { return (State::Reloading(change), None) };
        let mut incurable = None;
        match old.handle(input, turn) {
            Some(worker::News::NotReady { after }) => {
                announce::not_ready(self.index, &old, after, turn);
                self.leaving.push(old);
                return (State::Reloading(Change { old: None, new }), None);
            }
            Some(worker::News::Ended(reason)) => {
                self.exit_last = Some(reason.to_string());
                let ending =
                    Ending { worker: old.id(), slot: self.index, expected: false, next: Next::Reload };
                announce::ended(&reason, &ending, turn);
                return (State::Reloading(Change { old: None, new }), None);
            }
            Some(worker::News::Ready(readiness)) => self.note_ready(&old, readiness, turn),
            Some(worker::News::Incurable) => incurable = Some(News::Incurable(old.id())),
            news => announce::rest(self.index, &old, news.as_ref(), turn),
        }
        (State::Reloading(Change { old: Some(old), new }), incurable)
    }

    /// The new worker of a reload failed.
    fn go_back(&mut self, old: Option<Worker>, new: Loss<'_>, turn: &mut Turn<'_>) -> (State, Next) {
        match old {
            Some(old) => {
                self.exit_last = Some(new.reason.to_string());
                (State::Up(old), Next::No)
            }
            None => self.fail(new.worker, new.reason, turn),
        }
    }

    /// The slot lost its worker: decides what follows.
    fn fail(&mut self, worker: &Worker, reason: Reason, turn: &mut Turn<'_>) -> (State, Next) {
        self.exit_last = Some(reason.to_string());
        let since = turn.now;
        let hopeless = reason.is_fatal() && turn.desk.memory.standing != Standing::Proven;
        let death = Death { at: since, ready_since: worker.ready_since(), reason: &reason, hopeless };
        let next = self.record.judge(&death, &turn.desk.config, &mut turn.desk.jitter);
        let try_at = match next {
            Next::Now => Some(since),
            Next::After(delay) => Some(turn.after(delay)),
            Next::Failed { retry_in } => {
                let deaths = self.record.unstable(since, None, turn.config());
                let reason =
                    if hopeless { reason } else { Reason::TooOften { deaths, last: Box::new(reason) } };
                return (State::Failed { since, try_at: turn.after(retry_in), reason }, next);
            }
            Next::Reload | Next::No => None,
        };
        self.restarts += u32::from(try_at.is_some());
        (State::Down { since, try_at }, next)
    }

    fn note_ready(&mut self, worker: &Worker, readiness: Readiness, turn: &mut Turn<'_>) {
        turn.desk.memory.standing = Standing::Proven;
        announce::ready(self.index, worker, readiness, turn);
        if self.record.is_recovered() {
            turn.tell(Event::Recovered { slot: self.index });
        }
    }
}
