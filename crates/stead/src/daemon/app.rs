//! The task of one app: performs what its supervisor decides and tells it what happens. No policy in here.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use stead_balancer::{Counters, Death};
use stead_control::{Event as Heard, Progress, TaskCounts};
use stead_process::keeper::{Exit, Signal};
use stead_process::node::ClusterMessage;
use stead_supervisor::fleet::Input as Fate;
use stead_supervisor::{Action, App, ExitKind, Input, WorkerId};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::cron::Schedule;
use super::definition::Origin;
use super::exchange::Computing;
use super::held;
use super::history;
use super::hooks::Hooks;
use super::message::Message;
use super::operator::pairs;
use super::outlet::{self, Crash, Outlet};
use super::pool::{Pool, SavedPool};
use super::ports::{ListenError, Ports};
use super::registry::{AppHandle, Rest};
use super::renew::{How, Pending, Renewal};
use super::resume;
use super::schedules::Schedules;
use super::settings::{Shown, for_supervisor};
use super::shared::Shared;
use super::state::clock;
use super::watch::Watching;
use super::worker::{Link, Worker};
use crate::config::AppSettings;

/// How often an app is measured, and its counters are kept for the next daemon.
const BEAT: Duration = Duration::from_secs(1);

/// How often pools look for workers that take nothing.
const WEDGE_LOOK: Duration = Duration::from_millis(250);

/// One app and everything that runs for it.
pub(super) struct AppTask {
    pub(super) id: u32,
    pub(super) settings: Arc<AppSettings>,
    pub(super) shared: Arc<Shared>,
    pub(super) machine: App,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) ports: Ports,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    /// Reloads under way, by id, and who wants to know how they go.
    pub(super) reloads: HashMap<u64, mpsc::Sender<Progress>>,
    pub(super) next_reload: u64,
    /// The last of them, while it has touched nothing.
    pub(super) pending: Option<Pending>,
    pub(super) shown: Shown,
    /// An address was refused; the reason why nothing gets ready, if it comes to that.
    pub(super) refusal: Option<ListenError>,
    /// How the last worker of each slot ended, that nobody asked to.
    pub(super) last_exits: HashMap<u32, Exit>,
    /// Exits of workers that a request may have killed.
    pub(super) exits: super::report::Exits,
    /// Nothing of it runs, because it was stopped or has finished.
    pub(super) rests: bool,
    /// It is wanted, and begins when what it needs is there.
    pub(super) waits: bool,
    /// Its workers all ended by themselves as they should.
    pub(super) finished: bool,
    /// It is to be forgotten once it rests.
    pub(super) leaving: bool,
    pub(super) origin: Origin,
    /// The number of workers, if it was changed since.
    pub(super) scaled: Option<u32>,
    /// When it was started, the last time.
    pub(super) started: Option<SystemTime>,
    /// Where goes what its workers print.
    pub(super) outlet: Arc<Outlet>,
    /// How its last processes ended, for people.
    pub(super) ends: history::Exits,
    pub(super) rate: history::Rate,
    /// By its ports, at the last beat.
    counted: (Vec<Counters>, Option<TaskCounts>),
    /// Reloads it by the clock.
    pub(super) schedule: Option<Schedule>,
    pub(super) schedules: Schedules,
    /// Reloads it when files change.
    pub(super) watching: Option<Watching>,
    pub(super) hooks: Hooks,
    /// Shared values that commands compute.
    pub(super) computing: Vec<Computing>,
    /// What takes its tasks, if it is a pool.
    pub(super) pool: Option<Pool>,
    /// What the next daemon goes on with of it.
    pub(super) left_pool: Option<SavedPool>,
    /// Something that the next daemon has to know has changed.
    pub(super) changed: bool,
}

/// What a task is made of.
pub(super) struct Parts {
    pub(super) id: u32,
    pub(super) settings: Arc<AppSettings>,
    pub(super) origin: Origin,
    pub(super) machine: App,
    pub(super) ports: Ports,
    pub(super) shown: Shown,
}

