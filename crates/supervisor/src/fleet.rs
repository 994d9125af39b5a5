//! The machine of all applications of an instance: who waits for whom, and who falls with whom.
//!
//! | state | leaves for |
//! |---|---|
//! | idle | starting (wanted, and everything that it needs is there) |
//! | starting | ready, healthy, completed, ended (down), stopping (not wanted) |
//! | ready | healthy, starting (unready; restarted with its group), completed, ended, stopping |
//! | healthy | starting, completed, ended, stopping |
//! | stopping | idle (down) |
//! | completed | idle (wanted again), ready (it came back by itself) |
//! | ended | idle (wanted again), ready (it came back by itself) |
//!
//! *Wanted* stands beside it. Whoever is wanted makes what it needs wanted. Dependencies are of order, not of life: what is stopped or
//! ends does not take along what needs it. Those who stop together stop in reverse order. A group takes its applications along when
//! one crashes, in its order and each after what it needs.
//!
//! Pure, and without deadlines: an application gets ready, gives up or ends by its own ([`App`](crate::App)). What the driver has started
//! it restarts by itself after a crash; this machine is only told.

mod plan;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use plan::{Condition, Dependency, Group, Member, Plan, PlanError, Strategy};
pub use words::{Action, Input, Obstacle, Why};

/// All applications of an instance.
#[derive(Debug, Default)]
pub struct Fleet {
    ships: BTreeMap<String, Ship>,
    /// Dependencies first.
    order: Vec<String>,
    groups: Vec<Group>,
    actions: VecDeque<Action>,
    unsettled: bool,
}

/// One application.
#[derive(Debug, Default)]
struct Ship {
    depends_on: Vec<Dependency>,
    wanted: bool,
    state: State,
    /// Who of its group has crashed; it is restarted as soon as what it needs is there.
    falls_with: Option<String>,
    /// What was told of last.
    told: Vec<Obstacle>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Starting,
    Ready,
    Healthy,
    Stopping,
    Completed,
    Ended,
}

impl State {
    /// It was started and not told to stop.
    const fn runs(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Healthy)
    }

    const fn meets(self, condition: Condition) -> bool {
        match condition {
            Condition::Ready => matches!(self, Self::Ready | Self::Healthy),
            Condition::Healthy => matches!(self, Self::Healthy),
            Condition::Completed => matches!(self, Self::Completed),
        }
    }
}

impl Fleet {
    /// A fleet of which nothing is wanted yet.
    ///
    /// # Errors
    /// If the plan cannot work.
    pub fn new(plan: Plan) -> Result<Self, PlanError> {
        let mut fleet = Self::default();
        fleet.replan(plan)?;
        Ok(fleet)
    }

    /// Another plan: what is in both goes on, what is new is not wanted yet, what is gone is forgotten without being stopped.
    ///
    /// # Errors
    /// If the plan cannot work; then the old one stays.
    pub fn replan(&mut self, plan: Plan) -> Result<(), PlanError> {
        let order = plan.order()?;
        let mut old = std::mem::take(&mut self.ships);
        for Member { app, depends_on } in plan.members {
            let ship = old.remove(&app).unwrap_or_default();
            self.ships.insert(app, Ship { depends_on, falls_with: None, ..ship });
        }
        self.order = order;
        self.groups = plan.groups;
        self.unsettled = true;
        Ok(())
    }

    /// Takes in what happened; then take out every [`poll_action`](Self::poll_action). What is told before the next of them belongs
    /// together: applications that shall not run any more stop in order if all of them are named first.
    pub fn handle(&mut self, input: &Input) {
        let app = input.app();
        match input {
            Input::Wanted { wanted: true, .. } => self.want(app),
            Input::Crashed { .. } => self.take_along(app),
            _ => {
                if let Some(ship) = self.ships.get_mut(app) {
                    ship.handle(input);
                }
            }
        }
        self.unsettled = true;
    }

