//! What an app tells: events as they happen, its status when asked, the poison requests it kept.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use stead_balancer::{EndpointId, EndpointSnapshot, PoisonRecord, PoolSnapshot};
use stead_control::{
    AppStatus, Bucket, Counters, Death, Event as Heard, ExitReport, Instances, Latency, ListenStatus,
    PoisonedRequest, Progress, ReloadStatus, WorkerState, WorkerStatus,
};
use stead_process::keeper::Exit;
use stead_supervisor::{Event, Next, Readiness, SlotState, WorkerId};

use super::app::AppTask;
use super::bypass;
use super::ports::{PortId, Ports};
use super::settings::Shown;
use crate::config::Mode;

/// Upper bounds of the latency histogram that is told, in milliseconds.
const LATENCY_BOUNDS_MS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];
/// Exits kept to explain poison requests.
const EXITS_MAX: usize = 64;
/// Headers whose values nobody shall read in a report.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// How the last workers ended.
#[derive(Default)]
pub(super) struct Exits {
    by_endpoint: VecDeque<(PortId, EndpointId, Death)>,
    pids: VecDeque<(WorkerId, u32)>,
}

impl Exits {
    pub(super) fn note(&mut self, ports: &Ports, worker: WorkerId, (pid, exit): (u32, Exit)) {
        self.pids.push_back((worker, pid));
        for (id, port) in ports.iter() {
            if let Some(endpoint) = port.endpoint_of(worker) {
                let death = Death { worker, pid, exit: exit_report(exit, false) };
                self.by_endpoint.push_back((id, endpoint, death));
            }
        }
        self.pids.drain(..self.pids.len().saturating_sub(EXITS_MAX));
        self.by_endpoint.drain(..self.by_endpoint.len().saturating_sub(EXITS_MAX));
    }

    fn deaths(&self, port: PortId, endpoints: &[EndpointId]) -> Vec<Death> {
        let of = |endpoint: &EndpointId| {
            let mut known = self.by_endpoint.iter();
            known.find(|(id, other, _)| *id == port && other == endpoint).map(|(_, _, death)| *death)
        };
        endpoints.iter().filter_map(of).collect()
    }

    fn pid_of(&self, worker: WorkerId) -> u32 {
        self.pids.iter().rev().find(|(other, _)| *other == worker).map_or(0, |(_, pid)| *pid)
    }
}

impl AppTask {
    pub(super) fn tell(&mut self, event: Event) {
        let app = self.settings.name.clone();
        match event {
            Event::WorkerStarted { worker, slot, pid } => {
                self.hear_all(&Heard::WorkerStarted { app, worker, slot, pid });
            }
            Event::WorkerReady { worker, slot, readiness, after } => {
                self.tell_ready(worker, slot, (readiness, after));
            }
            Event::WorkerUnready { slot, .. } => {
                self.say(&format!("{app}.{slot} closed its listeners and gets no more requests"));
            }
            Event::WorkerNotReady { worker, slot, after } => self.tell_not_ready(worker, slot, after),
            Event::WorkerWedged { slot, .. } => self.say(&format!(
                "{app}.{slot} takes no requests for {} and is replaced",
                seconds(self.settings.balancer.wedged_after)
            )),
            Event::WorkerExited { worker, slot, exit, expected, next } => {
                let exit = Exit {
                    code: exit.code,
                    signal: exit.signal,
                    core_dumped: exit.core_dumped,
                    out_of_memory: exit.out_of_memory,
                    rusage: None,
                };
                self.tell_exit((worker, slot), (exit, expected), next);
            }
            Event::SpawnFailed { slot, reason, next, .. } => {
                self.say(&format!("{app}.{slot} could not be started: {reason}; {}", follows(next)));
            }
            Event::Recovered { slot } => self.say(&format!("{app}.{slot} is back")),
            Event::ReloadProgress { id, done, of } => {
                self.tell_progress(id, Progress::Step { app, done, of });
            }
            Event::ReloadDone { id } => {
                self.say("reload done");
                self.tell_progress(id, Progress::Done { apps: vec![app] });
            }
            Event::ReloadFailed { id, reason, .. } => self.tell_reload_failed(id, &reason.to_string()),
            Event::Finished => {
                self.say("finished");
                self.ended = true;
            }
            Event::Stopped => {
                self.hear_all(&Heard::AppStopped { app });
                self.ended = true;
            }
            Event::Failed { reason } => {
                let refusal = self.refusal.take();
                self.give_up(&reason.to_string(), refusal);
            }
        }
    }

