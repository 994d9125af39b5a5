//! Tests of the schedule: tables for each rule, and a seeded simulation that checks the invariants after every step.

use super::*;
use crate::pick::Policy;
use crate::random::Random;
use crate::testing::config;

struct Bench {
    schedule: Schedule,
    start: Instant,
}

impl Bench {
    fn new(workers: u64) -> Self {
        let mut schedule = Schedule::new(&Config { untaken_max: 4, policy: Policy::LeastLoaded, ..config() });
        let start = Instant::now();
        (1..=workers).for_each(|id| schedule.add(start, id, id as u32));
        Self { schedule, start }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn ask(&mut self) -> Answer {
        let now = self.at(0);
        self.schedule.ask(now, Ask::default())
    }

    fn granted(&mut self) -> Grant {
        match self.ask() {
            Answer::Granted(grant) => grant,
            other => panic!("expected a grant, got {other:?}"),
        }
    }
}

#[test]
fn busy_workers_get_one_unread_request_each_and_the_rest_waits_in_order() {
    let mut bench = Bench::new(2);
    let first = bench.granted();
    let second = bench.granted();
    assert_ne!(first.endpoint, second.endpoint);
    let Answer::Queued(third) = bench.ask() else { panic!("no worker has taken anything") };
    let Answer::Queued(_fourth) = bench.ask() else { panic!("no worker has taken anything") };
    assert_eq!(bench.schedule.poll_grant(bench.at(1)), None);
    bench.schedule.taken(bench.at(30), second);
    let next = bench.schedule.poll_grant(bench.at(30));
    assert_eq!(next, Some(Grant { ticket: third, endpoint: second.endpoint }));
    assert_eq!(bench.schedule.poll_grant(bench.at(30)), None);
}

#[test]
fn worker_that_takes_at_once_gets_any_number() {
    let mut bench = Bench::new(1);
    for _ in 0..50 {
        let grant = bench.granted();
        bench.schedule.taken(bench.at(0), grant);
    }
    assert_eq!(bench.schedule.in_flight(1), 50);
}

#[test]
fn newcomers_do_not_overtake_the_queue() {
    let mut bench = Bench::new(1);
    let first = bench.granted();
    let Answer::Queued(second) = bench.ask() else { panic!("the worker has not taken the first") };
    bench.schedule.taken(bench.at(50), first);
    assert!(matches!(bench.ask(), Answer::Queued(_)), "the second one comes first");
    assert_eq!(bench.schedule.poll_grant(bench.at(50)).map(|grant| grant.ticket), Some(second));
}

#[test]
fn draining_worker_gets_nothing_and_is_empty_when_the_last_is_done() {
    let mut bench = Bench::new(1);
    let grant = bench.granted();
    assert!(!bench.schedule.drain(1));
    assert!(matches!(bench.ask(), Answer::Queued(_)));
    assert!(bench.schedule.done(grant, None));
}

#[test]
fn drained_worker_that_is_restored_goes_on_with_what_it_has() {
    let mut bench = Bench::new(1);
    let grant = bench.granted();
    bench.schedule.taken(bench.at(0), grant);
    bench.schedule.drain(1);
    let Answer::Queued(waiting) = bench.ask() else { panic!("nobody serves") };
    assert!(bench.schedule.restore(bench.at(1), 1));
    assert_eq!(bench.schedule.poll_grant(bench.at(1)).map(|grant| grant.ticket), Some(waiting));
    assert_eq!(bench.schedule.in_flight(1), 2);
    assert!(!bench.schedule.done(grant, None), "it is not draining any more");
    bench.schedule.remove(1);
    assert!(!bench.schedule.restore(bench.at(1), 1), "the dead stay dead");
}

#[test]
fn restored_worker_starts_slowly() {
    let mut bench = Bench::new(2);
    bench.schedule.limits.slow_start = Some(SLOW_START);
    bench.schedule.drain(2);
    let later = bench.start + 2 * SLOW_START;
    assert!(bench.schedule.restore(later, 2));
    for _ in 0..10 {
        let Answer::Granted(grant) = bench.schedule.ask(later, Ask::default()) else {
            panic!("a worker is free")
        };
        bench.schedule.taken(later, grant);
        assert_eq!(grant.endpoint, 1);
    }
}

#[test]
fn lone_request_waits_for_an_empty_worker_and_keeps_it_to_itself() {
    let mut bench = Bench::new(2);
    let (first, second) = (bench.granted(), bench.granted());
    bench.schedule.taken(bench.at(0), first);
    bench.schedule.taken(bench.at(0), second);
    let Answer::Queued(lone) = bench.schedule.ask(bench.at(0), Ask { lone: true, ..Ask::default() }) else {
        panic!("lone requests wait")
    };
    assert_eq!(bench.schedule.poll_grant(bench.at(0)), None, "both workers are in use");
    let other = bench.granted();
    assert_eq!(other.endpoint, second.endpoint, "the reserved worker gets nothing new");
    bench.schedule.done(first, None);
    let grant = bench.schedule.poll_grant(bench.at(0)).expect("the reserved worker is empty");
    assert_eq!(grant, Grant { ticket: lone, endpoint: first.endpoint });
    bench.schedule.taken(bench.at(0), grant);
    bench.schedule.taken(bench.at(0), other);
    assert_eq!(bench.granted().endpoint, second.endpoint);
    bench.schedule.done(grant, None);
    assert_eq!(bench.granted().endpoint, first.endpoint, "free for everybody again");
}

#[test]
fn lone_request_takes_any_worker_that_becomes_empty() {
    let mut bench = Bench::new(2);
    let (tunnel, short) = (bench.granted(), bench.granted());
    bench.schedule.ask(bench.at(0), Ask { lone: true, ..Ask::default() });
    assert_eq!(bench.schedule.poll_grant(bench.at(0)), None, "the first is reserved");
    bench.schedule.done(short, None);
    let grant = bench.schedule.poll_grant(bench.at(0)).expect("the second is empty before it");
    assert_ne!(grant.endpoint, tunnel.endpoint);
    assert!(matches!(bench.ask(), Answer::Queued(_)), "the one gets nothing, the other has not read");
    bench.schedule.taken(bench.at(0), tunnel);
    assert_eq!(bench.schedule.poll_grant(bench.at(0)).map(|grant| grant.endpoint), Some(tunnel.endpoint));
}

#[test]
fn lone_request_survives_the_death_of_its_reserved_worker() {
    let mut bench = Bench::new(1);
    let busy = bench.granted();
    bench.schedule.ask(bench.at(0), Ask { lone: true, ..Ask::default() });
    assert_eq!(bench.schedule.poll_grant(bench.at(0)), None);
    bench.schedule.remove(1);
    bench.schedule.done(busy, None);
    bench.schedule.add(bench.at(0), 2, 2);
    assert_eq!(bench.schedule.poll_grant(bench.at(0)).map(|grant| grant.endpoint), Some(2));
}

#[test]
fn wedged_worker_is_reported_once_and_gets_nothing() {
    let mut bench = Bench::new(2);
    let stuck = bench.granted();
    let later = bench.at(config().wedged_after.as_millis() as u64 + 1);
    assert_eq!(bench.schedule.wedged(later), [stuck.endpoint]);
    assert!(bench.schedule.wedged(later).is_empty());
    let free = bench.schedule.ask_free(later, stuck.endpoint).expect("the other worker is free");
    assert_ne!(free.endpoint, stuck.endpoint);
}

#[test]
fn full_queue_refuses() {
    let mut schedule = Schedule::new(&Config { held_requests_max: 1, ..config() });
    let now = Instant::now();
    assert!(matches!(schedule.ask(now, Ask::default()), Answer::Queued(_)));
    assert_eq!(schedule.ask(now, Ask::default()), Answer::Full);
}

#[test]
fn failed_endpoint_is_avoided_while_there_is_another() {
    let mut bench = Bench::new(2);
    let now = bench.at(0);
    for avoid in [1, 2, 1, 2] {
        let Answer::Granted(grant) = bench.schedule.ask(now, Ask { avoid: Some(avoid), ..Ask::default() })
        else {
            panic!("a worker is free")
        };
        assert_ne!(grant.endpoint, avoid);
        bench.schedule.done(grant, None);
    }
}

const SLOW_START: Duration = Duration::from_secs(10);

/// How many of 1000 requests, one after the other at `secs` after the start, each worker gets. `added`: when each joined.
fn shares(policy: Policy, added: &[u64], secs: u64) -> Vec<usize> {
    let mut schedule = Schedule::new(&Config { slow_start: Some(SLOW_START), policy, ..config() });
    let start = Instant::now();
    let at = |secs: u64| start + Duration::from_secs(secs);
    let mut shares = vec![0; added.len()];
    for (id, added) in (0..).zip(added) {
        schedule.add(at(*added), id, id as u32);
    }
    for _ in 0..1000 {
        let Answer::Granted(grant) = schedule.ask(at(secs), Ask::default()) else {
            panic!("a worker is free")
        };
        schedule.taken(at(secs), grant);
        schedule.done(grant, Some(Duration::from_millis(1)));
        shares[grant.endpoint as usize] += 1;
    }
    shares
}

#[track_caller]
fn check_shares(added: &[u64], secs: u64, expected: &[usize]) {
    for policy in [Policy::LeastLoaded, Policy::RoundRobin, Policy::Fastest] {
        let shares = shares(policy, added, secs);
        let close = shares.iter().zip(expected).all(|(share, expected)| share.abs_diff(*expected) <= 5);
        assert!(close, "{policy:?}, added at {added:?}, at {secs} s: {shares:?} and not {expected:?}");
    }
}

#[test]
fn fresh_worker_gets_a_share_that_grows_linearly() {
    check_shares(&[0, 0, 0, 100], 100, &[333, 333, 333, 0]);
    check_shares(&[0, 0, 0, 100], 101, &[325, 325, 325, 25]);
    check_shares(&[0, 0, 0, 100], 105, &[292, 292, 292, 125]);
    check_shares(&[0, 0, 0, 100], 110, &[250; 4]);
    check_shares(&[0, 100, 105], 108, &[633, 267, 100]);
}

#[test]
fn workers_that_start_with_the_pool_share_from_the_beginning() {
    check_shares(&[0, 0, 0, 0], 0, &[250; 4]);
    check_shares(&[0, 3, 9, 9], 9, &[250; 4]);
}

#[test]
fn oldest_of_fresh_workers_counts_as_warm_when_the_warm_ones_are_gone() {
    let mut schedule = Schedule::new(&Config { slow_start: Some(SLOW_START), ..config() });
    let start = Instant::now();
    let at = |secs: u64| start + Duration::from_secs(secs);
    schedule.add(at(0), 1, 1);
    schedule.add(at(100), 2, 2);
    schedule.add(at(101), 3, 3);
    schedule.drain(1);
    let mut got = [0; 4];
    for _ in 0..100 {
        let Answer::Granted(grant) = schedule.ask(at(102), Ask::default()) else { panic!("two are free") };
        schedule.done(grant, None);
        got[grant.endpoint as usize] += 1;
    }
    assert_eq!(got, [0, 0, 75, 25]);
}

#[test]
fn fresh_worker_serves_what_no_other_can() {
    let mut schedule = Schedule::new(&Config { slow_start: Some(SLOW_START), untaken_max: 1, ..config() });
    let start = Instant::now();
    let later = start + Duration::from_secs(100);
    schedule.add(start, 1, 1);
    schedule.add(later, 2, 2);
    let ask = |schedule: &mut Schedule| match schedule.ask(later, Ask::default()) {
        Answer::Granted(grant) => Some(grant.endpoint),
        Answer::Queued(_) | Answer::Full | Answer::Late => None,
    };
    assert_eq!([ask(&mut schedule), ask(&mut schedule), ask(&mut schedule)], [Some(1), Some(2), None]);
}

#[test]
fn slow_start_that_is_off_changes_nothing() {
    let mut schedule = Schedule::new(&config());
    let start = Instant::now();
    schedule.add(start, 1, 1);
    schedule.add(start + Duration::from_secs(100), 2, 2);
    assert_eq!(schedule.warming, 0);
}

#[test]
fn simulation_every_request_is_granted_once_in_order_and_nothing_leaks() {
    for seed in 0..200 {
        simulate(seed);
    }
}

fn simulate(seed: u64) {
    let mut random = Random(seed);
    let mut bench = Bench::new(0);
    bench.schedule.limits.slow_start = (seed % 2 == 1).then_some(Duration::from_millis(100));
    let (mut live, mut queued, mut workers): (Vec<Grant>, VecDeque<Ticket>, Vec<EndpointId>) =
        Default::default();
    let mut next_worker = 1;
    for step in 0..400 {
        let now = bench.at(step);
        match random.below(10) {
            0 if workers.len() < 4 => {
                bench.schedule.add(now, next_worker, next_worker as u32);
                workers.push(next_worker);
                next_worker += 1;
            }
            1 if !workers.is_empty() => {
                let id = workers.swap_remove(random.below(workers.len() as u64) as usize);
                bench.schedule.remove(id);
            }
            2..=4 => match bench.schedule.ask(now, Ask::default()) {
                Answer::Granted(grant) => live.push(grant),
                Answer::Queued(ticket) => queued.push_back(ticket),
                // Then it does not wait, and has no ticket to give back.
                Answer::Late => (),
                Answer::Full => panic!("seed {seed}: the queue is not that full"),
            },
            5 if !queued.is_empty() => {
                let ticket = queued.remove(random.below(queued.len() as u64) as usize).expect("in range");
                bench.schedule.withdraw(ticket);
            }
            6 if !live.is_empty() => {
                let grant = live[random.below(live.len() as u64) as usize];
                bench.schedule.taken(now, grant);
            }
            7 if !workers.is_empty() => {
                let id = workers[random.below(workers.len() as u64) as usize];
                bench.schedule.drain(id);
                assert!(random.below(4) == 0 || bench.schedule.restore(now, id), "seed {seed}: it lives");
            }
            _ if !live.is_empty() => {
                let grant = live.swap_remove(random.below(live.len() as u64) as usize);
                bench.schedule.done(grant, Some(Duration::from_millis(1)));
            }
            _ => (),
        }
        while let Some(grant) = bench.schedule.poll_grant(now) {
            assert_eq!(Some(grant.ticket), queued.pop_front(), "seed {seed}: first come, first served");
            assert!(workers.contains(&grant.endpoint), "seed {seed}: granted to a worker that is gone");
            live.push(grant);
        }
        for id in &workers {
            let in_flight = live.iter().filter(|grant| grant.endpoint == *id).count();
            assert_eq!(bench.schedule.in_flight(*id) as usize, in_flight, "seed {seed}: in flight of {id}");
        }
        assert_eq!(bench.schedule.waiting(), queued.len(), "seed {seed}: the queue");
        let warming = bench.schedule.loads.iter().filter(|load| load.warming.is_some()).count();
        assert_eq!(bench.schedule.warming, warming, "seed {seed}: those that are warming");
    }
}

#[test]
fn request_that_would_be_late_is_refused_unless_it_has_been_tried() {
    let mut schedule = Schedule::new(&Config { untaken_max: 1, in_flight_max: 1, ..config() });
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    schedule.add(start, 1, 0);
    let Answer::Granted(mut grant) = schedule.ask(at(0), Ask::default()) else { panic!("it is free") };
    let join = |schedule: &mut Schedule, ask| schedule.ask(at(0), ask);
    (0..12).for_each(|_| assert!(matches!(join(&mut schedule, Ask::default()), Answer::Queued(_))));
    // One leaves each second, so the last of the 12 that wait would wait 12 seconds.
    for second in 1..=20 {
        schedule.done(grant, None);
        grant = schedule.poll_grant(at(second)).expect("somebody waits");
        assert!(matches!(
            schedule.ask(at(second), Ask { replay: true, ..Ask::default() }),
            Answer::Queued(_)
        ));
    }
    let ask = |schedule: &mut Schedule, until: Option<u64>| {
        schedule.ask(at(20), Ask { until: until.map(at), ..Ask::default() })
    };
    assert_eq!(ask(&mut schedule, None), Answer::Late);
    for second in 21..=25 {
        schedule.done(grant, None);
        grant = schedule.poll_grant(at(second)).expect("somebody waits");
    }
    // Seven wait now.
    assert_eq!(ask(&mut schedule, Some(24)), Answer::Late, "its client waits four seconds");
    assert!(matches!(ask(&mut schedule, Some(40)), Answer::Queued(_)));
    schedule.remove(1);
    assert!(matches!(ask(&mut schedule, Some(24)), Answer::Queued(_)), "nobody knows what the next one does");
}