    /// What the driver has to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        if std::mem::take(&mut self.unsettled) {
            self.settle();
        }
        self.actions.pop_front()
    }

    /// All applications in the order in which they are started; the reverse is the order in which they are stopped.
    pub fn order(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// What the application waits for, if it is wanted and cannot start yet.
    #[must_use]
    pub fn obstacles(&self, app: &str) -> Vec<Obstacle> {
        match self.ships.get(app) {
            Some(ship) if ship.wanted && ship.state == State::Idle => self.unmet(ship),
            _ => Vec::new(),
        }
    }

    /// It, and what it needs, shall run.
    fn want(&mut self, app: &str) {
        let mut todo = vec![app.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(app) = todo.pop() {
            let Some(ship) = self.ships.get_mut(&app).filter(|_| seen.insert(app.clone())) else { continue };
            ship.wanted = true;
            if matches!(ship.state, State::Completed | State::Ended) {
                ship.state = State::Idle;
            }
            let needed: Vec<Dependency> = ship.depends_on.clone();
            todo.extend(needed.into_iter().filter(|on| self.is_to_be_wanted(on)).map(|on| on.app));
        }
    }

    /// Work that is done is not done again, and what is on its way needs no word.
    fn is_to_be_wanted(&self, on: &Dependency) -> bool {
        self.ships.get(&on.app).is_some_and(|ship| match ship.state {
            State::Completed => on.condition != Condition::Completed,
            State::Starting | State::Ready | State::Healthy => !ship.wanted,
            State::Idle | State::Stopping | State::Ended => true,
        })
    }

    /// An application has crashed: marks those of its group that fall with it.
    fn take_along(&mut self, app: &str) {
        let Some(group) = self.groups.iter().find(|group| group.apps.iter().any(|other| other == app)) else {
            return;
        };
        let place = group.apps.iter().position(|other| other == app).unwrap_or_default();
        let others: &[String] = match group.strategy {
            Strategy::OneForOne => &[],
            Strategy::OneForAll => &group.apps,
            Strategy::RestForOne => &group.apps[place + 1..],
        };
        for other in others.iter().filter(|other| *other != app) {
            // One that is only starting has nothing of the past in it.
            if let Some(ship) = self.ships.get_mut(other)
                && ship.wanted
                && matches!(ship.state, State::Ready | State::Healthy)
            {
                ship.falls_with.get_or_insert_with(|| app.to_owned());
            }
        }
    }

    /// Does what has become possible.
    fn settle(&mut self) {
        for app in self.order.clone() {
            let Some(ship) = self.ships.get(&app) else { continue };
            match (ship.state, ship.wanted) {
                (State::Idle, true) => self.start_or_tell(&app),
                _ => self.forget_told(&app),
            }
        }
        self.restart_the_fallen();
        for app in self.order.clone().iter().rev() {
            if self.may_stop(app)
                && let Some(ship) = self.ships.get_mut(app)
            {
                ship.state = State::Stopping;
                self.actions.push_back(Action::Stop { app: app.clone() });
            }
        }
    }

    fn start_or_tell(&mut self, app: &str) {
        let on = self.obstacles(app);
        let Some(ship) = self.ships.get_mut(app) else { return };
        if on.is_empty() {
            ship.state = State::Starting;
            ship.told.clear();
            self.actions.push_back(Action::Start { app: app.to_owned() });
        } else if ship.told != on {
            ship.told.clone_from(&on);
            self.actions.push_back(Action::Blocked { app: app.to_owned(), on });
        }
    }

    fn forget_told(&mut self, app: &str) {
        if let Some(ship) = self.ships.get_mut(app) {
            ship.told.clear();
        }
    }

    /// Those first that others who have fallen need, then in the order of the group.
    fn restart_the_fallen(&mut self) {
        let in_groups = self.groups.iter().flat_map(|group| &group.apps).cloned().collect::<Vec<_>>();
        while let Some(app) = in_groups.iter().find(|app| self.may_be_restarted(app)) {
            let Some(ship) = self.ships.get_mut(app) else { return };
            ship.state = State::Starting;
            if let Some(because) = ship.falls_with.take() {
                self.actions.push_back(Action::Restart { app: app.clone(), because });
            }
        }
    }

    fn may_be_restarted(&self, app: &str) -> bool {
        let Some(ship) = self.ships.get(app) else { return false };
        // What has ended or was stopped since it started is not waited for: dependencies are of order, not of life.
        let holds_up = |on: &Dependency| {
            let is_coming = |other: &Ship| other.state.runs() && !other.state.meets(on.condition);
            self.ships.get(&on.app).is_some_and(|other| other.falls_with.is_some() || is_coming(other))
        };
        ship.falls_with.is_some() && !ship.depends_on.iter().any(holds_up)
    }

    fn may_stop(&self, app: &str) -> bool {
        let is_leaving = |ship: &Ship| ship.state == State::Stopping || !ship.wanted && ship.state.runs();
        let Some(ship) = self.ships.get(app) else { return false };
        !ship.wanted
            && ship.state.runs()
            && !self.dependents(app).iter().filter_map(|other| self.ships.get(*other)).any(is_leaving)
    }

    /// All that need it, directly or not.
    fn dependents<'a>(&'a self, app: &str) -> BTreeSet<&'a str> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        // In this order whoever needs something comes after it.
        for other in &self.order {
            let needs = self.ships.get(other).map(|ship| ship.depends_on.as_slice()).unwrap_or_default();
            if needs.iter().any(|on| on.app == app || found.contains(on.app.as_str())) {
                found.insert(other);
            }
        }
        found
    }

    fn unmet(&self, ship: &Ship) -> Vec<Obstacle> {
        let obstacle = |on: &Dependency| {
            let other = self.ships.get(&on.app)?;
            let why = match other.state {
                State::Completed if on.condition == Condition::Completed => return None,
                _ if !other.wanted && other.state.runs() => Why::Stopping,
                state if state.meets(on.condition) => return None,
                State::Stopping => Why::Stopping,
                State::Idle if !other.wanted => Why::NotWanted,
                State::Completed | State::Ended => Why::Ended,
                State::Idle | State::Starting | State::Ready | State::Healthy => Why::NotYet,
            };
            Some(Obstacle { app: on.app.clone(), condition: on.condition, why })
        };
        ship.depends_on.iter().filter_map(obstacle).collect()
    }
}

