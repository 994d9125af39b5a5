//! What must hold after every step, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use stead_supervisor::{
    Action, AppConfig, AppSnapshot, Event, Input, Next, Phase, ReadyTimeout, SlotSnapshot, SlotState,
    WorkerId,
};

use crate::tally::Tally;

/// With one worker serving, or two in a reload, so many processes may be in a slot at a time.
const PROCESSES_PER_SLOT_MAX: usize = 3;

/// A request to spawn that nobody answers is given up after this.
const UNANSWERED: Duration = Duration::from_secs(30);

/// What late timers add to a stop; a killed process takes up to 0.1 s of it.
const LATENESS: Duration = Duration::from_secs(3);

/// What a process is, as the world knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Asked for, not answered.
    Asked,
    /// The answer got lost; the supervisor will give it up.
    Lost,
    /// It was started after all, when it had been given up.
    Stray,
    Running,
    Gone,
}

#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) slot: u32,
    pub(crate) life: Life,
    pub(crate) is_routed: bool,
    pub(crate) said_ready: bool,
}

pub(crate) type Processes = BTreeMap<WorkerId, Process>;

/// What is remembered of a life in order to judge it.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) tally: Tally,
    /// Reloads and restarts that are still to be answered.
    open_reloads: BTreeMap<u64, Open>,
    /// Workers that are to be recycled, and can be.
    recycled: BTreeSet<WorkerId>,
    /// What the last order was: to run, or not to.
    wanted: bool,
    stop: Option<Stop>,
    was_ready: bool,
    /// Some configuration of this life assumes that a worker is ready after a while.
    may_assume: bool,
    /// The longest of each limit that any configuration of this life had.
    limits: Limits,
}

/// A reload or restart.
#[derive(Debug)]
struct Open {
    /// The last worker asked for before it.
    last: WorkerId,
    is_restart: bool,
}

/// A stop that is not over yet.
#[derive(Debug)]
enum Stop {
    InOrder { since: Instant },
    Now { since: Instant },
}

#[derive(Debug, Default)]
struct Limits {
    grace: Duration,
    terminate_after: Duration,
    kill_after: Duration,
    backoff_max: Duration,
    cool_down: Duration,
    reload_parallel: usize,
}

/// One step: what went in, and how the world was before.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) now: Instant,
    pub(crate) input: &'a Input,
    pub(crate) routed_before: &'a BTreeMap<WorkerId, u32>,
    pub(crate) phase_before: Phase,
    /// How it was after it, as the application tells.
    pub(crate) snapshot: &'a AppSnapshot,
}

impl Rules {
    pub(crate) fn learn(&mut self, config: &AppConfig) {
        self.may_assume |= config.on_ready_timeout == ReadyTimeout::Assume;
        self.limits.grace = self.limits.grace.max(config.grace);
        self.limits.terminate_after = self.limits.terminate_after.max(config.terminate_after);
        self.limits.kill_after = self.limits.kill_after.max(config.kill_after);
        self.limits.backoff_max = self.limits.backoff_max.max(config.backoff_max);
        self.limits.cool_down = self.limits.cool_down.max(config.cool_down);
        self.limits.reload_parallel = self.limits.reload_parallel.max(config.reload_parallel.max(1) as usize);
    }

    pub(crate) fn are_reloads_answered(&self) -> bool {
        self.open_reloads.is_empty()
    }

    pub(crate) fn note_input(&mut self, now: Instant, input: &Input, before: &AppSnapshot) {
        match input {
            Input::Start | Input::Restart { .. } => self.wanted = true,
            Input::Stop | Input::StopNow => self.wanted = before.phase == Phase::Stopped && self.wanted,
            Input::Recycle { worker, .. } => {
                let states = [SlotState::Ready, SlotState::Unready];
                let serves =
                    |slot: &&SlotSnapshot| slot.worker == Some(*worker) && states.contains(&slot.state);
                self.recycled.extend(before.slots.iter().find(serves).and_then(|slot| slot.worker));
            }
            _ => (),
        }
        match input {
            _ if before.phase == Phase::Stopped => (),
            Input::Stop => {
                self.stop.get_or_insert(Stop::InOrder { since: now });
            }
            Input::StopNow if !matches!(self.stop, Some(Stop::Now { .. })) => {
                self.stop = Some(Stop::Now { since: now });
            }
            _ => (),
        }
    }

    pub(crate) fn note_order(&mut self, input: &Input, last: WorkerId) {
        if let Input::Reload { id } | Input::Restart { id } = input {
            let is_restart = matches!(input, Input::Restart { .. });
            self.open_reloads.insert(*id, Open { last, is_restart });
        }
    }

