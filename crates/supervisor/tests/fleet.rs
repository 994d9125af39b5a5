//! Fleets as transcripts: lines with `>` go in, the lines after them must come out. The first lines are the plan.

use stead_supervisor::fleet::{
    Action, Condition, Dependency, Fleet, Group, Input, Member, Plan, PlanError, Strategy,
};

#[path = "fleet/simulation.rs"]
mod simulation;

/// `web: db ready, migrate completed` is an application; `group shop one-for-all: db web` a group.
fn plan(text: &str) -> Plan {
    let mut plan = Plan::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, rest) = line.split_once(':').expect("a name and a colon");
        match name.split(' ').collect::<Vec<_>>().as_slice() {
            ["group", name, strategy] => plan.groups.push(Group {
                name: (*name).to_owned(),
                apps: rest.split_whitespace().map(str::to_owned).collect(),
                strategy: match *strategy {
                    "one-for-one" => Strategy::OneForOne,
                    "one-for-all" => Strategy::OneForAll,
                    "rest-for-one" => Strategy::RestForOne,
                    other => panic!("no such strategy: {other}"),
                },
            }),
            _ => plan.members.push(Member {
                app: name.to_owned(),
                depends_on: rest.split(',').filter(|on| !on.trim().is_empty()).map(dependency).collect(),
            }),
        }
    }
    plan
}

fn dependency(text: &str) -> Dependency {
    let (app, condition) = text.trim().split_once(' ').expect("a name and a condition");
    let condition = match condition {
        "ready" => Condition::Ready,
        "healthy" => Condition::Healthy,
        "completed" => Condition::Completed,
        other => panic!("no such condition: {other}"),
    };
    Dependency { app: app.to_owned(), condition }
}

fn check(plan_text: &str, transcript: &str) {
    let mut fleet = Fleet::new(plan(plan_text)).expect("the plan works");
    let expected: Vec<&str> = transcript.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut actual = Vec::new();
    for line in expected.iter().filter(|line| line.starts_with('>')) {
        actual.push((*line).to_owned());
        let (verb, apps) = line[1..].trim().split_once(' ').expect("a verb and an application");
        apps.split(' ').for_each(|app| fleet.handle(&input(verb, app)));
        actual.extend(std::iter::from_fn(|| fleet.poll_action()).map(|action| text(&action)));
    }
    assert_eq!(actual.join("\n"), expected.join("\n"));
}

fn input(verb: &str, app: &str) -> Input {
    let app = app.to_owned();
    match verb {
        "start" => Input::Wanted { app, wanted: true },
        "stop" => Input::Wanted { app, wanted: false },
        "found" => Input::Found { app },
        "ready" => Input::Ready { app },
        "healthy" => Input::Healthy { app },
        "unready" => Input::Unready { app },
        "completed" => Input::Completed { app },
        "down" => Input::Down { app },
        "crashed" => Input::Crashed { app },
        other => panic!("no such input: {other}"),
    }
}

fn text(action: &Action) -> String {
    match action {
        Action::Start { app } => format!("start {app}"),
        Action::Stop { app } => format!("stop {app}"),
        Action::Restart { app, because } => format!("restart {app} with {because}"),
        Action::Blocked { app, on } => {
            let on: Vec<String> = on.iter().map(ToString::to_string).collect();
            format!("{app} waits: {}", on.join(", "))
        }
    }
}

fn check_refused(plan_text: &str, message: &str) {
    let refused: PlanError = Fleet::new(plan(plan_text)).expect_err("it cannot work");
    assert_eq!(refused.to_string(), message);
}

const SHOP: &str = "
    web: api healthy
    api: db ready, migrate completed
    migrate: db ready
    db:
";

#[test]
fn what_is_needed_is_started_first() {
    check(
        SHOP,
        "> start web
         start db
         migrate waits: `db` is not ready yet
         api waits: `db` is not ready yet, `migrate` has not completed yet
         web waits: `api` is not healthy yet
         > ready db
         start migrate
         api waits: `migrate` has not completed yet
         > ready migrate
         > completed migrate
         start api
         > ready api
         > healthy api
         start web
         > healthy api
         > ready web",
    );
}

#[test]
fn who_stop_together_stop_in_reverse_order() {
    check(
        SHOP,
        "> found db api web
         > ready db api web
         > stop db web api
         stop web
         > down web
         stop api
         > down api
         stop db
         > down db",
    );
}

#[test]
fn what_is_stopped_or_ends_does_not_take_along_what_needs_it() {
    check(
        "web: db ready
         db:",
        "> found db web
         > ready db web
         > stop db
         stop db
         > down db
         > ready db
         > down web
         > start web
         start db
         web waits: `db` is not ready yet
         > down db
         web waits: `db` has ended
         > ready db
         start web",
    );
}