impl Ship {
    fn handle(&mut self, input: &Input) {
        let state = self.state;
        self.state = match input {
            Input::Wanted { wanted, .. } => {
                self.wanted = *wanted;
                state
            }
            Input::Found { .. } => {
                self.wanted = true;
                if state.runs() { state } else { State::Starting }
            }
            Input::Ready { .. } if state == State::Starting => State::Ready,
            Input::Healthy { .. } if state.runs() => State::Healthy,
            Input::Ready { .. } | Input::Healthy { .. } => self.come_back(input),
            Input::Unready { .. } if state.runs() => State::Starting,
            Input::Completed { .. } | Input::Down { .. } if state == State::Stopping && self.wanted => {
                State::Idle
            }
            Input::Completed { .. } if state.runs() || state == State::Stopping => State::Completed,
            Input::Down { .. } if state == State::Stopping => State::Idle,
            Input::Down { .. } if state.runs() => State::Ended,
            Input::Unready { .. } | Input::Completed { .. } | Input::Down { .. } | Input::Crashed { .. } => {
                state
            }
        };
        if !self.wanted || !self.state.runs() {
            self.falls_with = None;
        }
    }

    /// What was given up, or had ended, may come back by itself; what was stopped stays so, whatever is still heard of it.
    fn come_back(&self, input: &Input) -> State {
        match self.state {
            State::Completed | State::Ended if self.wanted => match input {
                Input::Healthy { .. } => State::Healthy,
                _ => State::Ready,
            },
            state => state,
        }
    }
}
