//! A status as OpenMetrics text, for Prometheus and everything that reads its format.
//!
//! Made anew from plain data for each scrape, so nothing is counted twice and the rooms need not know of it.

use crate::{AppStatus, Latency, Status, TaskCounts, WorkerState, WorkerStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// Of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A number of an app.
type OfApp<T> = fn(&AppStatus) -> T;

const APP_COUNTERS: [(&str, &str, OfApp<u64>); 6] = [
    ("requests", "Complete request heads", |app| app.counters.requests),
    ("requests_replayed", "Requests sent to another worker than the first", |app| app.counters.replayed),
    ("requests_held", "Requests that had to wait for a worker", |app| app.counters.held),
    ("requests_poisoned", "Requests answered 502 because they kill workers", |app| app.counters.poisoned),
    ("requests_refused", "Requests answered 4xx or 503 by the balancer", |app| app.counters.refused),
    ("requests_failed", "Requests lost with a worker where replay was not allowed", |app| {
        app.counters.failed
    }),
];

const APP_GAUGES: [(&str, &str, OfApp<u64>); 5] = [
    ("requests_in_flight", "Requests being worked on", |app| app.counters.in_flight),
    ("requests_waiting", "Requests waiting for a worker", |app| app.counters.waiting),
    ("connections", "Downstream connections", |app| app.counters.connections),
    ("instances_wanted", "Workers there should be", |app| u64::from(app.instances.wanted)),
    ("instances_ready", "Workers that get requests", |app| u64::from(app.instances.ready)),
];

/// A number of a pool.
type OfPool = fn(&TaskCounts) -> u64;

const TASK_COUNTERS: [(&str, &str, OfPool); 3] = [
    ("tasks_done", "Tasks done", |tasks| tasks.done),
    ("tasks_failed", "Tasks that failed for good", |tasks| tasks.failed),
    ("tasks_refused", "Tasks refused because the queue was full", |tasks| tasks.refused),
];

const TASK_GAUGES: [(&str, &str, OfPool); 3] = [
    ("tasks_queued", "Tasks that wait for a worker", |tasks| tasks.queued),
    ("tasks_running", "Tasks that workers have", |tasks| tasks.running),
    ("tasks_dead", "Tasks that are set aside", |tasks| tasks.dead),
];

/// The whole text.
pub(crate) fn text(status: Status) -> String {
    let mut registry = Registry::with_prefix("stead");
    registry.register_collector(Box::new(Snapshot(status)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .expect("writing to a string does not fail");
    text
}

#[derive(Debug)]
struct Snapshot(Status);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.instance(&mut encoder)?;
        for (name, help, value) in APP_COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for app in &self.0.apps {
                counter(&mut metric, &[("app", app.name.as_str())], value(app))?;
            }
        }
        for (name, help, value) in APP_GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for app in &self.0.apps {
                gauge(&mut metric, &[("app", app.name.as_str())], value(app))?;
            }
        }
        self.tasks(&mut encoder)?;
        self.durations(&mut encoder)?;
        self.states(&mut encoder)?;
        self.workers(&mut encoder)
    }
}

impl Snapshot {
    fn instance(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric =
            encoder.encode_descriptor("build", "Version of the daemon", None, MetricType::Info)?;
        metric.encode_info(&[("version", self.0.version.as_str())])?;
        let mut metric = encoder.encode_descriptor(
            "daemon_starts",
            "Daemons started by the keeper",
            None,
            MetricType::Counter,
        )?;
        metric.encode_counter::<NoLabels, u64, u64>(&u64::from(self.0.daemon_starts), None)?;
        let help = "Time since the daemon started";
        let mut metric =
            encoder.encode_descriptor("uptime", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        metric.encode_gauge(&self.0.uptime.as_secs_f64())
    }

    fn tasks(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let pools = || self.0.apps.iter().filter_map(|app| Some((app, app.tasks?)));
        if pools().next().is_none() {
            return Ok(());
        }
        for (name, help, value) in TASK_COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (app, tasks) in pools() {
                counter(&mut metric, &[("app", app.name.as_str())], value(&tasks))?;
            }
        }
        for (name, help, value) in TASK_GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (app, tasks) in pools() {
                gauge(&mut metric, &[("app", app.name.as_str())], value(&tasks))?;
            }
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "From the complete head of a request to the last byte of its answer";
        let mut metric = encoder.encode_descriptor(
            "request_duration",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for app in &self.0.apps {
            let labels = [("app", app.name.as_str())];
            let Latency { buckets, count, sum, .. } = &app.latency;
            let mut rows: Vec<(f64, u64)> =
                buckets.iter().map(|bucket| (bucket.up_to.as_secs_f64(), bucket.count)).collect();
            let within: u64 = buckets.iter().map(|bucket| bucket.count).sum();
            rows.push((f64::INFINITY, count.saturating_sub(within)));
            metric.encode_family(&labels)?.encode_histogram::<NoLabels>(
                sum.as_secs_f64(),
                *count,
                &rows,
                None,
            )?;
        }
        Ok(())
    }

    fn states(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor("workers", "Workers by state", None, MetricType::Gauge)?;
        for app in &self.0.apps {
            for state in WorkerState::ALL {
                let count = app.workers.iter().filter(|worker| worker.state == state).count();
                gauge(&mut metric, &[("app", app.name.as_str()), ("state", state.as_str())], count as u64)?;
            }
        }
        Ok(())
    }

    fn workers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "worker_restarts",
            "Workers replaced because they died",
            None,
            MetricType::Counter,
        )?;
        self.by_slot(|labels, slot| {
            counter(&mut metric, labels, slot.iter().map(|worker| worker.restarts).max().unwrap_or(0))
        })?;
        let help = "Requests being worked on by a slot's workers";
        let mut metric =
            encoder.encode_descriptor("worker_requests_in_flight", help, None, MetricType::Gauge)?;
        self.by_slot(|labels, slot| {
            gauge(&mut metric, labels, slot.iter().map(|worker| worker.in_flight).sum())
        })?;
        let help = "Resident memory of a slot's workers";
        let mut metric =
            encoder.encode_descriptor("worker_memory", help, Some(&Unit::Bytes), MetricType::Gauge)?;
        self.by_slot(|labels, slot| {
            gauge(&mut metric, labels, slot.iter().filter_map(|worker| worker.memory_bytes).sum())
        })
    }

    /// By slot, not by worker or pid: these change with each restart, and each new label value costs its reader memory.
    fn by_slot(
        &self,
        mut row: impl FnMut(&[(&str, &str); 2], &[&WorkerStatus]) -> fmt::Result,
    ) -> fmt::Result {
        for app in &self.0.apps {
            let mut slots: Vec<u32> = app.workers.iter().map(|worker| worker.slot).collect();
            slots.sort_unstable();
            slots.dedup();
            for slot in slots {
                let workers: Vec<&WorkerStatus> =
                    app.workers.iter().filter(|worker| worker.slot == slot).collect();
                row(&[("app", app.name.as_str()), ("slot", slot.to_string().as_str())], &workers)?;
            }
        }
        Ok(())
    }
}

/// Where a metric stands alone.
type NoLabels = [(&'static str, &'static str); 0];

fn counter(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
    metric.encode_family(labels)?.encode_counter::<NoLabels, u64, u64>(&value, None)
}

fn gauge(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
    // Gauges are signed in this format's library; what does not fit is not a number of workers or bytes.
    metric.encode_family(labels)?.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}