    fn tell_ready(&mut self, worker: WorkerId, slot: u32, (readiness, after): (Readiness, Duration)) {
        let app = self.settings.name.clone();
        self.has_shown(Shown { was_ready: true, ..self.shown });
        self.refusal = None;
        let Some(process) = self.workers.get(&worker) else { return };
        let pid = process.child.pid;
        let how = match readiness {
            Readiness::Said => "ready",
            Readiness::Assumed => "runs, and is taken for ready although it listens nowhere",
        };
        self.say(&format!("{app}.{slot} {how} (pid {pid}, {})", seconds(after)));
        self.hear_all(&Heard::WorkerReady { app, worker, slot, pid });
        if readiness == Readiness::Assumed {
            self.tell_bypass(worker);
        }
    }

    fn tell_not_ready(&mut self, worker: WorkerId, slot: u32, after: Duration) {
        self.say(&format!(
            "{}.{slot} was not ready within {} and is stopped",
            self.settings.name,
            seconds(after)
        ));
        self.tell_bypass(worker);
    }

    /// A program that listens by itself, past Stead, cannot be balanced; better said than wondered about.
    fn tell_bypass(&self, worker: WorkerId) {
        let Some(process) = self.workers.get(&worker) else { return };
        let found = bypass::listening(process.child.pid);
        let [address, ..] = found.as_slice() else { return };
        self.say(&format!(
            "worker {worker} listens on {address} by itself, so its requests do not pass through Stead; give it a port of its own: \
             --listen {} and let it listen on the port in PORT",
            address.port()
        ));
    }

    fn tell_exit(&mut self, (worker, slot): (WorkerId, u32), (exit, expected): (Exit, bool), next: Next) {
        let app = self.settings.name.clone();
        let follows = if self.shown.was_ready || !matches!(next, Next::Failed { .. }) {
            follows(next)
        } else {
            "too many starts have failed".to_owned()
        };
        if !expected {
            self.say(&format!("{app}.{slot} ended: {exit}; {follows}"));
        }
        let restart_in = match next {
            Next::Now => Some(Duration::ZERO),
            Next::After(wait) => Some(wait),
            Next::Failed { retry_in } => Some(retry_in),
            Next::Reload | Next::No => None,
        };
        let failed = matches!(next, Next::Failed { .. });
        let pid = self.exits.pid_of(worker);
        let exit = exit_report(exit, expected);
        self.hear_all(&Heard::WorkerExited { app, worker, slot, pid, exit, restart_in, failed });
    }

    fn tell_progress(&mut self, id: u64, progress: Progress) {
        self.hear_all(&Heard::Reload { progress: progress.clone() });
        let listener =
            if progress.is_last() { self.reloads.remove(&id) } else { self.reloads.get(&id).cloned() };
        if let Some(listener) = listener {
            // Whoever asked may have gone; the reload goes on.
            drop(listener.try_send(progress));
        }
    }

    fn tell_reload_failed(&mut self, id: u64, reason: &str) {
        self.say(&format!("reload failed: {reason}; the old workers serve on"));
        let (done, of) = self
            .machine
            .snapshot(Instant::now())
            .reload
            .map_or((0, self.settings.instances), |r| (r.done, r.of));
        let app = self.settings.name.clone();
        let hint = "see what the new worker printed; the old workers serve on".to_owned();
        let failed = Progress::Failed { app, reason: reason.to_owned(), hint: Some(hint), done, of };
        self.tell_progress(id, failed);
    }

