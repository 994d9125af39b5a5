//! Tests of what the schedule does for requests that belong to a slot, and with workers that are taken out.

use super::*;
use crate::random::Random;
use crate::testing::config;

/// Workers 0 to `workers`, each of the slot of its name.
fn schedule(config: &Config, workers: u64) -> (Schedule, Instant) {
    let (mut schedule, start) = (Schedule::new(config), Instant::now());
    (0..workers).for_each(|id| schedule.add(start, id, id as u32));
    (schedule, start)
}

fn to(slot: u32) -> Ask {
    Ask { place: Place::Slot(slot), ..Ask::default() }
}

#[track_caller]
fn granted(answer: Answer) -> Grant {
    let Answer::Granted(grant) = answer else { panic!("expected a grant, got {answer:?}") };
    grant
}

#[track_caller]
fn queued(answer: Answer) -> Ticket {
    let Answer::Queued(ticket) = answer else { panic!("expected to wait, got {answer:?}") };
    ticket
}

fn granted_now(schedule: &mut Schedule, now: Instant) -> Vec<(Ticket, EndpointId)> {
    std::iter::from_fn(|| schedule.poll_grant(now)).map(|grant| (grant.ticket, grant.endpoint)).collect()
}

#[test]
fn who_waits_for_one_slot_holds_up_nobody_for_another() {
    let (mut schedule, now) = schedule(&config(), 2);
    let busy = granted(schedule.ask(now, to(0)));
    let waits = [queued(schedule.ask(now, to(0))), queued(schedule.ask(now, to(0)))];
    let passes = queued(schedule.ask(now, to(1)));
    assert_eq!(granted_now(&mut schedule, now), [(passes, 1)]);
    let any = queued(schedule.ask(now, Ask::default()));
    assert_eq!(granted_now(&mut schedule, now), [], "both have one that they have not read");
    schedule.taken(now, busy);
    assert_eq!(granted_now(&mut schedule, now), [(waits[0], 0), (waits[1], 0)], "the window grew to two");
    schedule.taken(now, Grant { ticket: passes, endpoint: 1 });
    assert_eq!(granted_now(&mut schedule, now), [(any, 1)]);
}

#[test]
fn who_may_go_anywhere_does_not_overtake_who_waits_for_the_slot() {
    let (mut schedule, now) = schedule(&config(), 1);
    let busy = granted(schedule.ask(now, to(0)));
    let bound = queued(schedule.ask(now, to(0)));
    let open = queued(schedule.ask(now, Ask::default()));
    let later = queued(schedule.ask(now, to(0)));
    schedule.taken(now, busy);
    assert_eq!(granted_now(&mut schedule, now), [(bound, 0), (open, 0)]);
    schedule.done(Grant { ticket: open, endpoint: 0 }, None);
    assert_eq!(granted_now(&mut schedule, now), [(later, 0)]);
}

#[test]
fn slot_without_worker_is_waited_for_until_it_is_gone() {
    let (mut schedule, now) = schedule(&config(), 2);
    schedule.remove(1);
    let first = queued(schedule.ask(now, to(1)));
    let second = queued(schedule.ask(now, to(1)));
    assert_eq!(granted_now(&mut schedule, now), [], "it is coming back");
    schedule.add(now, 7, 1);
    assert_eq!(granted_now(&mut schedule, now), [(first, 7)], "the next worker of the slot");
    schedule.remove(7);
    schedule.retain_slots(&[0]);
    assert_eq!(granted_now(&mut schedule, now), [(second, 0)], "now another may");
}

#[test]
fn key_that_came_before_any_worker_goes_to_its_owner() {
    let (mut schedule, now) = schedule(&config(), 0);
    let ask = |key| Ask { place: Place::Key(key), ..Ask::default() };
    let tickets: Vec<Ticket> = (0..40).map(|key| queued(schedule.ask(now, ask(key)))).collect();
    (0..4).for_each(|slot| schedule.join(slot));
    for slot in 0..4 {
        schedule.add(now, slot, slot as u32);
        for (ticket, endpoint) in granted_now(&mut schedule, now) {
            let key = tickets.iter().position(|other| *other == ticket).expect("it waited") as u64;
            assert_eq!(schedule.slot_of(Place::Key(key)), Some(endpoint as u32));
        }
    }
}

