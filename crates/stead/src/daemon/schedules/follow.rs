//! Follows the clock: performs what plans decide, and tells it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use stead_control::{Home, ScheduleOutcome, ScheduleRun, ScheduleStatus};
use stead_process::keeper::ChildId;
use tokio::sync::{mpsc, oneshot};

use super::super::app::AppTask;
use super::super::errand::Errand;
use super::super::held;
use super::super::message::Message;
use super::job::{Job, Watch};
use super::plan::{Decision, Plan};
use super::record::{Record, Store};
use super::task::PoolTask;
use super::{Alarm, Run, Scheduled, seed};
use crate::config::{ScheduleSettings, ScheduledWork};

/// The clock is looked at this often, for it may be set meanwhile.
const LOOK_MAX: Duration = Duration::from_secs(30);

impl AppTask {
    /// Follows the clock as the settings of this moment say. What was missed is looked at first.
    pub(in super::super) fn follow_schedules(&mut self) {
        let (settings, now) = (Arc::clone(&self.settings), Timestamp::now());
        self.schedules.on = true;
        self.schedules.all.retain(|name, known| {
            known.run.is_some() || settings.schedules.iter().any(|wanted| wanted.name == *name)
        });
        let directory = Home::here().schedules(&settings.name);
        if !settings.schedules.is_empty() || directory.exists() {
            let store = self.schedules.store.get_or_insert_with(|| Store::open(directory));
            store.retain(settings.schedules.iter().map(|wanted| wanted.name.clone()).collect());
        }
        for wanted in &settings.schedules {
            let Some(store) = &self.schedules.store else { continue };
            let known = self.schedules.all.remove(&wanted.name);
            match take_up(wanted, known, store, now) {
                Ok(scheduled) => drop(self.schedules.all.insert(wanted.name.clone(), scheduled)),
                Err(reason) => self.say(&format!("schedule `{}` never runs: {reason}", wanted.name)),
            }
        }
        for wanted in &settings.schedules {
            self.look_at_schedule(&wanted.name);
        }
    }

    /// The app is to stop: what runs ends, and nothing begins.
    pub(in super::super) fn pause_schedules(&mut self) {
        self.schedules.on = false;
        let mut given_up = Vec::new();
        for (name, known) in &mut self.schedules.all {
            known.alarm = None;
            known.plan.forget_queue();
            match &mut known.run {
                Some(Run::Command(job)) => job.end(),
                Some(Run::Message { .. }) => given_up.push(name.clone()),
                Some(Run::Task(given)) if given.waits => given_up.push(name.clone()),
                // What a pool has taken is done, whoever wanted it.
                Some(Run::Task(_)) | None => (),
            }
        }
        for name in given_up {
            self.schedule_ended(&name, Err("the app was stopped".to_owned()));
        }
    }

    /// Its time may have come.
    pub(in super::super) fn look_at_schedule(&mut self, name: &str) {
        let is_wanted = self.schedules.on && self.is_scheduled(name);
        let Some(known) = self.schedules.all.get_mut(name).filter(|_| is_wanted) else { return };
        let decision = known.plan.look(Timestamp::now());
        known.alarm = known.plan.next().map(|next| Alarm::at(next, name, self.inbox.clone()));
        if let Some(decision) = decision {
            self.carry_out(name, decision);
        }
    }

    /// Somebody wants it to run now.
    ///
    /// # Errors
    /// Why it does not, in words: there is none of this name, the app is stopped, or it runs already.
    pub(in super::super) fn run_schedule(&mut self, name: &str) -> Result<(), String> {
        let known = self.schedules.all.get_mut(name);
        let Some(known) = known.filter(|_| self.settings.schedules.iter().any(|own| own.name == name)) else {
            return Err(format!("{} has no schedule `{name}`", self.called()));
        };
        if !self.schedules.on {
            return Err(format!("{} is stopped", self.called()));
        }
        match known.plan.want(Timestamp::now()) {
            Decision::Skip { .. } => Err(format!("schedule `{name}` runs already")),
            decision => {
                self.carry_out(name, decision);
                Ok(())
            }
        }
    }

    fn carry_out(&mut self, name: &str, decision: Decision) {
        self.changed = true;
        let Some(zone) = self.schedules.all.get(name).map(|known| known.plan.zone().clone()) else { return };
        let at = |time: Timestamp| time.to_zoned(zone.clone()).strftime("%F %T %Z").to_string();
        match decision {
            Decision::Run { due } => return self.begin_run(name, due),
            Decision::CatchUp { missed } => {
                self.say(&format!("schedule `{name}` was missed at {}; it is made up for", at(missed)));
                return self.begin_run(name, missed);
            }
            Decision::Miss { missed } => {
                self.say(&format!("schedule `{name}` was missed at {}", at(missed)));
            }
            Decision::Skip { due, running } => self.say(&format!(
                "schedule `{name}` is skipped at {}: the run of {} has not ended",
                at(due),
                at(running)
            )),
            Decision::Queue { running, .. } => {
                self.say(&format!("schedule `{name}` waits for the run of {}", at(running)));
            }
        }
        // Whether it is on the disk matters to runs alone.
        drop(self.record_schedule(name));
    }

