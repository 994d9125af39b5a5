//! Who waits for whom and who falls with whom: tells the supervisor's machine of all apps what happens to each, and each app
//! what the machine decides.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stead_supervisor::fleet::{
    Action, Condition, Dependency, Fleet, Group, Input, Member, Plan, PlanError, Strategy,
};

use super::message::Message;
use super::registry::Registry;
use super::renew::{How, Renewal};
use crate::config::{self, AppSettings, DependencyCondition, GroupStrategy};

/// The machine, and what its plan is made of.
#[derive(Default)]
pub(super) struct Convoy(Mutex<State>);

#[derive(Default)]
struct State {
    fleet: Fleet,
    members: BTreeMap<String, Vec<Dependency>>,
    groups: BTreeMap<String, Group>,
}

impl Convoy {
    /// These apps are there from now on, with these groups; names that are known get another place in the plan.
    ///
    /// # Errors
    /// If apps wait for each other in a circle, or for one that is not there; nothing has changed then.
    pub(super) fn join(&self, apps: &[&AppSettings], groups: &[config::Group]) -> Result<(), PlanError> {
        let mut state = self.lock();
        let (mut members, mut known) = (state.members.clone(), state.groups.clone());
        members.extend(apps.iter().map(|app| (app.name.clone(), dependencies(app))));
        known.extend(groups.iter().map(|from| (from.name.clone(), group(from))));
        state.fleet.replan(plan(&members, &known))?;
        (state.members, state.groups) = (members, known);
        Ok(())
    }

    /// This app is forgotten.
    pub(super) fn leave(&self, app: &str) {
        let mut state = self.lock();
        state.members.remove(app);
        for group in state.groups.values_mut() {
            group.apps.retain(|other| other != app);
        }
        // Those that waited for it would wait for ever.
        for needs in state.members.values_mut() {
            needs.retain(|need| need.app != app);
        }
        let plan = plan(&state.members, &state.groups);
        // A plan from which something was taken away works as it did before.
        drop(state.fleet.replan(plan));
    }

    /// Something happened; has the apps do what follows from it.
    pub(super) fn tell(&self, registry: &Registry, inputs: &[Input]) {
        let mut state = self.lock();
        inputs.iter().for_each(|input| state.fleet.handle(input));
        while let Some(action) = state.fleet.poll_action() {
            perform(registry, action);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn perform(registry: &Registry, action: Action) {
    let (app, message) = match action {
        Action::Start { app } => (app, Message::Begin),
        Action::Stop { app } => (app, Message::Stop { now: false }),
        Action::Restart { app, because } => {
            let renewal = Renewal { how: How::Restart, environment: None, progress: None };
            registry.tell(&app, Message::Say(format!("restarted because `{because}` crashed")));
            (app, Message::Renew(renewal))
        }
        Action::Blocked { app, on } => {
            let reasons: Vec<String> = on.iter().map(ToString::to_string).collect();
            (app, Message::Wait(reasons.join(", ")))
        }
    };
    registry.tell(&app, message);
}

fn plan(members: &BTreeMap<String, Vec<Dependency>>, groups: &BTreeMap<String, Group>) -> Plan {
    let member = |(app, depends_on): (&String, &Vec<Dependency>)| Member {
        app: app.clone(),
        depends_on: depends_on.clone(),
    };
    Plan { members: members.iter().map(member).collect(), groups: groups.values().cloned().collect() }
}

fn dependencies(settings: &AppSettings) -> Vec<Dependency> {
    let depends = |from: &config::Dependency| Dependency {
        app: from.app.clone(),
        condition: match from.condition {
            DependencyCondition::Ready => Condition::Ready,
            DependencyCondition::Healthy => Condition::Healthy,
            DependencyCondition::Completed => Condition::Completed,
        },
    };
    settings.depends_on.iter().map(depends).collect()
}

fn group(from: &config::Group) -> Group {
    Group {
        name: from.name.clone(),
        apps: from.apps.clone(),
        strategy: match from.strategy {
            GroupStrategy::OneForOne => Strategy::OneForOne,
            GroupStrategy::OneForAll => Strategy::OneForAll,
            GroupStrategy::RestForOne => Strategy::RestForOne,
        },
    }
}
