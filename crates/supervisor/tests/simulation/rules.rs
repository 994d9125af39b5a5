//! What must hold after every step, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use stead_supervisor::{
    Action, AppConfig, AppSnapshot, Event, Input, Next, Phase, ReadyTimeout, SlotState, WorkerId,
};

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

/// How often what happened, over all lives.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    steps: u64,
    spawned: u64,
    killed: u64,
    reloads_done: u64,
    reloads_failed: u64,
    recovered: u64,
    slots_failed: u64,
    apps_failed: u64,
    finished: u64,
    stopped: u64,
    wedged: u64,
    not_ready: u64,
    pub(crate) resumed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.fields().into_iter().zip(other.clone().fields()) {
            *mine += *theirs;
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.clone().fields().into_iter().all(|count| *count > 0)
    }

    fn fields(&mut self) -> [&mut u64; 13] {
        [
            &mut self.steps,
            &mut self.spawned,
            &mut self.killed,
            &mut self.reloads_done,
            &mut self.reloads_failed,
            &mut self.recovered,
            &mut self.slots_failed,
            &mut self.apps_failed,
            &mut self.finished,
            &mut self.stopped,
            &mut self.wedged,
            &mut self.not_ready,
            &mut self.resumed,
        ]
    }
}

/// What is remembered of a life in order to judge it.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) tally: Tally,
    /// Reloads that are still to be answered, with the last worker asked for before each.
    open_reloads: BTreeMap<u64, WorkerId>,
    stop: Option<Stop>,
    was_ready: bool,
    /// Some configuration of this life assumes that a worker is ready after a while.
    may_assume: bool,
    /// The longest of each limit that any configuration of this life had.
    limits: Limits,
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
}

/// One step: what went in, and how the world was before.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) now: Instant,
    pub(crate) input: &'a Input,
    pub(crate) routed_before: &'a BTreeMap<WorkerId, u32>,
    pub(crate) phase_before: Phase,
}

impl Rules {
    pub(crate) fn learn(&mut self, config: &AppConfig) {
        self.may_assume |= config.on_ready_timeout == ReadyTimeout::Assume;
        self.limits.grace = self.limits.grace.max(config.grace);
        self.limits.terminate_after = self.limits.terminate_after.max(config.terminate_after);
        self.limits.kill_after = self.limits.kill_after.max(config.kill_after);
        self.limits.backoff_max = self.limits.backoff_max.max(config.backoff_max);
        self.limits.cool_down = self.limits.cool_down.max(config.cool_down);
    }

    pub(crate) fn are_reloads_answered(&self) -> bool {
        self.open_reloads.is_empty()
    }

    pub(crate) fn note_input(&mut self, now: Instant, input: &Input, worker_last: WorkerId) {
        match input {
            Input::Reload { id } => {
                self.open_reloads.insert(*id, worker_last);
            }
            Input::Stop => {
                self.stop.get_or_insert(Stop::InOrder { since: now });
            }
            Input::StopNow if !matches!(self.stop, Some(Stop::Now { .. })) => {
                self.stop = Some(Stop::Now { since: now });
            }
            _ => (),
        }
    }

    pub(crate) fn check_action(&mut self, action: &Action, processes: &Processes, step: &Step<'_>) {
        let worker = match action {
            Action::Spawn { worker, slot } => {
                self.tally.spawned += 1;
                assert!(!processes.contains_key(worker), "worker ids are never used again: {worker}");
                assert!(!is_stopped(step), "nothing is spawned after a stop: {worker} in {slot}");
                return;
            }
            Action::Tell(event) => return self.check_event(event, processes, step),
            Action::Kill { worker } => {
                self.tally.killed += 1;
                worker
            }
            Action::Route { worker }
            | Action::Drain { worker }
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
            Event::WorkerNotReady { .. } => self.tally.not_ready += 1,
            Event::WorkerWedged { next, .. } => {
                self.tally.wedged += 1;
                self.check_next(*next);
            }
            Event::WorkerExited { next, .. } | Event::SpawnFailed { next, .. } => self.check_next(*next),
            Event::Recovered { .. } => self.tally.recovered += 1,
            Event::ReloadProgress { id, done, of } => {
                assert!(
                    self.open_reloads.contains_key(id) && done <= of,
                    "progress of an open reload: {event:?}"
                );
            }
            Event::ReloadDone { id } => {
                self.tally.reloads_done += 1;
                let last = self.open_reloads.remove(id).expect("each reload is answered once");
                let old = processes.iter().find(|(worker, process)| process.is_routed && **worker <= last);
                assert!(old.is_none(), "after reload {id} no old worker serves: {old:?}");
            }
            Event::ReloadFailed { id, .. } => {
                self.tally.reloads_failed += 1;
                self.open_reloads.remove(id).expect("each reload is answered once");
            }
            Event::Finished => self.tally.finished += 1,
            Event::Stopped => {
                self.tally.stopped += 1;
                self.stop = None;
                assert!(
                    !processes.values().any(|process| process.life == Life::Running),
                    "stopped means all ended"
                );
            }
            Event::Failed { .. } => {
                self.tally.apps_failed += 1;
                assert!(!self.was_ready, "an application that was ready is never given up");
                assert!(!is_stopped(step), "a stopped application does not fail");
            }
            Event::WorkerStarted { .. } | Event::WorkerUnready { .. } => (),
        }
    }

    fn check_next(&mut self, next: Next) {
        match next {
            Next::After(delay) => assert!(delay <= self.limits.backoff_max, "backoff is bounded: {delay:?}"),
            Next::Failed { retry_in } => {
                self.tally.slots_failed += 1;
                let limit = self.limits.cool_down.max(self.limits.backoff_max);
                assert!(retry_in <= limit, "cool-down is bounded: {retry_in:?}");
            }
            Next::Now | Next::Reload | Next::No => (),
        }
    }

    pub(crate) fn check_step(&mut self, step: &Step<'_>, processes: &Processes, snapshot: &AppSnapshot) {
        self.tally.steps += 1;
        let routed = routed(processes);
        let slots: BTreeSet<u32> = routed.values().copied().collect();
        assert_eq!(slots.len(), routed.len(), "one routed worker per slot: {routed:?}");
        check_losses(step, &routed, snapshot);
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
}

pub(crate) fn routed(processes: &Processes) -> BTreeMap<WorkerId, u32> {
    let routed = processes.iter().filter(|(_, process)| process.is_routed);
    routed.map(|(worker, process)| (*worker, process.slot)).collect()
}

fn is_stopped(step: &Step<'_>) -> bool {
    match step.input {
        Input::Stop | Input::StopNow => true,
        Input::Start => step.phase_before == Phase::Stopping,
        _ => step.phase_before != Phase::Running,
    }
}

/// A worker stops getting requests only by its own fault, by order, or because another already gets them in its place.
fn check_losses(step: &Step<'_>, routed: &BTreeMap<WorkerId, u32>, snapshot: &AppSnapshot) {
    for (worker, slot) in step.routed_before.iter().filter(|(worker, _)| !routed.contains_key(worker)) {
        let is_allowed = match step.input {
            Input::Exited { worker: own, .. }
            | Input::Unready { worker: own }
            | Input::Wedged { worker: own } => own == worker,
            Input::Stop | Input::StopNow => true,
            Input::Scale(_) | Input::Reconfigure(_) => *slot >= snapshot.instances,
            _ => routed.values().any(|other| other == slot),
        };
        assert!(is_allowed, "worker {worker} of slot {slot} lost its requests by {:?}", step.input);
    }
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