/// Runs an app until it is deleted.
pub(super) async fn run(mut task: AppTask, mut messages: mpsc::UnboundedReceiver<Message>) {
    task.admit_tasks();
    let mut look = together(WEDGE_LOOK);
    let mut beat = together(BEAT);
    loop {
        while let Some(action) = task.machine.poll_action() {
            task.perform(action).await;
        }
        if task.changed {
            task.settle_slots();
        }
        if task.rests && task.leaving {
            break;
        }
        if std::mem::take(&mut task.changed) {
            task.save();
        }
        let timeout = task.machine.poll_timeout();
        tokio::select! {
            message = messages.recv() => match message {
                Some(Message::HandOver { done }) => return task.hand_over(messages, done).await,
                Some(message) => task.hear(message),
                None => break,
            },
            _ = beat.tick() => task.beat(),
            () = sleep_until(timeout) => task.input(Input::Timeout),
            _ = look.tick(), if !task.ports.is_empty() => task.ports.iter().for_each(|(_, port)| port.pool.look_at_workers()),
        }
    }
    task.ports.forget();
    task.shared.exchange.forget(task.id);
    task.shared.pools.remove(&task.settings.name);
    if task.leaving {
        task.schedules.forget(&task.settings.name).await;
    }
    let tasks = task.pool.as_ref().map_or(0, Pool::forget);
    task.shared.keeper.release(&held::state(task.id));
    task.shared.registry.remove(task.id);
    task.shared.convoy.leave(&task.settings.name);
    task.hear_all(&Heard::AppDeleted { app: task.settings.name.clone(), tasks });
}

