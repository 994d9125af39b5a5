//! Checks, again and again, whether a ready worker still serves: over the road on which it gets its requests, by a command, or by
//! waiting for its sign of life. What follows from a failure is decided elsewhere: first by [`Tally`], then by the supervisor, which
//! gives the requests to others, and replaces the worker if it stays as it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_balancer::Road;
use stead_supervisor::fleet::Input as Fate;
use stead_supervisor::{Input, SlotSnapshot, SlotState, WorkerId};
use tokio::task::JoinHandle;

use super::app::AppTask;
use super::errand::Errand;
use super::message::Message;
use super::probe::{self, Check};
use super::worker::Worker;
use crate::config::{HealthCheck, HealthSettings};

/// The checks of one worker, which end with it.
pub(super) struct Checkup {
    /// The next one.
    task: JoinHandle<()>,
    tally: Tally,
    /// It has given a sign of life since the last look.
    alive: bool,
}

impl Drop for Checkup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How its last checks went.
#[derive(Debug, Default)]
struct Tally {
    /// In a row.
    failures: u32,
}

impl Tally {
    /// What the worker is now, if that can be said: one failure may be bad luck.
    fn count(&mut self, passed: bool, failures_max: u32) -> Option<bool> {
        self.failures = if passed { 0 } else { self.failures.saturating_add(1) };
        if passed { Some(true) } else { (self.failures >= failures_max).then_some(false) }
    }
}

/// One check, ready to be made.
enum Examination {
    Road(Option<Road>, Check),
    Command(Box<Errand>),
    /// That the worker gave no sign of life shows when the time is over.
    Watchdog,
}

impl Examination {
    async fn pass(self) -> Result<(), String> {
        match self {
            Self::Watchdog => Ok(()),
            Self::Command(errand) => errand.run().await.map_err(|error| crate::cli::in_one_line(&error)),
            Self::Road(None, _) => Err("it listens nowhere".to_owned()),
            Self::Road(Some(road), check) => match probe::passes(&road, &check).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(match check {
                    Check::Accepts => "it does not take connections".to_owned(),
                    Check::Answers(path) => format!("{path} is not answered with 2xx or 3xx"),
                }),
                Err(error) => Err(crate::cli::in_one_line(&error)),
            },
        }
    }
}

impl AppTask {
    /// Begins to check workers that serve and are not checked yet: new ones, and all of them in a new daemon.
    pub(super) fn check_up(&mut self) {
        let Some(check) = &self.settings.health.check else { return };
        // A sign of life can only be missed after a while; all others can be asked for at once.
        let first =
            if *check == HealthCheck::Watchdog { self.settings.health.interval } else { Duration::ZERO };
        let slots = self.machine.snapshot(Instant::now()).slots.into_iter();
        let ready = slots.filter_map(|slot| {
            let ill = slot.unhealthy_since.is_some();
            slot.worker.filter(|_| ill || slot.state == SlotState::Ready).map(|worker| (worker, ill))
        });
        for (worker, ill) in ready {
            if let Some(process) = self.workers.get_mut(&worker)
                && process.checkup.is_none()
                && !is_leaving(process)
            {
                process.healthy = process.healthy.or(ill.then_some(false));
                self.check_later(worker, first, Tally::default());
            }
        }
    }

