//! Goes on where the daemon before this one stopped, be it that it died or that it made room for this one: the same workers,
//! the same listeners, the same counts. And keeps what the next one will need for the same.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use stead_balancer::{Road, StickyKey};
use stead_control::Definition;
use stead_process::keeper::{ChildId, Exit, Inherited, Keeper, Signal};
use stead_process::node::{Continuation, Released};
use stead_supervisor::fleet::Input as Fate;
use stead_supervisor::{App, Input, WorkerId};
use tokio::sync::mpsc;

use super::app::{self, AppTask, Parts};
use super::definition::Origin;
use super::held::{self, Held, Part};
use super::launch::Ends;
use super::notify::NotifySocket;
use super::pool::Pool;
use super::ports::{PortId, Ports};
use super::settings::for_supervisor;
use super::shared::Shared;
use super::state::{self, SavedApp, SavedLink, SavedPlace, SavedRoad, SavedWorker, clock};
use super::successor::{Handed, Successor};
use super::worker::{Belongings, Leader, Link, Worker};

/// What the daemon before this one left with the keeper.
pub(super) struct Estate {
    pub(super) held: Held,
    children: HashMap<ChildId, Inherited>,
    definitions: Vec<Arc<Definition>>,
}

impl Estate {
    pub(super) fn new(held: Held, children: Vec<Inherited>) -> Self {
        let children = children.into_iter().map(|child| (child.id, child)).collect();
        Self { held, children, definitions: Vec::new() }
    }

    /// Nothing of it is wanted.
    pub(super) fn discard(self, keeper: &Keeper) {
        for child in self.children.into_values() {
            keeper.signal(child.id, Signal::KILL);
            keeper.bury(child.id);
        }
        self.held.release(keeper);
    }

    /// Apps of one file share their definition.
    fn definition(&mut self, definition: Arc<Definition>) -> Arc<Definition> {
        if let Some(known) = self.definitions.iter().find(|known| **known == definition) {
            return Arc::clone(known);
        }
        self.definitions.push(Arc::clone(&definition));
        definition
    }
}

impl Shared {
    /// Takes over everything; returns how many workers go on.
    pub(super) fn resume(self: &Arc<Self>, mut estate: Estate) -> usize {
        self.listeners.resume(estate.held.take_listeners());
        let mut apps = Vec::new();
        for (app, memory) in estate.held.take_states() {
            match state::read::<SavedApp>(memory) {
                Ok(saved) => apps.push(saved),
                Err(error) => {
                    let text = format!("the state of app {app} is not taken over: {error}");
                    self.console.say(None, &text);
                }
            }
        }
        self.rejoin(&apps);
        let waiting = apps.iter().filter(|saved| saved.waits).map(|saved| saved.settings.name.clone());
        let wanted = |app| Fate::Wanted { app, wanted: true };
        let waiting: Vec<Fate> = waiting.map(wanted).collect();
        let mut workers = 0;
        for saved in apps {
            workers += self.resume_app(saved, &mut estate);
        }
        for error in self.listeners.resumed() {
            self.console.say(None, &format!("a listener cannot be served: {error}"));
        }
        self.exchange.resumed();
        // Only now: one that nothing holds up is told to begin at once, and has to be there.
        self.convoy.tell(&self.registry, &waiting);
        // A child that no state speaks of was being started, and has lost what it was to write to.
        estate.discard(&self.keeper);
        workers
    }

