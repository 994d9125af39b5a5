//! What an app tells: events as they happen, and the poison requests it kept.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use stead_balancer::{EndpointId, PoisonRecord};
use stead_control::{Death, Event as Heard, ExitRecord, ExitReport, PoisonedRequest, Progress};
use stead_process::keeper::Exit;
use stead_supervisor::fleet::Input as Fate;
use stead_supervisor::{Event, Next, Readiness, Recycle, WorkerId};

use super::app::AppTask;
use super::bypass;
use super::ports::{PortId, Ports};
use super::settings::Shown;
use super::worker::Worker;
use crate::cli;
use crate::config::Mode;

/// Exits kept to explain poison requests.
const EXITS_MAX: usize = 64;
/// Headers whose values nobody shall read in a report.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// How the last workers ended.
#[derive(Default)]
pub(super) struct Exits {
    by_endpoint: VecDeque<(PortId, EndpointId, Death)>,
    processes: VecDeque<(WorkerId, u32, Duration)>,
}

impl Exits {
    pub(super) fn note(&mut self, ports: &Ports, worker: WorkerId, (process, exit): (&Worker, Exit)) {
        let pid = process.child.pid;
        self.processes.push_back((worker, pid, process.started.elapsed()));
        for (id, port) in ports.iter() {
            if let Some(endpoint) = port.endpoint_of(worker) {
                let death = Death { worker, pid, exit: exit_report(exit, false) };
                self.by_endpoint.push_back((id, endpoint, death));
            }
        }
        self.processes.drain(..self.processes.len().saturating_sub(EXITS_MAX));
        self.by_endpoint.drain(..self.by_endpoint.len().saturating_sub(EXITS_MAX));
    }

    fn deaths(&self, port: PortId, endpoints: &[EndpointId]) -> Vec<Death> {
        let of = |endpoint: &EndpointId| {
            let mut known = self.by_endpoint.iter();
            known.find(|(id, other, _)| *id == port && other == endpoint).map(|(_, _, death)| *death)
        };
        endpoints.iter().filter_map(of).collect()
    }

