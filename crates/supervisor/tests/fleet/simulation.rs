//! Thousands of random fleets, each from a seed: a world plays the applications, and judges every order by what it knows itself.

use std::collections::{BTreeMap, BTreeSet};

use stead_supervisor::fleet::{
    Action, Condition, Dependency, Fleet, Group, Input, Member, Plan, PlanError, Strategy,
};

const SEEDS: u64 = 4000;

/// More steps to come to rest mean that it never will.
const STEPS_MAX: usize = 500;

#[test]
fn every_fleet_keeps_its_order() {
    let only = std::env::var("SIMULATION_SEED").ok().map(|seed| seed.parse().expect("the seed is a number"));
    let mut seen = Seen::default();
    for seed in only.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        println!("SIMULATION_SEED={seed}");
        World::live(seed, &mut seen);
    }
    let counts = [seen.started, seen.stopped, seen.restarted, seen.blocked, seen.cycles];
    assert!(only.is_some() || counts.iter().all(|count| *count > 100), "not everything happened: {seen:?}");
}

/// How often what happened.
#[derive(Debug, Default)]
struct Seen {
    started: u64,
    stopped: u64,
    restarted: u64,
    blocked: u64,
    cycles: u64,
}

/// What an application does, as the world knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Life {
    #[default]
    Down,
    Starting,
    Ready,
    Healthy,
    Stopping,
    Completed,
    /// By itself.
    Gone,
}

impl Life {
    const fn runs(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Healthy)
    }
}

struct World<'a> {
    fleet: Fleet,
    plan: Plan,
    lives: BTreeMap<String, Life>,
    wanted: BTreeSet<String>,
    /// Who may be restarted because of whom.
    fallen: BTreeSet<(String, String)>,
    /// Of ten things that happen, how many are of the bad kind.
    mischief: u64,
    chance: Chance,
    seen: &'a mut Seen,
}

impl<'a> World<'a> {
    fn live(seed: u64, seen: &'a mut Seen) {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xf1ee7);
        let plan = random_plan(&mut chance);
        let fleet = match Fleet::new(plan.clone()) {
            Ok(fleet) => fleet,
            Err(PlanError::Cycle { path }) => {
                seen.cycles += 1;
                return check_cycle(&plan, &path);
            }
            Err(other) => panic!("only cycles are wrong with it: {other}"),
        };
        assert!(is_orderable(&plan), "a cycle is refused: {plan:?}");
        let lives = plan.members.iter().map(|member| (member.app.clone(), Life::Down)).collect();
        let (wanted, fallen, mischief) = (BTreeSet::new(), BTreeSet::new(), 1 + chance.below(5));
        let mut world = World { fleet, plan, lives, wanted, fallen, mischief, chance, seen };
        world.check_order();
        for _ in 0..60 {
            world.step();
        }
        world.heal();
        world.end();
    }

    fn check_order(&self) {
        let order: Vec<&str> = self.fleet.order().collect();
        let place = |app: &str| order.iter().position(|other| *other == app).expect("everybody has a place");
        assert_eq!(order.len(), self.plan.members.len());
        for (member, on) in dependencies(&self.plan) {
            assert!(place(&on.app) < place(member), "{} before {member}", on.app);
        }
    }

    /// Something random happens.
    fn step(&mut self) {
        for _ in 0..=self.chance.below(3) {
            let app = self.random_app();
            if self.chance.below(3) == 0 {
                let wanted = self.chance.below(10) >= self.mischief;
                self.want(&app, wanted);
            } else {
                let is_bad = self.chance.below(10) < self.mischief;
                let kind = self.chance.below(if is_bad { 6 } else { 3 });
                self.happen(&app, kind);
            }
        }
        self.obey();
    }

