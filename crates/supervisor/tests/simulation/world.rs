//! The driver and the processes of one simulated life.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stead_supervisor::{
    Action, App, AppConfig, Event, ExitKind, Input, Phase, ReadyTimeout, Recycle, Restart, SlotState,
    WorkerId,
};

use crate::rules::{Life, Process, Processes, Rules, Step, routed};
use crate::tally::Tally;

/// More steps in one life mean that the machine spins.
const STEPS_MAX: u64 = 200_000;

/// More timeouts at one moment mean the same; a few follow each other if limits are zero.
const TIMEOUTS_MAX: u32 = 20;

/// When everything goes well again, all must run after this: longer than any limit that a configuration here may have.
const HEALING: Duration = Duration::from_secs(900);

/// How late the timer may be.
const LATENESS_MAX: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Chaos,
    Healing,
    End,
}

pub(crate) struct World {
    app: App,
    config: AppConfig,
    rules: Rules,
    part: Part,
    now: Instant,
    /// What will be put in, by time and then by order of planning.
    plan: BTreeMap<(Instant, u64), Input>,
    planned: u64,
    processes: Processes,
    chance: Chance,
    /// Of a hundred starts, how many go wrong in this life.
    mischief: u64,
    reload_last: u64,
    phase: Phase,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let config = config(&mut chance);
        let mut rules = Rules::default();
        rules.learn(&config);
        let mischief = [0, 5, 20, 60, 100][chance.below(5) as usize];
        Self {
            app: App::new(config.clone(), seed),
            config,
            rules,
            part: Part::Chaos,
            now: Instant::now(),
            plan: BTreeMap::new(),
            planned: 0,
            processes: Processes::new(),
            chance,
            mischief,
            reload_last: 0,
            phase: Phase::Idle,
        }
    }

    /// Lives through all three parts.
    pub(crate) fn live(mut self) -> Tally {
        let end = self.now + Duration::from_secs(20 + self.chance.below(280));
        if !self.chance.percent(5) {
            self.put_in(&Input::Start);
        }
        self.plan_orders(end);
        self.run_until(end);

        self.part = Part::Healing;
        // What was planned of the chaos has to be over well before the end of the healing.
        let instances = 1 + u32::try_from(self.chance.below(4)).expect("below 4");
        self.put_in(&Input::Scale(instances));
        self.put_in(&Input::Start);
        self.run_until(self.now + HEALING);
        self.check_healed(instances);

        self.part = Part::End;
        let stop = if self.chance.percent(20) { Input::StopNow } else { Input::Stop };
        self.put_in(&stop);
        self.run_until(self.now + Duration::from_secs(300));
        assert_eq!(self.phase, Phase::Stopped, "a stop ends");
        assert!(self.rules.are_reloads_answered(), "each reload is answered");
        self.rules.tally
    }

    fn check_healed(&self, instances: u32) {
        let snapshot = self.app.snapshot(self.now);
        assert_eq!(snapshot.phase, Phase::Running);
        assert_eq!(
            snapshot.slots.len(),
            instances as usize,
            "slots that are scaled away are gone: {snapshot:?}"
        );
        for slot in &snapshot.slots {
            assert_eq!(slot.state, SlotState::Ready, "what is wanted runs: {slot:?}");
            assert!(slot.others.is_empty() && slot.unstable == 0, "everything is calm: {slot:?}");
            assert_eq!(slot.unhealthy_since, None, "who stays unhealthy is replaced: {slot:?}");
        }
        self.rules.check_all_recycled(&self.processes);
        assert_eq!(routed(&self.processes).len(), instances as usize);
        assert!(snapshot.reload.is_none() && self.rules.are_reloads_answered(), "each reload is answered");
    }

    fn run_until(&mut self, end: Instant) {
        let mut timeouts = 0;
        loop {
            assert!(self.planned < STEPS_MAX, "the machine spins");
            let planned = self.plan.first_key_value().map(|(key, _)| key.0);
            let timeout = self.app.poll_timeout();
            let Some(next) = planned.into_iter().chain(timeout).min().filter(|next| *next < end) else {
                break;
            };
            timeouts = if next > self.now { 0 } else { timeouts };
            self.now = self.now.max(next);
            // Now and then the timer is late and something else comes first.
            let is_near = planned.is_some_and(|at| at < self.now + LATENESS_MAX);
            let is_late = is_near && self.chance.percent(10);
            let is_timeout = timeout.is_some_and(|at| at <= self.now) && !is_late;
            if is_timeout {
                self.put_in(&Input::Timeout);
                timeouts += 1;
                assert!(timeouts <= TIMEOUTS_MAX, "the machine spins at {:?}", self.app);
            } else if let Some(((at, _), input)) = self.plan.pop_first() {
                self.now = self.now.max(at);
                self.put_in_if_possible(&input);
            }
        }
        self.now = self.now.max(end);
    }

    /// What is planned for a process that has ended does not happen.
    fn put_in_if_possible(&mut self, input: &Input) {
        let life = |worker: &WorkerId| self.processes[worker].life;
        let is_possible = match input {
            Input::Started { worker, .. } | Input::SpawnFailed { worker, .. } => {
                matches!(life(worker), Life::Asked | Life::Lost)
            }
            Input::Exited { worker, .. } => matches!(life(worker), Life::Running | Life::Stray),
            // Words may arrive late; they have to be ignored then.
            Input::Ready { worker }
            | Input::Unready { worker }
            | Input::Drained { worker }
            | Input::Unhealthy { worker }
            | Input::Wedged { worker } => life(worker) == Life::Running || self.chance.percent(20),
            Input::Start => self.part != Part::End,
            _ => true,
        };
        if is_possible {
            self.put_in(input);
        }
    }

    fn put_in(&mut self, input: &Input) {
        self.planned += 1;
        let worker_last = self.processes.last_key_value().map_or(0, |(worker, _)| *worker);
        let routed_before = routed(&self.processes);
        let before = self.app.snapshot(self.now);
        self.rules.note_input(self.now, input, &before);
        self.rules.note_order(input, worker_last);
        self.note(input);
        self.app.handle(self.now, input.clone());
        let snapshot = self.app.snapshot(self.now);
        let (now, phase_before) = (self.now, before.phase);
        let step = Step { now, input, routed_before: &routed_before, phase_before, snapshot: &snapshot };
        self.rules.note_step(&step);
        if self.chance.percent(2) {
            self.hand_over();
        }
        while let Some(action) = self.app.poll_action() {
            self.rules.check_action(&action, &self.processes, &step);
            self.perform(&action);
        }
        self.phase = snapshot.phase;
        self.rules.check_step(&step, &self.processes);
    }

    /// The driver dies after it has written down the machine and has done a part of what it had to; another one goes on.
    fn hand_over(&mut self) {
        self.rules.tally.resumed += 1;
        let saved = self.app.save(self.now);
        let written = serde_json::to_string(&saved).expect("it can be written");
        let read = serde_json::from_str(&written).expect("it can be read");
        assert_eq!(saved, read, "what was written is read as it was");
        let config = self.config.clone();
        let mut old = std::mem::replace(&mut self.app, App::resume(config, self.planned, read, self.now));
        assert_eq!(
            old.snapshot(self.now),
            self.app.snapshot(self.now),
            "nothing that can be seen has changed"
        );
        let mut is_alive = true;
        while let Some(action) = old.poll_action() {
            is_alive &= self.chance.percent(80);
            match action {
                // The next driver starts those that are asked for and were not started.
                Action::Spawn { .. } => self.perform(&action),
                // Nobody heard it; it is told again.
                Action::Tell(_) => (),
                _ if is_alive => self.perform(&action),
                _ => (),
            }
        }
        self.processes.values_mut().for_each(|process| process.is_routed = false);
    }

    /// What the world itself learns from an input.
    fn note(&mut self, input: &Input) {
        match input {
            Input::Started { worker, .. } => {
                let process = self.process(*worker);
                process.life = if process.life == Life::Lost { Life::Stray } else { Life::Running };
            }
            Input::Ready { worker } => self.process(*worker).said_ready = true,
            Input::Reconfigure(config) => {
                self.rules.learn(config);
                self.config = config.clone();
            }
            Input::Scale(instances) => self.config.instances = *instances,
            Input::SpawnFailed { worker, .. } | Input::Exited { worker, .. } => {
                let process = self.process(*worker);
                process.life = Life::Gone;
                process.is_routed = false;
            }
            _ => (),
        }
    }

    fn perform(&mut self, action: &Action) {
        match *action {
            Action::Spawn { worker, slot } => self.spawn(worker, slot),
            Action::Route { worker } => self.process(worker).is_routed = true,
            Action::Drain { worker } => {
                self.process(worker).is_routed = false;
                if !self.chance.percent(20) {
                    self.plan_within(2000, Input::Drained { worker });
                }
            }
            Action::Suspend { worker } => self.process(worker).is_routed = false,
            Action::StopPolitely { worker } => {
                if !self.chance.percent(30) {
                    self.plan_within(12_000, Input::Exited { worker, exit: ExitKind::by_code(0) });
                }
            }
            Action::Terminate { worker } => {
                if !self.chance.percent(30) {
                    let exit = ExitKind::by_signal(15, false, false);
                    self.plan_within(12_000, Input::Exited { worker, exit });
                }
            }
            Action::Kill { worker } => {
                let exit = ExitKind::by_signal(9, false, false);
                self.plan_within(100, Input::Exited { worker, exit });
            }
            // Whoever healed it starts it as soon as it has stopped.
            Action::Tell(Event::Stopped) if self.part == Part::Healing => self.plan_within(10, Input::Start),
            // The policy had its way; in the end all are wanted back.
            Action::Tell(Event::WorkerExited { .. }) if self.part == Part::Healing => {
                self.plan_within(60_000, Input::Start);
            }
            Action::Tell(_) => (),
        }
    }

    /// Decides what becomes of a new process.
    fn spawn(&mut self, worker: WorkerId, slot: u32) {
        let mut process = Process { slot, life: Life::Asked, is_routed: false, said_ready: false };
        let pid = u32::try_from(worker).expect("few workers");
        let is_bad = self.part == Part::Chaos && self.chance.percent(self.mischief);
        let started_after = self.chance.below(100);
        match if is_bad { self.chance.below(10) } else { 99 } {
            0 => {
                let fatal = self.chance.percent(30);
                let reason = "it could not be started".to_owned();
                self.plan_within(100, Input::SpawnFailed { worker, reason, fatal });
            }
            1 if self.chance.percent(30) => {
                process.life = Life::Lost;
                if self.chance.percent(50) {
                    // It lives after all, long after it was given up.
                    self.plan_after(40_000, Input::Started { worker, pid });
                }
            }
            kind => {
                self.plan_after(started_after, Input::Started { worker, pid });
                let ready_after = match kind {
                    1 | 2 => None,
                    3 | 4 => Some(self.chance.below(40_000)),
                    _ => Some(self.chance.below(300)),
                };
                if let Some(after) = ready_after {
                    self.plan_after(started_after + after, Input::Ready { worker });
                }
                if (4..10).contains(&kind) {
                    self.plan_mishap(worker, started_after);
                }
            }
        }
        self.processes.insert(worker, process);
    }

    fn plan_mishap(&mut self, worker: WorkerId, started_after: u64) {
        let span = [200, 2000, 60_000][self.chance.below(3) as usize];
        let after = started_after + self.chance.below(span);
        match self.chance.below(10) {
            8 | 9 => {
                self.plan_after(after, Input::Unhealthy { worker });
                if self.chance.percent(50) {
                    let again = after + self.chance.below(20_000);
                    self.plan_after(again, Input::Ready { worker });
                }
            }
            0 => self.plan_after(after, Input::Wedged { worker }),
            1 => {
                self.plan_after(after, Input::Unready { worker });
                if self.chance.percent(50) {
                    self.plan_after(after + self.chance.0 % 5000, Input::Ready { worker });
                }
            }
            kind => {
                let exit = match kind {
                    2 => ExitKind::by_code(0),
                    3 => ExitKind::by_signal(9, false, false),
                    4 => ExitKind::by_signal(9, false, true),
                    5 => ExitKind::by_signal(11, true, false),
                    _ => ExitKind::by_code(1),
                };
                self.plan_after(after, Input::Exited { worker, exit });
            }
        }
    }

    fn plan_orders(&mut self, end: Instant) {
        let span = u64::try_from(end.duration_since(self.now).as_millis()).expect("a short life");
        for _ in 0..self.chance.below(30) {
            let input = match self.chance.below(26) {
                0..9 => {
                    self.reload_last += 1;
                    Input::Reload { id: self.reload_last }
                }
                20 | 21 => {
                    self.reload_last += 1;
                    Input::Restart { id: self.reload_last }
                }
                22..25 => {
                    let (worker, why) = (1 + self.chance.below(40), Recycle::Memory);
                    Input::Recycle { worker, why }
                }
                25 => Input::ResetCounts,
                9..14 => Input::Scale(u32::try_from(self.chance.below(6)).expect("below 6")),
                14 | 15 => Input::Reconfigure(config(&mut self.chance)),
                16 => Input::Stop,
                17 if self.chance.percent(30) => Input::StopNow,
                17 | 18 => Input::Start,
                _ => Input::Timeout,
            };
            self.plan_within(span, input);
        }
    }

    fn plan_within(&mut self, milliseconds: u64, input: Input) {
        let after = self.chance.below(milliseconds);
        self.plan_after(after, input);
    }

    fn plan_after(&mut self, milliseconds: u64, input: Input) {
        self.planned += 1;
        self.plan.insert((self.now + Duration::from_millis(milliseconds), self.planned), input);
    }

    fn process(&mut self, worker: WorkerId) -> &mut Process {
        self.processes.get_mut(&worker).expect("the supervisor speaks only of workers it asked for")
    }
}

