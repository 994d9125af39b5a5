//! The life of one process, from the request to start it until its exit.
//!
//! | state | leaves for | deadline | what the deadline does |
//! |---|---|---|---|
//! | spawning | starting (started), unborn (retire, eject, kill), down (spawn failed) | `answer_by` | down |
//! | starting | ready, stopping (retire), terminating (eject), killed (kill) | `ready_by` | ready if assumed, else stopping |
//! | ready | ailing (unhealthy), unready, draining (retire), terminating (eject), killed (kill) | - | |
//! | ailing | ready, ejected (suspend), unready, draining (retire), terminating (eject), killed (kill) | `replace_at` | asks for a replacement |
//! | ejected | ready, ailing (restore), unready, draining (retire), terminating (eject), killed (kill) | `replace_at` | asks for a replacement |
//! | unready | ready, draining (retire), terminating (eject), killed (kill) | `ready_by` | ready if assumed, else stopping |
//! | draining | stopping (drained), terminating (eject), killed (kill) | `stop_at` | stopping |
//! | unborn | killed (started), down (spawn failed) | `answer_by` | down |
//! | stopping | terminating (eject), killed (kill) | `terminate_at` | terminating |
//! | terminating | killed (kill) | `kill_at` | killed |
//! | killed | | `again_at` | killed again |
//! | down | | - | |
//!
//! *Ailing* and *ejected* are both unhealthy: one gets requests, for nobody healthy is there to take them, the other gets none.
//! Every state goes down when the process has exited. Whether another takes its place is the slot's decision (`slot.rs`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ReadyTimeout;
use crate::event::{Action, Readiness, WorkerId};
use crate::exit::ExitKind;
use crate::moment::Moment;
use crate::reason::Reason;
use crate::turn::Turn;

/// A request to spawn that was not answered for so long is taken for failed. Starting a process is a matter of milliseconds.
const SPAWN_ANSWER_MAX: Duration = Duration::from_secs(30);

/// SIGKILL is sent again after this, in case it got lost on its way.
const KILL_REPEAT: Duration = Duration::from_secs(5);

/// While nobody listened the worker may have said that it is ready: after that there is at least so much time to hear it.
const HEARING_MIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worker {
    id: WorkerId,
    state: State,
    since: Moment,
    spawned_at: Moment,
    /// The first time it was ready.
    ready_since: Option<Moment>,
    pid: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Spawning { answer_by: Moment },
    Starting { ready_by: Moment },
    Ready,
    Ailing(Illness),
    Ejected(Illness),
    Unready { ready_by: Moment },
    Draining { stop_at: Moment },
    Unborn { answer_by: Moment },
    Stopping { terminate_at: Moment },
    Terminating { kill_at: Moment },
    Killed { again_at: Moment },
    Down,
}

/// That a worker is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Illness {
    pub(crate) since: Moment,
    /// None once a replacement was asked for.
    replace_at: Option<Moment>,
}

#[derive(Debug)]
pub(crate) enum Input {
    Started {
        pid: u32,
    },
    SpawnFailed {
        reason: String,
        fatal: bool,
    },
    Ready,
    Unready,
    Unhealthy,
    /// Let others have the requests of an unhealthy worker.
    Suspend,
    /// Let an unhealthy worker have requests, for nobody else can take them.
    Restore,
    Drained,
    Exited {
        exit: ExitKind,
    },
    /// Leave in order.
    Retire,
    /// Leave without finishing anything.
    Eject,
    Kill,
    Timeout,
}

/// What the slot has to know.
#[derive(Debug)]
pub(crate) enum News {
    Started {
        pid: u32,
    },
    Ready(Readiness),
    Unhealthy,
    Ejected,
    Restored,
    Healthy {
        after: Duration,
    },
    /// It has been unhealthy for so long that another has to take its place.
    Incurable,
    Unready,
    /// It was not ready in time and is being stopped.
    NotReady {
        after: Duration,
    },
    Ended(Reason),
}

impl Worker {
    /// Asks for a new process.
    pub(crate) fn spawn(slot: u32, turn: &mut Turn<'_>) -> Self {
        let (id, now) = (turn.name_worker(), turn.now);
        turn.act(Action::Spawn { worker: id, slot });
        let state = State::Spawning { answer_by: turn.after(SPAWN_ANSWER_MAX) };
        Self { id, state, since: now, spawned_at: now, ready_since: None, pid: None }
    }