/// Falls together with that of all other apps: the process wakes once for all of them.
fn together(period: Duration) -> Interval {
    let since = Duration::from_nanos((clock().as_nanos() % period.as_nanos()) as u64);
    let mut interval = interval_at(tokio::time::Instant::now() + period - since, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

impl AppTask {
    pub(super) fn new(parts: Parts, shared: &Arc<Shared>, inbox: mpsc::UnboundedSender<Message>) -> Self {
        let Parts { id, settings, origin, machine, ports, shown } = parts;
        let outlet = Outlet::open(&settings, &shared.console, shared.background);
        let mut task = Self {
            id,
            settings,
            shared: Arc::clone(shared),
            machine,
            workers: BTreeMap::new(),
            ports,
            inbox,
            reloads: HashMap::new(),
            next_reload: 1,
            pending: None,
            shown,
            refusal: None,
            last_exits: HashMap::new(),
            exits: super::report::Exits::default(),
            rests: false,
            waits: false,
            finished: false,
            leaving: false,
            origin,
            scaled: None,
            started: None,
            outlet,
            ends: history::Exits::default(),
            rate: history::Rate::default(),
            counted: (Vec::new(), None),
            schedule: None,
            schedules: Schedules::default(),
            watching: None,
            hooks: Hooks::new(shown.was_ready),
            computing: Vec::new(),
            pool: None,
            left_pool: None,
            changed: true,
        };
        task.open_pool();
        task
    }

    /// For the registry.
    pub(super) fn handle(&self) -> AppHandle {
        AppHandle {
            id: self.id,
            name: self.settings.name.clone(),
            definition: Arc::clone(&self.origin.definition),
            inbox: self.inbox.clone(),
            rest: self.rest_now(),
            failure: None,
            grace: self.settings.stop.grace,
            scaled: self.scaled,
        }
    }

    fn rest_now(&self) -> Rest {
        match (self.rests, &self.schedule) {
            (false, _) => Rest::None,
            (true, Some(_)) => Rest::UntilDue,
            (true, None) => Rest::ForGood,
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.machine.handle(Instant::now(), input);
        self.changed = true;
    }

    /// Once a second.
    fn beat(&mut self) {
        if self.rests {
            return;
        }
        let counted: Vec<Counters> =
            self.ports.iter().map(|(_, port)| port.pool.snapshot().counters).collect();
        let tasks = self.pool.as_ref().map(Pool::counts);
        let ended = tasks.map_or(0, |tasks| tasks.done + tasks.failed);
        let requests: u64 = counted.iter().map(|counters| counters.requests).sum();
        self.rate.note(Instant::now(), requests + ended);
        self.recycle();
        self.check_up();
        self.look_at_certificates();
        self.deliver_scheduled();
        if let Some(pool) = &self.pool {
            pool.tidy();
        }
        if self.counted != (counted.clone(), tasks) {
            self.counted = (counted, tasks);
            self.changed = true;
        }
    }

    fn hear(&mut self, message: Message) {
        self.changed |= message.changes();
        match message {
            // Seen to where messages are taken in.
            Message::HandOver { .. } => (),
            Message::Exited { worker, exit } => self.exited(worker, exit),
            Message::Node { worker, received } => self.hear_node(worker, received),
            Message::ChannelEnded { worker } => self.channel_ended(worker),
            Message::Joined { worker, channel } => self.joined(worker, channel),
            Message::Pool { port, event } => self.hear_pool(port, event),
            Message::PoolWish(wish) => self.hear_wish(wish),
            Message::Ready { worker } => self.found_ready(worker),
            Message::Alive { worker } => self.hear_alive(worker),
            Message::Checked { worker, outcome } => self.checked(worker, outcome),
            Message::Hooked { hook, outcome } => self.hooked(hook, outcome),
            Message::Renew(renewal) => self.renew(renewal),
            Message::Due => self.come_due(),
            Message::ScheduleDue { schedule } => self.look_at_schedule(&schedule),
            Message::ScheduleWaits { schedule, reason } => self.schedule_waits(&schedule, &reason),
            Message::ScheduleGiven { schedule } => self.schedule_given(&schedule),
            // Whoever asked may have gone.
            Message::RunSchedule { schedule, answer } => drop(answer.send(self.run_schedule(&schedule))),
            Message::ScheduleBegan { schedule, child } => self.schedule_began(&schedule, child),
            Message::ScheduleEnded { schedule, outcome } => self.schedule_ended(&schedule, outcome),
            Message::Renewed(renewed) => self.renewed(renewed),
            Message::Connect { worker, key, connection } => self.connect(worker, key, connection),
            Message::Reset => self.reset(),
            Message::LastLines { worker, lines } => self.hear_last_lines(worker, lines),
            Message::Flush { answer } => {
                drop(answer.send(self.outlet.flush().map_err(|error| error.to_string())));
            }
            Message::Scale { instances, answer } => {
                self.scale(instances);
                self.save();
                // Whoever asked may have gone.
                let _unheard = answer.send(());
            }
            Message::Begin => self.begin(),
            Message::Wait(reasons) => self.say(&format!("waits: {reasons}")),
            Message::Retire => {
                if self.workers.is_empty() {
                    self.stop(false);
                }
            }
            Message::Say(text) => self.say(&text),
            Message::Start { progress } => self.start(progress),
            Message::Redefine(definition) => self.origin.definition = definition,
            Message::Stop { now } => {
                self.tell_companion(Message::Stop { now });
                self.stop(now);
            }
            Message::Delete { now } => {
                self.tell_companion(Message::Delete { now });
                self.leaving = true;
                self.stop(now);
            }
            // Whoever asked may have gone; then nobody has to know.
            Message::Send { slot, message, answer } => drop(answer.send(self.send(slot, &message))),
            Message::Signal { slot, signal, answer } => drop(answer.send(self.pass_on(slot, signal))),
            Message::Environment { answer } => drop(answer.send(pairs(&self.settings.environment))),
            Message::Shards { key, answer } => drop(answer.send(self.shards(key.as_deref()))),
            Message::Status { answer } => drop(answer.send(self.status())),
            Message::Poisoned { answer } => drop(answer.send(self.poisoned())),
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { worker, slot } => self.spawn(worker, slot).await,
            Action::Route { worker } => self.route(worker),
            Action::Drain { worker } => self.drain(worker),
            Action::Suspend { worker } => self.suspend(worker),
            Action::StopPolitely { worker } => self.stop_politely(worker),
            Action::Terminate { worker } => self.signal(worker, Signal::TERM),
            Action::Kill { worker } => self.kill(worker),
            Action::Tell(event) => self.tell(event),
        }
    }

    /// To Node.js workers that listen to messages, in a pool to those that can tell them from tasks; returns how many.
    fn send(&mut self, slot: Option<u32>, message: &Value) -> u32 {
        let pool = self.pool.clone();
        let listens = |worker: WorkerId| pool.as_ref().is_none_or(|pool| pool.knows_protocol(worker));
        let meant = self.workers.iter_mut().filter(|(_, worker)| slot.is_none_or(|slot| worker.slot == slot));
        let meant = meant.filter(|(worker, _)| listens(**worker)).map(|(_, worker)| worker);
        let sent = |worker: &mut Worker| match worker.node() {
            Some(link) => link.open && link.channel.send(message).is_ok(),
            None => false,
        };
        meant.map(sent).filter(|sent| *sent).count() as u32
    }

    /// A signal of the user's, which Stead neither asked for nor needs to understand; returns how many workers got it.
    fn pass_on(&self, slot: Option<u32>, signal: Signal) -> u32 {
        let meant = self.workers.values().filter(|worker| slot.is_none_or(|slot| worker.slot == slot));
        meant.map(|worker| self.shared.keeper.signal(worker.child.id, signal)).count() as u32
    }

    fn exited(&mut self, worker: WorkerId, exit: Exit) {
        let Some(mut process) = self.workers.remove(&worker) else { return };
        resume::release(&self.shared, self.id, worker, process.child.id);
        self.leave_cgroup(worker);
        self.shared.exchange.gone(self.member(worker));
        if let Link::Node(link) = &process.link {
            link.unaccepted.clear();
        }
        let mut kind = ExitKind {
            code: exit.code,
            signal: exit.signal,
            core_dumped: exit.core_dumped,
            out_of_memory: exit.out_of_memory,
            outside: false,
        };
        // A worker of a pool that leaves by itself, however politely, leaves a task behind.
        let crashed = !process.asked_to_end && (exit.code != Some(0) || self.pool.is_some());
        let uptime = process.started.elapsed();
        let crash = crashed.then(|| Crash {
            app: self.settings.name.clone(),
            worker,
            slot: process.slot,
            pid: process.child.pid,
            began: SystemTime::now().checked_sub(uptime).unwrap_or(SystemTime::UNIX_EPOCH),
            uptime,
            exit,
            how: self.how(exit),
        });
        let record = self.exit_record(worker, &process, exit);
        let taps = std::mem::take(&mut process.taps);
        tokio::spawn(outlet::outlive(taps, Arc::clone(&self.outlet), crash, self.inbox.clone()));
        let killed = matches!(exit.signal, Some(9 | 15)) && !exit.out_of_memory;
        kind.outside = killed && !process.asked_to_end;
        if !process.asked_to_end {
            self.last_exits.insert(process.slot, exit);
        }
        self.exits.note(&self.ports, worker, (&process, exit));
        // To a request it matters whether it may be to blame. It is not if Stead ended the worker for another reason.
        let blameless = kind.outside || (process.asked_to_end && !process.wedged);
        self.ports.remove(worker, Death { outside: blameless });
        self.died(worker, (!blameless || kind.outside).then_some(record), kind.outside);
        if !self.shown.was_ready
            && let Some(error) = self.refusal.take()
        {
            // It died of the refused address and would again.
            self.give_up("it could not listen", Some(error));
        }
        self.input(Input::Exited { worker, exit: kind });
    }

    pub(super) fn reconfigure(&mut self, settings: Arc<AppSettings>) {
        let old = &self.settings;
        let of_ports = |settings: &AppSettings| {
            let AppSettings {
                listen, datagrams, tls, redirect_https, mode, ports, balancer, choosing, ..
            } = settings.clone();
            (listen, datagrams, tls, redirect_https, mode, ports, balancer, choosing)
        };
        if of_ports(old) != of_ports(&settings) {
            self.say("changes of addresses, modes and limits of requests take effect with the next start");
        }
        let old = Arc::clone(&self.settings);
        self.settings = settings;
        if old.cron_restart != self.settings.cron_restart && (!self.rests || self.finished) {
            self.follow_clock();
        }
        if old.schedules != self.settings.schedules && self.schedules.are_followed() {
            self.follow_schedules();
        }
        if old.watch != self.settings.watch && !self.rests {
            self.watch();
        }
        if old != self.settings {
            self.introduce();
            self.compute();
        }
        let config = for_supervisor(&self.settings, self.shown);
        self.input(Input::Reconfigure(config));
        self.reconfigure_pool();
    }

    fn scale(&mut self, instances: u32) {
        self.settings = Arc::new(AppSettings { instances, ..(*self.settings).clone() });
        self.scaled = Some(instances);
        self.shared.registry.set_scaled(self.id, instances);
        self.input(Input::Scale(instances));
        self.hear_all(&Heard::Scaled { app: self.settings.name.clone(), instances });
    }

    /// The app has shown more of itself, which is judged by.
    pub(super) fn has_shown(&mut self, shown: Shown) {
        if shown.serves != self.shown.serves || shown.was_ready != self.shown.was_ready {
            self.shown = shown;
            self.input(Input::Reconfigure(for_supervisor(&self.settings, shown)));
        }
    }

    pub(super) fn refused_to_listen(&mut self, error: ListenError) {
        if self.shown.was_ready {
            self.say(&crate::cli::in_one_line(&error));
        }
        self.refusal = Some(error);
    }

    /// The app never got ready and will not.
    pub(super) fn give_up(&mut self, reason: &str, refusal: Option<ListenError>) {
        self.shared.app_failed(&self.settings, reason, refusal);
        self.input(Input::StopNow);
    }

    /// Tells who waits for this app, or falls with it, what has become of it.
    pub(super) fn tell_fleet(&self, fate: impl FnOnce(String) -> Fate) {
        self.shared.convoy.tell(&self.shared.registry, &[fate(self.settings.name.clone())]);
    }

    pub(super) fn say(&self, text: &str) {
        self.outlet.note(text);
        self.shared.console.say(Some(&self.settings.name), text);
    }

    pub(super) fn hear_all(&self, event: &Heard) {
        self.shared.console.event(event);
        // Without a listener nobody has to know.
        drop(self.shared.events.send(event.clone()));
    }

    fn start(&mut self, progress: mpsc::Sender<Progress>) {
        let (unheard, _) = mpsc::channel(1);
        self.tell_companion(Message::Start { progress: unheard });
        if (self.rests || self.waits) && !self.hooks.is_preparing() {
            let progress = Some(progress);
            return self.renew(Renewal { how: How::Restart, environment: None, progress });
        }
        self.begin();
        // Whoever asked may have gone.
        drop(progress.try_send(Progress::Done { apps: vec![self.settings.name.clone()] }));
    }

    /// From rest, with the settings it has now.
    pub(super) fn start_again(&mut self) -> Result<(), ListenError> {
        self.ports.access =
            self.shared.access.open(&self.settings, &self.shared.console, self.shared.background);
        self.ports.bind_configured(&self.settings)?;
        self.outlet = Outlet::open(&self.settings, &self.shared.console, self.shared.background);
        self.shown = Shown { serves: !self.ports.is_empty(), was_ready: false };
        self.rests = false;
        self.finished = false;
        self.waits = true;
        self.admit_tasks();
        self.shared.registry.set_rests(self.id, Rest::None);
        self.input(Input::Reconfigure(for_supervisor(&self.settings, self.shown)));
        let app = self.settings.name.clone();
        self.shared.convoy.tell(&self.shared.registry, &[Fate::Wanted { app, wanted: true }]);
        Ok(())
    }

    /// A connection from the daemon that this one relieved.
    fn connect(&mut self, worker: WorkerId, key: String, connection: OwnedFd) {
        let message = ClusterMessage::NewConnection { key, remote: None };
        if let Some(link) = self.link(worker) {
            // A worker that is gone leaves its connections closed, which is how the other side learns it.
            drop(link.channel.cluster(message, Some(connection)));
        }
    }

    /// Counters begin anew.
    fn reset(&mut self) {
        self.ports.iter().for_each(|(_, port)| port.pool.reset());
        self.input(Input::ResetCounts);
        self.last_exits.clear();
        self.ends.clear();
    }

    fn stop(&mut self, now: bool) {
        self.waits = false;
        self.drop_hooks();
        self.pause_schedules();
        self.tell_fleet(|app| Fate::Wanted { app, wanted: false });
        if self.rests {
            self.finished = false;
            self.schedule = None;
            self.shared.registry.set_rests(self.id, Rest::ForGood);
            return self.hear_all(&Heard::AppStopped { app: self.settings.name.clone() });
        }
        self.input(if now { Input::StopNow } else { Input::Stop });
    }

    /// Nothing of it runs any more; its addresses are free for others.
    pub(super) fn rest(&mut self) {
        self.ports.close_all();
        let succeeded = self.finished && self.last_exits.values().all(|exit| exit.code == Some(0));
        self.tell_fleet(|app| if succeeded { Fate::Completed { app } } else { Fate::Down { app } });
        self.rests = true;
        self.admit_tasks();
        self.computing.clear();
        self.started = None;
        if !self.finished || self.leaving {
            self.schedule = None;
        }
        self.watching = None;
        self.pause_schedules();
        self.shared.registry.set_rests(self.id, self.rest_now());
    }
}
