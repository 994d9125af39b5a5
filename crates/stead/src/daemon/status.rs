//! How an app looks when it is asked: its status, in the words of the control API.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use stead_balancer::{EndpointId, EndpointSnapshot, PoolSnapshot};
use stead_control::{
    AppState, AppStatus, Bucket, Counters, Instances, Latency, ListenStatus, ReloadStatus, Text, WorkerState,
    WorkerStatus,
};
use stead_supervisor::{SlotState, WorkerId};

use super::app::AppTask;
use super::pool::Pool;
use super::ports::PortId;
use super::report::exit_report;
use crate::config::Mode;

/// Upper bounds of the latency histogram that is told, in milliseconds.
const LATENCY_BOUNDS_MS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

impl AppTask {
    pub(super) fn status(&self) -> AppStatus {
        let now = Instant::now();
        let snapshot = self.machine.snapshot(now);
        let pools: Vec<(PortId, PoolSnapshot)> =
            self.ports.iter().map(|(id, port)| (id, port.pool.snapshot())).collect();
        let workers = self.worker_statuses(now, &pools);
        let ready = workers.iter().filter(|worker| worker.state == WorkerState::Ready).count() as u32;
        let listens = self.ports.iter().flat_map(|(_, port)| {
            let mode = control_mode(port.mode);
            let status =
                move |(address, tls): (&String, bool)| ListenStatus { address: address.clone(), mode, tls };
            port.addresses().map(status)
        });
        let datagrams = self.ports.datagrams.names();
        let mode = stead_control::Mode::Shared;
        let listens = listens.chain(datagrams.map(|address| ListenStatus { address, mode, tls: false }));
        let restarts = snapshot.slots.iter().map(|slot| u64::from(slot.restarts)).sum();
        AppStatus {
            id: self.id,
            name: self.settings.name.clone(),
            namespace: self.settings.namespace.clone(),
            state: if self.rests && self.finished {
                AppState::Finished
            } else if self.rests {
                AppState::Stopped
            } else if self.waits && !self.hooks.is_preparing() {
                AppState::Waiting
            } else {
                app_state(&workers, snapshot.reload.is_some())
            },
            command: self.settings.program.display.clone(),
            directory: Text::from(self.settings.directory.as_path()),
            file: self.origin.file.as_deref().map(Text::from),
            watch: self.settings.watch.is_some(),
            cron_restart: self.settings.cron_restart.clone(),
            leader: Some(self.shared.exchange.leadership(self.id)).filter(|leader| leader.who.is_some()),
            schedules: self.schedule_statuses(),
            failure: None,
            started: self.started.filter(|_| !self.rests),
            logs: self.outlet.directory().map(Text::from),
            restarts,
            cpu: workers.iter().fold(0.0, |sum, worker| sum + worker.cpu),
            memory_bytes: workers.iter().filter_map(|worker| worker.memory_bytes).sum(),
            requests_per_second: self.rate.per_second(),
            exits: self.ends.all(),
            mode: control_mode(self.settings.mode),
            instances: Instances { wanted: snapshot.instances, ready },
            listens: listens.collect(),
            routes: self.settings.routes.iter().map(|route| route.pattern.to_string()).collect(),
            workers,
            reload: snapshot.reload.map(|reload| ReloadStatus { done: reload.done, of: reload.of }),
            counters: counters(&pools),
            latency: latency(&pools),
            tasks: self.pool.as_ref().map(Pool::counts),
            pool: self.pool.as_ref().map(Pool::details),
        }
    }

    fn worker_statuses(&self, now: Instant, pools: &[(PortId, PoolSnapshot)]) -> Vec<WorkerStatus> {
        let mut endpoints: HashMap<(PortId, EndpointId), EndpointSnapshot> = HashMap::new();
        for (id, pool) in pools {
            endpoints.extend(pool.endpoints.iter().map(|endpoint| ((*id, endpoint.id), *endpoint)));
        }
        let tasks = self.pool.as_ref().map(Pool::loads).unwrap_or_default();
        let load = |worker: Option<WorkerId>| {
            let mut sum = EndpointSnapshot::default();
            if let Some((done, has)) = worker.and_then(|worker| tasks.get(&worker)) {
                (sum.requests, sum.in_flight) = (*done, u32::try_from(*has).unwrap_or(u32::MAX));
            }
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
                let usage = process.and_then(|process| self.shared.sampler.of(process.child.pid));
                all.push(WorkerStatus {
                    id: worker.unwrap_or(0),
                    slot: slot.slot,
                    pid,
                    state: control_state(state),
                    uptime: process.map(|process| now.saturating_duration_since(process.started)),
                    restarts: slot.restarts.into(),
                    last_exit,
                    retry_in,
                    memory_bytes: usage
                        .map(|usage| usage.memory_bytes)
                        .or_else(|| pid.and_then(resident_bytes)),
                    cpu: usage.map_or(0.0, |usage| usage.cpu as f32),
                    healthy: process.and_then(|process| process.healthy),
                    requests: load.requests,
                    in_flight: load.in_flight.into(),
                    replayed: load.failed,
                });
            }
        }
        all
    }
}

/// All workers in one word.
fn app_state(workers: &[WorkerStatus], reloading: bool) -> AppState {
    let any = |state| workers.iter().any(|worker| worker.state == state);
    let all = |states: &[WorkerState]| workers.iter().all(|worker| states.contains(&worker.state));
    if reloading {
        AppState::Reloading
    } else if any(WorkerState::Ready) {
        AppState::Running
    } else if all(&[WorkerState::Draining, WorkerState::Stopping]) {
        AppState::Stopping
    } else if all(&[WorkerState::Failed]) {
        AppState::Failed
    } else {
        AppState::Starting
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
        Mode::Shared => stead_control::Mode::Shared,
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

fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
