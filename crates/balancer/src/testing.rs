//! What this room's tests share.

use std::time::Duration;

use crate::http::Limits;
use crate::{Affinity, Config, Ejection, Policy, Terms};

/// Limits that suit tests.
pub(crate) fn config() -> Config {
    Config {
        head: Limits { head_bytes_max: 16 * 1024, header_count_max: 64, target_bytes_max: 8 * 1024 },
        body_bytes_max: 1024 * 1024,
        replay_body_bytes_max: 64 * 1024,
        small_answer_bytes_max: 64 * 1024,
        http2_streams_max: 100,
        upstream_http2: false,
        header_timeout: Duration::from_secs(5),
        body_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        answer_timeout: Duration::from_secs(5),
        connections_max: 1000,
        held_requests_max: 1000,
        hold_timeout: Duration::from_secs(5),
        queue_wait_max: Duration::from_secs(10),
        in_flight_max: 1000,
        upstream_idle: Duration::from_secs(4),
        untaken_max: 8,
        taken_within: Duration::from_millis(4),
        move_after: Duration::from_millis(300),
        wedged_after: Duration::from_secs(2),
        poison_deaths_max: 3,
        replays_max: 8,
        trust_forwarded: false,
        proxy_from: crate::ProxyFrom::Nobody,
        send_proxy: None,
        request_id: false,
        starts_traces: false,
        access: None,
        slow_start: None,
        policy: Policy::LeastLoaded,
        terms: Terms::default(),
        affinity: Affinity::default(),
        ejection: Ejection::default(),
    }
}
