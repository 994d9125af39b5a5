//! Who does the tasks: workers that take one after another, or a process for each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use stead_jobs::{Action, Death, Input, Ready, WorkerId};
use stead_process::child::Signal;

use super::each::Each;
use super::protocol::Given;
use super::workers::{End, Workers};
use crate::cli::Report;
use crate::cli::exit_code::ExitCode;
use crate::config::PoolSettings;

/// So many workers in a row may die early: before they read a task, or before they had settled and answered one. Then it is given up.
/// Each was started after the one before it had died: several that die of bad tasks at the same time are no row.
const EARLY_DEATHS_MAX: u32 = 5;

/// So many workers in a row may die, of whatever, without a single answer from anybody. It ends what would never end: somebody kills
/// each worker as it starts, as the kernel does when memory is short, or each task kills its workers. After two of each place at least.
const SILENT_DEATHS_MAX: u32 = 100;

const KILL: i32 = Signal::KILL.number();

/// A worker that died early is replaced after this, doubled with each that follows.
const RESTART_DELAY: Duration = Duration::from_millis(100);

/// No delay is longer.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

/// Those who do the tasks.
#[derive(Debug)]
pub(super) struct Crew {
    kind: Kind,
    places: u32,
    /// Deaths in a row since the last answer, but for those of workers that we killed or that had answered something.
    deaths: u32,
    /// How many of them came too early, one after another.
    early_deaths: u32,
    /// When the last of these was.
    early_death_at: Option<Instant>,
    /// No worker is started before.
    restart_at: Option<Instant>,
    /// Places that the pool was told of, where each task has its own process.
    told: u32,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Workers.
    Lasting(Workers),
    /// A process for each task.
    Each(Each),
}

impl Crew {
    pub(super) fn new(kind: Kind, places: u32) -> Crew {
        Crew { kind, places, deaths: 0, early_deaths: 0, early_death_at: None, restart_at: None, told: 0 }
    }

    /// The workers, if there are some that last.
    pub(super) fn workers(&mut self) -> Option<&mut Workers> {
        match &mut self.kind {
            Kind::Lasting(workers) => Some(workers),
            Kind::Each(_) => None,
        }
    }

    /// Results are JSON, because the message channel carries nothing else.
    pub(super) fn speaks_json(&self) -> bool {
        matches!(&self.kind, Kind::Lasting(workers) if workers.has_channel())
    }

    /// Whether what a process printed is the result, whatever it looks like.
    pub(super) fn is_each(&self) -> bool {
        matches!(self.kind, Kind::Each(_))
    }

    /// One more who can take tasks, if there is work for more than there are.
    pub(super) fn start(&mut self, now: Instant, work: usize) -> Result<Option<Ready>, Report> {
        let wanted = (self.places as usize).min(work);
        match &mut self.kind {
            Kind::Each(_) if (self.told as usize) < wanted => {
                self.told += 1;
                Ok(Some(Each::place(self.told - 1)))
            }
            Kind::Lasting(workers)
                if workers.count() < wanted && self.restart_at.is_none_or(|at| at <= now) =>
            {
                self.restart_at = None;
                let slot = workers.free_slot();
                workers.start(slot).map(Some).map_err(|error| not_started(&error))
            }
            Kind::Each(_) | Kind::Lasting(_) => Ok(None),
        }
    }