#[test]
fn lone_request_keeps_to_its_slot_and_lets_others_pass() {
    let (mut schedule, now) = schedule(&config(), 2);
    schedule.remove(1);
    let bound = queued(schedule.ask(now, Ask { lone: true, ..to(1) }));
    let open = queued(schedule.ask(now, Ask { lone: true, ..Ask::default() }));
    assert_eq!(granted_now(&mut schedule, now), [(open, 0)]);
    schedule.done(Grant { ticket: open, endpoint: 0 }, None);
    schedule.add(now, 7, 1);
    assert_eq!(granted_now(&mut schedule, now), [(bound, 7)]);
}

#[test]
fn queue_of_one_slot_is_full_before_that_of_all() {
    let (mut schedule, now) = schedule(&Config { held_requests_max: 4, ..config() }, 2);
    let _busy = [granted(schedule.ask(now, to(0))), granted(schedule.ask(now, to(1)))];
    let answers: Vec<bool> = (0..3).map(|_| schedule.ask(now, to(0)) == Answer::Full).collect();
    assert_eq!(answers, [false, false, true]);
    queued(schedule.ask(now, to(1)));
}

fn ejecting(workers: u64) -> (Schedule, Instant) {
    schedule(&Config { ejection: Ejection { failures: Some(3), slower: Some(5.0) }, ..config() }, workers)
}

fn fail(schedule: &mut Schedule, now: Instant, endpoint: EndpointId) {
    (0..3).for_each(|_| schedule.failed(now, Grant { ticket: 0, endpoint }));
}

/// Who gets the next requests, each of which is answered after so many milliseconds by whom `millis` says.
fn serve(
    schedule: &mut Schedule,
    now: Instant,
    requests: u32,
    millis: impl Fn(EndpointId) -> u64,
) -> Vec<EndpointId> {
    let mut served = Vec::new();
    for _ in 0..requests {
        let grant = granted(schedule.ask(now, Ask::default()));
        schedule.taken(now, grant);
        let latency = Duration::from_millis(millis(grant.endpoint));
        schedule.compare(now, grant, latency);
        schedule.done(grant, Some(latency));
        served.push(grant.endpoint);
    }
    served
}

#[test]
fn failing_worker_gets_nothing_for_a_while_and_its_keys_go_to_others() {
    let (mut schedule, now) = ejecting(3);
    fail(&mut schedule, now, 1);
    assert!(!serve(&mut schedule, now, 12, |_| 1).contains(&1));
    assert_eq!(schedule.slot_of(Place::Slot(1)), None);
    let later = now + Duration::from_secs(6);
    schedule.let_in(later);
    assert!(serve(&mut schedule, later, 12, |_| 1).contains(&1));
    assert_eq!(schedule.slot_of(Place::Slot(1)), Some(1));
}

#[test]
fn only_worker_and_the_last_half_are_never_taken_out() {
    for workers in 1..6 {
        let (mut schedule, now) = ejecting(workers);
        (0..workers).for_each(|id| fail(&mut schedule, now, id));
        let out = schedule.loads.iter().filter(|load| load.standing.is_out()).count() as u64;
        assert_eq!(out, workers / 2, "of {workers}");
    }
}

#[test]
fn all_that_fail_together_stay() {
    let (mut schedule, now) = ejecting(2);
    schedule.failed(now, Grant { ticket: 0, endpoint: 0 });
    fail(&mut schedule, now, 1);
    assert_eq!(schedule.out, 0, "nobody does better");
}

