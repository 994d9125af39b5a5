//! The world around a simulated pool: workers that misbehave, a journal, and a book of what must be true.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use stead_jobs::journal::{Ledger, Record};
use stead_jobs::{
    Action, Death, Fault, Input, Key, NewTask, Outcome, Phase, Pool, PoolConfig, Ready, Retry, Saved, TaskId,
    WorkerId,
};

/// What a task does to its worker; the first byte of its input.
const FINE: u8 = 0;
const FAILS: u8 = 1;
const FAILS_ONCE: u8 = 2;
const KILLS: u8 = 3;
const HANGS: u8 = 4;

/// What happened in all.
#[derive(Debug, Default, Clone)]
pub(crate) struct Total {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) timeouts: u64,
    pub(crate) poison: u64,
    pub(crate) cancelled: u64,
    pub(crate) restarts: u64,
    pub(crate) kills: u64,
    pub(crate) refused: u64,
    pub(crate) held: u64,
}

impl Total {
    pub(crate) fn add(&mut self, life: &Total) {
        self.done += life.done;
        self.failed += life.failed;
        self.timeouts += life.timeouts;
        self.poison += life.poison;
        self.cancelled += life.cancelled;
        self.restarts += life.restarts;
        self.kills += life.kills;
        self.refused += life.refused;
        self.held += life.held;
    }
}

/// A process that takes tasks.
#[derive(Debug)]
struct Process {
    ready: Ready,
    hand: VecDeque<(TaskId, u8)>,
    aborted: BTreeSet<TaskId>,
    draining: bool,
}