    /// Who waits for whom, and where each of them is.
    fn rejoin(&self, apps: &[SavedApp]) {
        let settings: Vec<_> = apps.iter().map(|app| &app.settings).collect();
        let groups: Vec<_> = apps.iter().flat_map(|app| app.origin.groups.iter().cloned()).collect();
        if let Err(error) = self.convoy.join(&settings, &groups) {
            self.console.say(None, &format!("nobody waits for others any more: {error}"));
        }
        for saved in apps {
            let app = saved.settings.name.clone();
            let fates = match (saved.waits, saved.rests, saved.shown.was_ready) {
                // Told when it is there.
                (true, _, _) => Vec::new(),
                (_, true, _) if saved.finished => {
                    vec![Fate::Found { app: app.clone() }, Fate::Completed { app }]
                }
                (_, true, _) => Vec::new(),
                (_, _, false) => vec![Fate::Found { app }],
                (_, _, true) => vec![Fate::Found { app: app.clone() }, Fate::Healthy { app }],
            };
            self.convoy.tell(&self.registry, &fates);
        }
    }

    fn resume_app(self: &Arc<Self>, saved: SavedApp, estate: &mut Estate) -> usize {
        let at = saved.instant();
        let (inbox, messages) = mpsc::unbounded_channel();
        let mut held = estate.held.take_app(saved.id);
        let settings = Arc::new(saved.settings);
        let mut ports =
            Ports::new(saved.id, (&self.lanes, &self.listeners), self.keeper.clone(), inbox.clone());
        if let Some(key) = saved.sticky_key.as_deref().and_then(StickyKey::from_hex) {
            ports.sticky_key = key;
        }
        ports.access = self.access.open(&settings, &self.console, self.background);
        ports.prepare(&settings);
        self.console.know(&settings.name);
        if saved.rests {
            ports.stand_by(&settings, saved.was_at);
        }
        for port in saved.ports {
            let name = port.names.join(", ");
            if let Err(error) = ports.resume(port, &settings) {
                self.console.say(Some(&settings.name), &format!("{name} is lost: {error}"));
            }
        }
        ports.skip_to(saved.next_port);
        ports.datagrams.resume(held.take_udp(saved.id));
        let config = for_supervisor(&settings, saved.shown);
        let machine = App::resume(config, self.seed(), saved.machine, at);
        let mut task = AppTask::new(
            Parts {
                id: saved.id,
                settings,
                origin: Origin { definition: estate.definition(saved.origin.definition), ..saved.origin },
                machine,
                ports,
                shown: saved.shown,
            },
            self,
            inbox,
        );
        task.next_reload = saved.next_reload;
        task.last_exits = saved.last_exits.into_iter().collect();
        task.ends = saved.ends;
        task.rests = saved.rests;
        task.waits = saved.waits;
        task.finished = saved.finished;
        task.leaving = saved.leaving;
        task.scaled = saved.scaled;
        task.started = saved.started;
        if task.finished || !(task.rests || task.waits) {
            task.follow_clock();
        }
        self.registry.add(task.handle());
        task.introduce();
        let workers = saved.workers.len();
        for worker in saved.workers {
            let worker = SavedWorker { age: worker.age + at.elapsed(), ..worker };
            task.resume_worker(worker, &mut held, &mut estate.children);
        }
        task.resume_pool(saved.pool, saved.tasks);
        task.answer_unstarted();
        task.resume_schedules(saved.schedules, &mut held, &mut estate.children);
        if !task.rests && !task.waits {
            task.follow_schedules();
            task.watch();
            task.compute();
        }
        held.release(&self.keeper);
        task.renew_again(saved.pending);
        tokio::spawn(app::run(task, messages));
        workers
    }
}