    pub(crate) fn handle(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        if matches!(input, Input::Timeout) && self.poll_timeout().is_none_or(|deadline| turn.now < deadline) {
            return None;
        }
        match self.state {
            State::Spawning { answer_by } => self.spawning(answer_by, input, turn),
            State::Starting { .. } => self.starting(input, turn),
            State::Ready => self.ready(input, turn),
            State::Ailing(illness) => self.ailing(illness, input, turn),
            State::Ejected(illness) => self.ejected(illness, input, turn),
            State::Unready { .. } => self.unready(input, turn),
            State::Draining { .. } => self.draining(input, turn),
            State::Unborn { .. } => self.unborn(input, turn),
            State::Stopping { .. } => self.stopping(input, turn),
            State::Terminating { .. } => self.terminating(input, turn),
            State::Killed { .. } => self.killed(input, turn),
            State::Down => None,
        }
    }

    /// Another process goes on with it: asks again for what its state implies, for nobody knows whether it was done. All of it can
    /// be done twice. The deadlines stay.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) {
        let (worker, hearing) = (self.id, turn.after(HEARING_MIN));
        match &mut self.state {
            // The driver knows by now, or will find out, whether there is a process.
            State::Spawning { .. } | State::Unborn { .. } | State::Down => (),
            State::Starting { ready_by } => *ready_by = hearing.max(*ready_by),
            State::Ready | State::Ailing(_) => turn.act(Action::Route { worker }),
            State::Ejected(_) => turn.act(Action::Suspend { worker }),
            State::Unready { ready_by } => {
                *ready_by = hearing.max(*ready_by);
                turn.act(Action::Drain { worker });
            }
            State::Draining { .. } => turn.act(Action::Drain { worker }),
            State::Stopping { .. } => turn.act(Action::StopPolitely { worker }),
            State::Terminating { .. } => turn.act(Action::Terminate { worker }),
            State::Killed { .. } => turn.act(Action::Kill { worker }),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Spawning { answer_by } | State::Unborn { answer_by } => Some(answer_by),
            State::Starting { ready_by } | State::Unready { ready_by } => Some(ready_by),
            State::Ailing(illness) | State::Ejected(illness) => illness.replace_at,
            State::Draining { stop_at } => Some(stop_at),
            State::Stopping { terminate_at } => Some(terminate_at),
            State::Terminating { kill_at } => Some(kill_at),
            State::Killed { again_at } => Some(again_at),
            State::Ready | State::Down => None,
        }
    }

    pub(crate) const fn id(&self) -> WorkerId {
        self.id
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) const fn since(&self) -> Moment {
        self.since
    }

    pub(crate) const fn spawned_at(&self) -> Moment {
        self.spawned_at
    }

    pub(crate) const fn ready_since(&self) -> Option<Moment> {
        self.ready_since
    }

    /// It is ready but not healthy.
    pub(crate) const fn illness(&self) -> Option<Illness> {
        match self.state {
            State::Ailing(illness) | State::Ejected(illness) => Some(illness),
            _ => None,
        }
    }

    pub(crate) const fn pid(&self) -> Option<u32> {
        self.pid
    }

    // ## Spawning => (Starting | Ready | Unborn | Down)
    fn spawning(&mut self, answer_by: Moment, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Started { pid } => {
                let ready_by = turn.after(turn.config().ready_timeout);
                self.enter(State::Starting { ready_by }, turn);
                self.learn(*pid)
            }
            Input::SpawnFailed { reason, fatal } => self.fail_to_spawn(reason, *fatal, turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Ready => self.become_ready(Readiness::Said, turn),
            Input::Retire | Input::Eject | Input::Kill => self.enter(State::Unborn { answer_by }, turn),
            Input::Timeout => self.end(unanswered(), turn),
            Input::Unready | Input::Unhealthy | Input::Suspend | Input::Restore | Input::Drained => None,
        }
    }

    // ## Starting => (Ready | Stopping | Terminating | Killed | Down)
    fn starting(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Ready => self.become_ready(Readiness::Said, turn),
            Input::Retire => self.stop(turn),
            Input::Eject => self.terminate(turn),
            Input::Kill => self.kill(turn),
            Input::Timeout => self.run_out_of_patience(turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            // Whether it gets ready at all is still open.
            Input::Unhealthy | Input::Suspend | Input::Restore => None,
            Input::SpawnFailed { .. } | Input::Unready | Input::Drained => None,
        }
    }

    // ## Ready => (Ailing | Unready | Draining | Terminating | Killed | Down)
    fn ready(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Unhealthy => {
                let replace_at = Some(turn.after(turn.config().health_replace_after));
                self.enter(State::Ailing(Illness { since: turn.now, replace_at }), turn);
                Some(News::Unhealthy)
            }
            Input::Unready => self.become_unready(turn),
            Input::Retire => self.drain(turn),
            Input::Eject => {
                turn.act(Action::Drain { worker: self.id });
                self.terminate(turn)
            }
            Input::Kill => {
                turn.act(Action::Drain { worker: self.id });
                self.kill(turn)
            }
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            Input::Suspend | Input::Restore | Input::Timeout => None,
            Input::SpawnFailed { .. } | Input::Ready | Input::Drained => None,
        }
    }

    // ## Ailing => (Ready | Ejected | Unready | Draining | Terminating | Killed | Down)
    fn ailing(&mut self, illness: Illness, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Ready => self.recover(illness, turn),
            Input::Suspend => {
                turn.act(Action::Suspend { worker: self.id });
                self.enter(State::Ejected(illness), turn);
                Some(News::Ejected)
            }
            Input::Timeout => self.ask_for_replacement(State::Ailing, illness),
            Input::Unready => self.become_unready(turn),
            Input::Retire => self.drain(turn),
            Input::Eject => {
                turn.act(Action::Drain { worker: self.id });
                self.terminate(turn)
            }
            Input::Kill => {
                turn.act(Action::Drain { worker: self.id });
                self.kill(turn)
            }
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            Input::SpawnFailed { .. } | Input::Unhealthy | Input::Restore | Input::Drained => None,
        }
    }

    // ## Ejected => (Ready | Ailing | Unready | Draining | Terminating | Killed | Down)
    fn ejected(&mut self, illness: Illness, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Ready => {
                turn.act(Action::Route { worker: self.id });
                self.recover(illness, turn)
            }
            Input::Restore => {
                turn.act(Action::Route { worker: self.id });
                self.enter(State::Ailing(illness), turn);
                Some(News::Restored)
            }
            Input::Timeout => self.ask_for_replacement(State::Ejected, illness),
            Input::Unready => self.become_unready(turn),
            // It may still have requests in flight: ask again, the answer to the first Drain may have been given already.
            Input::Retire => self.drain(turn),
            Input::Eject => self.terminate(turn),
            Input::Kill => self.kill(turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            Input::SpawnFailed { .. } | Input::Unhealthy | Input::Suspend | Input::Drained => None,
        }
    }

    // ## Unready => (Ready | Draining | Stopping | Terminating | Killed | Down)
    fn unready(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Ready => self.become_ready(Readiness::Said, turn),
            // It may still have requests in flight: ask again, the answer to the first Drain may have been given already.
            Input::Retire => self.drain(turn),
            Input::Eject => self.terminate(turn),
            Input::Kill => self.kill(turn),
            Input::Timeout => self.run_out_of_patience(turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            // It gets no requests as it is.
            Input::Unhealthy | Input::Suspend | Input::Restore => None,
            Input::SpawnFailed { .. } | Input::Unready | Input::Drained => None,
        }
    }

    // ## Draining => (Stopping | Terminating | Killed | Down)
    fn draining(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Drained | Input::Timeout => self.stop(turn),
            Input::Eject => self.terminate(turn),
            Input::Kill => self.kill(turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            // It takes no more requests, whatever it says.
            Input::Ready | Input::Unready | Input::Unhealthy | Input::Suspend | Input::Restore => None,
            Input::SpawnFailed { .. } | Input::Retire => None,
        }
    }

    // ## Unborn => (Killed | Down)
    fn unborn(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            // It has only just begun, so there is nothing that it could lose.
            Input::Started { pid } => {
                self.kill(turn);
                self.learn(*pid)
            }
            Input::SpawnFailed { reason, fatal } => self.fail_to_spawn(reason, *fatal, turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Timeout => self.end(unanswered(), turn),
            Input::Ready | Input::Unready | Input::Unhealthy | Input::Suspend | Input::Restore => None,
            Input::Drained | Input::Retire | Input::Eject | Input::Kill => None,
        }
    }

    // ## Stopping => (Terminating | Killed | Down)
    fn stopping(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Eject | Input::Timeout => self.terminate(turn),
            Input::Kill => self.kill(turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            // It finished starting after it was told to stop; the stop wins.
            Input::Ready | Input::Unready | Input::Unhealthy | Input::Suspend | Input::Restore => None,
            Input::SpawnFailed { .. } | Input::Drained | Input::Retire => None,
        }
    }

    // ## Terminating => (Killed | Down)
    fn terminating(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Kill | Input::Timeout => self.kill(turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            Input::Ready | Input::Unready | Input::Unhealthy | Input::Suspend | Input::Restore => None,
            Input::SpawnFailed { .. } | Input::Drained | Input::Retire | Input::Eject => None,
        }
    }

    // ## Killed => (Killed | Down)
    fn killed(&mut self, input: &Input, turn: &mut Turn<'_>) -> Option<News> {
        match input {
            Input::Timeout => self.kill(turn),
            Input::Exited { exit } => self.end(Reason::Exited { exit: *exit }, turn),
            Input::Started { pid } => self.learn(*pid),
            Input::Ready | Input::Unready | Input::Unhealthy | Input::Suspend | Input::Restore => None,
            Input::SpawnFailed { .. } | Input::Drained | Input::Retire | Input::Eject | Input::Kill => None,
        }
    }

    fn enter(&mut self, state: State, turn: &Turn<'_>) -> Option<News> {
        self.state = state;
        self.since = turn.now;
        None
    }

    fn learn(&mut self, pid: u32) -> Option<News> {
        self.pid = Some(pid);
        Some(News::Started { pid })
    }

    fn become_ready(&mut self, readiness: Readiness, turn: &mut Turn<'_>) -> Option<News> {
        turn.act(Action::Route { worker: self.id });
        self.enter(State::Ready, turn);
        self.ready_since.get_or_insert(turn.now);
        Some(News::Ready(readiness))
    }

    fn become_unready(&mut self, turn: &mut Turn<'_>) -> Option<News> {
        let ready_by = turn.after(turn.config().ready_timeout);
        turn.act(Action::Drain { worker: self.id });
        self.enter(State::Unready { ready_by }, turn);
        Some(News::Unready)
    }

    fn recover(&mut self, illness: Illness, turn: &Turn<'_>) -> Option<News> {
        self.enter(State::Ready, turn);
        Some(News::Healthy { after: turn.now.saturating_duration_since(illness.since) })
    }

    fn ask_for_replacement(
        &mut self,
        state: impl FnOnce(Illness) -> State,
        illness: Illness,
    ) -> Option<News> {
        self.state = state(Illness { replace_at: None, ..illness });
        Some(News::Incurable)
    }

    fn run_out_of_patience(&mut self, turn: &mut Turn<'_>) -> Option<News> {
        match turn.config().on_ready_timeout {
            ReadyTimeout::Assume => self.become_ready(Readiness::Assumed, turn),
            ReadyTimeout::Fail => {
                let after = turn.now.saturating_duration_since(self.since);
                self.stop(turn);
                Some(News::NotReady { after })
            }
        }
    }

    fn drain(&mut self, turn: &mut Turn<'_>) -> Option<News> {
        turn.act(Action::Drain { worker: self.id });
        let stop_at = turn.after(turn.config().grace);
        self.enter(State::Draining { stop_at }, turn)
    }

    fn stop(&mut self, turn: &mut Turn<'_>) -> Option<News> {
        turn.act(Action::StopPolitely { worker: self.id });
        let terminate_at = turn.after(turn.config().terminate_after);
        self.enter(State::Stopping { terminate_at }, turn)
    }

    fn terminate(&mut self, turn: &mut Turn<'_>) -> Option<News> {
        turn.act(Action::Terminate { worker: self.id });
        let kill_at = turn.after(turn.config().kill_after);
        self.enter(State::Terminating { kill_at }, turn)
    }

    fn kill(&mut self, turn: &mut Turn<'_>) -> Option<News> {
        turn.act(Action::Kill { worker: self.id });
        let again_at = turn.after(KILL_REPEAT);
        self.enter(State::Killed { again_at }, turn)
    }

    fn fail_to_spawn(&mut self, reason: &str, fatal: bool, turn: &Turn<'_>) -> Option<News> {
        self.end(Reason::SpawnFailed { reason: reason.to_owned(), fatal }, turn)
    }

    fn end(&mut self, reason: Reason, turn: &Turn<'_>) -> Option<News> {
        self.enter(State::Down, turn);
        Some(News::Ended(reason))
    }
}

fn unanswered() -> Reason {
    let reason = format!("nothing answered the request to start it within {SPAWN_ANSWER_MAX:?}");
    Reason::SpawnFailed { reason, fatal: false }
}