#[test]
fn slow_worker_is_taken_out_beside_fast_ones_only() {
    let (mut schedule, now) = ejecting(3);
    serve(&mut schedule, now, 60, |endpoint| if endpoint == 2 { 200 } else { 10 });
    assert_eq!(
        schedule.loads.iter().map(|load| load.standing.is_out()).collect::<Vec<_>>(),
        [false, false, true]
    );
    let (mut schedule, now) = ejecting(3);
    serve(&mut schedule, now, 60, |_| 200);
    assert_eq!(schedule.out, 0);
}

#[test]
fn worker_that_comes_back_starts_slowly() {
    let slow_start = Some(Duration::from_secs(10));
    let ejection = Ejection { failures: Some(3), slower: None };
    let (mut schedule, now) = schedule(&Config { ejection, slow_start, ..config() }, 2);
    fail(&mut schedule, now, 1);
    let later = now + Duration::from_secs(60);
    schedule.let_in(later);
    assert!(!serve(&mut schedule, later, 10, |_| 1).contains(&1), "its share grows from nothing");
    let share = serve(&mut schedule, later + Duration::from_secs(5), 100, |_| 1);
    assert_eq!(share.iter().filter(|endpoint| **endpoint == 1).count(), 25);
}

#[test]
fn simulation_every_bound_request_goes_to_its_slot_in_order() {
    (0..200).for_each(simulate);
}

const SLOTS: u64 = 3;

fn simulate(seed: u64) {
    let mut random = Random(seed);
    let (mut schedule, start) = schedule(&Config { untaken_max: 2, ..config() }, SLOTS);
    let mut current: Vec<Option<EndpointId>> = (0..SLOTS).map(Some).collect();
    let (mut live, mut waiting): (Vec<Grant>, Vec<(Ticket, Option<u32>)>) = Default::default();
    let mut next_worker = SLOTS;
    for step in 0..400 {
        let now = start + Duration::from_millis(step);
        match random.below(8) {
            0..=2 => {
                let slot = random.below(SLOTS + 1) as u32;
                let place = if u64::from(slot) == SLOTS { Place::Any } else { Place::Slot(slot) };
                match schedule.ask(now, Ask { place, ..Ask::default() }) {
                    Answer::Granted(grant) => live.push(grant),
                    Answer::Queued(ticket) => waiting.push((ticket, schedule.slot_of(place))),
                    Answer::Full | Answer::Late => panic!("seed {seed}: the queue is not that full"),
                }
            }
            3 => {
                // A worker dies, or the one that follows it comes.
                let slot = random.below(SLOTS) as usize;
                match current[slot].take() {
                    Some(id) => schedule.remove(id),
                    None => {
                        schedule.add(now, next_worker, slot as u32);
                        current[slot] = Some(next_worker);
                        next_worker += 1;
                    }
                }
            }
            4 if !waiting.is_empty() => {
                let (ticket, _) = waiting.remove(random.below(waiting.len() as u64) as usize);
                schedule.withdraw(ticket);
            }
            5 if !live.is_empty() => schedule.taken(now, live[random.below(live.len() as u64) as usize]),
            _ if !live.is_empty() => {
                let grant = live.swap_remove(random.below(live.len() as u64) as usize);
                schedule.done(grant, Some(Duration::from_millis(1)));
            }
            _ => (),
        }
        while let Some(grant) = schedule.poll_grant(now) {
            let position = waiting.iter().position(|(ticket, _)| *ticket == grant.ticket);
            let (_, slot) = waiting.remove(position.expect("who is granted has waited"));
            let first = waiting.iter().all(|(ticket, other)| *other != slot || *ticket > grant.ticket);
            assert!(first, "seed {seed}: each line is served in order");
            if let Some(slot) = slot {
                assert_eq!(current[slot as usize], Some(grant.endpoint), "seed {seed}: to the wrong worker");
            }
            live.push(grant);
        }
        for load in &schedule.loads {
            let free = load.may_get(now, &schedule.limits);
            let somebody = waiting.iter().any(|(_, slot)| slot.is_none_or(|slot| slot == load.slot));
            assert!(!(free && somebody), "seed {seed}: somebody waits for a worker that is free");
        }
        assert_eq!(schedule.waiting(), waiting.len(), "seed {seed}");
    }
}