impl AppTask {
    fn resume_worker(
        &mut self,
        saved: SavedWorker,
        held: &mut Held,
        children: &mut HashMap<ChildId, Inherited>,
    ) {
        let id = saved.id;
        let mut end = |part| held.take(&held::worker(self.id, id, part));
        let join = end(Part::Join).map(std::os::unix::net::UnixListener::from);
        let ends = Ends {
            stdout: end(Part::Stdout),
            stderr: end(Part::Stderr),
            channel: end(Part::Channel)
                .zip(saved.link.as_ref())
                .map(|(channel, link)| (channel, link.serialization, self.continuation(link.left.as_ref()))),
            join: join.filter(|join| join.set_nonblocking(true).is_ok()),
            notify: end(Part::Notify).and_then(|socket| NotifySocket::adopt(socket).ok()),
        };
        let inherited = children.remove(&saved.child);
        let exit = match &inherited {
            Some(child) => child.exit,
            // The keeper has said how it ended, and the daemon that heard it died before it could act.
            None => Some(Exit::default()),
        };
        let process = Worker {
            slot: saved.slot,
            child: Leader { id: saved.child, pid: saved.pid },
            started: Instant::now().checked_sub(saved.age).unwrap_or_else(Instant::now),
            link: Link::Signals,
            roads: saved.roads.iter().filter_map(|(port, road)| Some((*port, plain(road)?))).collect(),
            routed: false,
            draining: None,
            healthy: None,
            checkup: None,
            wedged: saved.wedged,
            asked_to_end: saved.asked_to_end,
            taps: Vec::new(),
            belongings: Belongings { files: saved.files, tasks: Vec::new() },
        };
        self.attend(id, process, ends);
        let known = saved.link.as_ref().is_some_and(|link| link.left.is_some());
        if let Some(link) = saved.link {
            self.resume_link(id, link, &saved.roads);
        }
        self.resume_in_pool(id, known);
        if let Some(exit) = exit {
            self.shared.children.exited(saved.child, exit);
        }
    }

    /// Where a channel goes on. If the daemon died, only that no number may come twice is known.
    fn continuation(&self, left: Option<&SavedPlace>) -> Continuation {
        let Some(left) = left.cloned() else {
            return Continuation { seq: self.shared.first_number(), ..Continuation::default() };
        };
        let SavedPlace { seq, unconfirmed, unread, unwritten, .. } = left;
        Continuation { seq, unconfirmed, unread, unwritten, descriptors: Vec::new() }
    }

    fn resume_link(&mut self, worker: WorkerId, saved: SavedLink, roads: &[(PortId, SavedRoad)]) {
        let Some(link) = self.link(worker) else { return };
        link.open = saved.open;
        link.online = saved.online;
        link.disconnecting = saved.disconnecting;
        link.keys = saved.keys.into_iter().collect();
        for message in saved.left.into_iter().flat_map(|left| left.unsent) {
            // A worker that is gone meanwhile takes nothing.
            drop(link.channel.send(&message));
        }
        for (port, road) in roads {
            let SavedRoad::Handed(key) = road else { continue };
            let road = self.handed(worker, *port, key);
            if let (Some(process), Some(road)) = (self.workers.get_mut(&worker), road) {
                process.roads.insert(*port, road);
            }
        }
    }

    /// What was being started when the daemon died has nobody: it is started anew.
    fn answer_unstarted(&mut self) {
        let slots = self.machine.snapshot(Instant::now()).slots;
        let others = slots.iter().flat_map(|slot| slot.others.iter().map(|other| other.worker));
        let mut unstarted: Vec<WorkerId> =
            slots.iter().filter_map(|slot| slot.worker).chain(others).collect();
        unstarted.retain(|worker| !self.workers.contains_key(worker));
        for worker in unstarted {
            let reason = "the daemon died while it was being started".to_owned();
            self.input(Input::SpawnFailed { worker, reason, fatal: false });
        }
    }

    /// Lets the keeper keep what has changed.
    pub(super) fn save(&self) {
        let written = state::write(&self.saved());
        let name = held::state(self.id);
        let kept = written.and_then(|memory| self.shared.keeper.hold(&name, memory.as_fd()));
        if let Err(error) = kept {
            self.say(&format!("a crash of the daemon would restart all workers: {error}"));
        }
    }

