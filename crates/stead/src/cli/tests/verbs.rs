//! Verbs against fake instances: reload, restart, stop, scale, list and their kind.

use super::stage::Stage;
use crate::cli::ExitCode;
use crate::cli::test_support::Instance;
use std::fmt::Write;
use stead_control::{AppState, Progress};

fn step(done: u32) -> Progress {
    Progress::Step { app: "shop".to_owned(), done, of: 2 }
}

fn done() -> Progress {
    Progress::Done { apps: vec!["shop".to_owned()] }
}

#[tokio::test]
async fn verbs_without_an_instance_say_so() {
    let stage = Stage::new();
    let lines = [
        "list",
        "list --json",
        "list shop",
        "show shop",
        "reload",
        "restart all",
        "stop",
        "delete shop",
        "scale 2",
        "scale few",
        "signal HUP shop",
        "send shop 1",
        "send shop hello",
        "env shop",
        "reset shop",
        "save",
        "start all",
        "upgrade",
        "kill",
        "ping",
        "pid",
        "list --pid 7",
        "list --socket /nonexistent.sock",
    ];
    stage.transcript("nothing_running", &lines, &[]).await;
}

#[tokio::test]
async fn the_only_instance_needs_no_name() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |_| ());
    let pid = instance.operator.status.keeper_pid;
    let lines = [
        "ls",
        "ps api",
        "status shpo",
        "scale shop 4",
        "scale shop +1",
        "scale 0 1",
        "scale 2",
        "scale shpo 2",
        "scale shop.1 2",
        "pid",
        "pid shop.0",
        "id api",
        "ping",
        "signal hup shop api",
        "signal USR2 shop.1",
        "signal NOPE shop",
        "send 0 '{\"type\": \"hello\"}'",
        "send shop.1 '[1]'",
        "env shop",
        "env shop --secrets",
        "env shop --json",
        "env all",
        "reset back",
    ];
    stage.transcript("one_instance", &lines, &[pid]).await;
    let asked = [
        "scale shop 4",
        "scale shop 3",
        "scale shop 1",
        "signal shop None 1",
        "signal api None 1",
        "signal shop Some(1) 12",
        "message shop None {\"type\":\"hello\"}",
        "message shop Some(1) [1]",
        "environment shop",
        "environment shop",
        "environment shop",
        "reset api",
    ];
    assert_eq!(instance.asked(), asked);
}

#[tokio::test]
async fn json_is_the_status_itself() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |_| ());
    let (text, code) = stage.execute("list --json", true).await;
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({ "instances": [instance.operator.status.clone()] });
    assert_eq!((parsed, code), (expected, ExitCode::Ok));
    let (text, _) = stage.execute("show --json shop", true).await;
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed, serde_json::json!([instance.operator.status.apps[0].clone()]));
}

#[tokio::test]
async fn a_reload_is_followed_to_its_end() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |operator| {
        operator.status.apps[1].state = AppState::Stopped;
        operator.steps = vec![step(0), step(1), step(2), done()];
    });
    // What was stopped is not meant by `all`.
    let (text, code) = stage.execute("reload", false).await;
    let lines: Vec<&str> = text.lines().collect();
    let steps =
        ["shop: 0 of 2 workers replaced", "shop: 1 of 2 workers replaced", "shop: 2 of 2 workers replaced"];
    assert_eq!((&lines[..3], code), (&steps[..], ExitCode::Ok));
    assert!(lines[3].starts_with("reloaded shop in 0."), "{text}");
    let (text, code) = stage.execute("reload shop", true).await;
    assert!(text.starts_with("\rshop: 0 of 2 workers replaced\u{1b}[K\rshop: 1 of 2"), "{text:?}");
    assert!(text.contains("\r\u{1b}[Kreloaded shop in 0."), "{text:?}");
    assert_eq!(code, ExitCode::Ok);
    let (text, _) = stage.execute("reload --json shop", true).await;
    assert_eq!(text.lines().next(), Some(r#"{"app":"shop","done":0,"of":2,"type":"step"}"#));
    assert_eq!(text.lines().count(), 4);
    stage.execute("reload shop --update-env", false).await;
    let asked = ["reload Some(\"shop\")"; 3].into_iter().chain(["reload Some(\"shop\") with environment"]);
    assert_eq!(instance.asked(), asked.collect::<Vec<_>>());
}

#[tokio::test]
async fn several_apps_are_renewed_and_each_is_told() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |operator| operator.steps = vec![done()]);
    let (text, code) = stage.execute("restart /^[sa]/", false).await;
    assert_eq!((text.matches("restarted ").count(), code), (2, ExitCode::Ok), "{text}");
    let mut asked = instance.asked();
    asked.sort();
    assert_eq!(asked, ["restart api", "restart shop"]);
}