/// Everything.
pub(crate) struct World {
    random: u64,
    now: Instant,
    config: PoolConfig,
    pool: Pool,
    journal: Vec<Vec<u8>>,
    processes: BTreeMap<WorkerId, Process>,
    next_worker: WorkerId,
    wanted: u32,
    accepted: BTreeMap<TaskId, (u8, Option<u64>)>,
    outcomes: BTreeMap<TaskId, Outcome>,
    /// Per key the last task that was given for the first time.
    begun: BTreeMap<u64, TaskId>,
    once: BTreeSet<TaskId>,
    total: Total,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |bound: u64| next(&mut random) % bound;
        let ms = Duration::from_millis;
        let config = PoolConfig {
            workers_min: u32::try_from(below(2)).expect("small"),
            workers_max: 1 + u32::try_from(below(5)).expect("small"),
            queue_max: 5 + usize::try_from(below(40)).expect("small"),
            queue_bytes_max: 400,
            timeout: Some(ms(50 + below(500))),
            abort_grace: ms(below(100)),
            retries: u32::try_from(below(3)).expect("small"),
            backoff_first: ms(below(50)),
            backoff_max: ms(200),
            deaths_max: 2,
            // Somebody kills without a reason here.
            kills_max: u32::MAX,
            settled_after: Duration::from_millis(50),
            ahead: ms(below(20)),
            kept_max: usize::try_from(below(30)).expect("small"),
            kept_bytes_max: 200,
            kept_for: ms(below(2000)),
            dead_max: usize::try_from(below(5)).expect("small"),
            set_aside_failed: below(2) == 0,
            scale_up_after: ms(below(50)),
            scale_down_after: ms(below(500)),
        };
        let now = Instant::now();
        Self {
            random,
            now,
            pool: Pool::new(now, config.clone(), seed),
            wanted: config.workers_min,
            config,
            journal: Vec::new(),
            processes: BTreeMap::new(),
            next_worker: 1,
            accepted: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            begun: BTreeMap::new(),
            once: BTreeSet::new(),
            total: Total::default(),
        }
    }

    pub(crate) fn total(&self) -> Total {
        self.total.clone()
    }

    fn below(&mut self, bound: u64) -> u64 {
        next(&mut self.random) % bound
    }

    /// One thing happens.
    pub(crate) fn step(&mut self) {
        match self.below(100) {
            0..40 => self.submit(),
            40..75 => self.answer(),
            75..80 => self.cancel(),
            80..84 => self.kill_from_outside(),
            84..94 => self.pass(),
            94..96 => self.drain(),
            96 => self.restart(),
            _ => self.start_wanted(),
        }
        self.settle();
    }

    fn submit(&mut self) {
        let kind = [FINE, FINE, FINE, FINE, FINE, FINE, FAILS, FAILS_ONCE, KILLS, HANGS]
            [usize::try_from(self.below(10)).expect("small")];
        let key = (self.below(3) == 0).then(|| self.below(4));
        let mut task = NewTask::new(vec![kind; 1 + usize::try_from(self.below(20)).expect("small")].into());
        task.key = key.map(Key::from_number);
        task.priority = i32::try_from(self.below(3)).expect("small");
        task.durable = true;
        task.name = (self.below(4) == 0).then(|| format!("task {}", self.total.done).into());
        match self.pool.submit(self.now, task.clone()) {
            Ok(stead_jobs::Submitted::New(id)) => {
                assert!(self.accepted.insert(id, (kind, key)).is_none(), "a number is used once");
                let saved =
                    Saved { id, task, attempts: 0, failures: 0, deaths: 0, outcome: None, set_aside: false };
                self.write(&Record::Task(Box::new(saved)));
            }
            Ok(stead_jobs::Submitted::Known(id)) => assert!(self.accepted.contains_key(&id)),
            Err(_) => self.total.refused += 1,
        }
    }

    /// Some worker says something about a task that it has begun; or dies of it.
    fn answer(&mut self) {
        let workers: Vec<WorkerId> = self.processes.keys().copied().collect();
        if workers.is_empty() {
            return;
        }
        let worker = workers[usize::try_from(self.below(workers.len() as u64)).expect("small")];
        let process = &self.processes[&worker];
        let begun = process.hand.len().min(process.ready.concurrency as usize);
        if begun == 0 {
            return;
        }
        let at = usize::try_from(self.below(begun as u64)).expect("small");
        let (task, kind) = self.processes[&worker].hand[at];
        let aborted = self.processes[&worker].aborted.contains(&task);
        let failed = |retry| Input::Failed { worker, task, error: "no".into(), retry };
        let input = match kind {
            KILLS => return self.die(worker, Death::Own(Bytes::new())),
            HANGS if !aborted || self.below(2) == 0 => return,
            HANGS => failed(true),
            FAILS => failed(self.below(4) > 0),
            FAILS_ONCE if self.once.insert(task) => failed(true),
            _ => Input::Done { worker, task, result: "yes".into() },
        };
        self.processes.get_mut(&worker).expect("it was chosen").hand.remove(at);
        self.pool.handle(self.now, input);
    }

    fn cancel(&mut self) {
        let open: Vec<TaskId> =
            self.accepted.keys().filter(|id| !self.outcomes.contains_key(id)).copied().collect();
        if !open.is_empty() {
            let task = open[usize::try_from(self.below(open.len() as u64)).expect("small")];
            self.pool.handle(self.now, Input::Cancel { task });
        }
    }

    fn kill_from_outside(&mut self) {
        if let Some(worker) = self.processes.keys().next().copied() {
            self.total.kills += 1;
            let death = if self.below(2) == 0 { Death::Killed(Bytes::new()) } else { Death::Outside };
            self.die(worker, death);
        }
    }

    fn die(&mut self, worker: WorkerId, death: Death) {
        self.processes.remove(&worker);
        self.pool.handle(self.now, Input::Gone { worker, death });
    }

    fn drain(&mut self) {
        if let Some((worker, process)) = self.processes.iter_mut().next_back() {
            process.draining = true;
            self.pool.handle(self.now, Input::Drain { worker: *worker });
        }
    }

    fn pass(&mut self) {
        let passed = Duration::from_millis(self.below(200));
        self.now += passed;
        self.pool.handle(self.now, Input::Timeout);
    }

    fn start_wanted(&mut self) {
        let serving = self.processes.values().filter(|process| !process.draining).count();
        if serving >= self.wanted as usize {
            return;
        }
        let taken: BTreeSet<u32> = self.processes.values().map(|process| process.ready.slot).collect();
        let slot = (0..).find(|slot| !taken.contains(slot)).expect("numbers do not end");
        let ready = Ready {
            worker: self.next_worker,
            slot,
            concurrency: 1 + u32::try_from(self.below(3)).expect("small"),
            prefetch_max: u32::try_from(self.below(4)).expect("small"),
            abortable: self.below(2) == 0,
            gathers: self.below(4) == 0,
        };
        self.next_worker += 1;
        let process = Process { ready, hand: VecDeque::new(), aborted: BTreeSet::new(), draining: false };
        self.processes.insert(ready.worker, process);
        self.pool.handle(self.now, Input::Ready(ready));
    }

    /// The process with the pool is killed; another reads the journal. Some workers live on with what they have.
    fn restart(&mut self) {
        self.total.restarts += 1;
        let mut ledger = Ledger::default();
        self.journal.iter().for_each(|record| ledger.add(record).expect("it was encoded"));
        self.pool = Pool::new(self.now, self.config.clone(), self.random);
        self.wanted = self.config.workers_min;
        self.pool.begin_after(ledger.last());
        ledger.into_tasks().into_iter().for_each(|saved| self.pool.restore(self.now, saved));
        if self.below(2) == 0 {
            self.journal = self.pool.saved().map(|saved| Record::Task(Box::new(saved)).encode()).collect();
        }
        let stay = self.below(2) == 0;
        self.processes.retain(|_, process| stay && !process.draining && process.aborted.is_empty());
        for (worker, process) in &self.processes {
            self.pool.handle(self.now, Input::Ready(process.ready));
            for (task, _) in &process.hand {
                self.total.held += 1;
                self.pool.handle(self.now, Input::Holds { worker: *worker, task: *task });
            }
        }
    }

    /// Performs all that the pool says.
    fn settle(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Give { worker, task, attempt } => self.given(worker, task, attempt),
                Action::Abort { worker, task } => {
                    if let Some(process) = self.processes.get_mut(&worker) {
                        assert!(process.ready.abortable, "it can be told");
                        process.aborted.insert(task);
                    }
                }
                Action::Kill { worker } => self.die(worker, Death::Own(Bytes::new())),
                Action::Drained { worker } => {
                    if let Some(process) = self.processes.remove(&worker) {
                        assert!(process.hand.is_empty(), "its hands are empty");
                        self.pool.handle(self.now, Input::Gone { worker, death: Death::Own(Bytes::new()) });
                    }
                }
                Action::Finish(finish) => {
                    self.write(&Record::from(&finish));
                    self.ended(finish.task, finish.outcome);
                }
                Action::Retry(retry) => self.write(&Record::Retry(Retry { durable: true, ..retry })),
                Action::Forget { task } => assert!(self.outcomes.contains_key(&task), "only what has ended"),
                Action::Want { workers } => self.wanted = workers,
            }
        }
        self.check();
    }

    fn given(&mut self, worker: WorkerId, task: TaskId, attempt: u32) {
        assert!(attempt > 0 && !self.outcomes.contains_key(&task), "task {task} has ended");
        let elsewhere = self.processes.values().any(|process| process.hand.iter().any(|(id, _)| *id == task));
        assert!(!elsewhere, "task {task} is in two hands");
        let (kind, key) = self.accepted[&task];
        if let Some(key) = key {
            let others = self.processes.values().flat_map(|process| &process.hand);
            let same = others.filter(|(id, _)| self.accepted[id].1 == Some(key)).count();
            assert_eq!(same, 0, "two tasks of key {key} at a time");
            let last = self.begun.insert(key, task).unwrap_or(0);
            assert!(last <= task, "key {key}: task {task} after {last}");
        }
        let process = self.processes.get_mut(&worker).expect("only the living are given tasks");
        assert!(!process.draining, "nothing is given to who drains");
        process.hand.push_back((task, kind));
        let most = process.ready.concurrency + process.ready.prefetch_max;
        assert!(process.hand.len() <= most as usize, "worker {worker} has too much");
    }

    fn ended(&mut self, task: TaskId, outcome: Outcome) {
        let (kind, _) = self.accepted[&task];
        match &outcome {
            Outcome::Done(_) => self.total.done += 1,
            Outcome::Failed(Fault::Timeout) => self.total.timeouts += 1,
            Outcome::Failed(Fault::Told(_)) => self.total.failed += 1,
            Outcome::Poison(_) => {
                assert_eq!(kind, KILLS, "task {task} never killed anybody");
                self.total.poison += 1;
            }
            Outcome::Cancelled => self.total.cancelled += 1,
        }
        assert!(self.outcomes.insert(task, outcome).is_none(), "task {task} has ended twice");
    }

    fn write(&mut self, record: &Record) {
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes).as_ref(), Ok(record), "what is written can be read");
        self.journal.push(bytes);
    }

    fn check(&self) {
        let counts = self.pool.counts();
        let hands: usize = self.processes.values().map(|process| process.hand.len()).sum();
        assert_eq!(counts.given, hands, "the pool knows who has what");
        let most = self.config.queue_max + self.processes.len() * 8 + 40;
        assert!(counts.waiting + counts.delayed <= most, "the queue is bounded");
        assert!(counts.set_aside <= self.config.dead_max, "what is set aside is bounded");
        let kept = self.pool.tasks().filter(|task| matches!(task.phase, Phase::Ended(_))).count();
        assert!(kept <= self.config.kept_max, "what is kept is bounded");
        let open = self.accepted.len() - self.outcomes.len();
        assert_eq!(open, counts.waiting + counts.delayed + counts.given, "none is lost");
        assert!(self.wanted >= self.config.workers_min && self.wanted <= self.config.workers_max);
    }

    /// Nothing bad happens any more: all that was accepted ends.
    pub(crate) fn end_in_peace(&mut self) {
        for _ in 0..20_000 {
            if self.accepted.len() == self.outcomes.len() {
                return;
            }
            self.answer();
            self.settle();
            self.start_wanted();
            self.settle();
            if self.below(5) == 0 {
                self.pass();
                self.settle();
            }
        }
        panic!("{} tasks never end", self.accepted.len() - self.outcomes.len());
    }
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
