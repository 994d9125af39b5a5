//! Settings in the words of the rooms they are for.

use serde::{Deserialize, Serialize};
use stead_balancer::{Affinity, Ejection, Sticky, StickyKey};
use stead_process::cgroup::Limits;
use stead_process::node;

use crate::config::{
    AppSettings, Balance, CgroupSettings, Identity, Mode, ReadyTimeout, ResourceName, RestartPolicy,
    Serialization, TraceContext, UpstreamProtocol,
};

/// How a Node.js program's channel is written.
pub(super) fn for_channel(serialization: Serialization) -> node::Serialization {
    match serialization {
        Serialization::Json => node::Serialization::Json,
        Serialization::Advanced => node::Serialization::Advanced,
    }
}

/// As whom a worker runs.
pub(super) fn for_system(identity: &Identity) -> stead_process::spawn::Identity {
    stead_process::spawn::Identity {
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups.clone(),
        umask: identity.umask,
        limits: identity.limits.iter().map(|(name, limit)| (resource(*name), *limit)).collect(),
        no_new_privileges: identity.no_new_privileges,
    }
}

/// What a worker may use.
pub(super) fn for_kernel(cgroup: CgroupSettings) -> Limits {
    Limits { memory_max: cgroup.memory_bytes_max, cpu_max: cgroup.cpu_max, tasks_max: cgroup.tasks_max }
}

fn resource(name: ResourceName) -> stead_process::spawn::ResourceName {
    use stead_process::spawn::ResourceName as Known;
    match name {
        ResourceName::Nofile => Known::Nofile,
        ResourceName::Nproc => Known::Nproc,
        ResourceName::Core => Known::Core,
        ResourceName::As => Known::As,
        ResourceName::Stack => Known::Stack,
        ResourceName::Memlock => Known::Memlock,
        ResourceName::Fsize => Known::Fsize,
        ResourceName::Cpu => Known::Cpu,
    }
}

/// What an app has shown of itself so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Shown {
    /// It listens somewhere, or did: a worker that does not is then not ready.
    pub(super) serves: bool,
    /// It was ready once: what fails now may pass.
    pub(super) was_ready: bool,
}

/// What the supervisor has to know of an app.
pub(super) fn for_supervisor(settings: &AppSettings, shown: Shown) -> stead_supervisor::AppConfig {
    let (restart, stop) = (&settings.restart, &settings.stop);
    use stead_supervisor::ReadyTimeout::{Assume, Fail};
    // A program that was given a socket and nothing else cannot be seen to serve.
    let is_seen = settings.program.is_node || settings.listen_mode() != Mode::Shared;
    let (ready_timeout, on_ready_timeout) = match (settings.on_ready_timeout, shown.serves && is_seen) {
        (ReadyTimeout::Fail, _) | (ReadyTimeout::Auto, true) => (settings.ready_timeout, Fail),
        // A worker of a pool is seen to be ready, however long it takes.
        _ if settings.pool.is_some() => (settings.ready_timeout, Assume),
        (ReadyTimeout::Assume, _) => (settings.ready_timeout, Assume),
        (ReadyTimeout::Auto, false) => (settings.ready_timeout.min(settings.assume_ready_after), Assume),
    };
    let first_max = restart.restarts_max.min(restart.starts_max.saturating_sub(1));
    stead_supervisor::AppConfig {
        instances: settings.instances,
        restart: match restart.policy {
            RestartPolicy::Permanent => stead_supervisor::Restart::Permanent,
            RestartPolicy::Transient => stead_supervisor::Restart::Transient,
            RestartPolicy::Temporary => stead_supervisor::Restart::Temporary,
        },
        stop_exit_codes: settings.stop_exit_codes.clone(),
        backoff_first: restart.backoff_first,
        backoff_max: restart.backoff_max,
        stable_after: restart.stable_after,
        restarts_max: if shown.was_ready { restart.restarts_max } else { first_max },
        restarts_period: restart.restarts_period,
        cool_down: restart.cool_down,
        ready_timeout,
        on_ready_timeout,
        grace: stop.grace,
        terminate_after: stop.terminate_after,
        kill_after: stop.kill_after,
        reload_parallel: settings.reload_parallel,
        health_replace_after: settings.health.replace_after,
    }
}

/// What the balancer has to know of an app.
///
/// `key` signs the cookies of sticky clients.
pub(super) fn for_balancer(settings: &AppSettings, key: &StickyKey) -> stead_balancer::Config {
    let (from, choosing) = (&settings.balancer, &settings.choosing);
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let head_bytes_max = bytes(from.head_bytes_max);
    stead_balancer::Config {
        head: stead_balancer::http::Limits {
            head_bytes_max,
            header_count_max: from.header_count_max as usize,
            target_bytes_max: head_bytes_max,
        },
        body_bytes_max: from.body_bytes_max,
        replay_body_bytes_max: bytes(from.replay_body_bytes_max),
        small_answer_bytes_max: bytes(from.small_answer_bytes_max),
        http2_streams_max: if from.http2 { from.http2_streams_max } else { 0 },
        upstream_http2: from.upstream_protocol == UpstreamProtocol::Http2,
        header_timeout: from.header_timeout,
        body_timeout: from.body_timeout,
        idle_timeout: from.idle_timeout,
        answer_timeout: from.answer_timeout,
        connections_max: from.connections_max as usize,
        held_requests_max: from.held_requests_max as usize,
        hold_timeout: from.hold_timeout,
        queue_wait_max: from.queue_wait_max,
        in_flight_max: from.upstream_connections_max,
        upstream_idle: from.upstream_idle,
        untaken_max: from.untaken_max,
        taken_within: from.taken_within,
        move_after: from.move_after,
        wedged_after: from.wedged_after,
        poison_deaths_max: from.poison_deaths_max,
        replays_max: from.replays_max,
        trust_forwarded: from.trust_forwarded,
        proxy_from: settings.proxy_protocol.clone(),
        send_proxy: settings.send_proxy,
        request_id: from.request_id,
        starts_traces: from.trace_context == TraceContext::Start,
        access: None,
        slow_start: settings.slow_start,
        policy: match from.balance {
            Balance::LeastLoaded => stead_balancer::Policy::LeastLoaded,
            Balance::RoundRobin => stead_balancer::Policy::RoundRobin,
            Balance::Fastest => stead_balancer::Policy::Fastest,
            Balance::RandomOfTwo => stead_balancer::Policy::RandomOfTwo,
        },
        terms: stead_balancer::Terms {
            weights: choosing.weights.clone(),
            priorities: choosing.priorities.clone(),
        },
        affinity: Affinity {
            shard: choosing.shard.clone(),
            sticky: choosing.sticky.then(|| Sticky::new(&settings.name, key)),
        },
        ejection: Ejection { failures: choosing.eject_failures, slower: choosing.eject_slower },
    }
}