    fn check_later(&mut self, worker: WorkerId, wait: Duration, tally: Tally) {
        let health = self.settings.health.clone();
        let Some(check) = &health.check else { return };
        let Some(process) = self.workers.get(&worker) else { return };
        let examination = self.examination(check, &health, process);
        let inbox = self.inbox.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let outcome = tokio::time::timeout(health.timeout, examination.pass()).await;
            let outcome =
                outcome.unwrap_or_else(|_| Err(format!("there was no answer within {:?}", health.timeout)));
            // An app that has ended meanwhile does not mind.
            drop(inbox.send(Message::Checked { worker, outcome }));
        });
        if let Some(process) = self.workers.get_mut(&worker) {
            process.checkup = Some(Checkup { task, tally, alive: false });
        }
    }

    fn examination(&self, check: &HealthCheck, health: &HealthSettings, process: &Worker) -> Examination {
        let road = process.roads.values().next().cloned();
        match check {
            HealthCheck::Watchdog => Examination::Watchdog,
            HealthCheck::Tcp => Examination::Road(road, Check::Accepts),
            HealthCheck::Http { path } => Examination::Road(road, Check::Answers(path.clone())),
            HealthCheck::Command(command) => Examination::Command(Box::new(Errand {
                shared: Arc::clone(&self.shared),
                settings: Arc::clone(&self.settings),
                command: command.clone(),
                variables: variables(road, process),
                timeout: health.timeout,
                outlet: None,
            })),
        }
    }

    pub(super) fn checked(&mut self, worker: WorkerId, outcome: Result<(), String>) {
        let health = self.settings.health.clone();
        let Some(process) = self.workers.get_mut(&worker) else { return };
        let Some(mut checkup) = process.checkup.take() else { return };
        if is_leaving(process) {
            return;
        }
        let Some(check) = &health.check else {
            // It is no longer wanted to be known.
            process.healthy = None;
            return self.heal(worker);
        };
        let outcome = match check {
            HealthCheck::Watchdog if !checkup.alive => {
                Err(format!("it gave no sign of life for {:?}", health.interval))
            }
            HealthCheck::Watchdog => Ok(()),
            _ => outcome,
        };
        let was = process.healthy;
        match (checkup.tally.count(outcome.is_ok(), health.failures_max), outcome) {
            (Some(true), _) if was != Some(true) => {
                process.healthy = Some(true);
                self.heal(worker);
                self.tell_fleet(|app| Fate::Healthy { app });
            }
            (Some(false), Err(reason)) if was != Some(false) => {
                process.healthy = Some(false);
                let slot = process.slot;
                self.say(&format!("{}.{slot}: health check: {reason}", self.settings.name));
                self.input(Input::Unhealthy { worker });
            }
            _ => (),
        }
        self.check_later(worker, health.interval, std::mem::take(&mut checkup.tally));
    }

    fn heal(&mut self, worker: WorkerId) {
        if self.is_ill(worker) {
            self.input(Input::Ready { worker });
        }
    }

    /// A sign of readiness. One that is ill gets well by its health check alone.
    pub(super) fn found_ready(&mut self, worker: WorkerId) {
        if !self.is_ill(worker) {
            self.input(Input::Ready { worker });
        }
    }

    /// `WATCHDOG=1`.
    pub(super) fn hear_alive(&mut self, worker: WorkerId) {
        if let Some(checkup) = self.workers.get_mut(&worker).and_then(|process| process.checkup.as_mut()) {
            checkup.alive = true;
        }
    }

    fn is_ill(&self, worker: WorkerId) -> bool {
        let is_ill = |slot: &SlotSnapshot| slot.worker == Some(worker) && slot.unhealthy_since.is_some();
        self.machine.snapshot(Instant::now()).slots.iter().any(is_ill)
    }
}

fn is_leaving(process: &Worker) -> bool {
    process.draining.is_some() || process.asked_to_end
}

/// What a command is told of the worker it is to check.
fn variables(road: Option<Road>, process: &Worker) -> Vec<(&'static str, String)> {
    let mut all =
        vec![("STEAD_INSTANCE", process.slot.to_string()), ("STEAD_PID", process.child.pid.to_string())];
    match road {
        Some(Road::Tcp(address)) => all.push(("PORT", address.port().to_string())),
        Some(Road::Unix(path)) => all.push(("STEAD_UPSTREAM", path.display().to_string())),
        Some(Road::Handed(_)) | None => (),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_only_in_a_row() {
        let check = |failures_max: u32, passed: &str, expected: &[Option<bool>]| {
            let mut tally = Tally::default();
            let found: Vec<_> = passed.chars().map(|one| tally.count(one == '+', failures_max)).collect();
            assert_eq!(found, expected, "{passed}");
        };
        let (well, ill) = (Some(true), Some(false));
        check(3, "+--+---", &[well, None, None, well, None, None, ill]);
        check(1, "-+-", &[ill, well, ill]);
        check(2, "---+", &[None, ill, ill, well]);
    }
}
