//! Start, save and resurrect against a fake background instance.

use super::stage::Stage;
use crate::cli::saved;
use crate::cli::test_support::{FakeOperator, Instance};
use stead_control::{AppState, Definition, Progress, Refusal, RefusalKind, SavedApp, StartAnswer, Text};

fn background(stage: &Stage, change: impl FnOnce(&mut FakeOperator)) -> Instance {
    let instance = Instance::start(&stage.directory, |operator| {
        operator.status.background = true;
        change(operator);
    });
    stage.directory.register_background(instance.operator.status.keeper_pid).unwrap();
    instance
}

fn runs(operator: &mut FakeOperator) {
    operator.status.apps[0].state = AppState::Running;
    operator.status.apps[0].reload = None;
}

fn answer(started: &[&str], already: &[&str], differing: &[&str]) -> StartAnswer {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    StartAnswer { started: own(started), already: own(already), differing: own(differing), notes: Vec::new() }
}

#[tokio::test]
async fn a_program_is_started_and_followed_until_it_is_ready() {
    let stage = Stage::new();
    let instance = background(&stage, |operator| {
        runs(operator);
        operator.answer = Ok(answer(&["shop"], &[], &[]));
    });
    let pid = instance.operator.status.keeper_pid;
    let lines = [
        "start server.js -i max --name shop --watch --time -- --verbose",
        "start apps.json --only shop --env production",
    ];
    stage.transcript("start", &lines, &[pid]).await;
    let asked = [
        "start --instances=max --name=shop --set=watch=true server.js -- --verbose",
        "start --env=production --config=apps.json, only shop",
    ];
    assert_eq!(instance.asked(), asked);
}

#[tokio::test]
async fn what_runs_already_is_no_error() {
    let stage = Stage::new();
    let instance = background(&stage, |operator| {
        runs(operator);
        operator.answer = Ok(answer(&[], &["shop"], &["shop"]));
    });
    let pid = instance.operator.status.keeper_pid;
    let lines = ["start server.js -i max --name shop", "start shop", "start 0"];
    stage.transcript("start_twice", &lines, &[pid]).await;
}

#[tokio::test]
async fn what_was_stopped_is_started_by_its_name() {
    let stage = Stage::new();
    let instance = background(&stage, |operator| {
        runs(operator);
        operator.status.apps[1].state = AppState::Finished;
        operator.steps = vec![Progress::Done { apps: vec!["api".to_owned()] }];
    });
    let pid = instance.operator.status.keeper_pid;
    let lines = [
        "start shop api",
        "start api --no-wait",
        "start api --update-env",
        "startOrRestart shop",
        "start blog api.js",
    ];
    stage.transcript("start_again", &lines, &[pid]).await;
    let asked = [
        "start api again",
        "start api again",
        "restart api with environment",
        "restart shop",
        "start blog api.js",
    ];
    assert_eq!(instance.asked(), asked);
}

#[tokio::test]
async fn what_does_not_start_is_told_with_its_reason() {
    let stage = Stage::new();
    let instance = background(&stage, |operator| operator.answer = Ok(answer(&["api"], &[], &[])));
    let pid = instance.operator.status.keeper_pid;
    stage.transcript("start_fails", &["start api.js"], &[pid]).await;
    let stage = Stage::new();
    let instance = background(&stage, |operator| {
        operator.answer = Err(Refusal {
            exit_code: Some(3),
            ..Refusal::new(RefusalKind::Failed, "failed to start app `api`")
                .with_cause("program `nod` not found")
                .with_hint("did you mean `node`?")
        });
    });
    let pid = instance.operator.status.keeper_pid;
    stage.transcript("start_refused", &["start nod api.js"], &[pid]).await;
}

#[tokio::test]
async fn apps_are_saved_and_brought_back() {
    let stage = Stage::new();
    let app = |id, name: &str, wanted| SavedApp {
        id,
        name: name.to_owned(),
        definition: Definition { arguments: vec![Text::from(name)], ..Definition::default() },
        wanted,
        instances: (id == 2).then_some(4),
    };
    let instance = background(&stage, |operator| {
        operator.saved = vec![app(0, "shop", true), app(1, "blog", false), app(2, "wiki", true)];
    });
    let pid = instance.operator.status.keeper_pid;
    stage.transcript("save", &["resurrect", "save", "resurrect --no-wait"], &[pid]).await;
    assert_eq!(instance.asked(), ["start blog, only blog", "start wiki, only wiki", "scale wiki 4"]);
    drop(instance);

    let instance = background(&stage, |_| ());
    let pid = instance.operator.status.keeper_pid;
    stage.transcript("save_nothing", &["save", "save --force"], &[pid]).await;
    assert_eq!(saved::load(&stage.home).unwrap().apps, []);
    std::fs::write(stage.home.saved_apps(), "{").unwrap();
    stage.transcript("resurrect_damaged", &["resurrect --no-wait"], &[pid]).await;
    std::fs::write(stage.home.saved_apps(), "{").unwrap();
    std::fs::write(stage.home.path().join("apps.json.1"), "{").unwrap();
    stage.transcript("resurrect_lost", &["resurrect --no-wait"], &[pid]).await;
}

#[tokio::test]
async fn what_cannot_be_saved_is_explained() {
    let stage = Stage::new();
    let instance = background(&stage, |operator| {
        operator.saved = vec![SavedApp { name: "shop".to_owned(), ..SavedApp::default() }];
    });
    std::fs::write(stage.home.path(), "a file in the place of the home").unwrap();
    stage.transcript("save_refused", &["save"], &[instance.operator.status.keeper_pid]).await;
}
