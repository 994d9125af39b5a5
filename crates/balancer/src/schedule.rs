//! Who serves the next request: the loads of all workers of one listener and the one fair queue in front of them.
//!
//! Pure: `pool.rs` asks and tells, this file decides; `now` is an argument. A request is given to a worker that has taken
//! what it was given before, within a window that sets itself (`window.rs`). While no worker may be given one, requests
//! wait here in the order they came (`queue.rs`). Those that belong to one slot (`shards.rs`) wait for that one, and nobody
//! behind them waits with them. Lone requests (suspected poison) wait in a line of their own: one at a time, a worker is
//! reserved for them and gets nothing else until they are done. A fresh worker beside warm ones gets fewer (`warming.rs`), one
//! that fails or lags gets none for a while (`outlier.rs`).
//!
//! It does not know connections, bytes or why a request is asked for again.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use crate::drain::Drain;
use crate::outlier::{Ejection, Standing};
use crate::pick::{Candidate, PeakEwma, Picker, Terms};
use crate::queue::Queue;
use crate::shards::{Place, Shards};
use crate::warming::Warming;
use crate::window::Window;
use crate::{Config, EndpointId};

mod outliers;
mod slots;
#[cfg(test)]
mod slots_tests;

/// One try of one request.
pub(crate) type Ticket = u64;

/// A try may go to this endpoint now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) ticket: Ticket,
    pub(crate) endpoint: EndpointId,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ask {
    /// Alone on its worker.
    pub(crate) lone: bool,
    /// Not this one if there is another: it just failed this request.
    pub(crate) avoid: Option<EndpointId>,
    /// Not the first try of its request.
    pub(crate) replay: bool,
    /// When its client stops waiting, if it has said so.
    pub(crate) until: Option<Instant>,
    /// Where it belongs.
    pub(crate) place: Place,
}

/// The answer to [`Schedule::ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(Grant),
    Queued(Ticket),
    /// The queue is at its limit.
    Full,
    /// The queue is so slow that it would be late.
    Late,
}

#[derive(Debug)]
struct Untaken {
    ticket: Ticket,
    since: Instant,
    was_limit: bool,
}

#[derive(Debug)]
struct Load {
    id: EndpointId,
    slot: u32,
    accepting: bool,
    in_flight: u32,
    untaken: VecDeque<Untaken>,
    window: Window,
    latency: PeakEwma,
    wedge_reported: bool,
    added: Instant,
    warming: Option<Warming>,
    standing: Standing,
}

#[derive(Debug)]
struct Reservation {
    ticket: Ticket,
    place: Place,
    endpoint: EndpointId,
    granted: bool,
}

/// The loads and the queue.
#[derive(Debug)]
pub(crate) struct Schedule {
    loads: Vec<Load>,
    waiting: Queue,
    drain: Drain,
    lone: VecDeque<(Ticket, Place)>,
    reservation: Option<Reservation>,
    picker: Picker,
    terms: Terms,
    shards: Shards,
    limits: Limits,
    next_ticket: Ticket,
    /// How many are warming: as a rule none, and nothing needs to be reckoned.
    warming: usize,
    /// How many are taken out, which is the same.
    out: usize,
}

#[derive(Debug, Clone)]
struct Limits {
    wait_max: Duration,
    in_flight_max: u32,
    untaken_max: u32,
    taken_within: Duration,
    stalled_after: Duration,
    wedged_after: Duration,
    slow_start: Option<Duration>,
    ejection: Ejection,
}

impl Schedule {
    pub(crate) fn new(config: &Config) -> Self {
        let limits = Limits {
            wait_max: config.queue_wait_max,
            in_flight_max: config.in_flight_max,
            untaken_max: config.untaken_max,
            taken_within: config.taken_within,
            stalled_after: config.move_after,
            wedged_after: config.wedged_after,
            slow_start: config.slow_start,
            ejection: config.ejection,
        };
        Self {
            loads: Vec::new(),
            waiting: Queue::new(config.held_requests_max),
            drain: Drain::default(),
            lone: VecDeque::new(),
            reservation: None,
            picker: Picker::new(config.policy, config.terms.clone(), seed()),
            terms: config.terms.clone(),
            shards: Shards::default(),
            limits,
            next_ticket: 0,
            warming: 0,
            out: 0,
        }
    }