    pub(super) fn announce_port(&self, id: PortId) {
        let Some(port) = self.ports.get(id) else { return };
        let app = self.settings.name.clone();
        for address in &port.names {
            let how = match port.mode {
                Mode::Direct => "whole connections are handed to workers",
                Mode::Http | Mode::Auto => "HTTP",
            };
            self.say(&format!("listening on {} ({how})", link(address, port.mode)));
            self.hear_all(&Heard::Listening { app: app.clone(), address: address.clone() });
        }
    }

    pub(super) fn tell_poisoned(&mut self, port: PortId, record: &PoisonRecord) {
        let request = self.poisoned_request(port, record);
        let deaths = record.deaths.len();
        self.say(&format!("{} {} made {deaths} workers die and is given up", request.method, request.target));
        self.hear_all(&Heard::Poisoned(request));
    }

    pub(super) fn poisoned(&self) -> Vec<PoisonedRequest> {
        let mut all: Vec<_> = self
            .ports
            .iter()
            .flat_map(|(id, port)| port.pool.snapshot().poisoned.into_iter().map(move |record| (id, record)))
            .map(|(id, record)| self.poisoned_request(id, &record))
            .collect();
        all.sort_by_key(|request| request.at);
        all
    }

    fn poisoned_request(&self, port: PortId, record: &PoisonRecord) -> PoisonedRequest {
        let mut lines = record.head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let secret = SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
            Some((name.to_owned(), if secret { "(left out)".to_owned() } else { value.trim().to_owned() }))
        };
        PoisonedRequest {
            app: self.settings.name.clone(),
            at: record.at,
            method: first.next().unwrap_or_default(),
            target: first.next().unwrap_or_default(),
            headers: lines.filter_map(header).collect(),
            deaths: self.exits.deaths(port, &record.deaths),
        }
    }

    pub(super) fn status(&self) -> AppStatus {
        let now = Instant::now();
        let snapshot = self.machine.snapshot(now);
        let pools: Vec<(PortId, PoolSnapshot)> =
            self.ports.iter().map(|(id, port)| (id, port.pool.snapshot())).collect();
        let workers = self.worker_statuses(now, &pools);
        let ready = workers.iter().filter(|worker| worker.state == WorkerState::Ready).count() as u32;
        let listens = self.ports.iter().flat_map(|(_, port)| {
            let mode = control_mode(port.mode);
            port.names.iter().map(move |address| ListenStatus { address: address.clone(), mode })
        });
        AppStatus {
            name: self.settings.name.clone(),
            mode: control_mode(self.settings.mode),
            instances: Instances { wanted: snapshot.instances, ready },
            listens: listens.collect(),
            workers,
            reload: snapshot.reload.map(|reload| ReloadStatus { done: reload.done, of: reload.of }),
            counters: counters(&pools),
            latency: latency(&pools),
        }
    }

    fn worker_statuses(&self, now: Instant, pools: &[(PortId, PoolSnapshot)]) -> Vec<WorkerStatus> {
        let mut endpoints: HashMap<(PortId, EndpointId), EndpointSnapshot> = HashMap::new();
        for (id, pool) in pools {
            endpoints.extend(pool.endpoints.iter().map(|endpoint| ((*id, endpoint.id), *endpoint)));
        }
        let load = |worker: Option<WorkerId>| {
            let mut sum = EndpointSnapshot::default();
            for (id, port) in self.ports.iter() {
                let endpoint = worker.and_then(|worker| port.endpoint_of(worker));
                if let Some(found) = endpoint.and_then(|endpoint| endpoints.get(&(id, endpoint))) {
                    sum.requests += found.requests;
                    sum.in_flight += found.in_flight;
                    sum.failed += found.failed;
                }
            }
            sum
        };
        let mut all = Vec::new();
        for slot in self.machine.snapshot(now).slots {
            let last_exit = self.last_exits.get(&slot.slot).map(|exit| exit_report(*exit, false));
            let retry_in = slot.try_next.map(|at| at.saturating_duration_since(now));
            let main = (slot.worker, slot.pid, slot.state);
            let others = slot.others.iter().map(|other| (Some(other.worker), other.pid, other.state));
            for (worker, pid, state) in std::iter::once(main).chain(others) {
                let load = load(worker);
                let process = worker.and_then(|worker| self.workers.get(&worker));
                all.push(WorkerStatus {
                    id: worker.unwrap_or(0),
                    slot: slot.slot,
                    pid,
                    state: control_state(state),
                    uptime: process.map(|process| now.saturating_duration_since(process.started)),
                    restarts: slot.restarts.into(),
                    last_exit,
                    retry_in,
                    memory_bytes: pid.and_then(resident_bytes),
                    requests: load.requests,
                    in_flight: load.in_flight.into(),
                    replayed: load.failed,
                });
            }
        }
        all
    }
}