    pub(crate) fn check_all_recycled(&self, processes: &Processes) {
        let left = self.recycled.iter().find(|worker| processes[worker].life == Life::Running);
        assert!(left.is_none(), "who is to be recycled is: {left:?}");
    }

    pub(crate) fn check_action(&mut self, action: &Action, processes: &Processes, step: &Step<'_>) {
        self.tally.count(action);
        let worker = match action {
            Action::Spawn { worker, slot } => {
                assert!(!processes.contains_key(worker), "worker ids are never used again: {worker}");
                assert!(!is_stopped(step), "nothing is spawned after a stop: {worker} in {slot}");
                return;
            }
            Action::Tell(event) => return self.check_event(event, processes, step),
            Action::Route { worker }
            | Action::Suspend { worker }
            | Action::Drain { worker }
            | Action::Kill { worker }
            | Action::StopPolitely { worker }
            | Action::Terminate { worker } => worker,
        };
        if matches!(action, Action::Route { .. }) {
            let is_ready = processes[worker].said_ready || self.may_assume;
            assert!(is_ready, "only a worker that said it is ready gets requests: {worker}");
        }
        let is_allowed = match processes[worker].life {
            Life::Running => true,
            Life::Stray => matches!(action, Action::Kill { .. }),
            Life::Asked | Life::Lost | Life::Gone => false,
        };
        assert!(is_allowed, "only a running worker is acted upon: {action:?}");
    }

    fn check_event(&mut self, event: &Event, processes: &Processes, step: &Step<'_>) {
        match event {
            Event::WorkerReady { .. } => self.was_ready = true,
            Event::WorkerWedged { next, .. }
            | Event::WorkerExited { next, .. }
            | Event::SpawnFailed { next, .. } => self.check_next(*next),
            Event::RecycleStarted { .. } => {
                assert!(self.open_reloads.is_empty(), "nobody is recycled while a reload is wanted");
            }
            Event::ReloadProgress { id, done, of } => {
                assert!(
                    self.open_reloads.contains_key(id) && done <= of,
                    "progress of an open reload: {event:?}"
                );
            }
            Event::ReloadDone { id } => {
                let Open { last, is_restart } = self.open_reloads.remove(id).expect("each is answered once");
                *(if is_restart { &mut self.tally.restarts_done } else { &mut self.tally.reloads_done }) += 1;
                let old = processes.iter().find(|(worker, process)| process.is_routed && **worker <= last);
                assert!(old.is_none(), "after reload {id} no old worker serves: {old:?}");
            }
            Event::ReloadFailed { id, .. } => {
                let Open { is_restart, .. } = self.open_reloads.remove(id).expect("each is answered once");
                *(if is_restart {
                    &mut self.tally.restarts_failed
                } else {
                    &mut self.tally.reloads_failed
                }) += 1;
            }
            Event::Stopped => {
                self.stop = None;
                let mut processes = processes.values();
                assert!(!processes.any(|process| process.life == Life::Running), "stopped means all ended");
            }
            Event::Failed { .. } => {
                assert!(!self.was_ready, "an application that was ready is never given up");
                assert!(!is_stopped(step), "a stopped application does not fail");
            }
            _ => (),
        }
    }

    fn check_next(&mut self, next: Next) {
        match next {
            Next::After(delay) => assert!(delay <= self.limits.backoff_max, "backoff is bounded: {delay:?}"),
            Next::Failed { retry_in } => {
                let limit = self.limits.cool_down.max(self.limits.backoff_max);
                assert!(retry_in <= limit, "cool-down is bounded: {retry_in:?}");
            }
            Next::Now | Next::Reload | Next::No => (),
        }
    }

    /// Before its actions are looked at.
    pub(crate) fn note_step(&mut self, step: &Step<'_>) {
        if step.phase_before != Phase::Running && step.snapshot.phase == Phase::Running {
            // A fresh start; if one was stopped before, that is over.
            (self.was_ready, self.stop) = (false, None);
        }
    }

    pub(crate) fn check_step(&mut self, step: &Step<'_>, processes: &Processes) {
        self.tally.steps += 1;
        let snapshot = step.snapshot;
        let routed = routed(processes);
        let slots: BTreeSet<u32> = routed.values().copied().collect();
        assert_eq!(slots.len(), routed.len(), "one routed worker per slot: {routed:?}");
        let runs = matches!(snapshot.phase, Phase::Running | Phase::StoppingToStart);
        assert_eq!(runs, self.wanted, "the last order counts");
        self.check_losses(step, &routed);
        check_health(&routed, snapshot);
        check_recycling(snapshot);
        check_snapshot(snapshot, processes);
        for slot in &snapshot.slots {
            let count = usize::from(slot.worker.is_some()) + slot.others.len();
            assert!(count <= PROCESSES_PER_SLOT_MAX, "processes in a slot are bounded: {slot:?}");
        }
        let Limits { grace, terminate_after, kill_after, .. } = self.limits;
        let stopped_by = self.stop.as_ref().map(|stop| match stop {
            Stop::InOrder { since } => {
                *since + (grace + terminate_after + kill_after).max(UNANSWERED) + LATENESS
            }
            Stop::Now { since } => *since + UNANSWERED + LATENESS,
        });
        assert!(stopped_by.is_none_or(|by| step.now <= by), "a stop ends within its limits");
    }