    /// A new worker of this slot, ready for requests.
    pub(crate) fn add(&mut self, now: Instant, id: EndpointId, slot: u32) {
        assert!(self.load(id).is_none(), "an endpoint is added once");
        let warming = self.joins_warm_ones(now).then(|| Warming::new(now));
        self.warming += usize::from(warming.is_some());
        self.loads.push(Load {
            id,
            slot,
            accepting: true,
            in_flight: 0,
            untaken: VecDeque::new(),
            window: Window::new(self.limits.untaken_max, self.limits.taken_within),
            latency: PeakEwma::default(),
            wedge_reported: false,
            added: now,
            warming,
            standing: Standing::default(),
        });
        self.join(slot);
    }

    /// Who starts within the time of the first has nobody to be spared by.
    fn joins_warm_ones(&self, now: Instant) -> bool {
        self.limits.slow_start.is_some_and(|slow_start| {
            let is_warm =
                |load: &Load| load.accepting && now.saturating_duration_since(load.added) >= slow_start;
            self.loads.iter().any(is_warm)
        })
    }

    /// No further request goes to this worker. Tells whether it has nothing in flight.
    pub(crate) fn drain(&mut self, id: EndpointId) -> bool {
        if self.reservation.as_ref().is_some_and(|r| r.endpoint == id && !r.granted) {
            let reservation = self.reservation.take().expect("just seen");
            self.lone.push_front((reservation.ticket, reservation.place));
        }
        let Some(load) = self.load_mut(id) else { return true };
        load.accepting = false;
        load.in_flight == 0
    }

    /// A worker that was drained gets requests again. What it has in flight stays; it is as fresh as one that is added. Tells
    /// whether there is such a worker.
    pub(crate) fn restore(&mut self, now: Instant, id: EndpointId) -> bool {
        let warming = self.joins_warm_ones(now).then(|| Warming::new(now));
        let Some(load) = self.load_mut(id) else { return false };
        if !load.accepting {
            load.accepting = true;
            load.added = now;
            load.warming = warming;
            let slot = load.slot;
            self.count();
            self.join(slot);
        }
        true
    }

    /// The worker is gone. What it had in flight ends by [`Schedule::done`] all the same.
    pub(crate) fn remove(&mut self, id: EndpointId) {
        self.drain(id);
        self.loads.retain(|load| load.id != id);
        self.count();
    }

    fn count(&mut self) {
        self.warming = self.loads.iter().filter(|load| load.warming.is_some()).count();
        self.out = self.loads.iter().filter(|load| load.standing.is_out()).count();
    }

    /// Asks for a worker. The ticket must end in [`Schedule::done`] if granted, else in [`Schedule::withdraw`].
    pub(crate) fn ask(&mut self, now: Instant, ask: Ask) -> Answer {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        if ask.lone {
            self.lone.push_back((ticket, ask.place));
            return Answer::Queued(ticket);
        }
        let slot = self.shards.slot_of(ask.place);
        if self.waiting.is_empty()
            && let Some(index) = self.pick(now, ask.avoid, slot)
        {
            return Answer::Granted(self.grant(now, index, ticket));
        }
        if !self.waiting.has_room(slot, self.shards.slots().count()) {
            return Answer::Full;
        }
        if !ask.replay && self.would_be_late(now, ask.until) {
            return Answer::Late;
        }
        if self.waiting.is_empty() {
            self.drain.begin(now);
        }
        self.waiting.push(slot, ticket, ask);
        Answer::Queued(ticket)
    }

    /// How long those who wait now will have to; nothing if that cannot be known.
    pub(crate) fn expected_wait(&self) -> Option<Duration> {
        self.drain.expected(self.waiting.len())
    }

    /// Whether somebody who joins the queue would wait longer than anybody should, or than its client will. While there is
    /// no worker, what workers did says nothing.
    fn would_be_late(&self, now: Instant, until: Option<Instant>) -> bool {
        let patience = until.map(|until| until.saturating_duration_since(now));
        let wait_max = patience.map_or(self.limits.wait_max, |patience| patience.min(self.limits.wait_max));
        self.expected_wait().is_some_and(|wait| wait > wait_max) && self.accepting() > 0
    }

    /// A worker that has taken everything and is not `not`, for a request that is stuck; never queues.
    pub(crate) fn ask_free(&mut self, now: Instant, not: EndpointId) -> Option<Grant> {
        if !self.waiting.is_empty() {
            return None;
        }
        let index = self.pick_where(now, |load| load.id != not && load.untaken.is_empty())?;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        Some(self.grant(now, index, ticket))
    }