    fn begin_run(&mut self, name: &str, due: Timestamp) {
        let Some(known) = self.schedules.all.get_mut(name) else { return };
        let (due_at, began, outcome) = (due.into(), SystemTime::now(), ScheduleOutcome::Running);
        known.last = Some(ScheduleRun { due: due_at, began, took: None, outcome, reason: None });
        let (work, limit) = (known.settings.work.clone(), known.settings.timeout);
        let zone = known.plan.zone().clone();
        let at = match known.settings.jitter.is_zero() {
            true => String::new(),
            false => format!(" (due at {})", due.to_zoned(zone).strftime("%F %T %Z")),
        };
        let Some(recorded) = self.record_schedule(name) else { return };
        let run = match work {
            ScheduledWork::Command(command) => {
                self.say(&format!("schedule `{name}`{at} runs"));
                let errand = self.scheduled_errand(name, command, due);
                Run::Command(Job::begin(self.watch_over(name, limit), errand, recorded))
            }
            ScheduledWork::Message(_) => Run::Message { until: Instant::now() + limit },
            ScheduledWork::Task { pool, input } => {
                let order = self.order(name, (pool, input), (due, limit));
                self.say(&format!("schedule `{name}`{at}: task `{}` for pool `{}`", order.id, order.pool));
                Run::Task(PoolTask::begin(order, recorded))
            }
        };
        if let Some(known) = self.schedules.all.get_mut(name) {
            known.run = Some(run);
        }
        self.deliver_scheduled();
    }

    pub(super) fn scheduled_errand(&self, name: &str, command: String, due: Timestamp) -> Errand {
        Errand {
            shared: Arc::clone(&self.shared),
            settings: Arc::clone(&self.settings),
            command,
            variables: vec![("STEAD_SCHEDULE", name.to_owned()), ("STEAD_DUE", due.to_string())],
            // Its end is seen to by the job.
            timeout: Duration::MAX,
            outlet: Some(Arc::clone(&self.outlet)),
        }
    }

    pub(super) fn watch_over(&self, name: &str, limit: Duration) -> Watch {
        Watch {
            schedule: name.to_owned(),
            keeper: self.shared.keeper.clone(),
            held_as: held::schedule(self.id, name),
            limit,
            kill_after: self.settings.stop.kill_after,
            inbox: self.inbox.clone(),
        }
    }

    /// Messages that are due go to one ready worker each, as soon as there is one.
    pub(in super::super) fn deliver_scheduled(&mut self) {
        let waits = |known: &Scheduled| matches!(known.run, Some(Run::Message { .. }));
        let waiting = self.schedules.all.iter().filter(|(_, known)| waits(known));
        let waiting: Vec<String> = waiting.map(|(name, _)| name.clone()).collect();
        for name in waiting {
            let Some(known) = self.schedules.all.get(&name) else { continue };
            let (ScheduledWork::Message(data), Some(Run::Message { until })) =
                (&known.settings.work, &known.run)
            else {
                continue;
            };
            let is_late = *until <= Instant::now();
            match self.shared.exchange.tell_one(self.id, (&name, data)) {
                Ok(()) => self.schedule_ended(&name, Ok(())),
                Err(reason) if is_late => {
                    let reason = format!("nobody took the message within its `timeout`: {reason}");
                    self.schedule_ended(&name, Err(reason));
                }
                Err(reason) => self.schedule_waits(&name, &reason),
            }
        }
    }

    /// A run cannot begin yet; said once for each reason.
    pub(in super::super) fn schedule_waits(&mut self, name: &str, reason: &str) {
        let Some(known) = self.schedules.all.get_mut(name) else { return };
        if let Some(Run::Task(given)) = &mut known.run {
            given.waits = true;
        }
        let told = known.last.as_mut().map(|last| last.reason.replace(reason.to_owned()));
        if told.flatten().is_none_or(|told| told != reason) {
            self.changed = true;
            self.say(&format!("schedule `{name}` waits: {reason}"));
        }
    }