    fn saved(&self) -> SavedApp {
        let now = Instant::now();
        SavedApp {
            id: self.id,
            at: clock(),
            origin: self.origin.clone(),
            settings: (*self.settings).clone(),
            machine: self.machine.save(now),
            shown: self.shown,
            rests: self.rests,
            waits: self.waits,
            finished: self.finished,
            leaving: self.leaving,
            scaled: self.scaled,
            started: self.started,
            next_reload: self.next_reload,
            pending: self.pending.clone(),
            next_port: self.ports.next_port(),
            last_exits: self.last_exits.iter().map(|(slot, exit)| (*slot, *exit)).collect(),
            ends: self.ends.clone(),
            workers: self.workers.iter().map(|(id, worker)| saved_worker(*id, worker, now)).collect(),
            ports: self.ports.saved(),
            was_at: self.ports.was_at(),
            schedules: self.saved_schedules(),
            sticky_key: Some(self.ports.sticky_key.to_hex()),
            pool: self.left_pool.as_ref().and_then(|left| serde_json::to_value(left).ok()),
            tasks: self.pool.as_ref().map(Pool::counts),
        }
    }
}

fn saved_worker(id: WorkerId, worker: &Worker, now: Instant) -> SavedWorker {
    let link = match &worker.link {
        Link::Signals => None,
        Link::Node(link) => Some(SavedLink {
            serialization: link.serialization,
            open: link.open,
            online: link.online,
            disconnecting: link.disconnecting,
            left: link.left.as_ref().map(saved_place),
            keys: link.keys.iter().map(|(key, port)| (key.clone(), *port)).collect(),
        }),
    };
    let key_of = |port: PortId| {
        let keys = link.iter().flat_map(|link| &link.keys);
        keys.clone().find(|(_, other)| *other == port).map(|(key, _)| key.clone())
    };
    let road = |(port, road): (&PortId, &Road)| {
        let saved = match road {
            Road::Tcp(address) => SavedRoad::Tcp(*address),
            Road::Unix(path) => SavedRoad::Unix(path.clone()),
            Road::Handed(_) => SavedRoad::Handed(key_of(*port)?),
        };
        Some((*port, saved))
    };
    SavedWorker {
        id,
        slot: worker.slot,
        child: worker.child.id,
        pid: worker.child.pid,
        age: now.saturating_duration_since(worker.started),
        roads: worker.roads.iter().filter_map(road).collect(),
        wedged: worker.wedged,
        asked_to_end: worker.asked_to_end,
        files: worker.belongings.files.clone(),
        link,
    }
}

fn saved_place(left: &Released) -> SavedPlace {
    let from = &left.continuation;
    SavedPlace {
        seq: from.seq,
        unconfirmed: from.unconfirmed,
        unread: from.unread.clone(),
        unwritten: from.unwritten.clone(),
        // Those with a descriptor go to the successor by another way.
        unsent: left
            .unsent
            .iter()
            .filter(|unsent| unsent.descriptor.is_none())
            .map(|unsent| unsent.message.clone())
            .collect(),
    }
}

/// A road that needs no channel.
fn plain(road: &SavedRoad) -> Option<Road> {
    match road {
        SavedRoad::Tcp(address) => Some(Road::Tcp(*address)),
        SavedRoad::Unix(path) => Some(Road::Unix(PathBuf::clone(path))),
        SavedRoad::Handed(_) => None,
    }
}

/// Connections that a channel did not get rid of before it was released: the successor offers them again.
pub(super) fn pass_on(app: u32, worker: WorkerId, left: &mut Released, successor: &Successor) {
    for unsent in left.unsent.iter_mut().filter(|unsent| unsent.connection.is_some()) {
        let key = unsent.message["key"].as_str().map(str::to_owned);
        if let (Some(key), Some(connection), Some(way)) = (key, unsent.descriptor.take(), successor.get()) {
            // A successor that is gone leaves the connection closed, which its other side notices.
            drop(way.send(Handed::Connect { app, worker, key, connection }));
        }
    }
}

/// Gives back what a worker that is gone had with the keeper.
pub(super) fn release(shared: &Shared, app: u32, worker: WorkerId, child: ChildId) {
    for part in Part::ALL {
        shared.keeper.release(&held::worker(app, worker, part));
    }
    shared.keeper.bury(child);
}