    /// A queued request gives up.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) {
        self.waiting.withdraw(ticket);
        self.lone.retain(|(waiting, _)| *waiting != ticket);
        self.reservation.take_if(|r| r.ticket == ticket && !r.granted);
    }

    /// The worker has read the request.
    pub(crate) fn taken(&mut self, now: Instant, grant: Grant) {
        let Some(load) = self.load_mut(grant.endpoint) else { return };
        if let Some(position) = load.untaken.iter().position(|untaken| untaken.ticket == grant.ticket)
            && let Some(untaken) = load.untaken.remove(position)
        {
            load.window.taken(now.saturating_duration_since(untaken.since), untaken.was_limit);
            load.wedge_reported = false;
        }
    }

    /// The try is over, `latency` after it was sent if it was answered. Tells whether a draining worker became empty.
    pub(crate) fn done(&mut self, grant: Grant, latency: Option<Duration>) -> bool {
        self.reservation.take_if(|r| r.ticket == grant.ticket);
        let Some(load) = self.load_mut(grant.endpoint) else { return false };
        // As a rule it was taken long ago.
        if let Some(position) = load.untaken.iter().position(|untaken| untaken.ticket == grant.ticket) {
            load.untaken.remove(position);
        }
        load.in_flight -= 1;
        if let Some(latency) = latency {
            load.latency.observe(latency);
            load.standing.answered();
        }
        !load.accepting && load.in_flight == 0
    }

    /// The next waiting request that may go now. To be called until `None` after every change.
    pub(crate) fn poll_grant(&mut self, now: Instant) -> Option<Grant> {
        if let Some(grant) = self.poll_lone(now) {
            return Some(grant);
        }
        let bound = if self.waiting.has_bound() { self.first_bound(now) } else { None };
        let open =
            self.waiting.first_open().filter(|(ticket, _)| bound.is_none_or(|(_, bound, _)| *ticket < bound));
        let open = open.map(|(ticket, ask)| (None, ticket, ask));
        for (slot, ticket, ask) in
            open.into_iter().chain(bound.map(|(slot, ticket, ask)| (Some(slot), ticket, ask)))
        {
            if let Some(index) = self.pick(now, ask.avoid, slot) {
                self.waiting.pop(slot);
                self.drain.leave(now);
                return Some(self.grant(now, index, ticket));
            }
        }
        None
    }

    /// Workers that have not taken a request for longer than the limit, each reported once.
    pub(crate) fn wedged(&mut self, now: Instant) -> Vec<EndpointId> {
        let limit = self.limits.wedged_after;
        let wedged = |load: &&mut Load| !load.wedge_reported && load.untaken_for(now) > limit;
        self.loads
            .iter_mut()
            .filter(wedged)
            .map(|load| {
                load.wedge_reported = true;
                load.id
            })
            .collect()
    }

    /// Requests in flight on a worker.
    pub(crate) fn in_flight(&self, id: EndpointId) -> u32 {
        self.load(id).map_or(0, |load| load.in_flight)
    }

    /// How long a worker takes to answer, lately.
    pub(crate) fn latency(&self, id: EndpointId) -> Duration {
        self.load(id).map_or(Duration::ZERO, |load| load.latency.value())
    }

    /// Workers that are given requests.
    pub(crate) fn accepting(&self) -> usize {
        self.loads.iter().filter(|load| load.accepting).count()
    }

    /// Requests that wait for a worker.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.lone.len()
    }

    fn poll_lone(&mut self, now: Instant) -> Option<Grant> {
        if self.reservation.is_none() {
            // One whose slot has no worker keeps no other from its own.
            let candidate = |place: Place| {
                let serving = self.loads.iter().filter(|load| load.serves() && self.may_take(load, place));
                serving.min_by_key(|load| load.in_flight).map(|load| load.id)
            };
            let mut lone = self.lone.iter().enumerate();
            let (position, endpoint) = lone.find_map(|(at, (_, place))| Some((at, candidate(*place)?)))?;
            let (ticket, place) = self.lone.remove(position).expect("just found");
            self.reservation = Some(Reservation { ticket, place, endpoint, granted: false });
        }
        let reservation = self.reservation.as_ref().expect("just made");
        if reservation.granted {
            return None;
        }
        // Any that is empty will do: the one that was to become empty may carry a tunnel for hours.
        let (ticket, place) = (reservation.ticket, reservation.place);
        let is_free = |load: &Load| load.serves() && load.in_flight == 0 && self.may_take(load, place);
        let index = self.loads.iter().position(is_free)?;
        let reservation = self.reservation.as_mut().expect("just made");
        reservation.endpoint = self.loads[index].id;
        reservation.granted = true;
        Some(self.grant(now, index, ticket))
    }

    fn grant(&mut self, now: Instant, index: usize, ticket: Ticket) -> Grant {
        let load = &mut self.loads[index];
        load.in_flight += 1;
        let was_limit = load.untaken.len() as u32 + 1 >= load.window.size();
        load.untaken.push_back(Untaken { ticket, since: now, was_limit });
        Grant { ticket, endpoint: load.id }
    }

    /// A worker for a request, of this slot if it belongs to one.
    fn pick(&mut self, now: Instant, avoid: Option<EndpointId>, slot: Option<u32>) -> Option<usize> {
        let belongs = |load: &Load| slot.is_none_or(|slot| load.slot == slot);
        if let Some(avoid) = avoid
            && let Some(index) = self.pick_where(now, |load| load.id != avoid && belongs(load))
        {
            return Some(index);
        }
        self.pick_where(now, belongs)
    }

    fn pick_where(&mut self, now: Instant, allowed: impl Fn(&Load) -> bool) -> Option<usize> {
        if self.warming > 0 {
            return self.pick_sparing(now, allowed);
        }
        let Self { reservation, limits, loads, picker, .. } = self;
        let reserved = reservation.as_ref().map(|r| r.endpoint);
        choose(picker, loads, |load| reserved != Some(load.id) && load.may_get(now, limits) && allowed(load))
    }

    /// Spares fresh workers if it can.
    fn pick_sparing(&mut self, now: Instant, allowed: impl Fn(&Load) -> bool) -> Option<usize> {
        let (limits, reserved) = (self.limits.clone(), self.reservation.as_ref().map(|r| r.endpoint));
        let may_get = |load: &Load| reserved != Some(load.id) && load.may_get(now, &limits) && allowed(load);
        self.warm_up(now, may_get);
        let not_held_back = |load: &Load| !load.is_held_back() && may_get(load);
        let picked = choose(&mut self.picker, &self.loads, not_held_back)
            .or_else(|| choose(&mut self.picker, &self.loads, may_get))?;
        if let Some(warming) = &mut self.loads[picked].warming {
            warming.spend();
        }
        Some(picked)
    }

    /// Reckons what the fresh ones may be given of the next request. The warmest counts as warm.
    fn warm_up(&mut self, now: Instant, may_get: impl Fn(&Load) -> bool) {
        let slow_start = self.limits.slow_start.unwrap_or_default();
        let warmth = |load: &Load| load.warming.map_or(1.0, |warming| warming.warmth(now, slow_start));
        let candidates = self.loads.iter().filter(|load| may_get(load)).count();
        let warmest = self.loads.iter().filter(|load| load.accepting).map(warmth).fold(0.0, f64::max);
        for load in &mut self.loads {
            let warmth = warmth(load);
            let may_get = may_get(load);
            if warmth >= 1.0 {
                self.warming -= usize::from(load.warming.take().is_some());
            } else if let Some(warming) = &mut load.warming
                && may_get
            {
                warming.earn(if warmest > 0.0 { warmth / warmest } else { 1.0 }, candidates);
            }
        }
    }

    fn load(&self, id: EndpointId) -> Option<&Load> {
        self.loads.iter().find(|load| load.id == id)
    }

    fn load_mut(&mut self, id: EndpointId) -> Option<&mut Load> {
        self.loads.iter_mut().find(|load| load.id == id)
    }
}

impl Load {
    /// A worker that sits on an unread request for long gets no other until it shows life.
    fn may_get(&self, now: Instant, limits: &Limits) -> bool {
        self.serves()
            && self.in_flight < limits.in_flight_max
            && (self.untaken.len() as u32) < self.window.size()
            && self.untaken_for(now) < limits.stalled_after
    }

    fn serves(&self) -> bool {
        self.accepting && !self.standing.is_out()
    }

    fn is_held_back(&self) -> bool {
        self.warming.is_some_and(|warming| warming.is_held_back())
    }

    fn untaken_for(&self, now: Instant) -> Duration {
        self.untaken.front().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest.since))
    }
}

fn choose(picker: &mut Picker, loads: &[Load], may_get: impl Fn(&Load) -> bool) -> Option<usize> {
    let candidate = |(index, load): (usize, &Load)| Candidate {
        index,
        slot: load.slot,
        untaken: load.untaken.len() as u32,
        in_flight: load.in_flight,
        latency: load.latency.value(),
    };
    picker.pick(loads.iter().enumerate().filter(|(_, load)| may_get(load)).map(candidate))
}

/// Balancers beside each other shall not draw the same lots.
fn seed() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