#[tokio::test]
async fn a_failed_reload_says_what_still_runs() {
    let failed = |done, hint: Option<&str>| Progress::Failed {
        app: "shop".to_owned(),
        reason: "worker `shop.1` exited with code 1 before it was ready".to_owned(),
        hint: hint.map(str::to_owned),
        done,
        of: 4,
    };
    let cases = [
        ("reload shop", vec![step(0), failed(0, Some("its last words: SyntaxError: Unexpected token"))]),
        ("reload shop", vec![failed(1, None)]),
        ("reload shop", vec![failed(3, None)]),
        ("reload shop", vec![step(1)]),
        ("restart shop", vec![step(1), failed(1, None)]),
        ("restart shop", vec![failed(0, None)]),
        ("reload shpo", vec![]),
        ("restart shop.1", vec![]),
    ];
    let mut all = String::new();
    for (line, steps) in cases {
        let stage = Stage::new();
        let _instance = Instance::start(&stage.directory, |operator| operator.steps = steps);
        let (text, code) = stage.execute(line, false).await;
        write!(all, "$ stead {line}\n{text}(exit code {})\n\n", u8::from(code)).unwrap();
    }
    insta::assert_snapshot!("reload_failed", all);
}

#[tokio::test]
async fn a_stop_returns_when_everything_has_ended() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |_| ());
    let pid = instance.operator.status.keeper_pid;
    stage.transcript("stop", &["stop shop", "stop shpo", "delete api", "stop --now"], &[pid]).await;
    assert_eq!(instance.asked(), ["stop Some(\"shop\") now=false", "delete api", "shut down now=true"]);
}

#[tokio::test]
async fn all_apps_of_an_instance_on_a_terminal_are_the_instance() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |_| ());
    let (text, code) = stage.execute("stop all", false).await;
    assert!(text.contains("stopped the instance with pid "), "{text}");
    assert_eq!((code, instance.asked()), (ExitCode::Ok, vec!["shut down now=false".to_owned()]));
}

#[tokio::test]
async fn the_background_instance_stays_when_its_apps_are_stopped() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |operator| {
        operator.status.background = true;
        operator.status.apps[1].state = AppState::Stopped;
    });
    let pid = instance.operator.status.keeper_pid;
    let lines = ["stop", "stop all", "stop api", "kill --now"];
    stage.transcript("stop_background", &lines, &[pid]).await;
    assert_eq!(instance.asked(), ["stop Some(\"shop\") now=false", "shut down now=true"]);
}

#[tokio::test]
async fn several_instances_have_to_be_told_apart() {
    let stage = Stage::new();
    let first = Instance::start(&stage.directory, |_| ());
    let second = Instance::start(&stage.directory, |operator| {
        operator.status.apps.remove(1);
        operator.status.apps[0].name = "blog".to_owned();
    });
    let mut pids = [first.operator.status.keeper_pid, second.operator.status.keeper_pid];
    pids.sort_unstable();
    // The list is by pid, and the first instance has the lower one unless the numbers have just wrapped around.
    let lines = ["list", "scale 3", "scale blog 3", "scale 0 3", "reset shop blog", "kill", "list --pid 1"];
    stage.transcript("several_instances", &lines, &pids).await;
    assert_eq!(
        (first.asked(), second.asked()),
        (vec!["reset shop".to_owned()], vec!["scale blog 3".to_owned(), "reset blog".to_owned()])
    );
    let (text, code) = stage.execute(&format!("scale 3 --pid {}", pids[1]), false).await;
    assert_eq!((text.as_str(), code), ("scaled blog from 2 to 3 workers\n", ExitCode::Ok));
}

#[tokio::test]
async fn the_background_instance_comes_first() {
    let stage = Stage::new();
    let terminal = Instance::start(&stage.directory, |_| ());
    let background = Instance::start(&stage.directory, |operator| operator.status.background = true);
    stage.execute("reset shop", false).await;
    stage.execute("reset 1", false).await;
    assert_eq!((terminal.asked(), background.asked().len()), (vec![], 2));
    let (text, _) = stage.execute("list", false).await;
    assert!(text.find("in the background") < text.find("on a terminal"), "{text}");
}

#[tokio::test]
async fn an_instance_of_another_version_is_told() {
    let stage = Stage::new();
    let instance = Instance::start(&stage.directory, |operator| operator.status.version = "0.0.9".to_owned());
    let pid = instance.operator.status.keeper_pid;
    stage.transcript("other_version", &["reset shop", "list --json shop --socket /x"], &[pid]).await;
}

#[tokio::test]
async fn an_upgrade_tells_what_went_on() {
    let note = |text: &str| Progress::Note { text: text.to_owned() };
    let done = Progress::Done { apps: Vec::new() };
    let failed = Progress::Failed {
        app: String::new(),
        reason: "the new daemon exited with code 1".to_owned(),
        hint: Some("see daemon.log".to_owned()),
        done: 0,
        of: 0,
    };
    let cases = [vec![note("the new daemon is prepared"), done], vec![failed], vec![note("handing over")]];
    let mut all = String::new();
    for steps in cases {
        let stage = Stage::new();
        let _instance = Instance::start(&stage.directory, |operator| operator.steps = steps);
        let (text, code) = stage.execute("upgrade", false).await;
        write!(all, "{text}(exit code {})\n\n", u8::from(code)).unwrap();
    }
    let stage = Stage::new();
    let _instance = Instance::start(&stage.directory, |_| ());
    let (text, code) = stage.execute("upgrade --binary /nonexistent", false).await;
    write!(all, "{text}(exit code {})", u8::from(code)).unwrap();
    let all = all.replace(env!("CARGO_PKG_VERSION"), "<version>");
    insta::with_settings!({filters => vec![(r"in \d+\.\d s", "in <n> s")]}, {
        insta::assert_snapshot!("upgrade", all);
    });
}