fn counters(pools: &[(PortId, PoolSnapshot)]) -> Counters {
    let mut sum = Counters::default();
    for (_, pool) in pools {
        let from = &pool.counters;
        sum.requests += from.requests;
        sum.replayed += from.replayed;
        sum.held += from.held;
        sum.waiting += pool.waiting as u64;
        sum.poisoned += from.poisoned;
        sum.refused += from.refused;
        sum.failed += from.failed;
        sum.in_flight += pool.endpoints.iter().map(|endpoint| u64::from(endpoint.in_flight)).sum::<u64>();
        sum.connections += pool.connections as u64;
    }
    sum
}

fn latency(pools: &[(PortId, PoolSnapshot)]) -> Latency {
    let Some(((_, first), rest)) = pools.split_first() else { return Latency::default() };
    let mut all = first.latency.clone();
    rest.iter().for_each(|(_, pool)| all.merge(&pool.latency));
    let mut below = 0;
    let bucket = |millis: u64| {
        let up_to = Duration::from_millis(millis);
        let at_most = all.at_most(up_to);
        let count = at_most - below;
        below = at_most;
        Bucket { up_to, count }
    };
    let buckets = LATENCY_BOUNDS_MS.into_iter().map(bucket).collect();
    let quantile = |quantile| (all.count() > 0).then(|| all.quantile(quantile));
    Latency { buckets, count: all.count(), sum: all.sum(), p50: quantile(0.5), p99: quantile(0.99) }
}

fn control_mode(mode: Mode) -> stead_control::Mode {
    match mode {
        Mode::Auto => stead_control::Mode::Auto,
        Mode::Http => stead_control::Mode::Http,
        Mode::Direct => stead_control::Mode::Direct,
    }
}

fn control_state(state: SlotState) -> WorkerState {
    match state {
        SlotState::Down => WorkerState::Down,
        SlotState::Starting | SlotState::Unready => WorkerState::Starting,
        SlotState::Ready => WorkerState::Ready,
        SlotState::Draining => WorkerState::Draining,
        SlotState::Stopping => WorkerState::Stopping,
        SlotState::Failed => WorkerState::Failed,
    }
}

fn exit_report(exit: Exit, expected: bool) -> ExitReport {
    ExitReport { code: exit.code, signal: exit.signal, out_of_memory: exit.out_of_memory, expected }
}

fn follows(next: Next) -> String {
    match next {
        Next::Now => "replaced at once".to_owned(),
        Next::After(wait) => format!("tried again in {}", seconds(wait)),
        Next::Failed { retry_in } => {
            format!("it fails too often and is tried again in {}", seconds(retry_in))
        }
        Next::Reload => "the reload has a new one already".to_owned(),
        Next::No => "not started again".to_owned(),
    }
}

/// A duration for people: milliseconds below a second.
fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// An address to click on, where that makes sense.
fn link(address: &str, mode: Mode) -> String {
    if address.starts_with("unix:") || mode == Mode::Direct {
        return address.to_owned();
    }
    let local = address.replace("[::]:", "localhost:").replace("0.0.0.0:", "localhost:");
    format!("http://{local}")
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
