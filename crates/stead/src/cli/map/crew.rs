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

/// So many workers in a row may die before they read a single task, before it is given up; one of each place at least.
const EARLY_DEATHS_MAX: u32 = 5;

/// A worker that died so is replaced after this, doubled with each that follows.
const RESTART_DELAY: Duration = Duration::from_millis(100);

/// No delay is longer.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

/// Those who do the tasks.
#[derive(Debug)]
pub(super) struct Crew {
    kind: Kind,
    places: u32,
    /// Deaths in a row that came too early.
    early_deaths: u32,
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
        Crew { kind, places, early_deaths: 0, restart_at: None, told: 0 }
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
        self.early_deaths = 0;
    }

    /// A worker is dead. What that means for the pool; a failure if there is no hope.
    pub(super) fn gone(&mut self, now: Instant, worker: WorkerId, end: End) -> Result<Input, Report> {
        let gone = self.workers().and_then(|workers| workers.gone(worker));
        let by_signal = |signal: Signal| end.exit.signal == Some(signal.number());
        let signalled = [Signal::KILL, Signal::TERM, Signal::INT].into_iter().any(by_signal);
        let outside = signalled && !end.exit.out_of_memory;
        // It died before it could do anything: that is the program's fault and not the task's.
        let early = end.unread && gone.as_ref().is_some_and(|gone| !gone.spoke);
        if early && !outside {
            self.early_deaths += 1;
            if self.early_deaths >= EARLY_DEATHS_MAX.max(self.places) {
                let last = gone.map(|gone| gone.last_lines).unwrap_or_default();
                return Err(hopeless(self.early_deaths, &end, &last));
            }
            let delay = RESTART_DELAY.saturating_mul(1 << self.early_deaths.min(16)) / 2;
            self.restart_at = Some(now + delay.min(RESTART_DELAY_MAX));
        }
        let death = if outside || early { Death::Outside } else { Death::Own };
        Ok(Input::Gone { worker, death })
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
    let message = format!("{deaths} workers in a row ended before they read a task");
    let report = Report::new(ExitCode::Program, message).cause(format!("the last one: {}", end.exit));
    let report = match last_lines {
        [] => report,
        lines => report.details(lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")),
    };
    report.hint(match end.exit.success() {
        true => "a worker reads tasks until its input ends; a program that does one task and ends needs `{}` in its command",
        false => "start the program by hand to see why it ends",
    })
}
