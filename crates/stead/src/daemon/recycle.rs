//! Decides whether a worker has served its time: it has grown too large, too old, or has answered enough.
//!
//! Pure. That workers are replaced one at a time, and that the new one is ready before the old one leaves, is the supervisor's
//! business. Limits differ by up to a tenth from worker to worker, so that those that were started together do not end together;
//! by how much depends on the worker alone, and so does not change when another daemon goes on with it.

use std::time::Duration;

use stead_supervisor::{Recycle, WorkerId};

use crate::config::RecycleSettings;

/// A worker younger than this is not replaced for its memory: if a program is larger than its limit from the start, another copy
/// is no better, and replacing it without a pause would be all that happens.
const MEMORY_AGE_MIN: Duration = Duration::from_secs(10);

/// The limits differ by so much, as a share of one.
const JITTER: f64 = 0.1;

/// What is known of a worker.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Life {
    /// Nothing as long as it was not measured.
    pub(super) memory_bytes: Option<u64>,
    pub(super) age: Duration,
    pub(super) requests: u64,
}

/// Why this worker of the app is to be replaced, if it is.
pub(super) fn due(settings: &RecycleSettings, app: &str, worker: WorkerId, life: Life) -> Option<Recycle> {
    let factor = factor(app, worker);
    let reached = |limit: Option<f64>, value: f64| limit.is_some_and(|limit| value >= limit * factor);
    let memory = life.memory_bytes.filter(|_| life.age >= MEMORY_AGE_MIN);
    if memory.is_some_and(|memory| reached(settings.memory_bytes.map(|limit| limit as f64), memory as f64)) {
        Some(Recycle::Memory)
    } else if reached(settings.age.map(|limit| limit.as_secs_f64()), life.age.as_secs_f64()) {
        Some(Recycle::Age)
    } else if reached(settings.requests.map(|limit| limit as f64), life.requests as f64) {
        Some(Recycle::Requests)
    } else {
        None
    }
}

/// 0.9 to 1.1.
fn factor(app: &str, worker: WorkerId) -> f64 {
    let seed = app.bytes().fold(worker, |seed, byte| mix(seed ^ u64::from(byte)));
    let share = (mix(seed) >> 11) as f64 / (1_u64 << 53) as f64;
    1.0 - JITTER + 2.0 * JITTER * share
}

/// SplitMix64: neighbouring numbers have nothing in common afterwards.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &RecycleSettings, life: Life, expected: Option<Recycle>) {
        for worker in 0..1000 {
            assert_eq!(due(settings, "shop", worker, life), expected, "{settings:?} {life:?} {worker}");
        }
    }

    const OFF: RecycleSettings = RecycleSettings { memory_bytes: None, age: None, requests: None };

    #[test]
    fn limits_are_kept_with_a_tenth_more_or_less() {
        let secs = Duration::from_secs;
        let old = Life { memory_bytes: Some(u64::MAX), age: secs(1_000_000), requests: u64::MAX };
        check(&OFF, old, None);
        let memory = RecycleSettings { memory_bytes: Some(1000), ..OFF };
        let life = |memory_bytes| Life { memory_bytes, age: secs(60), requests: 0 };
        check(&memory, life(Some(1101)), Some(Recycle::Memory));
        check(&memory, life(Some(899)), None);
        check(&memory, life(None), None);
        check(&memory, Life { memory_bytes: Some(5000), age: secs(2), requests: 0 }, None);
        let age = RecycleSettings { age: Some(secs(100)), ..OFF };
        check(&age, Life { age: secs(111), ..Life::default() }, Some(Recycle::Age));
        check(&age, Life { age: secs(89), ..Life::default() }, None);
        let requests = RecycleSettings { requests: Some(1000), ..OFF };
        check(&requests, Life { requests: 1101, ..Life::default() }, Some(Recycle::Requests));
        check(&requests, Life { requests: 899, ..Life::default() }, None);
    }

    #[test]
    fn workers_differ_and_stay_as_they_are() {
        let factors: Vec<f64> = (0..1000).map(|worker| factor("shop", worker)).collect();
        assert!(factors.iter().all(|factor| (0.9..=1.1).contains(factor)));
        let mean = factors.iter().sum::<f64>() / 1000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(factors.iter().any(|factor| *factor < 0.92) && factors.iter().any(|factor| *factor > 1.08));
        assert_eq!(factor("shop", 7), factors[7]);
        assert_ne!(factor("blog", 7), factors[7]);
    }
}
