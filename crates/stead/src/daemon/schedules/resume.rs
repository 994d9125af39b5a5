//! Goes on where the daemon before this one stopped, and writes down what the next one needs for the same.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stead_control::{ScheduleOutcome, ScheduleRun};
use stead_process::keeper::{ChildId, Inherited};

use super::super::app::AppTask;
use super::super::held::{self, Held};
use super::job::Job;
use super::plan::Plan;
use super::task::{PoolTask, SavedTask};
use super::{Run, Scheduled, seed};
use crate::config::ScheduledWork;

/// A schedule, for the next daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct SavedSchedule {
    name: String,
    /// In seconds since 1970, as all times of plans.
    until: i64,
    /// Since when one runs, and what is queued behind it.
    running: Option<(i64, Option<i64>)>,
    child: Option<ChildId>,
    /// The task that a pool was given, or that waits for it.
    #[serde(default)]
    task: Option<SavedTask>,
    last: Option<ScheduleRun>,
}

impl AppTask {
    /// Runs go on without this daemon, and none is begun by it.
    pub(in super::super) async fn let_go_schedules(&mut self) {
        self.schedules.on = false;
        for known in self.schedules.all.values_mut() {
            known.alarm = None;
            match &mut known.run {
                Some(Run::Command(job)) => job.let_go().await,
                Some(Run::Task(given)) => given.let_go().await,
                Some(Run::Message { .. }) | None => (),
            }
        }
    }

    pub(in super::super) fn saved_schedules(&self) -> Vec<SavedSchedule> {
        let save = |(name, known): (&String, &Scheduled)| {
            let running = known.plan.running();
            SavedSchedule {
                name: name.clone(),
                until: known.plan.until().as_second(),
                running: running
                    .map(|(since, queued)| (since.as_second(), queued.map(|due| due.as_second()))),
                child: match &known.run {
                    Some(Run::Command(job)) => job.child,
                    Some(Run::Message { .. } | Run::Task(_)) | None => None,
                },
                task: match &known.run {
                    Some(Run::Task(given)) => Some(given.saved()),
                    Some(Run::Command(_) | Run::Message { .. }) | None => None,
                },
                last: known.last.clone(),
            }
        };
        self.schedules.all.iter().map(save).collect()
    }

    /// Goes on with the runs of the daemon before this one. One whose command was just being started is lost, and not
    /// started again.
    pub(in super::super) fn resume_schedules(
        &mut self,
        saved: Vec<SavedSchedule>,
        held: &mut Held,
        children: &mut HashMap<ChildId, Inherited>,
    ) {
        let settings = Arc::clone(&self.settings);
        for saved in saved {
            let Some(own) = settings.schedules.iter().find(|own| own.name == saved.name) else { continue };
            let at = |seconds: i64| Timestamp::from_second(seconds).unwrap_or_default();
            let Ok(plan) = Plan::new(own, at(saved.until), seed()) else { continue };
            let mut known =
                Scheduled { settings: own.clone(), plan, last: saved.last, run: None, alarm: None };
            if let Some((since, queued)) = saved.running {
                let since = at(since);
                known.plan.resume(since, queued.map(at));
                let pipe = held.take(&held::schedule(self.id, &saved.name));
                let child = saved.child.and_then(|child| children.remove(&child)).zip(pipe);
                known.run = self.resumed_run(&known, (since, saved.task), child);
                if known.run.is_none() {
                    known.plan.ended();
                    known.last.iter_mut().for_each(|last| last.outcome = ScheduleOutcome::Lost);
                    self.say(&format!("schedule `{}`: nobody saw the end of its last run", saved.name));
                }
            }
            self.schedules.all.insert(saved.name, known);
        }
    }

    fn resumed_run(
        &self,
        known: &Scheduled,
        (since, task): (Timestamp, Option<SavedTask>),
        child: Option<(Inherited, OwnedFd)>,
    ) -> Option<Run> {
        let ran = SystemTime::now().duration_since(known.last.as_ref()?.began).unwrap_or_default();
        let left = known.settings.timeout.saturating_sub(ran);
        match &known.settings.work {
            ScheduledWork::Message(_) => Some(Run::Message { until: Instant::now() + left }),
            ScheduledWork::Task { pool, input } => {
                let order = self.order(&known.settings.name, (pool.clone(), input.clone()), (since, left));
                Some(Run::Task(PoolTask::resume(order, task?)))
            }
            ScheduledWork::Command(command) => {
                let (child, pipe) = child?;
                let name = &known.settings.name;
                let errand = self.scheduled_errand(name, command.clone(), since);
                let job = Job::resume(self.watch_over(name, left), errand, (child.id, pipe));
                if let Some(exit) = child.exit {
                    self.shared.children.exited(child.id, exit);
                }
                Some(Run::Command(job))
            }
        }
    }
}