    /// The process, and how long it ran.
    fn of(&self, worker: WorkerId) -> (u32, Option<Duration>) {
        let found = self.processes.iter().rev().find(|(other, ..)| *other == worker);
        found.map_or((0, None), |(_, pid, uptime)| (*pid, Some(*uptime)))
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
            Event::WorkerUnhealthy { .. }
            | Event::WorkerEjected { .. }
            | Event::WorkerRestored { .. }
            | Event::WorkerHealthy { .. } => self.tell_health(&event),
            Event::RecycleStarted { .. } | Event::Recycled { .. } | Event::RecycleFailed { .. } => {
                self.tell_recycle(&event);
            }
            Event::StartFollows => self.say("will be started when it has stopped"),
            Event::Recovered { slot } => self.say(&format!("{app}.{slot} is back")),
            Event::ReloadProgress { id, done, of } => {
                self.tell_progress(id, Progress::Step { app, done, of });
            }
            Event::ReloadDone { id } => self.tell_reload_done(id),
            Event::ReloadFailed { id, reason, .. } => {
                let hint = "see what the new worker printed; the old workers serve on".to_owned();
                self.tell_reload_failed(id, &reason.to_string(), Some(hint));
            }
            Event::Finished => {
                self.say("finished");
                self.finished = true;
                self.rest();
            }
            Event::Stopped => {
                self.rest();
                self.hear_all(&Heard::AppStopped { app });
            }
            Event::Failed { reason } => {
                let refusal = self.refusal.take();
                self.give_up(&reason.to_string(), refusal);
            }
        }
    }

    fn tell_health(&mut self, event: &Event) {
        let app = self.settings.name.clone();
        match *event {
            Event::WorkerUnhealthy { worker, slot } => {
                self.set_healthy(worker, false);
                self.say(&format!("{app}.{slot} fails its health check"));
            }
            Event::WorkerHealthy { worker, slot, after } => {
                self.set_healthy(worker, true);
                self.say(&format!("{app}.{slot} is healthy again after {}", seconds(after)));
            }
            Event::WorkerEjected { slot, .. } => {
                self.say(&format!("{app}.{slot} gets no requests until it is healthy"));
            }
            Event::WorkerRestored { slot, .. } => {
                self.say(&format!(
                    "{app}.{slot} gets requests although it is unhealthy: no healthy worker is left"
                ));
            }
            _ => (),
        }
    }

    fn set_healthy(&mut self, worker: WorkerId, healthy: bool) {
        if let Some(process) = self.workers.get_mut(&worker) {
            process.healthy = Some(healthy);
        }
    }

    fn tell_recycle(&self, event: &Event) {
        let app = &self.settings.name;
        match event {
            Event::RecycleStarted { slot, why, .. } => {
                self.say(&format!("{app}.{slot} {}: another is started in its place", reason_for(*why)));
            }
            Event::Recycled { slot, .. } => self.say(&format!("{app}.{slot} has been replaced")),
            Event::RecycleFailed { slot, reason, .. } => {
                self.say(&format!("{app}.{slot} could not be replaced: {reason}; it is tried again later"));
            }
            _ => (),
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
        let checked = self.settings.health.check.is_some();
        self.tell_fleet(|app| if checked { Fate::Ready { app } } else { Fate::Healthy { app } });
        if readiness == Readiness::Assumed {
            self.tell_bypass(worker);
        }
        self.greet();
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
        let how = self.how(exit);
        let follows = if self.shown.was_ready || !matches!(next, Next::Failed { .. }) {
            follows(next)
        } else {
            "too many starts have failed".to_owned()
        };
        if !expected {
            self.say(&format!("{app}.{slot} ended: {how}; {follows}"));
        }
        let restart_in = match next {
            Next::Now => Some(Duration::ZERO),
            Next::After(wait) => Some(wait),
            Next::Failed { retry_in } => Some(retry_in),
            Next::Reload | Next::No => None,
        };
        if !expected {
            self.tell_crash(exit);
        }
        let failed = matches!(next, Next::Failed { .. });
        let (pid, uptime) = self.exits.of(worker);
        let why = if expected { format!("{how}; it was asked to end") } else { format!("{how}; {follows}") };
        let exit = exit_report(exit, expected);
        let at = SystemTime::now();
        self.ends.note(ExitRecord { at, worker, slot, pid, uptime, exit, why, last_lines: Vec::new() });
        self.hear_all(&Heard::WorkerExited { app, worker, slot, pid, exit, restart_in, failed });
    }

    /// How a worker ended that was not asked to.
    pub(super) fn exit_record(&self, worker: WorkerId, process: &Worker, exit: Exit) -> ExitRecord {
        ExitRecord {
            at: SystemTime::now(),
            worker,
            slot: process.slot,
            pid: process.child.pid,
            uptime: Some(process.started.elapsed()),
            exit: exit_report(exit, false),
            why: self.how(exit),
            last_lines: Vec::new(),
        }
    }

    /// How a worker ended, with the limit that it may have met.
    pub(super) fn how(&self, exit: Exit) -> String {
        match self.settings.cgroup.memory_bytes_max {
            Some(limit) if exit.out_of_memory => {
                format!("{exit} (`memory_max` is {})", cli::memory(limit))
            }
            _ => exit.to_string(),
        }
    }

    fn tell_crash(&self, exit: Exit) {
        if !self.workers.values().any(|worker| worker.routed) {
            self.tell_fleet(|app| Fate::Unready { app });
        }
        if exit.code != Some(0) {
            self.tell_fleet(|app| Fate::Crashed { app });
        }
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

    pub(super) fn tell_reload_done(&mut self, id: u64) {
        self.say("reload done");
        self.tell_progress(id, Progress::Done { apps: vec![self.settings.name.clone()] });
        self.owe_greeting();
    }

    pub(super) fn tell_reload_failed(&mut self, id: u64, reason: &str, hint: Option<String>) {
        self.settle_pending(id);
        self.say(&format!("reload failed: {reason}; the old workers serve on"));
        let (done, of) = self
            .machine
            .snapshot(Instant::now())
            .reload
            .map_or((0, self.settings.instances), |r| (r.done, r.of));
        let app = self.settings.name.clone();
        let failed = Progress::Failed { app, reason: reason.to_owned(), hint, done, of };
        self.tell_progress(id, failed);
    }

    pub(super) fn announce_port(&self, id: PortId) {
        let Some(port) = self.ports.get(id) else { return };
        let app = self.settings.name.clone();
        for (address, tls) in port.addresses() {
            let how = match port.mode {
                Mode::Direct => "whole connections are handed to workers",
                Mode::Http | Mode::Auto if tls => "HTTPS",
                Mode::Shared => "workers accept by themselves",
                Mode::Http | Mode::Auto => "HTTP",
            };
            self.say(&format!("listening on {} ({how})", link(address, port.mode, tls)));
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
}

pub(super) fn exit_report(exit: Exit, expected: bool) -> ExitReport {
    ExitReport { code: exit.code, signal: exit.signal, out_of_memory: exit.out_of_memory, expected }
}

fn reason_for(why: Recycle) -> &'static str {
    match why {
        Recycle::Memory => "uses more memory than `recycle_memory`",
        Recycle::Age => "is older than `recycle_age`",
        Recycle::Requests => "has answered `recycle_requests`",
        Recycle::Unhealthy => "has been unhealthy for too long",
    }
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
fn link(address: &str, mode: Mode, tls: bool) -> String {
    if address.starts_with("unix:") || matches!(mode, Mode::Direct | Mode::Shared) {
        return address.to_owned();
    }
    let local = address.replace("[::]:", "localhost:").replace("0.0.0.0:", "localhost:");
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{local}")
}