    fn want(&mut self, app: &str, wanted: bool) {
        self.fleet.handle(&Input::Wanted { app: app.to_owned(), wanted });
        if !wanted {
            self.wanted.remove(app);
            self.fallen.retain(|(other, _)| other != app);
            return;
        }
        let mut todo = vec![app.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(app) = todo.pop() {
            if !seen.insert(app.clone()) {
                continue;
            }
            self.wanted.insert(app.clone());
            let life = self.lives.get_mut(&app).expect("it exists");
            if matches!(life, Life::Completed | Life::Gone) {
                *life = Life::Down;
            }
            for on in self.needs(&app) {
                let is_fine = match self.lives[&on.app] {
                    Life::Completed => on.condition == Condition::Completed,
                    life => life.runs() && self.wanted.contains(&on.app),
                };
                if !is_fine {
                    todo.push(on.app);
                }
            }
        }
    }

    /// An application does something, if it can.
    fn happen(&mut self, app: &str, kind: u64) -> bool {
        let app = app.to_owned();
        let life = self.lives[&app];
        let (life, input) = match (life, kind) {
            (Life::Starting, 0 | 1) => (Life::Ready, Input::Ready { app: app.clone() }),
            (Life::Starting | Life::Ready, 2) => (Life::Healthy, Input::Healthy { app: app.clone() }),
            (Life::Ready | Life::Healthy, 3) => (Life::Starting, Input::Unready { app: app.clone() }),
            (life, 4) if life.runs() => (Life::Completed, Input::Completed { app: app.clone() }),
            (life, 5) if life.runs() => (Life::Gone, Input::Down { app: app.clone() }),
            (Life::Stopping, 4) => {
                let life = if self.wanted.contains(&app) { Life::Down } else { Life::Completed };
                (life, Input::Completed { app: app.clone() })
            }
            (Life::Stopping, _) => (Life::Down, Input::Down { app: app.clone() }),
            (Life::Ready | Life::Healthy, 0 | 1) => {
                self.note_crash(&app);
                (life, Input::Crashed { app: app.clone() })
            }
            _ => return false,
        };
        self.fleet.handle(&input);
        if !life.runs() {
            self.fallen.retain(|(other, _)| *other != app);
        }
        self.lives.insert(app, life);
        true
    }

    fn note_crash(&mut self, app: &str) {
        let Some(group) = self.plan.groups.iter().find(|group| group.apps.iter().any(|other| other == app))
        else {
            return;
        };
        let place = group.apps.iter().position(|other| other == app).expect("it is in it");
        for (index, other) in group.apps.iter().enumerate() {
            let falls = match group.strategy {
                Strategy::OneForOne => false,
                Strategy::OneForAll => index != place,
                Strategy::RestForOne => index > place,
            };
            if falls
                && matches!(self.lives[other], Life::Ready | Life::Healthy)
                && self.wanted.contains(other)
            {
                self.fallen.insert((other.clone(), app.to_owned()));
            }
        }
    }

    /// Does what the fleet asks for, and checks that it may.
    fn obey(&mut self) {
        while let Some(action) = self.fleet.poll_action() {
            match action {
                Action::Start { app } => {
                    self.seen.started += 1;
                    assert_eq!(self.lives[&app], Life::Down, "only what is down is started: {app}");
                    assert!(self.wanted.contains(&app), "only what is wanted is started: {app}");
                    let unmet = self.needs(&app).into_iter().find(|on| !self.is_met(on));
                    assert_eq!(unmet, None, "{app} is started when everything that it needs is there");
                    self.lives.insert(app, Life::Starting);
                }
                Action::Stop { app } => {
                    self.seen.stopped += 1;
                    assert!(self.lives[&app].runs() && !self.wanted.contains(&app), "{app} is to be stopped");
                    let later = self.leaving_before(&app);
                    assert_eq!(later, None, "who needs {app} and stops, too, is gone");
                    self.lives.insert(app, Life::Stopping);
                }
                Action::Restart { app, because } => {
                    self.seen.restarted += 1;
                    let is_allowed = self.fallen.iter().any(|(other, by)| *other == app && *by == because);
                    assert!(is_allowed, "{app} is restarted only with its group: {because}");
                    self.fallen.retain(|(other, _)| *other != app);
                    assert!(self.wanted.contains(&app) && self.lives[&app].runs(), "{app} runs");
                    let later = self.needs(&app).into_iter().find(|on| self.is_coming(on));
                    assert_eq!(later, None, "what {app} needs is restarted before it");
                    self.lives.insert(app, Life::Starting);
                }
                Action::Blocked { app, on } => {
                    self.seen.blocked += 1;
                    assert_eq!(self.lives[&app], Life::Down, "who runs is not blocked: {app}");
                    assert!(!on.is_empty(), "it says by whom");
                }
            }
        }
        self.check_rest();
    }

    /// After everything was obeyed: who is wanted and down says exactly what is missing, everybody else says nothing.
    fn check_rest(&self) {
        for member in &self.plan.members {
            let app = &member.app;
            let is_waiting = self.wanted.contains(app) && self.lives[app] == Life::Down;
            let missing = member.depends_on.iter().filter(|on| is_waiting && !self.is_met(on));
            let told = self.fleet.obstacles(app);
            let told: Vec<_> = told.iter().map(|obstacle| (&obstacle.app, obstacle.condition)).collect();
            assert_eq!(told, missing.map(|on| (&on.app, on.condition)).collect::<Vec<_>>(), "{app}");
            assert!(!is_waiting || !told.is_empty(), "who waits is told for what: {app}");
            let is_left = self.lives[app].runs() && !self.wanted.contains(app);
            assert!(
                !is_left || self.leaving_before(app).is_some(),
                "who shall stop is stopped in its turn: {app}"
            );
        }
    }

    /// Nothing fails any more: everything that is wanted comes to run.
    fn heal(&mut self) {
        let apps: Vec<String> = self.lives.keys().cloned().collect();
        apps.iter().for_each(|app| self.want(app, true));
        self.obey();
        let works: BTreeSet<String> = dependencies(&self.plan)
            .filter(|(_, on)| on.condition == Condition::Completed)
            .map(|(_, on)| on.app.clone())
            .collect();
        // Something that shall be ready for one and completed for another can be both only one after the other.
        for _ in 0..STEPS_MAX {
            let app = self.random_app();
            let kind = if works.contains(&app) && self.lives[&app] == Life::Healthy { 4 } else { 2 };
            if self.happen(&app, kind) {
                self.obey();
            }
        }
        let is_contradictory = |app: &str| {
            let on = dependencies(&self.plan).filter(|(_, on)| on.app == app).map(|(_, on)| on.condition);
            works.contains(app) && on.into_iter().any(|condition| condition != Condition::Completed)
        };
        if !apps.iter().any(|app| is_contradictory(app)) {
            for app in &apps {
                let is_fine = matches!(self.lives[app], Life::Healthy | Life::Completed);
                assert!(is_fine, "what is wanted runs: {app} {:?}", self.lives);
            }
        }
    }

    /// Nothing is wanted any more: everything stops.
    fn end(&mut self) {
        let apps: Vec<String> = self.lives.keys().cloned().collect();
        apps.iter().for_each(|app| self.want(app, false));
        self.obey();
        for _ in 0..STEPS_MAX {
            let app = self.random_app();
            if self.lives[&app] == Life::Stopping && self.happen(&app, 5) {
                self.obey();
            }
        }
        let left = self.lives.iter().find(|(_, life)| life.runs() || **life == Life::Stopping);
        assert_eq!(left, None, "everything stops");
    }

    /// Somebody who needs it, directly or not, and is stopping or has still to stop.
    fn leaving_before(&self, app: &str) -> Option<String> {
        let mut found = BTreeSet::from([app.to_owned()]);
        let mut count = 0;
        while found.len() > count {
            count = found.len();
            let more = dependencies(&self.plan).filter(|(_, on)| found.contains(&on.app));
            let more: Vec<String> = more.map(|(member, _)| member.to_owned()).collect();
            found.extend(more);
        }
        found.remove(app);
        found.into_iter().find(|other| {
            let life = self.lives[other];
            life == Life::Stopping || life.runs() && !self.wanted.contains(other)
        })
    }

    /// It is about to be restarted, or runs but is not as far yet.
    fn is_coming(&self, on: &Dependency) -> bool {
        let falls = self.fallen.iter().any(|(other, _)| *other == on.app);
        let life = self.lives[&on.app];
        let is_there = match on.condition {
            Condition::Ready => matches!(life, Life::Ready | Life::Healthy),
            Condition::Healthy => life == Life::Healthy,
            Condition::Completed => life == Life::Completed,
        };
        falls || life.runs() && !is_there
    }

    fn is_met(&self, on: &Dependency) -> bool {
        let is_wanted = self.wanted.contains(&on.app);
        match (on.condition, self.lives[&on.app]) {
            (Condition::Ready, Life::Ready | Life::Healthy) | (Condition::Healthy, Life::Healthy) => {
                is_wanted
            }
            (Condition::Completed, Life::Completed) => true,
            _ => false,
        }
    }

    fn needs(&self, app: &str) -> Vec<Dependency> {
        let member = self.plan.members.iter().find(|member| member.app == app);
        member.map(|member| member.depends_on.clone()).unwrap_or_default()
    }

    fn random_app(&mut self) -> String {
        let index = self.chance.below(self.plan.members.len() as u64);
        self.plan.members[index as usize].app.clone()
    }
}

fn dependencies(plan: &Plan) -> impl Iterator<Item = (&str, &Dependency)> {
    plan.members.iter().flat_map(|member| member.depends_on.iter().map(move |on| (member.app.as_str(), on)))
}

/// Takes away again and again who needs nothing that is left.
fn is_orderable(plan: &Plan) -> bool {
    let mut left: BTreeSet<&str> = plan.members.iter().map(|member| member.app.as_str()).collect();
    loop {
        let blocked: BTreeSet<&str> = dependencies(plan)
            .filter(|(member, on)| left.contains(member) && left.contains(on.app.as_str()))
            .map(|(member, _)| member)
            .collect();
        if blocked.len() == left.len() {
            return left.is_empty();
        }
        left = blocked;
    }
}

fn check_cycle(plan: &Plan, path: &[String]) {
    assert!(!is_orderable(plan), "what has an order is not refused: {plan:?}");
    for (place, app) in path.iter().enumerate() {
        let next = &path[(place + 1) % path.len()];
        assert!(
            dependencies(plan).any(|(member, on)| member == app && on.app == *next),
            "the path is a cycle: {path:?}"
        );
    }
}

/// Mostly without cycles.
fn random_plan(chance: &mut Chance) -> Plan {
    let count = 1 + chance.below(7);
    let mut plan = Plan::default();
    let has_cycles = chance.below(4) == 0;
    for index in 0..count {
        let mut depends_on: Vec<Dependency> = Vec::new();
        for other in 0..if has_cycles { count } else { index } {
            if chance.below(3) == 0 {
                let condition = match chance.below(5) {
                    0 | 1 => Condition::Ready,
                    2 | 3 => Condition::Healthy,
                    _ => Condition::Completed,
                };
                depends_on.push(Dependency { app: format!("app{other}"), condition });
            }
        }
        plan.members.push(Member { app: format!("app{index}"), depends_on });
    }
    for index in 0..chance.below(3) {
        let apps = (0..count).filter(|app| app % 2 == index).map(|app| format!("app{app}"));
        let mut apps: Vec<String> = apps.collect();
        if chance.below(2) == 0 {
            apps.reverse();
        }
        let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
        let strategy = strategy[chance.below(3) as usize];
        plan.groups.push(Group { name: format!("group{index}"), apps, strategy });
    }
    plan
}

/// Where the chance of a life comes from (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}