    /// When `start` is to be asked again, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.restart_at
    }

    /// Does what the pool wants.
    pub(super) fn perform(&mut self, action: &Action, input: Option<Bytes>) -> Result<(), Report> {
        match (action, &mut self.kind) {
            (Action::Give { worker, task, attempt }, kind) => {
                let input = input.expect("a task that is given has its input");
                give(kind, *worker, Given { task: *task, attempt: *attempt, input })
            }
            (Action::Abort { worker, task }, Kind::Lasting(workers)) => {
                workers.abort(*worker, *task);
                Ok(())
            }
            (Action::Abort { worker, .. }, Kind::Each(each)) => {
                each.signal(*worker, Signal::TERM);
                Ok(())
            }
            (Action::Kill { worker }, Kind::Lasting(workers)) => {
                workers.kill(*worker);
                Ok(())
            }
            (Action::Kill { worker }, Kind::Each(each)) => {
                each.signal(*worker, Signal::KILL);
                Ok(())
            }
            (
                Action::Drained { .. }
                | Action::Finish(_)
                | Action::Retry(_)
                | Action::Forget { .. }
                | Action::Want { .. },
                _,
            ) => Ok(()),
        }
    }

    /// Sends what was given.
    pub(super) fn flush(&mut self) {
        if let Kind::Lasting(workers) = &mut self.kind {
            workers.flush();
        }
    }

    pub(super) fn kill_all(&self) {
        match &self.kind {
            Kind::Lasting(workers) => workers.kill_all(),
            Kind::Each(each) => each.kill_all(),
        }
    }

    /// A process for one task has ended.
    pub(super) fn ended(
        &mut self,
        worker: WorkerId,
        exit: std::io::Result<stead_process::child::Exit>,
        output: Vec<u8>,
    ) -> Option<Input> {
        match &mut self.kind {
            Kind::Each(each) => each.ended(worker, exit, output),
            Kind::Lasting(_) => None,
        }
    }

    /// Something was answered: the program works.
    pub(super) fn answered(&mut self) {
        (self.deaths, self.early_deaths) = (0, 0);
    }

    /// A worker is dead. What that means for the pool; a failure if there is no hope.
    pub(super) fn gone(&mut self, now: Instant, worker: WorkerId, end: &End) -> Result<Input, Report> {
        let by_signal = |signal: Signal| end.exit.signal == Some(signal.number());
        let signalled = [Signal::KILL, Signal::TERM, Signal::INT].into_iter().any(by_signal);
        let killed = signalled && !end.exit.out_of_memory;
        let gone = self.workers().and_then(|workers| workers.gone(worker));
        let death = match &gone {
            // It has not taken its task. One with envelopes has several, of which it may have taken some.
            Some(gone) if end.unread && !gone.envelopes => Death::Outside,
            Some(_) | None if killed => Death::Killed(Bytes::new()),
            Some(_) | None => Death::Own(Bytes::new()),
        };
        if let Some(gone) = gone.filter(|gone| !gone.spoke && !gone.was_killed) {
            let settled = now.saturating_duration_since(gone.since) >= PoolSettings::SETTLED_AFTER;
            let in_a_row = self.early_death_at.is_none_or(|at| gone.since >= at);
            self.count_death(now, !killed && (end.unread || !settled) && in_a_row);
            if self.is_hopeless() {
                return Err(hopeless(self.deaths, end, &gone.last_lines));
            }
        }
        Ok(Input::Gone { worker, death })
    }

    fn count_death(&mut self, now: Instant, early: bool) {
        self.deaths += 1;
        if early {
            self.early_deaths += 1;
            self.early_death_at = Some(now);
            let delay = RESTART_DELAY.saturating_mul(1 << self.early_deaths.min(16)) / 2;
            self.restart_at = Some(now + delay.min(RESTART_DELAY_MAX));
        }
    }

    fn is_hopeless(&self) -> bool {
        self.early_deaths >= EARLY_DEATHS_MAX
            || self.deaths >= SILENT_DEATHS_MAX.max(self.places.saturating_mul(2))
    }
}

fn give(kind: &mut Kind, worker: WorkerId, given: Given) -> Result<(), Report> {
    match kind {
        Kind::Lasting(workers) => {
            workers.give(worker, given);
            Ok(())
        }
        Kind::Each(each) => each.give(worker, given.task, &given.input).map_err(|error| not_started(&error)),
    }
}

fn not_started(error: &dyn std::error::Error) -> Report {
    Report::of(ExitCode::Program, error).hint("a shell is used only with `--shell`")
}

fn hopeless(deaths: u32, end: &End, last_lines: &[String]) -> Report {
    let message = format!("{deaths} workers in a row ended before they had answered anything");
    let report = Report::new(ExitCode::Program, message).cause(format!("the last one: {}", end.exit));
    let report = match last_lines {
        [] => report,
        lines => report.details(lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")),
    };
    report.hint(match (end.exit.success(), end.exit.signal) {
        (true, _) => {
            "a worker reads tasks until its input ends; a program that does one task and ends needs `{}` in its command"
        }
        (false, Some(KILL)) => {
            "something kills them, as the system does when memory runs out: see `dmesg`, and try fewer workers (`-n`)"
        }
        (false, _) => "start the program by hand to see why it ends",
    })
}