/// Any settings, extreme ones among them, with limits that end within [`HEALING`].
fn config(chance: &mut Chance) -> AppConfig {
    let mut within = |milliseconds: u64| match chance.below(8) {
        0 => Duration::ZERO,
        _ => Duration::from_millis(chance.below(milliseconds)),
    };
    AppConfig {
        backoff_first: within(1000),
        backoff_max: within(10_000),
        stable_after: within(10_000),
        restarts_period: within(60_000),
        cool_down: within(60_000),
        ready_timeout: Duration::from_secs(1) + within(30_000),
        grace: within(30_000),
        terminate_after: within(10_000),
        kill_after: within(10_000),
        instances: u32::try_from(chance.below(5)).expect("below 5"),
        restart: [Restart::Permanent, Restart::Permanent, Restart::Transient, Restart::Temporary]
            [chance.below(4) as usize],
        restarts_max: u32::try_from(chance.below(6)).expect("below 6"),
        on_ready_timeout: if chance.percent(30) { ReadyTimeout::Assume } else { ReadyTimeout::Fail },
        stop_exit_codes: if chance.percent(20) { vec![0, 3] } else { Vec::new() },
        health_replace_after: Duration::from_millis(chance.below(30_000)),
        reload_parallel: u32::try_from(chance.below(4)).expect("below 4"),
    }
}

/// Where the chance of a life comes from (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