    pub(in super::super) fn schedule_began(&mut self, name: &str, child: ChildId) {
        if let Some(Scheduled { run: Some(Run::Command(job)), .. }) = self.schedules.all.get_mut(name) {
            job.child = Some(child);
        }
    }

    pub(in super::super) fn schedule_ended(&mut self, name: &str, outcome: Result<(), String>) {
        let (on, is_scheduled) = (self.schedules.on, self.is_scheduled(name));
        let Some(known) = self.schedules.all.get_mut(name) else { return };
        // A task may end while it is given up.
        let Some(run) = known.run.take() else { return };
        self.changed = true;
        let is_message = matches!(run, Run::Message { .. });
        let took = known.last.as_mut().map(|last| last.end(&outcome)).unwrap_or_default();
        if !on || !is_scheduled {
            known.plan.forget_queue();
        }
        let next = known.plan.ended();
        match outcome {
            Ok(()) if is_message => self.say(&format!("schedule `{name}` was told to a worker")),
            Ok(()) => self.say(&format!("schedule `{name}` is done after {took:.1?}")),
            Err(reason) => self.say(&format!("schedule `{name}` failed: {reason}")),
        }
        if !is_scheduled {
            return drop(self.schedules.all.remove(name));
        }
        drop(self.record_schedule(name));
        if let Some(next) = next {
            self.carry_out(name, next);
        }
    }

    fn called(&self) -> String {
        format!("{} `{}`", self.settings.kind(), self.settings.name)
    }

    fn is_scheduled(&self, name: &str) -> bool {
        self.settings.schedules.iter().any(|own| own.name == name)
    }

    fn record_schedule(&self, name: &str) -> Option<oneshot::Receiver<std::io::Result<()>>> {
        let (known, store) = (self.schedules.all.get(name)?, self.schedules.store.as_ref()?);
        let record = Record::new(&known.settings, known.plan.until(), known.last.as_ref());
        Some(store.write(name, record))
    }

    pub(in super::super) fn schedule_statuses(&self) -> Vec<ScheduleStatus> {
        let status = |own: &ScheduleSettings| {
            let known = self.schedules.all.get(&own.name);
            let next = known.filter(|known| known.alarm.is_some()).and_then(|known| known.plan.next());
            ScheduleStatus {
                name: own.name.clone(),
                cron: own.cron.clone(),
                time_zone: own.time_zone.clone(),
                jitter: Some(own.jitter).filter(|jitter| !jitter.is_zero()),
                work: match &own.work {
                    ScheduledWork::Command(command) => command.clone(),
                    ScheduledWork::Message(data) | ScheduledWork::Task { input: data, .. } => {
                        data.to_string()
                    }
                },
                pool: match &own.work {
                    ScheduledWork::Task { pool, .. } => {
                        Some(pool.clone().unwrap_or_else(|| self.settings.name.clone()))
                    }
                    ScheduledWork::Command(_) | ScheduledWork::Message(_) => None,
                },
                next: next.map(SystemTime::from),
                last: known.and_then(|known| known.last.clone()),
            }
        };
        self.settings.schedules.iter().map(status).collect()
    }
}

impl Alarm {
    fn at(next: Timestamp, name: &str, inbox: mpsc::UnboundedSender<Message>) -> Self {
        let schedule = name.to_owned();
        Self(tokio::spawn(async move {
            let left = Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default();
            tokio::time::sleep(left.min(LOOK_MAX)).await;
            // An app that has ended meanwhile does not mind.
            drop(inbox.send(Message::ScheduleDue { schedule }));
        }))
    }
}

/// A schedule as it is from now on; what was known of it goes on. A new one has missed nothing.
fn take_up(
    settings: &ScheduleSettings,
    known: Option<Scheduled>,
    store: &Store,
    now: Timestamp,
) -> Result<Scheduled, String> {
    let Some(known) = known else {
        let path = store.path(&settings.name);
        let (until, last) = Record::load(&path, settings).unwrap_or((now, None));
        let plan = Plan::new(settings, until, seed())?;
        plan.next().ok_or("its time never comes")?;
        // Whether it is on the disk matters to runs alone.
        drop(store.write(&settings.name, Record::new(settings, until, last.as_ref())));
        return Ok(Scheduled { settings: settings.clone(), plan, last, run: None, alarm: None });
    };
    if known.settings == *settings {
        return Ok(known);
    }
    let is_same_rule = known.settings.cron == settings.cron && known.settings.time_zone == settings.time_zone;
    let until = if is_same_rule { known.plan.until() } else { now };
    let mut plan = Plan::new(settings, until, seed())?;
    if let Some((since, queued)) = known.plan.running() {
        plan.resume(since, queued);
    }
    Ok(Scheduled { settings: settings.clone(), plan, ..known })
}