    /// A worker stops getting requests only by its own fault, by order, or because another already gets them in its place.
    fn check_losses(&self, step: &Step<'_>, routed: &BTreeMap<WorkerId, u32>) {
        let snapshot = step.snapshot;
        let mut restarted = 0;
        for (worker, slot) in step.routed_before.iter().filter(|(worker, _)| !routed.contains_key(worker)) {
            let is_allowed = match step.input {
                Input::Exited { worker: own, .. }
                | Input::Unready { worker: own }
                | Input::Wedged { worker: own } => own == worker,
                Input::Stop | Input::StopNow => true,
                Input::Scale(_) | Input::Reconfigure(_) => *slot >= snapshot.instances,
                _ => false,
            };
            let is_ejected =
                is_ill(*worker, snapshot) && routed.keys().any(|other| !is_ill(*other, snapshot));
            let is_replaced = routed.values().any(|other| other == slot);
            if !(is_allowed || is_ejected || is_replaced) {
                restarted += 1;
                let is_restart = self.open_reloads.values().any(|open| open.is_restart);
                assert!(is_restart, "worker {worker} of slot {slot} lost its requests by {:?}", step.input);
            }
        }
        assert!(restarted <= self.limits.reload_parallel, "a restart takes few at a time: {restarted}");
    }
}

pub(crate) fn routed(processes: &Processes) -> BTreeMap<WorkerId, u32> {
    let routed = processes.iter().filter(|(_, process)| process.is_routed);
    routed.map(|(worker, process)| (*worker, process.slot)).collect()
}

fn is_stopped(step: &Step<'_>) -> bool {
    step.snapshot.phase != Phase::Running
}

fn is_ill(worker: WorkerId, snapshot: &AppSnapshot) -> bool {
    let mut slots = snapshot.slots.iter();
    slots.any(|slot| slot.worker == Some(worker) && slot.unhealthy_since.is_some())
}

/// The unhealthy get requests exactly if nobody healthy is there to take them.
fn check_health(routed: &BTreeMap<WorkerId, u32>, snapshot: &AppSnapshot) {
    let any_healthy = routed.keys().any(|worker| !is_ill(*worker, snapshot));
    for slot in snapshot.slots.iter().filter(|slot| slot.unhealthy_since.is_some()) {
        let is_routed = slot.worker.is_some_and(|worker| routed.contains_key(&worker));
        assert_ne!(is_routed, any_healthy, "the unhealthy serve only if nobody else does: {snapshot:?}");
    }
}

/// One at a time, and never during a reload.
fn check_recycling(snapshot: &AppSnapshot) {
    assert!(snapshot.recycle.is_none() || snapshot.reload.is_none(), "nobody is recycled during a reload");
    let is_renewed =
        |slot: &&SlotSnapshot| slot.others.iter().any(|other| other.state == SlotState::Starting);
    let renewed = snapshot.slots.iter().filter(is_renewed).count();
    let may_be = usize::from(snapshot.recycle.is_some());
    assert!(snapshot.reload.is_some() || renewed <= may_be, "one is recycled at a time: {snapshot:?}");
}

/// The snapshot tells of exactly the processes that there are, and calls ready what gets requests.
fn check_snapshot(snapshot: &AppSnapshot, processes: &Processes) {
    let main = snapshot.slots.iter().filter_map(|slot| slot.worker.map(|worker| (worker, slot.state)));
    let others = snapshot.slots.iter().flat_map(|slot| &slot.others).map(|other| (other.worker, other.state));
    let told: BTreeMap<WorkerId, SlotState> = main.chain(others).collect();
    for (worker, process) in processes {
        match process.life {
            Life::Asked | Life::Running => assert!(told.contains_key(worker), "worker {worker} is forgotten"),
            Life::Gone => assert!(!told.contains_key(worker), "worker {worker} is gone and still told of"),
            Life::Lost | Life::Stray => (),
        }
    }
    let ready: BTreeSet<WorkerId> =
        told.iter().filter(|(_, state)| **state == SlotState::Ready).map(|(worker, _)| *worker).collect();
    assert_eq!(ready, routed(processes).into_keys().collect(), "ready is who gets requests");
}
