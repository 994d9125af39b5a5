//! A stage for policies: requests come at random times to workers that serve one after the other, in virtual time, by a seed.
//!
//! It prints what each policy made of it (`cargo test -p stead-balancer simulated -- --nocapture`): how evenly the requests
//! were shared in proportion to weights (Jain's index, 1 is even) and how long they took. No sockets, no queue in front:
//! what is compared is the choice alone.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pick::{Candidate, PeakEwma, Picker, Policy, Terms};
use crate::random::Random;

const REQUESTS: usize = 40_000;
/// What a request costs a worker of speed 1, on average.
const COST_MICROS: f64 = 1000.0;

/// Workers and what comes to them.
#[derive(Debug, Clone)]
pub(in crate::pick) struct Stage {
    /// By worker: how much it does in a time.
    pub(in crate::pick) speeds: Vec<f64>,
    pub(in crate::pick) weights: Vec<u32>,
    pub(in crate::pick) priorities: Vec<u32>,
    /// Part of what all workers together could do, 0 to 1.
    pub(in crate::pick) load: f64,
    pub(in crate::pick) in_flight_max: u32,
    /// The policy sees loads as they were after each so many requests: 1 is always the truth.
    pub(in crate::pick) seen_every: usize,
    pub(in crate::pick) seed: u64,
}

impl Stage {
    pub(in crate::pick) fn equal(workers: usize) -> Self {
        Self {
            speeds: vec![1.0; workers],
            weights: Vec::new(),
            priorities: Vec::new(),
            load: 0.8,
            in_flight_max: u32::MAX,
            seen_every: 1,
            seed: 42,
        }
    }
}

/// What came of it. Times are in milliseconds.
#[derive(Debug)]
pub(in crate::pick) struct Run {
    pub(in crate::pick) shares: Vec<f64>,
    pub(in crate::pick) fairness: f64,
    pub(in crate::pick) mean: f64,
    pub(in crate::pick) p99: f64,
}

#[derive(Default)]
struct Worker {
    /// When each request ends and how long it will have taken, in microseconds.
    ends: VecDeque<(f64, f64)>,
    latency: PeakEwma,
    served: usize,
    seen: (u32, Duration),
}

impl Worker {
    fn finish(&mut self, now: f64) {
        while let Some((_, took)) = self.ends.front().copied().filter(|(end, _)| *end <= now) {
            self.ends.pop_front();
            self.latency.observe(Duration::from_secs_f64(took / 1e6));
        }
    }

    fn serve(&mut self, now: f64, cost: f64) -> f64 {
        let end = self.ends.back().map_or(now, |(end, _)| *end) + cost;
        self.ends.push_back((end, end - now));
        self.served += 1;
        end - now
    }

    fn look(&mut self) {
        self.seen = (self.ends.len() as u32, self.latency.value());
    }
}

/// Times between requests and costs are exponential; one request in 100 costs ten times as much.
pub(in crate::pick) fn simulate(name: &str, policy: Policy, stage: &Stage) -> Run {
    let (mut random, mut lot) = (Random(stage.seed), Random(stage.seed + 1));
    let mut exponential =
        |mean: f64| -mean * (1.0 - (random.next() >> 11) as f64 / (1_u64 << 53) as f64).ln();
    let terms = Terms { weights: stage.weights.clone(), priorities: stage.priorities.clone() };
    let mut picker = Picker::new(policy, terms.clone(), stage.seed);
    let mut workers: Vec<Worker> = stage.speeds.iter().map(|_| Worker::default()).collect();
    let between = COST_MICROS * 1.09 / (stage.speeds.iter().sum::<f64>() * stage.load);
    let (mut now, mut took) = (0.0, Vec::with_capacity(REQUESTS));
    for request in 0..REQUESTS {
        now += exponential(between);
        workers.iter_mut().for_each(|worker| worker.finish(now));
        if request % stage.seen_every == 0 {
            workers.iter_mut().for_each(Worker::look);
        }
        let free =
            workers.iter().enumerate().filter(|(_, worker)| worker.ends.len() < stage.in_flight_max as usize);
        let candidate = |(index, worker): (usize, &Worker)| Candidate {
            index,
            slot: index as u32,
            untaken: 0,
            in_flight: worker.seen.0,
            latency: worker.seen.1,
        };
        let Some(chosen) = picker.pick(free.map(candidate)) else { continue };
        let cost = exponential(COST_MICROS) * if lot.below(100) == 0 { 10.0 } else { 1.0 };
        took.push(workers[chosen].serve(now, cost / stage.speeds[chosen]) / 1000.0);
    }
    let run = judge(&workers, &terms, took);
    println!(
        "{name:<28} p99 {:>7.1} ms  mean {:>6.2} ms  fairness {:.3}  shares {:.2?}",
        run.p99, run.mean, run.fairness, run.shares
    );
    run
}

fn judge(workers: &[Worker], terms: &Terms, mut took: Vec<f64>) -> Run {
    took.sort_by(f64::total_cmp);
    let served = workers.iter().map(|worker| worker.served as f64);
    let fair: Vec<f64> =
        served.clone().zip(0..).map(|(served, slot)| served / f64::from(terms.weight(slot))).collect();
    let sum: f64 = fair.iter().sum();
    let squares: f64 = fair.iter().map(|part| part * part).sum();
    Run {
        shares: served.map(|served| served / took.len() as f64).collect(),
        fairness: sum * sum / (fair.len() as f64 * squares),
        mean: took.iter().sum::<f64>() / took.len() as f64,
        p99: took[took.len() * 99 / 100],
    }
}