#[test]
fn start_while_stopping_happens_afterwards_and_in_order() {
    check(
        "web: db ready
         db:",
        "> found db web
         > ready db web
         > stop db web
         stop web
         > start web
         > ready web
         > down web
         start web
         > stop web db
         stop web
         > down web
         stop db
         > start web
         web waits: `db` is stopping
         > down db
         start db
         web waits: `db` is not ready yet
         > ready db
         start web",
    );
}

#[test]
fn who_waits_for_what_is_stopped_says_so() {
    check(
        "web: db ready, migrate completed
         db:
         migrate:",
        "> start web
         start db
         start migrate
         web waits: `db` is not ready yet, `migrate` has not completed yet
         > down migrate
         web waits: `db` is not ready yet, `migrate` has ended without success
         > ready db
         web waits: `migrate` has ended without success
         > stop db
         web waits: `db` is stopping, `migrate` has ended without success
         stop db
         > down db
         web waits: `db` is not started, `migrate` has ended without success
         > stop web
         > start web
         start db
         start migrate
         web waits: `db` is not ready yet, `migrate` has not completed yet",
    );
}

#[test]
fn work_that_is_done_is_done_again_only_by_order() {
    check(
        "web: migrate completed
         migrate:",
        "> start web
         start migrate
         web waits: `migrate` has not completed yet
         > completed migrate
         start web
         > stop web
         stop web
         > down web
         > start web
         start web
         > stop web
         stop web
         > down web
         > start migrate
         start migrate",
    );
}

#[test]
fn one_for_one_leaves_the_others_alone() {
    check(
        "a:
         b:
         group g one-for-one: a b",
        "> found a b
         > ready a b
         > crashed a",
    );
}

#[test]
fn one_for_all_restarts_all_others_that_have_something_to_lose() {
    check(
        "a:
         b:
         c:
         d:
         e:
         group g one-for-all: c b a d",
        "> found a b c e
         > ready a b c e
         > unready b
         > crashed b
         restart c with b
         restart a with b
         > crashed b
         > ready c
         > crashed b
         restart c with b
         > ready b
         > crashed e
         > down b
         > crashed b
         > stop c
         stop c
         > ready a
         > crashed c
         restart a with c",
    );
}

#[test]
fn rest_for_one_restarts_those_that_come_after_it_each_after_what_it_needs() {
    check(
        "web: api ready
         api: db ready
         db:
         group g rest-for-one: db web api",
        "> found db api web
         > ready db api web
         > unready db
         > crashed db
         > ready db
         restart api with db
         > ready api
         restart web with db
         > crashed api",
    );
}

#[test]
fn new_plan_keeps_what_runs() {
    let mut fleet = Fleet::new(plan("web:")).expect("it works");
    fleet.handle(&input("start", "web"));
    assert_eq!(fleet.poll_action().map(|action| text(&action)).as_deref(), Some("start web"));
    assert!(fleet.replan(plan("web: db ready")).is_err());
    fleet.replan(plan("web: db ready\n db:")).expect("it works");
    assert_eq!(fleet.poll_action(), None, "who runs goes on");
    fleet.handle(&input("down", "web"));
    fleet.handle(&input("start", "web"));
    assert_eq!(fleet.poll_action().map(|action| text(&action)).as_deref(), Some("start db"));
    assert_eq!(fleet.obstacles("web").len(), 1);
    fleet.replan(plan("web:")).expect("it works");
    assert_eq!(fleet.order().collect::<Vec<_>>(), ["web"]);
    let rest: Vec<String> = std::iter::from_fn(|| fleet.poll_action()).map(|action| text(&action)).collect();
    assert_eq!(rest, ["web waits: `db` is not ready yet", "start web"]);
}

#[test]
fn plan_that_cannot_work_is_refused_with_names() {
    check_refused("web: db ready", "`web` depends on `db`, which does not exist");
    check_refused("a: a ready", "`a` depends on `a`: nobody could start first");
    check_refused(
        "z: a ready
         a: b ready
         b: c healthy, d ready
         d:
         c: a completed",
        "`a` depends on `b`, which depends on `c`, which depends on `a`: nobody could start first",
    );
    check_refused("a:\n a:", "there are two applications with the name `a`");
    check_refused("a:\n group g one-for-all: a b", "group `g` names `b`, which does not exist");
    check_refused(
        "a:\n group g one-for-all: a\n group h one-for-one: a",
        "`a` is in group `g` and again in group `h`",
    );
}
