//! Which applications there are, what each needs before it can start, and who falls with whom. A plan that cannot work is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;

/// All applications of an instance.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The applications, in the order in which they are started where nothing else decides.
    pub members: Vec<Member>,
    /// Those that fall together. An application is in one of them at most.
    pub groups: Vec<Group>,
}

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub app: String,
    /// What has to be there before it starts.
    pub depends_on: Vec<Dependency>,
}

/// Something that has to be there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The name of the other application.
    pub app: String,
    /// How far it has to be.
    pub condition: Condition,
}

/// How far an application has to be before another starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It takes requests.
    Ready,
    /// Its health check has passed.
    Healthy,
    /// It has ended, with success.
    Completed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        })
    }
}

/// Applications that fall together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its applications, in their order.
    pub apps: Vec<String>,
    /// Who is restarted when one of them crashes.
    pub strategy: Strategy,
}

/// Who is restarted when an application of a group crashes. It itself is restarted by its own policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody else.
    OneForOne,
    /// All others.
    OneForAll,
    /// Those that come after it in the group.
    RestForOne,
}

/// Why a plan cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Nobody could start first.
    #[error("{}", around(.path))]
    Cycle {
        /// Each depends on the next, the last on the first.
        path: Vec<String>,
    },
    /// Something is needed that does not exist.
    #[error("`{app}` depends on `{on}`, which does not exist")]
    UnknownDependency {
        /// Who needs it.
        app: String,
        /// What is missing.
        on: String,
    },
    /// A group names an application that does not exist.
    #[error("group `{group}` names `{app}`, which does not exist")]
    UnknownMember {
        /// The group.
        group: String,
        /// What is missing.
        app: String,
    },
    /// Two applications have the same name.
    #[error("there are two applications with the name `{app}`")]
    Twice {
        /// Their name.
        app: String,
    },
    /// An application stands in two groups, or twice in one.
    #[error("`{app}` is in group `{first}` and again in group `{second}`")]
    TwoGroups {
        /// Which.
        app: String,
        /// The group that names it first.
        first: String,
        /// The group that names it again.
        second: String,
    },
}

/// `a` depends on `b`, which depends on `a`.
fn around(path: &[String]) -> String {
    let Some((first, rest)) = path.split_first() else { return String::new() };
    let steps = rest.iter().map(|app| format!("`{app}`, which depends on "));
    format!("`{first}` depends on {}`{first}`: nobody could start first", steps.collect::<String>())
}

impl Plan {
    /// The names of all applications, dependencies before those that need them, else as in the plan.
    pub(super) fn order(&self) -> Result<Vec<String>, PlanError> {
        let mut needs: BTreeMap<&str, &Member> = BTreeMap::new();
        for member in &self.members {
            if needs.insert(&member.app, member).is_some() {
                return Err(PlanError::Twice { app: member.app.clone() });
            }
        }
        for member in &self.members {
            if let Some(missing) = member.depends_on.iter().find(|on| !needs.contains_key(on.app.as_str())) {
                return Err(PlanError::UnknownDependency {
                    app: member.app.clone(),
                    on: missing.app.clone(),
                });
            }
        }
        self.check_groups(&needs)?;
        let mut walk = Walk { needs: &needs, path: Vec::new(), seen: BTreeSet::new(), order: Vec::new() };
        self.members.iter().try_for_each(|member| walk.visit(member))?;
        Ok(walk.order)
    }

    fn check_groups(&self, known: &BTreeMap<&str, &Member>) -> Result<(), PlanError> {
        let mut group_of: BTreeMap<&str, &str> = BTreeMap::new();
        for group in &self.groups {
            for app in &group.apps {
                if !known.contains_key(app.as_str()) {
                    return Err(PlanError::UnknownMember { group: group.name.clone(), app: app.clone() });
                }
                if let Some(first) = group_of.insert(app, &group.name) {
                    let (app, first, second) = (app.clone(), first.to_owned(), group.name.clone());
                    return Err(PlanError::TwoGroups { app, first, second });
                }
            }
        }
        Ok(())
    }
}

/// A walk from each application down to what it needs.
struct Walk<'a> {
    needs: &'a BTreeMap<&'a str, &'a Member>,
    path: Vec<&'a str>,
    seen: BTreeSet<&'a str>,
    order: Vec<String>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, member: &'a Member) -> Result<(), PlanError> {
        let app = member.app.as_str();
        if let Some(place) = self.path.iter().position(|other| *other == app) {
            return Err(PlanError::Cycle {
                path: self.path[place..].iter().copied().map(str::to_owned).collect(),
            });
        }
        if !self.seen.insert(app) {
            return Ok(());
        }
        self.path.push(app);
        let needs = self.needs;
        member
            .depends_on
            .iter()
            .filter_map(|on| needs.get(on.app.as_str()))
            .try_for_each(|on| self.visit(on))?;
        self.path.pop();
        self.order.push(member.app.clone());
        Ok(())
    }
}
